package queue

import (
	"cmp"
	"slices"
	"sort"
)

// LiveEntries calls yield for each entry of [first, last] that holds an unsettled message or a
// pending dead letter, ascending, with their ordinals, ascending and none twice, in a slice that
// is used again; yield ends the call with false. It costs O(queues + runs of dead letters), and
// what it finds; callers who hold a lock ask for few entries at a time.
func (s *State) LiveEntries(first, last uint64, yield func(index uint64, ordinals []uint32) bool) {
	var found []stretch
	for _, q := range s.queues {
		found = q.list.inEntries(found, first, last)
		for _, c := range q.dead.chunks { // in the order of their deaths
			for i := range c.runs {
				if index := c.runs[i].index; index >= first && index <= last {
					found = append(found, stretch{c, i, index, c.runs[i].ordinal})
				}
			}
		}
	}
	slices.SortFunc(found, func(a, b stretch) int {
		if a.index != b.index {
			return cmp.Compare(a.index, b.index)
		}
		return cmp.Compare(a.ordinal, b.ordinal)
	})
	var ordinals []uint32
	for i := 0; i < len(found); {
		index := found[i].index
		ordinals = ordinals[:0]
		for ; i < len(found) && found[i].index == index; i++ {
			ordinals = found[i].chunk.ordinals(ordinals, found[i].run)
		}
		slices.Sort(ordinals) // queues that share an entry may have settled different messages of it
		ordinals = slices.Compact(ordinals)
		if !yield(index, ordinals) {
			return
		}
	}
}

// stretch is a run that was found.
type stretch struct {
	chunk   *chunk
	run     int
	index   uint64
	ordinal uint32
}

// inEntries appends the runs whose entries lie in [first, last]; the list is in the order of the log.
func (l *list) inEntries(found []stretch, first, last uint64) []stretch {
	from := sort.Search(len(l.chunks), func(i int) bool {
		runs := l.chunks[i].runs
		return runs[len(runs)-1].index >= first
	})
	for _, c := range l.chunks[from:] {
		at := sort.Search(len(c.runs), func(i int) bool { return c.runs[i].index >= first })
		for i := at; i < len(c.runs); i++ {
			if c.runs[i].index > last {
				return found
			}
			found = append(found, stretch{c, i, c.runs[i].index, c.runs[i].ordinal})
		}
	}
	return found
}

// ordinals appends those of the unsettled messages of run i.
func (c *chunk) ordinals(ordinals []uint32, i int) []uint32 {
	r := &c.runs[i]
	x := c.extra(i)
	settled := x != nil && x.settled != nil
	for n := range r.count {
		if !settled || !x.settled.has(uint32(r.first-x.base)+n) {
			ordinals = append(ordinals, r.ordinal+n)
		}
	}
	return ordinals
}
