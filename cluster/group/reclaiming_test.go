package group

import (
	"sync"

	"github.com/hashicorp/raft"

	"github.com/warrenmq/warren/cluster/log"
)

// adopted is what a disk does not hold any more, and how much it has adopted.
type adopted struct {
	mu    sync.Mutex
	gone  map[uint64]bool
	count int
	bytes int
	live  log.Live
}

func (a *adopted) drop() {
	a.mu.Lock()
	defer a.mu.Unlock()
	clear(a.gone)
}

// reclaiming is a group's log that reclaims at once when it is told to.
type reclaiming struct {
	*log.Group
	*adopted
}

func (r *reclaiming) isGone(index uint64) bool {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.gone[index]
}

func (r *reclaiming) Payload(index uint64) ([]byte, error) {
	_, b, err := r.Body(index)
	return b, err
}

func (r *reclaiming) Body(index uint64) (uint64, []byte, error) {
	if r.isGone(index) {
		return 0, nil, raft.ErrLogNotFound
	}
	return r.Group.Body(index)
}

func (r *reclaiming) Has(index uint64) bool { return !r.isGone(index) && r.Group.Has(index) }

func (r *reclaiming) Adopt(index, term uint64, payload []byte) error {
	r.mu.Lock()
	r.count++
	r.bytes += len(payload)
	r.mu.Unlock()
	return r.Group.Adopt(index, term, payload)
}

func (r *reclaiming) SetLive(l log.Live) {
	r.mu.Lock()
	r.live = l
	r.mu.Unlock()
	r.Group.SetLive(l)
}

// reclaim lets go of everything released that is not needed.
func (r *reclaiming) reclaim() (n int) {
	first, err := r.FirstIndex()
	if err != nil {
		return 0
	}
	if first == 0 {
		first, _ = r.LastIndex()
	}
	r.mu.Lock()
	live := r.live
	r.mu.Unlock()
	needed := make(map[uint64]bool)
	live.LiveEntries(1, first-1, func(index uint64, _ []uint32) bool {
		needed[index] = true
		return true
	})
	r.mu.Lock()
	defer r.mu.Unlock()
	for i := uint64(1); i < first; i++ {
		if !needed[i] && !r.gone[i] {
			r.gone[i] = true
			n++
		}
	}
	return n
}
