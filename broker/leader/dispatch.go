package leader

import (
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
// It leaves q.stalled when somebody must wait for what is there.
func (e *Engine) dispatch(q *served) {
	q.stalled = false
	if !q.wanted() {
		return
	}
	q.stalled = true
	if q.returning > 0 || e.resigns {
		return // a message goes back to its place before what is behind it goes out
	}
	if !e.cfg.Log.Leased() {
		e.later(q, leaseRetry)
		return
	}
	e.admit(q)
	q.behind = q.highestSeen()
	if !e.answerGets(q) {
		return
	}
	q.stalled = false
	var r round
	for {
		s := q.pick()
		if s == nil {
			break
		}
		d, ok := e.handTo(q, s)
		if !ok {
			break
		}
		q.pass()
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

// admit puts what has come to a queue with priorities in its order.
func (e *Engine) admit(q *served) {
	for done := !q.prioritized(); !done; {
		e.cfg.Log.Locked(func(st *queue.State) {
			sq := st.Queue(q.id)
			done = sq == nil || q.admit(sq)
		})
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
		o.s.q.stalled = true
		e.later(o.s.q, leaseRetry)
		return false
	}
	event := Deliveries{Sub: o.s.id, List: o.list}
	if o.s.afterCommit() {
		e.control.deliver(o.s, event)
	} else {
		o.s.at.out.Send(event)
	}
	o.list, o.bytes = nil, 0
	return true
}

// afterCommit tells whether what s gets follows a commit: that of its settlement,
// when s needs no acknowledgement (design §5: at most once), or of what the log must
// know of what is out before anything later is published. Nothing overtakes what waits.
func (s *sub) afterCommit() bool { return s.consumer.NoAck || s.q.tells() || s.deferred > 0 }

// handTo hands the next ready message to s: held by s, or on its way to be
// settled when s needs no acknowledgement. False when there is none, or none
// that may be delivered yet.
func (e *Engine) handTo(q *served, s *sub) (Delivery, bool) {
	it, ok := e.nextFor(q)
	if !ok {
		return Delivery{}, false
	}
	e.reserve(q, it.Seq)
	if it.Seq > q.mark {
		q.stalled = true
		return Delivery{}, false
	}
	q.handed = max(q.handed, it.Seq)
	m, err := e.cfg.Log.Message(it.Ref)
	if err != nil {
		// A body that cannot be read is never skipped: it stays in its place, and
		// another replica may have it.
		e.logger.Error("cannot read a message from the log", "queue", q.id, "seq", it.Seq, "error", err)
		q.putBack(it.Seq, it.Priority)
		e.fail(err)
		return Delivery{}, false
	}
	if s.consumer.NoAck {
		q.seen = max(q.seen, it.Seq)
		e.end(q, acked, it.Seq, len(m.Body))
	} else {
		q.handOut(s, it, len(m.Body))
	}
	return Delivery{
		Seq: it.Seq,
		// One that was lost on its way has the flag too when others have got later ones
		// since: first deliveries are in the order of the queue.
		Redelivered: it.Returned > 0 || it.Seq <= q.seenBefore || it.Seq < q.behind,
		Returned:    it.Returned,
		Failed:      it.Failed,
		Message:     m,
	}, true
}

// search is one look for the next message; it is kept, for it is done for each.
type search struct {
	q    *served
	it   queue.Item
	ok   bool
	over []queue.Item // whose time is over
}

// nextFor finds the next message and takes it, if its number is reserved. Those
// whose time was over before anybody waited for them end here.
func (e *Engine) nextFor(q *served) (queue.Item, bool) {
	f := &e.found
	f.q, f.ok, f.over = q, false, f.over[:0]
	e.cfg.Log.Locked(e.find)
	for i := range f.over {
		e.kill(q, expired, f.over[i])
	}
	return f.it, f.ok
}

// in looks for the next message of the queue.
func (f *search) in(st *queue.State) {
	sq := st.Queue(f.q.id)
	if sq == nil {
		return
	}
	for {
		if f.it, f.ok = f.q.item(sq); !f.ok {
			return
		}
		if it := &f.it; !it.Deadline.IsZero() && f.q.mortal() &&
			f.q.ends.over(it.Seq, it.Deadline.UnixNano(), time.Now().UnixNano(), true) {
			f.q.take(*it)
			f.over = append(f.over, *it)
			continue
		}
		if f.it.Seq <= f.q.mark {
			f.q.take(f.it)
		}
		return
	}
}

// end settles a message that was taken from where it was.
func (e *Engine) end(q *served, f fate, seq uint64, bytes int) {
	if seq > q.cursor || q.mortal() {
		q.gone[seq] = struct{}{}
	}
	q.leaving++
	if !f.returns() {
		q.ended++
	}
	q.leavingBytes += uint64(max(bytes, 0))
	e.control.settle(q.id, f, seq, bytes)
}

// kill ends a ready message that nobody has got.
func (e *Engine) kill(q *served, f fate, it queue.Item) {
	bytes := unknownBytes
	if q.settings.MaxLengthBytes.Set {
		bytes = e.size(it.Ref)
	}
	e.end(q, f, it.Seq, bytes)
}

// size is how long a message's body is.
func (e *Engine) size(ref queue.Ref) int {
	m, err := e.cfg.Log.Message(ref)
	if err != nil {
		e.logger.Error("cannot read a message from the log", "entry", ref.Index, "error", err)
		e.fail(err)
	}
	return len(m.Body)
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
			e.look(q)
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
		d, ok := e.handTo(q, g.s)
		if !ok && q.marking && e.readyCount(q) > 0 {
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
		if ok && g.s.afterCommit() {
			e.control.deliver(g.s, got)
		} else {
			g.s.at.out.Send(got)
		}
	}
	return true
}

// readyCount counts the messages that wait for a consumer.
func (e *Engine) readyCount(q *served) (n uint64) {
	e.cfg.Log.Locked(func(st *queue.State) {
		if sq := st.Queue(q.id); sq != nil {
			n = q.ready(sq)
		}
	})
	return n
}

// unacked counts those that consumers have, or had and whose answers are on their way.
func (e *Engine) unacked(q *served) (n uint64) {
	e.cfg.Log.Locked(func(st *queue.State) {
		if sq := st.Queue(q.id); sq != nil {
			n = q.away(sq)
		}
	})
	return n
}
