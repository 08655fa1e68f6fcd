package leader

import (
	"time"

	"github.com/warrenmq/warren/broker/queue"
)

// A stream's consumers read: each has its own place, and what it has got is nobody's
// business but its own. So nothing is held, settled, returned or marked, no lease is
// asked for (what is applied is committed, and stays where it is whoever leads), and
// the edge says where to go on when leadership moves.

const (
	// feedBytes bounds what a look at a stream reads, so that a consumer which begins
	// far back does not keep the group's other queues waiting.
	feedBytes = 256 << 10
	// feedAtOnce bounds the messages that are looked up while the state is locked.
	feedAtOnce = 64
	// defaultSegment is RabbitMQ's stream-max-segment-size-bytes.
	defaultSegment = 500_000_000
)

// head is what a leader knows of the front of a stream.
type head struct {
	queue.Head
	known    bool
	trimming bool // its end is under way
}

// begin finds the place of a stream's consumer.
func (e *Engine) begin(s *sub) {
	q, start := s.q, s.consumer.Start
	if start.From != 0 {
		q.stream = true // a queue that a publish has made may not know yet
	}
	if !q.stream {
		return
	}
	e.cfg.Log.Locked(func(st *queue.State) {
		sq := st.Queue(q.id)
		if sq == nil {
			return // its consumers hear of that
		}
		switch start.From {
		case FromFirst:
			s.next = sq.First()
		case FromLast:
			s.next = max(sq.First(), sq.NextSeq()-1)
		case FromSeq:
			s.next = max(start.Seq, 1)
		case FromTime:
			s.next = sq.Since(start.At)
		default:
			s.next = sq.NextSeq()
		}
	})
}

// feed reads for the consumers of a stream, in turn, while they have credit.
func (e *Engine) feed(q *served) {
	q.stalled = false
	budget := feedBytes
	for n := len(q.subs); n > 0 && budget > 0; n-- {
		s := q.subs[q.turn%len(q.subs)]
		q.turn = (q.turn + 1) % len(q.subs)
		budget -= e.read(q, s)
	}
	for _, s := range q.subs {
		if s.next < q.next && s.hasCredit() {
			e.look(q) // others come in between
			return
		}
	}
}

// read sends s what comes next, and says how much that was.
func (e *Engine) read(q *served, s *sub) (size int) {
	var items [feedAtOnce]queue.Item
	var list []Delivery
	for size < chunkBytes && s.hasCredit() && s.next < q.next {
		next := e.itemsAt(q, s, items[:0])
		if len(next) == 0 {
			break
		}
		for i := range next {
			if size >= chunkBytes || !s.hasCredit() {
				break
			}
			d, ok, err := e.readItem(q, &next[i])
			if err != nil {
				e.logger.Error("cannot read a message from the log", "queue", q.id, "seq", next[i].Seq, "error", err)
				e.fail(err) // it is never skipped: another replica may have it
				return size
			}
			s.next = next[i].Seq + 1
			if !ok {
				continue
			}
			if s.consumer.Messages >= 0 {
				s.messages--
			}
			s.bytes -= d.Cost()
			size += int(d.Cost())
			list = append(list, d)
		}
	}
	if len(list) > 0 {
		s.at.out.Send(Deliveries{Sub: s.id, List: list})
	}
	return size
}

// itemsAt looks up what s reads next. Where there is nothing its place is the end,
// unless it waits for what is behind that.
func (e *Engine) itemsAt(q *served, s *sub, items []queue.Item) []queue.Item {
	n := cap(items)
	if s.consumer.Messages >= 0 {
		n = min(n, s.messages)
	}
	e.cfg.Log.Locked(func(st *queue.State) {
		sq := st.Queue(q.id)
		if sq == nil {
			return
		}
		if items = sq.List(items, s.next-1, n); len(items) == 0 {
			s.next = max(s.next, sq.NextSeq())
		}
	})
	return items
}

// readItem reads one message; ok is false when it has gone from the head meanwhile.
func (e *Engine) readItem(q *served, it *queue.Item) (d Delivery, ok bool, err error) {
	m, err := e.cfg.Log.Message(it.Ref)
	if err == nil {
		return Delivery{Seq: it.Seq, Message: m}, true, nil
	}
	gone := true
	e.cfg.Log.Locked(func(st *queue.State) {
		if sq := st.Queue(q.id); sq != nil {
			_, live := sq.Lookup(it.Seq)
			gone = !live
		}
	})
	if gone {
		return d, false, nil
	}
	return d, false, err
}

// retain lets the head of a stream go when what is left is as long as the stream may
// be, or when all of it is as old. What is behind it is never less than an entry.
func (e *Engine) retain(q *served) {
	s := &q.settings
	if q.head.trimming || !s.MaxLengthBytes.Set && !s.MaxAge.Set {
		return
	}
	segment := int64(defaultSegment)
	if s.SegmentBytes.Set {
		segment = max(s.SegmentBytes.N, 0)
	}
	var rest uint64
	e.cfg.Log.Locked(func(st *queue.State) {
		sq := st.Queue(q.id)
		if sq == nil {
			return
		}
		if !q.head.known {
			q.head.Head, q.head.known = sq.Head(uint64(segment))
		}
		rest = less(sq.Bytes(), q.head.Bytes)
	})
	if !q.head.known {
		return
	}
	if !s.MaxLengthBytes.Set || rest < uint64(max(s.MaxLengthBytes.N, 1)) {
		if !s.MaxAge.Set {
			return
		}
		if old := q.head.Newest.Add(milliseconds(s.MaxAge)); time.Now().Before(old) {
			e.lookBy(q, old)
			return
		}
	}
	q.head.trimming = true
	id := q.id
	e.control.ask(queue.Purge{Queue: id, Through: q.head.Last}, func(a queue.Answer) {
		if q := e.queues[id]; q != nil {
			q.head = head{}
			q.settled += a.Count
			e.look(q)
		}
	})
}
