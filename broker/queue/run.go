package queue

import (
	"math/bits"
	"slices"
)

// run is a stretch of consecutive messages of one queue inside one entry. Its first and
// its last message are unsettled, always: settling from either end shortens it, so that
// settling in order needs no bitmap. It holds no pointer, to cost the collector nothing.
type run struct {
	index   uint64 // of the entry
	at      int64  // when the entry was appended, Unix nanoseconds
	first   uint64 // sequence number of the first message
	ordinal uint32 // of the first message, in its batch
	count   uint32 // messages from the first to the last
	live    uint32 // unsettled ones among them
	bytes   uint32 // of their bodies: exact until the first is settled, a fair share from then on
}

func (r *run) last() uint64 { return r.first + uint64(r.count) - 1 }

// bitmap is a set of small numbers; its methods take half-open intervals.
type bitmap []uint64

func newBitmap(n uint32) bitmap { return make(bitmap, (n+63)/64) }

func (b bitmap) has(i uint32) bool { return b[i/64]>>(i%64)&1 != 0 }

// mask selects the bits of word w that lie in [from, to).
func mask(w, from, to uint32) uint64 {
	m := ^uint64(0)
	if w == from/64 {
		m <<= from % 64
	}
	if w == to/64 {
		m &= 1<<(to%64) - 1
	}
	return m
}

// set puts [from, to) in.
func (b bitmap) set(from, to uint32) {
	for w := from / 64; w < uint32(len(b)) && w*64 < to; w++ {
		b[w] |= mask(w, from, to)
	}
}

// missing counts those of [from, to) that are not in.
func (b bitmap) missing(from, to uint32) (n uint32) {
	for w := from / 64; w < uint32(len(b)) && w*64 < to; w++ {
		n += uint32(bits.OnesCount64(mask(w, from, to) &^ b[w]))
	}
	return n
}

// nextMissing is the lowest number from i on that is not in; there must be one.
func (b bitmap) nextMissing(i uint32) uint32 {
	w := i / 64
	free := ^b[w] & (^uint64(0) << (i % 64))
	for free == 0 {
		w++
		free = ^b[w]
	}
	return w*64 + uint32(bits.TrailingZeros64(free))
}

// next is the lowest number of [i, end) that is in, or end.
func (b bitmap) next(i, end uint32) uint32 {
	for w := i / 64; w < uint32(len(b)) && w*64 < end; w++ {
		if in := b[w] & mask(w, i, end); in != 0 {
			return w*64 + uint32(bits.TrailingZeros64(in))
		}
	}
	return end
}

// previousMissing is the highest number up to i that is not in; there must be one.
func (b bitmap) previousMissing(i uint32) uint32 {
	w := i / 64
	free := ^b[w] & (^uint64(0) >> (63 - i%64))
	for free == 0 {
		w--
		free = ^b[w]
	}
	return w*64 + 63 - uint32(bits.LeadingZeros64(free))
}

// chunk is a short list of runs, so that removing one in the middle of a long queue moves
// little. Runs are in the order of their sequence numbers.
type chunk struct {
	runs   []run
	extras []*extra // nil, or one for each run
}

const (
	chunkRuns  = 64
	spareRuns  = 8 // an empty chunk is kept for the queue's next message if it is no larger
	sparseness = 4 // a chunk whose room is so many times its runs gives room back
)

func (c *chunk) last() uint64 { return c.runs[len(c.runs)-1].last() }

func (c *chunk) push(r run, x *extra) {
	if n := len(c.runs); x != nil && n > 0 {
		if before := c.extra(n - 1); x.like(before) {
			before.shared = true
			x = before
		}
	}
	c.runs = append(c.runs, r)
	if c.extras == nil && x != nil {
		c.extras = make([]*extra, len(c.runs)-1, cap(c.runs))
	}
	if c.extras != nil {
		c.extras = append(c.extras, x)
	}
}

// extra returns what run i has of it, or nil.
func (c *chunk) extra(i int) *extra {
	if c.extras == nil {
		return nil
	}
	return c.extras[i]
}

// needExtra returns it to be changed, made if need be.
func (c *chunk) needExtra(i int) *extra {
	if c.extras == nil {
		c.extras = make([]*extra, len(c.runs), cap(c.runs))
	}
	if c.extras[i] == nil {
		c.extras[i] = &extra{base: c.runs[i].first}
	}
	if c.extras[i].shared {
		c.extras[i] = c.extras[i].own(c.runs[i].first)
	}
	return c.extras[i]
}

// removed is what settling took away.
type removed struct {
	messages uint64
	bytes    uint64 // by the runs' accounts
	timed    int    // runs with a time to live
}

