package log

import (
	"errors"
	"fmt"
	"math"
	"sort"
	"sync"
	"sync/atomic"

	"github.com/hashicorp/raft"
)

var (
	_ raft.LogStore          = (*Group)(nil)
	_ raft.MonotonicLogStore = (*Group)(nil)
)

// Group is one group's log. Its methods may be called at once from any goroutine.
type Group struct {
	log *Log
	id  uint64

	tail  bounds // the writer's: with what it has staged
	short bool   // the writer's: cut off at its end and not yet appended to

	mu      sync.RWMutex
	bounds           // what is durable
	extents []extent // where entries are, released ones too; ascending, no index twice
	adopted []extent // where bodies of snapshots are, in the order of their records
	held    bool     // bodies were adopted, and Raft has not gone on since
	corrupt error
	changed uint64 // counts truncates and drops
	live    Live   // nil until SetLive

	appended atomic.Uint64 // bytes of entries since Open

	adopting adopting

	readMu sync.Mutex
	reads  [readersMax]uint64 // where those who read in order will go on
	reader int
}

// readersMax is how many sequential readers of one group are told apart.
const readersMax = 8

// bounds of what Raft sees: entries released+1 to last. Nothing when they are equal; what comes
// next has last+1.
type bounds struct{ released, last uint64 }

func (b *bounds) apply(k kind, index uint64) {
	switch k {
	case kindEntry:
		b.last = index
	case kindTruncate:
		b.last = min(b.last, index-1)
		b.released = min(b.released, b.last)
	case kindRelease:
		b.released, b.last = index, max(b.last, index)
	case kindDrop:
		*b = bounds{}
	}
}

// extent says that a segment holds the entries first to last, or what was not reclaimed of them.
type extent struct {
	seg         *segment
	first, last uint64
	span        bool // there may be gaps
}

// IsMonotonic tells Raft that entries follow each other without gaps.
func (g *Group) IsMonotonic() bool { return true }

// FirstIndex returns the first index that Raft sees, 0 for none.
func (g *Group) FirstIndex() (uint64, error) {
	g.mu.RLock()
	defer g.mu.RUnlock()
	if g.corrupt != nil || g.last == g.released {
		return 0, g.corrupt
	}
	return g.released + 1, nil
}

// LastIndex returns the last index that Raft sees, 0 for none.
func (g *Group) LastIndex() (uint64, error) {
	g.mu.RLock()
	defer g.mu.RUnlock()
	if g.corrupt != nil || g.last == g.released {
		return 0, g.corrupt
	}
	return g.last, nil
}

// GetLog reads an entry that Raft has not released. Its Data is shared and must not be changed.
func (g *Group) GetLog(index uint64, entry *raft.Log) error {
	err := g.again(func() error {
		p, err := g.locate(index, false)
		if err != nil {
			return err
		}
		*entry, err = g.log.fetch(p)
		return err
	})
	if errors.Is(err, errReclaimed) { // what Raft needs never is
		err = g.log.damage(place{group: g, index: index}, fmt.Errorf("entry %d is missing: %w", index, ErrCorrupt))
	}
	return err
}

// again does what errGone interrupts until it comes through: each time, a segment was rewritten.
func (g *Group) again(do func() error) error {
	for {
		if err := do(); !errors.Is(err, errGone) {
			return err
		}
	}
}

// Payload returns the Data of an entry, also of a released or adopted one. It must not be changed.
// Of one that was thinned it is what Config.Thin made of it. raft.ErrLogNotFound: it was
// reclaimed, or never here; if it has live messages, the group will be found corrupt.
func (g *Group) Payload(index uint64) ([]byte, error) {
	_, payload, err := g.Body(index)
	return payload, err
}

// StoreLog is StoreLogs for one entry.
func (g *Group) StoreLog(entry *raft.Log) error { return g.StoreLogs([]*raft.Log{entry}) }

// StoreLogs appends entries and returns when they are durable. The log keeps their Data and
// Extensions, which must not be changed any more. Run must be running.
func (g *Group) StoreLogs(logs []*raft.Log) error {
	if err := g.check(); err != nil || len(logs) == 0 {
		return err
	}
	r := g.log.request(g)
	if err := r.encode(requestAppend, logs); err != nil {
		g.log.recycle(r)
		return fmt.Errorf("group %d: %w", g.id, err)
	}
	return g.log.submit(r)
}

