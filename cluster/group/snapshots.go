package group

import (
	"context"
	"errors"
	"math"
	"sync"
	"time"

	"github.com/hashicorp/raft"
)

// SnapshotLimits say how often snapshots are taken, and how much of the log is kept
// behind them for followers that lag. Zero values are the defaults.
type SnapshotLimits struct {
	Bytes    int64  // of log between two; default 32 MiB
	Entries  uint64 // of log between two, which a start reads; default 16,384
	Trailing int64  // bytes of log that Raft keeps; default 16 MiB
	// TrailingHeld bounds what is kept while a snapshot is on its way to a follower,
	// which needs what follows it; default 1 GiB.
	TrailingHeld int64
}

func (l SnapshotLimits) withDefaults() SnapshotLimits {
	if l.Bytes == 0 {
		l.Bytes = 32 << 20
	}
	if l.Entries == 0 {
		l.Entries = 16 << 10
	}
	if l.Trailing == 0 {
		l.Trailing = 16 << 20
	}
	if l.TrailingHeld == 0 {
		l.TrailingHeld = 1 << 30
	}
	return l
}

const (
	// never is an interval of Raft's own that does not come: it looks at the number
	// of entries alone, and at every group now and then.
	never = 100 * 365 * 24 * time.Hour
	// snapshotPause is how long a group waits after a snapshot that failed.
	snapshotPause = time.Second
	// holdTime is how long what follows a snapshot is kept for a follower that got it
	// and has not caught up, nor said anything.
	holdTime = 30 * time.Second
	// holdSlack are entries that may be appended between choosing what to keep and
	// Raft's releasing the rest.
	holdSlack = 256
)

// takeSnapshots takes a snapshot whenever one is due, until ctx ends.
func (g *Group) takeSnapshots(ctx context.Context) {
	for {
		select {
		case <-ctx.Done():
			return
		case <-g.growth.due:
		}
		err := g.snapshot()
		if err == nil || errors.Is(err, errStopping) || errors.Is(err, raft.ErrNothingNewToSnapshot) {
			continue
		}
		g.logger.Warn("a snapshot could not be taken", "error", err)
		select {
		case <-ctx.Done():
			return
		case <-time.After(snapshotPause):
		}
	}
}

func (g *Group) snapshot() error {
	return g.ask(func() raft.Future { return g.raft.Snapshot() })
}

// lastSnapshot keeps the next start short.
func (g *Group) lastSnapshot() {
	if !g.growth.grown() {
		return
	}
	if err := g.snapshot(); err != nil {
		g.logger.Debug("no snapshot at the end", "error", err)
	}
}

// trail tells Raft how many entries to keep: those behind index, and what followers
// need to which a snapshot is on its way, but nothing up to atLeast.
func (g *Group) trail(index, atLeast uint64) {
	last := g.raft.LastIndex()
	index = max(atLeast, g.holds.lowest(index, g.transport.LastIndex))
	keep := uint64(math.MaxUint64)
	if index > 0 && index < last {
		keep = last - index
	}
	c := g.raft.ReloadableConfig()
	c.TrailingLogs = keep
	if err := g.raft.ReloadConfig(c); err != nil {
		g.logger.Error("raft takes no configuration", "error", err)
	}
}

// holds are the snapshots on their way to followers: the log behind them is kept.
type holds struct {
	mu       sync.Mutex
	byServer map[string]hold
}

type hold struct {
	index uint64    // of the snapshot
	since time.Time // when it was sent; zero: it is on its way
}

func (h *holds) begin(serverID string, index uint64) {
	h.mu.Lock()
	defer h.mu.Unlock()
	if h.byServer == nil {
		h.byServer = make(map[string]hold)
	}
	h.byServer[serverID] = hold{index: index}
}

func (h *holds) end(serverID string, sent bool) {
	h.mu.Lock()
	defer h.mu.Unlock()
	if !sent {
		delete(h.byServer, serverID)
		return
	}
	s := h.byServer[serverID]
	s.since = time.Now()
	h.byServer[serverID] = s
}

// lowest is the last entry that no follower needs; natural is where the log would
// be cut without them.
func (h *holds) lowest(natural uint64, progress func(string) (uint64, time.Time)) uint64 {
	h.mu.Lock()
	defer h.mu.Unlock()
	lowest := natural
	for id, s := range h.byServer {
		if !s.since.IsZero() {
			index, at := progress(id)
			if s.index = max(s.index, index); s.index >= natural || time.Since(at) > holdTime && time.Since(s.since) > holdTime {
				delete(h.byServer, id)
				continue
			}
		}
		lowest = min(lowest, s.index-min(s.index, holdSlack))
	}
	return lowest
}
