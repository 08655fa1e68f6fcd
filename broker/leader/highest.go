package leader

import (
	"maps"
	"slices"
)

// The highest number that a consumer may have seen is that of what was answered or of
// what is out. The former only rises; the latter falls when messages come back that no
// client has seen. So those that are beyond the former are remembered in order, and
// forgotten when they are found not to be out: a look costs nothing, whatever is out.

// highestSeen is the highest number that a consumer may have seen, 0 while nothing waits
// that came back: nobody asks then.
func (q *served) highestSeen() uint64 {
	if len(q.back) == 0 || q.prioritized() {
		return 0
	}
	for n := len(q.above); n > 0 && q.above[n-1] > q.seen; n = len(q.above) {
		if last := q.above[n-1]; q.isOut(last) {
			return last
		}
		q.above = q.above[:n-1]
	}
	return q.seen
}

// rise notes that seq is out.
func (q *served) rise(seq uint64) {
	if seq <= q.seen || q.prioritized() {
		return
	}
	if len(q.above) >= 2*len(q.out)+64 { // most of them are answered
		q.above = slices.DeleteFunc(q.above, func(seq uint64) bool { return seq <= q.seen || !q.isOut(seq) })
		if cap(q.above) > aboveKept && cap(q.above) > 4*len(q.above) { // it was large once
			q.above = slices.Clone(q.above)
		}
	}
	if n := len(q.above); n == 0 || q.above[n-1] < seq {
		q.above = append(q.above, seq)
		return
	}
	if at, known := slices.BinarySearch(q.above, seq); !known {
		q.above = slices.Insert(q.above, at, seq)
	}
}

// aboveKept is how much room is kept for what is out next.
const aboveKept = 1024

// sink forgets everything once nothing is out any more.
func (q *served) sink() {
	if len(q.out) > 0 {
		return
	}
	q.above = q.above[:0]
	if cap(q.above) > aboveKept {
		q.above = nil
	}
}

// gatherAbove begins anew with what is out.
func (q *served) gatherAbove() { q.above = slices.Sorted(maps.Keys(q.out)) }
