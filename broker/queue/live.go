package queue

import (
	"cmp"
	byIndex "container/heap"
	"slices"
	"sort"
)

// LiveEntries calls yield for each entry of [first, last] that holds an unsettled message or a
// pending dead letter, ascending, with their ordinals, ascending and none twice, in a slice that
// is used again; yield ends the call with false. It costs O(queues + runs of dead letters), and
// what it yields; callers who hold a lock ask for few entries at a time.
func (s *State) LiveEntries(first, last uint64, yield func(index uint64, ordinals []uint32) bool) {
	found := s.stretches(first, last)
	byIndex.Init(&found)
	var ordinals []uint32
	for len(found) > 0 {
		index := found[0].index
		ordinals = ordinals[:0]
		for len(found) > 0 && found[0].index == index {
			ordinals = found[0].ordinals(ordinals)
			if found[0].next(last) {
				byIndex.Fix(&found, 0)
			} else {
				byIndex.Pop(&found)
			}
		}
		if !slices.IsSortedFunc(ordinals, ascend) { // queues that share an entry
			slices.Sort(ordinals)
			ordinals = slices.Compact(ordinals)
		}
		if !yield(index, ordinals) {
			return
		}
	}
}

// ascend holds for numbers of which none is there twice.
func ascend(a, b uint32) int {
	if a == b {
		return -1
	}
	return cmp.Compare(a, b)
}

// stretch is where reading a queue's runs, or one run of dead letters, is.
type stretch struct {
	list  *list // nil: a dead letter's run, which is alone
	at    position
	chunk *chunk
	index uint64
}

// stretches finds the first run of each queue in [first, last], and all of dead letters, which are
// in the order of their deaths.
func (s *State) stretches(first, last uint64) stretches {
	var found stretches
	for _, q := range s.queues {
		if at, ok := q.list.from(first); ok && at.index <= last {
			found = append(found, at)
		}
		for _, c := range q.dead.chunks {
			for i := range c.runs {
				if index := c.runs[i].index; index >= first && index <= last {
					found = append(found, stretch{at: position{run: i}, chunk: c, index: index})
				}
			}
		}
	}
	return found
}

// from is the first run of an entry from first on; the list is in the order of the log.
func (l *list) from(first uint64) (stretch, bool) {
	at := sort.Search(len(l.chunks), func(i int) bool {
		runs := l.chunks[i].runs
		return runs[len(runs)-1].index >= first
	})
	if at == len(l.chunks) {
		return stretch{}, false
	}
	c := l.chunks[at]
	run := sort.Search(len(c.runs), func(i int) bool { return c.runs[i].index >= first })
	return stretch{l, position{at, run}, c, c.runs[run].index}, true
}

// next goes on to the queue's next run, if that is of an entry up to last.
func (s *stretch) next(last uint64) bool {
	if s.list == nil {
		return false
	}
	s.at = s.list.behind(s.at)
	if s.at.chunk >= len(s.list.chunks) {
		return false
	}
	s.chunk = s.list.chunks[s.at.chunk]
	s.index = s.chunk.runs[s.at.run].index
	return s.index <= last
}

// ordinals appends those of the run's unsettled messages.
func (s *stretch) ordinals(ordinals []uint32) []uint32 {
	c := s.chunk
	r := &c.runs[s.at.run]
	x := c.extra(s.at.run)
	settled := x != nil && x.settled != nil
	for n := range r.count {
		if !settled || !x.settled.has(uint32(r.first-x.base)+n) {
			ordinals = append(ordinals, r.ordinal+n)
		}
	}
	return ordinals
}

// stretches is a heap by index.
type stretches []stretch

func (s stretches) Len() int           { return len(s) }
func (s stretches) Less(i, j int) bool { return s[i].index < s[j].index }
func (s stretches) Swap(i, j int)      { s[i], s[j] = s[j], s[i] }
func (s *stretches) Push(x any)        { *s = append(*s, x.(stretch)) }
func (s *stretches) Pop() any {
	old := *s
	x := old[len(old)-1]
	*s = old[:len(old)-1]
	return x
}
