package queue

import (
	"math"
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
	bytes    uint64

	heldMessages, heldBytes uint64 // with consumers, as Held told last

	list             // unsettled messages
	dead      list   // pending dead letters
	deadBytes uint64 // of their bodies together, as exact as bytes
	died      uint64 // the number of the last dead letter, pending or not

	touched uint64 // the Apply that touched it last
	buried  uint64 // the Apply in which messages died last
	fresh   uint64 // the number of the first of them
}

func newQueue(id ID) *Queue { return &Queue{id: id, next: 1} }

// ID is the queue's name.
func (q *Queue) ID() ID { return q.id }

// Settings are what Configure said last.
func (q *Queue) Settings() Settings { return q.settings }

// Sealed says whether the queue refuses further messages.
func (q *Queue) Sealed() bool { return q.sealed }

// NextSeq is the sequence number that the next message gets; the first is 1.
func (q *Queue) NextSeq() uint64 { return q.next }

// markTo moves the mark: see Mark.
func (q *Queue) markTo(m moment, c Mark) {
	switch c.Term {
	case 0:
		q.mark = max(q.mark, c.Seq)
	case m.term:
		q.mark = min(q.mark, c.Seq)
	}
}

// Mark is the number up to which messages may have been delivered already.
func (q *Queue) Mark() uint64 { return q.mark }

// Messages is how many are unsettled.
func (q *Queue) Messages() uint64 { return q.messages }

// Bytes is the size of the unsettled messages' bodies together. After a purge that kept
// some messages, and where messages died of a delivery limit, it is an estimate, until the
// queue is next empty; but not in a queue with a limit of bytes.
func (q *Queue) Bytes() uint64 { return q.bytes }

// Timed says whether a message in the queue has a time to live of its own. It may stay true
// for a while after the last of them has gone.
func (q *Queue) Timed() bool { return q.timed > 0 && !q.settings.Stream }

// After returns the first unsettled message with a number above seq. Calls in sequence
// cost O(1), others O(log runs).
func (q *Queue) After(seq uint64) (it Item, ok bool) {
	if seq == math.MaxUint64 || !q.seek(seq+1, &q.read) {
		return it, false
	}
	c, i := q.chunks[q.read.chunk], q.read.run
	q.item(&it, c, i, c.nextIn(i, max(seq+1, c.runs[i].first)))
	return it, true
}

// Lookup returns the message with the number seq unless it is settled.
func (q *Queue) Lookup(seq uint64) (it Item, ok bool) {
	if !q.seek(seq, &q.read) {
		return it, false
	}
	c, i := q.chunks[q.read.chunk], q.read.run
	if seq < c.runs[i].first || c.nextIn(i, seq) != seq {
		return it, false
	}
	q.item(&it, c, i, seq)
	return it, true
}

func (q *Queue) item(it *Item, c *chunk, i int, seq uint64) {
	r := &c.runs[i]
	it.Seq = seq
	it.Ref = Ref{Index: r.index, Ordinal: r.ordinal + uint32(seq-r.first)}
	it.At = time.Unix(0, r.at)
	ttl := uint64(0)
	if q.settings.Stream {
		return // what its messages brought along before that was known means nothing
	}
	if x := c.extra(i); x != nil {
		o, d := uint32(seq-x.base), x.detail()
		it.Returned = x.returned.get(o)
		it.Failed = q.failures(x, o)
		it.Priority = min(d.priorities.get(o), q.settings.MaxPriority)
		ttl = d.ttls.get(o)
	}
	if ttl > 0 || q.settings.MessageTTL.Set {
		it.Deadline = q.deadline(r.at, ttl)
	}
}

// failures are a message's failed deliveries.
func (q *Queue) failures(x *extra, o uint32) uint32 {
	if q.settings.Quorum {
		return x.detail().failed.get(o)
	}
	return x.returned.get(o)
}

// deadline is when a message ends that was published at that time with this ttl, in the
// encoding of details; zero when nobody will live to see it.
func (q *Queue) deadline(at int64, ttl uint64) time.Time {
	least := uint64(math.MaxUint64)
	if ttl > 0 {
		least = ttl - 1
	}
	if ms, ok := q.settings.MessageTTL.get(); ok && ms <= math.MaxInt64/uint64(time.Millisecond) {
		least = min(least, ms*uint64(time.Millisecond))
	}
	if least > math.MaxInt64 || at > math.MaxInt64-int64(least) {
		return time.Time{}
	}
	return time.Unix(0, at+int64(least))
}

// oldest is the lowest entry index that the queue needs: its first run's, or a dead letter's,
// which are in the order of their deaths.
func (q *Queue) oldest() (index uint64, ok bool) {
	if len(q.chunks) > 0 {
		index, ok = q.chunks[0].runs[0].index, true
	}
	for _, c := range q.dead.chunks {
		for i := range c.runs {
			if !ok || c.runs[i].index < index {
				index, ok = c.runs[i].index, true
			}
		}
	}
	return index, ok
}

func clamp32(v uint64) uint32 { return uint32(min(v, math.MaxUint32)) }

// requeue counts a return for the unsettled messages of one range.
func (q *Queue) requeue(r Range, failed bool) (n uint64) {
	failed = failed && q.settings.Quorum // every return counts in others
	q.runsIn(r, func(c *chunk, i int, first, last uint64) { n += c.requeue(i, first, last, failed) })
	return n
}

// spend takes the bytes of settled messages off the queue's account.
func (q *Queue) spend(bytes uint64) {
	q.bytes -= min(bytes, q.bytes)
	if q.messages == 0 {
		q.bytes = 0
	}
}