// settle finishes with [first, last] in the runs from i on, and removes those that have no
// other message. It returns false when it met a run behind last.
func (c *chunk) settle(i int, first, last uint64, total *removed) (more bool) {
	kept := i // runs[kept:i] are gone
	more = true
	for ; i < len(c.runs); i++ {
		r := &c.runs[i]
		if r.first > last {
			more = false
			break
		}
		from, to := max(first, r.first), min(last, r.last())
		sized, share := false, uint32(0)
		if c.extras != nil {
			sized, share = c.bytesIn(i, from, to)
		}
		n := c.settleIn(i, from, to)
		if !sized {
			share = uint32(uint64(r.bytes) * uint64(n) / uint64(r.live))
		}
		r.live -= n
		r.bytes -= share
		total.messages += uint64(n)
		total.bytes += uint64(share)
		if r.live == 0 {
			if c.extras != nil {
				total.timed += c.extras[i].timed()
			}
			continue
		}
		if kept != i {
			c.runs[kept] = *r
			if c.extras != nil {
				c.extras[kept] = c.extras[i]
			}
		}
		c.tidy(kept)
		kept++
	}
	if kept != i {
		c.remove(kept, i)
	}
	return more
}

// bytesIn is the size of the unsettled messages of [first, last], which lies in run i, if the
// run knows the size of each.
func (c *chunk) bytesIn(i int, first, last uint64) (sized bool, bytes uint32) {
	x := c.extra(i)
	if x == nil || x.details == nil || x.details.sizes == nil {
		return false, 0
	}
	r := &c.runs[i]
	total := uint64(0)
	if len(x.details.sizes) == 1 {
		total = uint64(x.details.sizes[0]) * uint64(c.liveIn(i, first, last))
	} else {
		for o := uint32(first - x.base); o <= uint32(last-x.base); o++ {
			if !x.settledAt(o) {
				total += uint64(x.details.sizes[o])
			}
		}
	}
	return true, uint32(min(total, uint64(r.bytes)))
}

// settleIn finishes with [first, last], which lies in run i, and returns how many it found.
// Run.live is the caller's to update.
func (c *chunk) settleIn(i int, first, last uint64) uint32 {
	r, x := &c.runs[i], c.extra(i)
	n := c.liveIn(i, first, last)
	switch {
	case first == r.first && last == r.last():
		return n
	case first == r.first:
		next := last + 1
		if x != nil && x.settled != nil {
			next = x.base + uint64(x.settled.nextMissing(uint32(next-x.base)))
		}
		gone := uint32(next - r.first)
		r.first, r.ordinal, r.count = next, r.ordinal+gone, r.count-gone
		return n
	case last == r.last():
		end := first - 1
		if x != nil && x.settled != nil {
			end = x.base + uint64(x.settled.previousMissing(uint32(end-x.base)))
		}
		r.count = uint32(end-r.first) + 1
		return n
	}
	x = c.needExtra(i)
	if x.settled == nil {
		x.settled = newBitmap(uint32(r.last()-x.base) + 1)
	}
	x.settled.set(uint32(first-x.base), uint32(last-x.base)+1)
	return n
}

// liveIn counts the unsettled messages of [first, last], which lies in run i.
func (c *chunk) liveIn(i int, first, last uint64) uint32 {
	r, x := &c.runs[i], c.extra(i)
	switch {
	case first == r.first && last == r.last():
		return r.live
	case x != nil && x.settled != nil:
		return x.settled.missing(uint32(first-x.base), uint32(last-x.base)+1)
	default:
		return uint32(last-first) + 1
	}
}

// tidy drops what run i no longer needs beside it.
func (c *chunk) tidy(i int) {
	if x := c.extra(i); x != nil && x.settled != nil && c.runs[i].live == c.runs[i].count {
		x.settled = nil
		if x.returned == nil && x.details == nil && x.death == nil {
			c.extras[i] = nil
		}
	}
}

func (c *chunk) remove(i, j int) {
	c.runs = slices.Delete(c.runs, i, j)
	if c.extras != nil {
		c.extras = slices.Delete(c.extras, i, j)
	}
	if n := len(c.runs); n > 0 && cap(c.runs) > spareRuns && cap(c.runs) > sparseness*n {
		c.runs = append(make([]run, 0, 2*n), c.runs...)
		if c.extras != nil {
			c.extras = append(make([]*extra, 0, 2*n), c.extras...)
		}
	}
}

// requeue counts a return of each unsettled message of [first, last], which lies in run i.
func (c *chunk) requeue(i int, first, last uint64, failed bool) (n uint64) {
	x := c.needExtra(i)
	size := uint32(c.runs[i].last()-x.base) + 1
	x.returned = x.returned.each(size)
	var failures column[uint32]
	if failed {
		if x.details == nil {
			x.details = &details{}
		}
		failures = x.details.failed.each(size)
		x.details.failed = failures
	}
	for o := uint32(first - x.base); o <= uint32(last-x.base); o++ {
		if x.settledAt(o) {
			continue
		}
		x.returned[o] += min(1, ^x.returned[o]) // stops at the highest
		if failed {
			failures[o] += min(1, ^failures[o])
		}
		n++
	}
	return n
}

// nextIn is the first unsettled message of run i from seq on, which lies in the run.
func (c *chunk) nextIn(i int, seq uint64) uint64 {
	if x := c.extra(i); x != nil && x.settled != nil {
		return x.base + uint64(x.settled.nextMissing(uint32(seq-x.base)))
	}
	return seq
}
