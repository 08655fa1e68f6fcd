package queue

import (
	"math"
	"slices"
	"sort"
	"time"
)

// Queue is one queue of a State: which of its messages are unsettled and where they lie.
// It belongs to its State and is as little safe for concurrent use; its reading methods
// remember where they were, so they count as uses too.
type Queue struct {
	id       ID
	settings Settings
	sealed   bool
	next     uint64 // the next message's sequence number, from 1
	mark     uint64
	messages uint64
	bytes    uint64

	chunks []*chunk // none is empty
	spare  *chunk   // an empty one, for the next message
	read   position // where After and Lookup were last
	write  position // where settling was last

	touched uint64 // the Apply that touched it last
}

// position is a run's place. Removals move runs, so a kept one is only a hint.
type position struct{ chunk, run int }

func newQueue(id ID) *Queue { return &Queue{id: id, next: 1} }

// ID is the queue's name.
func (q *Queue) ID() ID { return q.id }

// Settings are what Configure said last.
func (q *Queue) Settings() Settings { return q.settings }

// Sealed says whether the queue refuses further messages.
func (q *Queue) Sealed() bool { return q.sealed }

// NextSeq is the sequence number that the next message gets; the first is 1.
func (q *Queue) NextSeq() uint64 { return q.next }

// Mark is the number up to which messages may have been delivered already.
func (q *Queue) Mark() uint64 { return q.mark }

// Messages is how many are unsettled.
func (q *Queue) Messages() uint64 { return q.messages }

// Bytes is the size of the unsettled messages' bodies together. After a purge that kept
// some messages it is an estimate, until the queue is next empty.
func (q *Queue) Bytes() uint64 { return q.bytes }

// After returns the first unsettled message with a number above seq. Calls in sequence
// cost O(1), others O(log runs).
func (q *Queue) After(seq uint64) (Item, bool) {
	if seq == math.MaxUint64 || !q.seek(seq+1, &q.read) {
		return Item{}, false
	}
	c, i := q.chunks[q.read.chunk], q.read.run
	return c.item(i, c.nextIn(i, max(seq+1, c.runs[i].first))), true
}

// Lookup returns the message with the number seq unless it is settled.
func (q *Queue) Lookup(seq uint64) (Item, bool) {
	if !q.seek(seq, &q.read) {
		return Item{}, false
	}
	c, i := q.chunks[q.read.chunk], q.read.run
	if seq < c.runs[i].first || c.nextIn(i, seq) != seq {
		return Item{}, false
	}
	return c.item(i, seq), true
}

func (c *chunk) item(i int, seq uint64) Item {
	r := &c.runs[i]
	return Item{
		Seq:      seq,
		Ref:      Ref{Index: r.index, Ordinal: r.ordinal + uint32(seq-r.first)},
		Returned: c.returned(i, seq),
		At:       time.Unix(0, r.at),
	}
}

// oldest is the lowest entry index that the queue needs: its first run's.
func (q *Queue) oldest() (uint64, bool) {
	if len(q.chunks) == 0 {
		return 0, false
	}
	return q.chunks[0].runs[0].index, true
}

// seek moves p to the first run that ends at seq or behind it; false when there is none.
// It tries where p was, the run behind that, and the front, before it searches.
func (q *Queue) seek(seq uint64, p *position) bool {
	if n := len(q.chunks); n == 0 || q.chunks[n-1].last() < seq {
		return false
	}
	if q.isAt(*p, seq) {
		return true
	}
	if next := q.behind(*p); q.isAt(next, seq) {
		*p = next
		return true
	}
	if q.chunks[0].runs[0].last() >= seq {
		*p = position{}
		return true
	}
	p.chunk = sort.Search(len(q.chunks), func(i int) bool { return q.chunks[i].last() >= seq })
	runs := q.chunks[p.chunk].runs
	p.run = sort.Search(len(runs), func(i int) bool { return runs[i].last() >= seq })
	return true
}

func (q *Queue) behind(p position) position {
	if p.chunk < len(q.chunks) && p.run+1 < len(q.chunks[p.chunk].runs) {
		return position{p.chunk, p.run + 1}
	}
	return position{p.chunk + 1, 0}
}

