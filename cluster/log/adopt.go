package log

import (
	"errors"
	"fmt"
	"sync"

	"github.com/hashicorp/raft"
)

// Body returns the Data of an entry and the term it was written in, as Adopt wants them on the
// node that a snapshot goes to. raft.ErrLogNotFound: it was reclaimed, or never here.
func (g *Group) Body(index uint64) (term uint64, payload []byte, err error) {
	err = g.again(func() error {
		e, err := g.body(index)
		term, payload = e.Term, e.Data
		return err
	})
	if errors.Is(err, raft.ErrLogNotFound) {
		err = raft.ErrLogNotFound
	}
	return term, payload, err
}

// body reads the newest adopted body, or else the entry itself: one of another term than the
// adopted body's was never committed, and one of the same term says the same.
func (g *Group) body(index uint64) (raft.Log, error) {
	for n := 0; ; n++ {
		p, ok, err := g.locateAdopted(index, n)
		if err != nil {
			return raft.Log{}, err
		}
		if !ok {
			break
		}
		if e, err := g.log.fetch(p); !errors.Is(err, raft.ErrLogNotFound) {
			return e, err
		}
	}
	p, err := g.locate(index, true)
	if err != nil {
		return raft.Log{}, err
	}
	return g.log.fetch(p)
}

// locateAdopted returns the n-th newest place where an adopted body may be.
func (g *Group) locateAdopted(index uint64, n int) (place, bool, error) {
	g.mu.RLock()
	defer g.mu.RUnlock()
	if g.corrupt != nil {
		return place{}, false, g.corrupt
	}
	for i := len(g.adopted) - 1; i >= 0; i-- {
		x := g.adopted[i]
		if index < x.first || index > x.last {
			continue
		}
		if n--; n < 0 {
			return place{group: g, index: index, seg: x.seg, last: x.last, changed: g.changed, adopted: true}, true, nil
		}
	}
	return place{}, false, nil
}

// adopting is what was adopted and is not yet with the writer.
type adopting struct {
	mu    sync.Mutex
	logs  []*raft.Log
	bytes int64
}

const (
	adoptBytes = 1 << 20 // written at once
	adoptMax   = 1024
)

// Adopt stores a body that came with a snapshot, which need not have been restored yet: a released
// entry, of which Raft sees nothing. The log keeps the payload, which must not be changed any more.
// An entry that the group has already, of the same term, stays as it is; one of another term was
// never committed, and Payload returns the adopted body. It is durable when SyncAdopted returns.
// Run must be running.
//
// Nothing of the group is reclaimed until Raft goes on with it: the state knows nothing of what
// was adopted before it is restored. After a restart it must be adopted again, all of it, unless
// the snapshot itself is durable.
func (g *Group) Adopt(index, term uint64, payload []byte) error {
	g.mu.Lock()
	g.held = true
	g.mu.Unlock()
	var have uint64
	err := g.again(func() error {
		e, err := g.body(index)
		have = e.Term
		return err
	})
	switch {
	case err == nil && have == term:
		return nil
	case err != nil && !errors.Is(err, raft.ErrLogNotFound):
		return err
	}
	a := &g.adopting
	a.mu.Lock()
	defer a.mu.Unlock()
	a.logs = append(a.logs, &raft.Log{Index: index, Term: term, Data: payload})
	if a.bytes += headBytes + int64(len(payload)); a.bytes >= adoptBytes || len(a.logs) >= adoptMax {
		return g.storeAdoptedLocked()
	}
	return nil
}

// SyncAdopted returns when all is durable that was adopted.
func (g *Group) SyncAdopted() error {
	g.adopting.mu.Lock()
	defer g.adopting.mu.Unlock()
	if err := g.check(); err != nil {
		return err
	}
	return g.storeAdoptedLocked()
}

// storeAdoptedLocked hands what was adopted to the writer. If that fails, the stream has failed.
func (g *Group) storeAdoptedLocked() error {
	logs := g.adopting.logs
	g.adopting.logs, g.adopting.bytes = nil, 0
	if len(logs) == 0 {
		return nil
	}
	r := g.log.request(g)
	if err := r.encode(requestAdopt, logs); err != nil {
		g.log.recycle(r)
		return fmt.Errorf("group %d: adopt: %w", g.id, err)
	}
	return g.log.submit(r)
}

// Appended returns how many bytes the group's entries had on disk that were stored since Open,
// without those that were adopted.
func (g *Group) Appended() uint64 { return g.appended.Load() }

// Bytes returns about how many bytes on disk the entries first to last have, those that are
// reclaimed not counted.
func (g *Group) Bytes(first, last uint64) int64 {
	g.mu.RLock()
	defer g.mu.RUnlock()
	var total float64
	for _, x := range g.extents {
		from, to := max(first, x.first), min(last, x.last)
		if from > to {
			continue
		}
		x.seg.mu.RLock()
		entries, bytes := x.seg.index.content(g.id)
		x.seg.mu.RUnlock()
		if entries > 0 {
			total += float64(bytes) * min(1, float64(to-from+1)/float64(entries))
		}
	}
	return int64(total)
}
