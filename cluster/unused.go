package cluster

import (
	"context"
	"log/slog"
	"sync"
	"time"

	"github.com/warrenmq/warren/broker/queue"
)

const (
	unusedWorkers    = 8
	firstUnusedPause = time.Second
	lastUnusedPause  = 30 * time.Second
)

// unused are the queues that are to be deleted because nobody uses them. Each is in
// it once, however often it is told of, and is tried until that succeeds, ever more
// seldom: without a majority there may be many.
//
// Having lost its last consumer is one thing, having been unused for as long as its
// settings allow another: expired says that the latter was told.
type unused struct {
	try    func(ctx context.Context, id queue.ID, expired bool) error
	logger *slog.Logger
	wake   chan struct{}

	mu    sync.Mutex
	known map[queue.ID]*deletion // those that wait or are under way
	ready []queue.ID
	ended bool
}

// deletion is one queue's.
type deletion struct {
	failures int
	expired  bool
	flying   bool
	again    bool // told of while it was under way: what that found may be past
}

func newUnused(try func(ctx context.Context, id queue.ID, expired bool) error, logger *slog.Logger) *unused {
	return &unused{try: try, logger: logger, wake: make(chan struct{}, 1), known: make(map[queue.ID]*deletion)}
}

// add takes a queue; it never blocks.
func (u *unused) add(id queue.ID, expired bool) {
	u.mu.Lock()
	d := u.known[id]
	first := d == nil
	if first {
		d = new(deletion)
		u.known[id] = d
	}
	d.again = d.flying
	d.expired = d.expired || expired
	u.mu.Unlock()
	if first {
		u.push(id)
	}
}

func (u *unused) push(id queue.ID) {
	u.mu.Lock()
	if !u.ended {
		u.ready = append(u.ready, id)
	}
	u.mu.Unlock()
	u.rouse()
}

func (u *unused) rouse() {
	select {
	case u.wake <- struct{}{}:
	default:
	}
}

// pop takes the next; it wakes another worker when there are more.
func (u *unused) pop() (id queue.ID, ok bool) {
	u.mu.Lock()
	defer u.mu.Unlock()
	if len(u.ready) == 0 {
		return 0, false
	}
	id = u.ready[0]
	u.ready = u.ready[1:]
	u.known[id].flying = true
	if len(u.ready) > 0 {
		u.rouse()
	}
	return id, true
}

// run works until ctx ends.
func (u *unused) run(ctx context.Context) error {
	var workers sync.WaitGroup
	for range unusedWorkers {
		workers.Go(func() { u.work(ctx) })
	}
	workers.Wait()
	u.mu.Lock()
	u.ended = true
	u.mu.Unlock()
	return nil
}

func (u *unused) work(ctx context.Context) {
	for {
		select {
		case <-ctx.Done():
			return
		case <-u.wake:
		}
		for id, ok := u.pop(); ok && ctx.Err() == nil; id, ok = u.pop() {
			u.attend(ctx, id)
		}
	}
}

func (u *unused) attend(ctx context.Context, id queue.ID) {
	bounded, cancel := context.WithTimeout(ctx, metadataTimeout)
	u.mu.Lock()
	d := u.known[id]
	expired := d.expired
	d.expired = false
	u.mu.Unlock()
	err := u.try(bounded, id, expired)
	cancel()
	u.mu.Lock()
	defer u.mu.Unlock()
	switch {
	case err == nil && d.again:
		*d = deletion{expired: d.expired}
		u.ready = append(u.ready, id)
		return // to be popped by the caller
	case err == nil || ctx.Err() != nil:
		delete(u.known, id)
		return
	}
	pause := min(firstUnusedPause<<min(d.failures, 10), lastUnusedPause)
	*d = deletion{failures: d.failures + 1, expired: d.expired}
	u.logger.Debug("a queue that nobody uses is deleted later", "queue", id, "error", err)
	time.AfterFunc(pause, func() { u.push(id) })
}
