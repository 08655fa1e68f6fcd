package leader

import (
	"slices"
	"time"

	"github.com/warrenmq/warren/broker/queue"
)

// leaseRetry is how long an engine without a lease waits before it asks again.
const leaseRetry = 20 * time.Millisecond

// round is what one dispatch hands out, gathered so that each subscription
// gets few large events.
type round struct {
	subs []*outgoing
	last *outgoing
}

type outgoing struct {
	s     *sub
	list  []Delivery
	bytes int
}

func (r *round) of(s *sub) *outgoing {
	if r.last != nil && r.last.s == s {
		return r.last
	}
	for _, o := range r.subs {
		if o.s == s {
			r.last = o
			return o
		}
	}
	o := &outgoing{s: s}
	r.subs = append(r.subs, o)
	r.last = o
	return o
}

// dispatch hands out ready messages of q while there are consumers with credit.
func (e *Engine) dispatch(q *served) {
	if q.returning > 0 {
		return // a message goes back to its place before what is behind it goes out
	}
	if len(q.gets) == 0 && !slices.ContainsFunc(q.subs, (*sub).hasCredit) {
		return
	}
	if !e.cfg.Log.Leased() {
		e.later(q, leaseRetry)
		return
	}
	q.behind = q.highestSeen()
	if !e.answerGets(q) {
		return
	}
	var r round
	for {
		s := q.pick()
		if s == nil {
			break
		}
		d, ok := e.take(q, s)
		if !ok {
			break
		}
		q.picked()
		if s.consumer.Messages >= 0 {
			s.messages--
		}
		size := int(d.Cost())
		s.bytes -= int64(size)
		o := r.of(s)
		o.list = append(o.list, d)
		if o.bytes += size; o.bytes >= chunkBytes && !e.send(o) {
			break
		}
	}
	for _, o := range r.subs {
		e.send(o)
	}
}

// send passes on what one subscription gets. Bodies may have come from a slow
// disk, or the process may have been stopped meanwhile: without a lease all
// goes back to its place, and send is false.
func (e *Engine) send(o *outgoing) bool {
	if len(o.list) == 0 {
		return true
	}
	if !o.s.consumer.NoAck && !e.cfg.Log.Leased() { // a commit says as much for no_ack
		for i := range o.list {
			e.answer(o.s.q, o.s, o.list[i].Seq, Unseen)
			o.s.bytes += o.list[i].Cost()
			if o.s.consumer.Messages >= 0 {
				o.s.messages++
			}
		}
		o.list, o.bytes = nil, 0
		e.later(o.s.q, leaseRetry)
		return false
	}
	event := Deliveries{Sub: o.s.id, List: o.list}
	if o.s.consumer.NoAck {
		e.control.send(o.s.at, event) // once settled: at most once (design §5)
	} else {
		o.s.at.out.Send(event)
	}
	o.list, o.bytes = nil, 0
	return true
}

// take hands the next ready message to s: held by s, or on its way to be
// settled when s needs no acknowledgement. False when there is none, or none
// that may be delivered yet.
func (e *Engine) take(q *served, s *sub) (Delivery, bool) {
	var it queue.Item
	ok, reserved := false, false
	e.cfg.Log.Locked(func(st *queue.State) {
		sq := st.Queue(q.id)
		if sq == nil {
			return
		}
		if it, ok = q.item(sq); !ok {
			return
		}
		if reserved = it.Seq <= q.mark; reserved {
			q.taken(it)
		}
	})
	if !ok {
		return Delivery{}, false
	}
	e.reserve(q, it.Seq)
	if !reserved {
		return Delivery{}, false
	}
	m, err := e.cfg.Log.Message(it.Ref)
	if err != nil {
		// A body that cannot be read is never skipped: it stays in its place, and
		// another replica may have it.
		e.logger.Error("cannot read a message from the log", "queue", q.id, "seq", it.Seq, "error", err)
		q.putBack(it.Seq)
		e.fail(err)
		return Delivery{}, false
	}
	if s.consumer.NoAck {
		q.leaving++
		q.seen = max(q.seen, it.Seq)
		e.control.settle(q.id, Ack, it.Seq, len(m.Body))
	} else {
		q.handOut(s, it.Seq, len(m.Body))
	}
	return Delivery{
		Seq: it.Seq,
		// One that was lost on its way has the flag too when others have got later ones
		// since: first deliveries are in the order of the queue.
		Redelivered: it.Returned > 0 || it.Seq <= q.seenBefore || it.Seq < q.behind,
		Returned:    it.Returned,
		Message:     m,
	}, true
}

// reserve asks for a Mark ahead of seq, before deliveries come to the end of
// what is reserved.
func (e *Engine) reserve(q *served, seq uint64) {
	if q.marking || seq+markAhead/2 <= q.mark {
		return
	}
	q.marking = true
	id, to := q.id, seq+markAhead
	e.control.ask(queue.Mark{Queue: id, Seq: to}, func(queue.Answer) {
		if q := e.queues[id]; q != nil {
			q.marking = false
			q.mark = max(q.mark, to)
			e.dirty[id] = struct{}{}
		}
	})
}

// pendingGet is a basic.get that waits for its answer.
type pendingGet struct {
	s     *sub // holds what it gets
	noAck bool
}

// answerGets answers the basic.gets that wait; false when they must go on waiting.
func (e *Engine) answerGets(q *served) bool {
	for len(q.gets) > 0 {
		g := q.gets[0]
		if !g.s.at.attached {
			q.gets = q.gets[1:] // it asks again when it is back
			continue
		}
		if q.exclusive() { // turned up in the takeover
			q.gets = q.gets[1:]
			g.s.at.out.Send(Got{Sub: g.s.id, Err: ErrExclusive})
			continue
		}
		d, ok := e.take(q, g.s)
		if !ok && q.marking && e.hasReady(q) {
			return false // there is one, and it may be delivered as soon as the Mark is committed
		}
		if ok && !g.noAck && !e.cfg.Log.Leased() {
			e.answer(q, g.s, d.Seq, Unseen)
			e.later(q, leaseRetry)
			return false
		}
		q.gets = q.gets[1:]
		got := Got{Sub: g.s.id}
		if ok {
			got = Got{Sub: g.s.id, OK: true, Delivery: d, Remaining: e.readyCount(q)}
		}
		if ok && g.noAck {
			e.control.send(g.s.at, got)
		} else {
			g.s.at.out.Send(got)
		}
	}
	return true
}

func (e *Engine) hasReady(q *served) bool { return e.readyCount(q) > 0 }

func (e *Engine) readyCount(q *served) (n uint64) {
	e.cfg.Log.Locked(func(st *queue.State) {
		if sq := st.Queue(q.id); sq != nil {
			n = q.ready(sq)
		}
	})
	return n
}

// later looks at q again after d.
func (e *Engine) later(q *served, d time.Duration) {
	if q.retry {
		return
	}
	q.retry = true
	time.AfterFunc(d, func() {
		e.inbox.post(func() {
			q.retry = false
			e.dirty[q.id] = struct{}{}
		})
	})
}
