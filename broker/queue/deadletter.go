package queue

import (
	"fmt"
	"time"
)

// Reason is why a message died.
type Reason uint8

// The reasons of dead letters.
const (
	Rejected        Reason = iota + 1 // a consumer rejected it and did not ask for its return
	Expired                           // its time to live ended
	MaxLen                            // the queue was full
	DeliveryLimited                   // its deliveries failed too often
)

// String is the reason as x-death has it.
func (r Reason) String() string {
	switch r {
	case Rejected:
		return "rejected"
	case Expired:
		return "expired"
	case MaxLen:
		return "maxlen"
	case DeliveryLimited:
		return "delivery_limit"
	default:
		return fmt.Sprintf("Reason(%d)", uint8(r))
	}
}

// DeadLetter is a message that died and is not known to be safe in its targets yet: until
// DeadLettered says so, its body stays readable. Of its Item, Priority and Deadline are not
// kept; its Seq is 0 when the queue refused it and never had it.
type DeadLetter struct {
	Number uint64 // the queue's dead letters have numbers of their own, from 1
	Item
	Reason Reason
	Died   time.Time // when the entry that killed it was appended
}

// DeadLetters lists up to limit pending dead letters whose numbers are above after, ascending.
func (q *Queue) DeadLetters(after uint64, limit int) []DeadLetter {
	letters := make([]DeadLetter, 0, max(0, min(limit, int(q.dead.messages))))
	for len(letters) < limit && after < q.died && q.dead.seek(after+1, &q.dead.read) {
		c, i := q.dead.chunks[q.dead.read.chunk], q.dead.read.run
		after = c.nextIn(i, max(after+1, c.runs[i].first))
		letters = append(letters, q.letter(c, i, after))
	}
	return letters
}

// PendingDeadLetters is how many dead letters are pending.
func (q *Queue) PendingDeadLetters() uint64 { return q.dead.messages }

func (q *Queue) letter(c *chunk, i int, number uint64) DeadLetter {
	r, x := &c.runs[i], c.extra(i)
	o, d := uint32(number-x.base), x.death
	letter := DeadLetter{
		Number: number,
		Item: Item{
			Ref:      Ref{Index: r.index, Ordinal: r.ordinal + uint32(number-r.first)},
			Returned: x.returned.get(o),
			Failed:   q.failures(x, o),
			At:       time.Unix(0, r.at),
		},
		Reason: d.reason,
		Died:   time.Unix(0, d.at),
	}
	if !d.refused {
		letter.Seq = number + d.shift
	}
	return letter
}

// kill finishes with the messages of one range for that reason: they become pending dead
// letters if the queue has a place for them.
func (q *Queue) kill(m moment, r Range, why Reason, total *removed) {
	if q.settings.deadLetters(why) {
		q.runsIn(r, func(c *chunk, i int, first, last uint64) { q.buryFrom(m, c, i, first, last, why) })
	}
	q.list.settle(r, total)
}

// buryFrom makes dead letters of the unsettled messages of [first, last], which lies in run i.
func (q *Queue) buryFrom(m moment, c *chunk, i int, first, last uint64, why Reason) {
	from := &c.runs[i]
	x := c.extra(i)
	for first <= last {
		first = c.nextIn(i, first)
		end := last
		if x != nil && x.settled != nil {
			if first > last {
				return
			}
			end = x.base + uint64(x.settled.next(uint32(first-x.base), uint32(last-x.base)+1)) - 1
		}
		count := uint32(end-first) + 1
		dead := &extra{death: &death{reason: why, at: m.at}}
		if x != nil {
			o := uint32(first - x.base)
			dead.returned = clonePart(x.returned, o, o+count)
			d := details{failed: clonePart(x.detail().failed, o, o+count), sizes: x.detail().sizes.part(o, o+count)}
			if d.failed != nil || d.sizes != nil {
				dead.details = &d
			}
		}
		sized, bytes := c.bytesIn(i, first, end)
		if !sized {
			bytes = uint32(uint64(from.bytes) * uint64(count) / uint64(from.live))
		}
		q.bury(m, run{index: from.index, at: from.at, ordinal: from.ordinal + uint32(first-from.first), count: count, bytes: bytes}, dead, first)
		if end == last {
			return
		}
		first = end + 1
	}
}

// buryRefused makes a dead letter of a message that the queue did not take.
func (q *Queue) buryRefused(m moment, ordinal, size uint32) {
	x := &extra{death: &death{reason: MaxLen, refused: true, at: m.at}}
	if size > 0 && q.settings.MaxLengthBytes.Set {
		x.details = &details{sizes: column[uint32]{size}}
	}
	q.bury(m, run{index: m.index, at: m.at, ordinal: ordinal, count: 1, bytes: size}, x, 0)
}

// bury appends a run of dead letters, of which the first had the sequence number seq.
func (q *Queue) bury(m moment, r run, x *extra, seq uint64) {
	if q.buried != m.apply {
		q.buried, q.fresh = m.apply, q.died+1
	}
	r.first, r.live = q.died+1, r.count
	x.base = r.first
	if !x.death.refused {
		x.death.shift = seq - r.first
	}
	if q.dead.messages > 0 && q.dead.lastRun().first >= q.fresh {
		q.dead.extend(r, x)
	} else {
		q.dead.push(r, x)
	}
	q.died += uint64(r.count)
	q.deadBytes += uint64(r.bytes)
}

// overLimit gives the messages of one range that failed more often than the limit allows.
func (q *Queue) overLimit(r Range) (over []Range) {
	limit, ok := q.settings.DeliveryLimit.get()
	if !ok {
		return nil
	}
	q.runsIn(r, func(c *chunk, i int, first, last uint64) {
		x := c.extra(i)
		if x == nil {
			return
		}
		for seq := first; seq <= last; seq++ {
			o := uint32(seq - x.base)
			if uint64(q.failures(x, o)) <= limit || x.settledAt(o) {
				continue
			}
			if n := len(over); n > 0 && over[n-1].Last == seq-1 {
				over[n-1].Last = seq
			} else {
				over = append(over, Range{seq, seq})
			}
		}
	})
	return over
}

// deadLettered drops pending dead letters.
func (q *Queue) deadLettered(c DeadLettered) uint64 {
	var total removed
	for _, r := range c.Ranges {
		q.dead.settle(r, &total)
	}
	q.deadBytes -= min(total.bytes, q.deadBytes)
	if q.dead.messages == 0 {
		q.deadBytes = 0
	}
	return total.messages
}
