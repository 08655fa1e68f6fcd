package log

import (
	"errors"
	"sort"

	"github.com/hashicorp/raft"
)

// Has tells whether Body would find an entry. It reads no bodies; where only some entries of a
// range are left it reads the segment's footer. What cannot be read counts as not there.
func (g *Group) Has(index uint64) bool {
	return g.again(func() error { return g.find(index) }) == nil
}

func (g *Group) find(index uint64) error {
	for n := 0; ; n++ {
		p, ok, err := g.locateAdopted(index, n)
		if err != nil {
			return err
		}
		if !ok {
			break
		}
		if err := g.log.holds(p); !errors.Is(err, raft.ErrLogNotFound) {
			return err
		}
	}
	g.mu.RLock()
	whole := g.wholeLocked(index)
	g.mu.RUnlock()
	if whole {
		return nil
	}
	p, err := g.locate(index, true)
	if err != nil {
		return err
	}
	return g.log.holds(p)
}

// wholeLocked tells whether an entry lies in a range of which all are there.
func (g *Group) wholeLocked(index uint64) bool {
	if g.corrupt != nil || index > g.last {
		return false
	}
	i := sort.Search(len(g.extents), func(i int) bool { return g.extents[i].last >= index })
	return i < len(g.extents) && g.extents[i].first <= index && !g.extents[i].span
}

// holds looks for an entry in the index of its segment.
func (l *Log) holds(p place) error {
	f, err := l.files.acquire(p.seg)
	if err != nil {
		return err
	}
	defer l.files.release(p.seg)
	_, _, err = p.seg.places(f, p, 1)
	return err
}