// DeleteRange cuts off the end of the group's log, or releases its beginning, durably. All of it
// counts as released.
func (g *Group) DeleteRange(min, max uint64) error {
	if err := g.check(); err != nil {
		return err
	}
	r := g.log.request(g)
	r.kind, r.min, r.max = requestDelete, min, max
	return g.log.submit(r)
}

// check returns what is wrong with the group.
func (g *Group) check() error {
	g.mu.RLock()
	defer g.mu.RUnlock()
	return g.corrupt
}

func (g *Group) used() bool {
	g.mu.RLock()
	defer g.mu.RUnlock()
	return g.last > 0 || len(g.extents) > 0 || len(g.adopted) > 0 || g.corrupt != nil
}

// place is where an entry was when it was looked up.
type place struct {
	group   *Group
	index   uint64
	seg     *segment
	last    uint64 // of the entries that count and follow in the same segment
	changed uint64
	adopted bool
}

func (g *Group) locate(index uint64, released bool) (place, error) {
	g.mu.RLock()
	defer g.mu.RUnlock()
	if g.corrupt != nil {
		return place{}, g.corrupt
	}
	if index > g.last || index <= g.released && !released {
		return place{}, raft.ErrLogNotFound
	}
	i := sort.Search(len(g.extents), func(i int) bool { return g.extents[i].last >= index })
	if i == len(g.extents) || g.extents[i].first > index {
		return place{}, raft.ErrLogNotFound
	}
	return place{group: g, index: index, seg: g.extents[i].seg, last: g.extents[i].last, changed: g.changed}, nil
}

// appendedLocked notes count entries from first on in seg.
func (g *Group) appendedLocked(seg *segment, first, count uint64) {
	last := first + count - 1
	if n := len(g.extents); n > 0 && g.extents[n-1].seg == seg && g.extents[n-1].last+1 == first && !g.extents[n-1].span {
		g.extents[n-1].last = last
	} else {
		g.extents = append(g.extents, extent{seg: seg, first: first, last: last})
	}
	g.held = false
	g.apply(kindEntry, last)
}

// spannedLocked notes a span.
func (g *Group) spannedLocked(seg *segment, first, last uint64) {
	g.extents = append(g.extents, extent{seg: seg, first: first, last: last, span: true})
	g.apply(kindEntry, last)
}

// adoptedLocked notes bodies of a snapshot in seg.
func (g *Group) adoptedLocked(seg *segment, first, last uint64) {
	g.log.recent.remove(g.id, true, first, last)
	g.log.ahead.remove(g.id, true, first, last)
	g.changed++
	if n := len(g.adopted); n > 0 && g.adopted[n-1].seg == seg {
		x := &g.adopted[n-1]
		x.first, x.last = min(x.first, first), max(x.last, last)
		return
	}
	g.adopted = append(g.adopted, extent{seg: seg, first: first, last: last, span: true})
}

// controlLocked notes a truncate, release or drop.
func (g *Group) controlLocked(k kind, index uint64) {
	switch k {
	case kindDrop:
		g.cutLocked(0)
		g.log.recent.remove(g.id, true, 0, math.MaxUint64)
		g.log.ahead.remove(g.id, true, 0, math.MaxUint64)
		g.adopted = nil
		g.corrupt = nil
	case kindTruncate:
		g.cutLocked(index)
	}
	g.held = false
	g.apply(k, index)
}

// cutLocked forgets where the entries from index on are.
func (g *Group) cutLocked(index uint64) {
	g.changed++
	n := len(g.extents)
	if n == 0 || g.extents[n-1].last < index {
		return
	}
	last := g.extents[n-1].last
	for n > 0 && g.extents[n-1].first >= index {
		n--
	}
	clear(g.extents[n:])
	if g.extents = g.extents[:n]; n > 0 && g.extents[n-1].last >= index {
		g.extents[n-1].last = index - 1
	}
	g.log.recent.remove(g.id, false, index, last)
	g.log.ahead.remove(g.id, false, index, last)
}

// damage makes the group refuse everything; the first error stays.
func (g *Group) damage(err error) (first bool) {
	g.mu.Lock()
	defer g.mu.Unlock()
	if g.corrupt != nil {
		return false
	}
	g.corrupt = fmt.Errorf("group %d: %w", g.id, err)
	return true
}

// inOrder reports whether a reader goes on at index, and remembers that it was there.
func (g *Group) inOrder(index uint64) bool {
	g.readMu.Lock()
	defer g.readMu.Unlock()
	for i, next := range g.reads {
		if next == index {
			g.reads[i] = index + 1
			return true
		}
	}
	g.reads[g.reader] = index + 1
	g.reader = (g.reader + 1) % readersMax
	return false
}
