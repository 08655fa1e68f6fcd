package meta

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"time"

	"github.com/hashicorp/raft"
)

// guard watches the disk of the group. hashicorp/raft writes its log in the main
// loop while heartbeats go on elsewhere: a leader whose disk hangs would lead for
// ever. So an operation that hangs, or a write that fails, ends Run: the process
// stops, and others take over. A failed write is never tried again, since the
// kernel may have dropped the pages.
type guard struct {
	limit  time.Duration
	failed chan error // buffered

	mu    sync.Mutex
	last  uint64
	ticks map[uint64]int // of the guard, during each operation under way
}

// guardTicks are the looks in one limit. Looks are counted, not time: to a process
// that was stopped and woken, all its writes seem to have taken too long.
const guardTicks = 6

func newGuard(limit time.Duration) *guard {
	return &guard{limit: limit, failed: make(chan error, 1), ticks: make(map[uint64]int)}
}

// do runs a write.
func (g *guard) do(write func() error) error {
	g.mu.Lock()
	g.last++
	id := g.last
	g.ticks[id] = 0
	g.mu.Unlock()
	err := write()
	g.mu.Lock()
	delete(g.ticks, id)
	g.mu.Unlock()
	if err != nil {
		select {
		case g.failed <- fmt.Errorf("write of the meta group failed: %w", err):
		default:
		}
	}
	return err
}

// run returns an error when the disk has failed.
func (g *guard) run(ctx context.Context) error {
	tick := time.NewTicker(g.limit / guardTicks)
	defer tick.Stop()
	for {
		select {
		case err := <-g.failed:
			return err
		case <-tick.C:
			if g.hangs() {
				return fmt.Errorf("a write of the meta group takes longer than %v", g.limit)
			}
		case <-ctx.Done():
			return nil
		}
	}
}

func (g *guard) hangs() bool {
	g.mu.Lock()
	defer g.mu.Unlock()
	for id, ticks := range g.ticks {
		if ticks >= guardTicks {
			return true
		}
		g.ticks[id]++
	}
	return false
}

type guardedLog struct {
	raft.LogStore
	guard *guard
}

func (l guardedLog) StoreLog(e *raft.Log) error { return l.StoreLogs([]*raft.Log{e}) }

func (l guardedLog) StoreLogs(es []*raft.Log) error {
	return l.guard.do(func() error { return l.LogStore.StoreLogs(es) })
}

func (l guardedLog) DeleteRange(first, last uint64) error {
	return l.guard.do(func() error { return l.LogStore.DeleteRange(first, last) })
}

// GetLog ends the process over an entry that is there and cannot be read: Raft
// would send nothing to followers, and go on leading.
func (l guardedLog) GetLog(index uint64, e *raft.Log) error {
	err := l.LogStore.GetLog(index, e)
	if err != nil && !errors.Is(err, raft.ErrLogNotFound) {
		return l.guard.do(func() error { return fmt.Errorf("read entry %d: %w", index, err) })
	}
	return err
}

type guardedStable struct {
	raft.StableStore
	guard *guard
}

func (s guardedStable) Set(key, value []byte) error {
	return s.guard.do(func() error { return s.StableStore.Set(key, value) })
}

func (s guardedStable) SetUint64(key []byte, value uint64) error {
	return s.guard.do(func() error { return s.StableStore.SetUint64(key, value) })
}
