package connection

import (
	"cmp"
	"slices"

	"github.com/warrenmq/warren/broker/queue"
)

// outstanding is one delivery that the client has not answered.
type outstanding struct {
	tag  uint64
	seq  uint64
	from *holder // nil: answered
	at   int64   // when it was sent, by conn.clock
}

// unacked lists a channel's outstanding deliveries by delivery tag. Answered
// ones stay as gaps until they come to the front or make up most of the list,
// so an answer costs O(1) on average and the memory is that of what is held.
// Guarded by the outbox.
type unacked struct {
	list  []outstanding // ascending by tag
	space []outstanding // what list lies in
	gaps  int
}

const gapsMin = 64 // below, gaps are not worth removing

func (u *unacked) len() int { return len(u.list) - u.gaps }

// add takes a delivery whose tag is higher than all before.
func (u *unacked) add(tag, seq uint64, from *holder, at int64) {
	if len(u.list) == cap(u.list) && len(u.list) <= cap(u.space)/2 {
		u.list = u.space[:copy(u.space[:cap(u.space)], u.list)] // the front is free again
	}
	full := len(u.list) == cap(u.list)
	u.list = append(u.list, outstanding{tag, seq, from, at})
	if full {
		u.space = u.list
	}
}

// take removes the delivery with this tag.
func (u *unacked) take(tag uint64) (outstanding, bool) {
	i, ok := u.find(tag)
	if !ok || u.list[i].from == nil {
		return outstanding{}, false
	}
	d := u.list[i]
	u.list[i].from = nil
	u.gaps++
	u.tidy()
	return d, true
}

// takeThrough removes all deliveries up to tag, 0 for all, and hands them to
// each in their order. Without a delivery of that tag nothing happens.
func (u *unacked) takeThrough(tag uint64, each func(outstanding)) bool {
	end := len(u.list)
	if tag != 0 {
		i, ok := u.find(tag)
		if !ok || u.list[i].from == nil {
			return false
		}
		end = i + 1
	}
	for _, d := range u.list[:end] {
		if d.from == nil {
			u.gaps--
			continue
		}
		each(d)
	}
	u.drop(end)
	return true
}

// find searches where the tag would lie if no tag were missing, then by halves.
func (u *unacked) find(tag uint64) (int, bool) {
	if len(u.list) == 0 || tag < u.list[0].tag {
		return 0, false
	}
	if i := tag - u.list[0].tag; i < uint64(len(u.list)) && u.list[i].tag == tag {
		return int(i), true
	}
	return slices.BinarySearchFunc(u.list, tag, func(d outstanding, tag uint64) int {
		switch {
		case d.tag < tag:
			return -1
		case d.tag > tag:
			return 1
		}
		return 0
	})
}

func (u *unacked) tidy() {
	front := 0
	for front < len(u.list) && u.list[front].from == nil {
		front++
	}
	if front > 0 {
		u.gaps -= front
		u.drop(front)
	}
	if u.gaps > gapsMin && u.gaps > len(u.list)/2 {
		u.list = slices.DeleteFunc(u.list, func(d outstanding) bool { return d.from == nil })
		u.gaps = 0
	}
}

// drop forgets the first n. An emptied list starts again at its beginning, so
// that a channel in a steady state allocates nothing.
func (u *unacked) drop(n int) {
	u.list = u.list[n:]
	if len(u.list) > 0 {
		return
	}
	if cap(u.space) > unackedKept {
		u.space = nil
	}
	u.list = u.space[:0]
}

const unackedKept = 4096 // places that an emptied list keeps

// addSeq notes seq in ranges; numbers that follow each other make one range.
func addSeq(ranges []queue.Range, seq uint64) []queue.Range {
	if n := len(ranges); n > 0 && ranges[n-1].Last+1 == seq {
		ranges[n-1].Last = seq
		return ranges
	}
	return append(ranges, queue.Range{First: seq, Last: seq})
}

// restore puts deliveries back that take or takeThrough removed.
func (u *unacked) restore(deliveries []outstanding) {
	all := slices.DeleteFunc(u.list, func(d outstanding) bool { return d.from == nil })
	all = append(all, deliveries...)
	slices.SortFunc(all, func(a, b outstanding) int { return cmp.Compare(a.tag, b.tag) })
	u.list, u.space, u.gaps = all, all, 0
}