// isAt says whether p is where seek(seq) ends.
func (q *Queue) isAt(p position, seq uint64) bool {
	if p.chunk >= len(q.chunks) || p.run >= len(q.chunks[p.chunk].runs) {
		return false
	}
	runs := q.chunks[p.chunk].runs
	switch {
	case runs[p.run].last() < seq:
		return false
	case p.run > 0:
		return runs[p.run-1].last() < seq
	default:
		return p.chunk == 0 || q.chunks[p.chunk-1].last() < seq
	}
}

// push appends a run; its numbers are already given.
func (q *Queue) push(r run, x *extra) {
	n := len(q.chunks)
	if n == 0 || len(q.chunks[n-1].runs) == chunkRuns {
		c := q.spare
		if c == nil {
			c = &chunk{}
		}
		q.spare = nil
		q.chunks = append(q.chunks, c)
		n++
	}
	q.chunks[n-1].push(r, x)
	q.messages += uint64(r.live)
}

// publish appends count messages of one section.
func (q *Queue) publish(index uint64, at int64, s *Section) {
	first := q.next
	q.next += uint64(s.Count)
	q.bytes += s.Bytes
	if n := len(q.chunks); n > 0 {
		runs := q.chunks[n-1].runs
		r := &runs[len(runs)-1]
		if r.index == index && r.ordinal+r.count == s.First && r.first+uint64(r.count) == first {
			r.count += s.Count // of the same batch, and nothing of it can be settled yet
			r.live += s.Count
			r.bytes = clamp32(uint64(r.bytes) + s.Bytes)
			q.messages += uint64(s.Count)
			return
		}
	}
	q.push(run{index: index, at: at, first: first, ordinal: s.First, count: s.Count, live: s.Count, bytes: clamp32(s.Bytes)}, nil)
}

func clamp32(v uint64) uint32 { return uint32(min(v, math.MaxUint32)) }

// settle finishes with the messages of one range, in O(runs that it meets).
func (q *Queue) settle(r Range, total *removed) {
	if r.First > r.Last || !q.seek(r.First, &q.write) {
		return
	}
	before := total.messages
	from, to := 0, 0 // chunks that became empty; they are neighbours
	run := q.write.run
	for i := q.write.chunk; i < len(q.chunks); i++ {
		c := q.chunks[i]
		more := c.settle(run, r.First, r.Last, total)
		if len(c.runs) == 0 {
			if from == to {
				from = i
			}
			to = i + 1
		}
		if !more {
			break
		}
		run = 0
	}
	if from < to {
		q.removeChunks(from, to)
	}
	q.messages -= total.messages - before
}

// removeChunks drops empty chunks, moving the shorter side: a queue that is consumed behind
// one message which is held for long must not move all its chunks for each that it finishes.
func (q *Queue) removeChunks(from, to int) {
	if c := q.chunks[to-1]; cap(c.runs) <= spareRuns {
		c.extras = nil
		q.spare = c
	}
	if from < len(q.chunks)-to {
		copy(q.chunks[to-from:to], q.chunks[:from])
		clear(q.chunks[:to-from])
		q.chunks = q.chunks[to-from:]
	} else {
		q.chunks = slices.Delete(q.chunks, from, to)
	}
	if len(q.chunks) == 0 && cap(q.chunks) > spareRuns {
		q.chunks = nil
	}
}

// requeue counts a return for the unsettled messages of one range.
func (q *Queue) requeue(r Range) (n uint64) {
	if r.First > r.Last || !q.seek(r.First, &q.write) {
		return 0
	}
	for p := q.write; p.chunk < len(q.chunks); p = q.behind(p) {
		c := q.chunks[p.chunk]
		run := &c.runs[p.run]
		if run.first > r.Last {
			break
		}
		n += c.requeue(p.run, max(r.First, run.first), min(r.Last, run.last()))
	}
	return n
}

// live counts the unsettled messages of one range.
func (q *Queue) live(r Range) (n uint64) {
	if r.First > r.Last || !q.seek(r.First, &q.write) {
		return 0
	}
	for p := q.write; p.chunk < len(q.chunks); p = q.behind(p) {
		c := q.chunks[p.chunk]
		run := &c.runs[p.run]
		if run.first > r.Last {
			break
		}
		n += uint64(c.liveIn(p.run, max(r.First, run.first), min(r.Last, run.last())))
	}
	return n
}

// spend takes the bytes of settled messages off the queue's account.
func (q *Queue) spend(bytes uint64) {
	q.bytes -= min(bytes, q.bytes)
	if q.messages == 0 {
		q.bytes = 0
	}
}
