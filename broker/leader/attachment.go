package leader

import (
	"slices"
	"time"

	"github.com/warrenmq/warren/broker/queue"
)

// attachment is an engine's side of one edge.
type attachment struct {
	edge     EdgeID
	out      Outlet
	attached bool // the stream stands
	subs     map[uint64]*sub
	before   map[uint64]*sub // of the attachment that this one replaces, until Resumed
	number   uint64          // of the last settlement taken

	later map[uint64][]Request // by subscription: for the end of the takeover
}

// Attachment is an edge's handle on an engine.
type Attachment struct {
	e  *Engine
	at *attachment
}

// Attach opens an edge's way to the engine; events go to out. An older
// attachment of the same edge is replaced: its subscriptions wait for Resume.
// The edge must send Resumed, after its Resumes if it has any.
func (e *Engine) Attach(edge EdgeID, out Outlet) (*Attachment, error) {
	at := &attachment{edge: edge, out: out, attached: true, subs: make(map[uint64]*sub)}
	ok := e.inbox.post(func() {
		old := e.edges[edge]
		e.edges[edge] = at
		if old == nil {
			return
		}
		old.attached = false
		at.before = old.before
		if at.before == nil {
			at.before = old.subs
		} else {
			for id, s := range old.subs {
				at.before[id] = s
			}
		}
	})
	if !ok {
		return nil, ErrNotLeading
	}
	return &Attachment{e, at}, nil
}

// Request asks r of the engine. It never blocks; answers come as events.
func (a *Attachment) Request(r Request) error {
	if !a.e.inbox.post(func() { a.e.handle(a.at, r) }) {
		return ErrNotLeading
	}
	return nil
}

// Detach says that the stream is broken. What the edge holds stays its own
// until its process is known to be gone, or for Config.Grace.
func (a *Attachment) Detach() {
	a.e.inbox.post(func() { a.e.detached(a.at) })
}

// handle runs one request. What comes late over a stream that broke or was
// replaced is asked again over the next.
func (e *Engine) handle(at *attachment, r Request) {
	if !at.attached || at.waits(e, r) {
		return
	}
	switch r := r.(type) {
	case Subscribe:
		s, err := e.subscribe(at, r)
		if err != nil {
			at.out.Send(Subscribed{Sub: r.Sub, Err: err})
			return
		}
		at.out.Send(Subscribed{Sub: r.Sub, Active: !s.standby, Next: s.next})
	case Resume:
		e.resume(at, r)
	case Resumed:
		e.resumed(at)
	case Get:
		e.get(at, r)
	case Settle:
		e.settle(at, r)
	case Credit:
		if s := at.subs[r.Sub]; s != nil {
			s.messages += r.Messages
			s.bytes += r.Bytes
			e.look(s.q)
		}
	case Cancel:
		s := at.subs[r.Sub]
		if s != nil {
			e.deactivate(s)
		}
		if s != nil && s.afterCommit() { // what waits for a commit still comes
			e.control.send(at, Cancelled{Sub: r.Sub})
			return
		}
		at.out.Send(Cancelled{Sub: r.Sub})
	case Release:
		if s := at.subs[r.Sub]; s != nil {
			e.release(s)
			delete(at.subs, r.Sub)
		}
	}
}

// waits lets an exclusive consumer wait until all edges have said which
// consumers there are, and what is asked of it behind it.
func (at *attachment) waits(e *Engine, r Request) bool {
	if e.serving {
		return false
	}
	if s, ok := r.(Subscribe); ok && s.Consumer.Exclusive {
		if at.later == nil {
			at.later = make(map[uint64][]Request)
		}
		at.later[s.Sub] = append(at.later[s.Sub], r)
		return true
	}
	id := subOf(r)
	list, ok := at.later[id]
	if ok {
		at.later[id] = append(list, r)
	}
	return ok
}

// subOf is the subscription that a request concerns, 0 for none.
func subOf(r Request) uint64 {
	switch r := r.(type) {
	case Credit:
		return r.Sub
	case Cancel:
		return r.Sub
	case Release:
		return r.Sub
	}
	return 0
}

// subscribe adds a consumer; it stands by when another is the only one that is served.
func (e *Engine) subscribe(at *attachment, r Subscribe) (*sub, error) {
	q := e.served(r.Queue)
	if q == nil {
		return nil, ErrNoQueue
	}
	e.upToDate(q)                            // what nobody waited for is not for this one
	if old := at.before[r.Sub]; old != nil { // asked before over a stream that broke
		delete(at.before, r.Sub)
		e.release(old)
	}
	switch {
	case q.sealing:
		return nil, ErrUnavailable
	case r.Consumer.Exclusive && q.settings.SingleActive,
		q.exclusive() || r.Consumer.Exclusive && q.consumers() > 0:
		return nil, ErrExclusive
	}
	s := &sub{id: r.Sub, at: at, q: q, consumer: r.Consumer, messages: r.Consumer.Messages, bytes: r.Consumer.Bytes, active: true, fresh: !e.serving}
	if s.consumer.Since.IsZero() {
		s.consumer.Since = time.Now()
	}
	e.begin(s)
	e.elect(q) // those that wait come first
	at.subs[r.Sub] = s
	q.add(s)
	q.had = true
	e.look(q)
	if q.settings.SingleActive {
		if s.standby = !e.serving || q.sole != nil; !s.standby {
			q.sole = s
		}
	}
	return s, nil
}

// detached waits for a broken edge to come back.
func (e *Engine) detached(at *attachment) {
	if e.edges[at.edge] != at || !at.attached {
		return
	}
	at.attached = false
	deadline := time.Now().Add(e.cfg.Grace)
	var again alarm
	again.do = func() {
		switch {
		case e.edges[at.edge] != at: // it is back
		case e.cfg.EdgeGone(at.edge) || !time.Now().Before(deadline):
			delete(e.edges, at.edge)
			for _, s := range at.before {
				e.release(s)
			}
			for _, s := range at.subs {
				e.release(s)
			}
			e.arrived(at.edge)
		default:
			e.clock.at(&again, time.Now().Add(100*time.Millisecond))
		}
	}
	again.do()
}

// deactivate ends the deliveries to s.
func (e *Engine) deactivate(s *sub) {
	if !s.active {
		return
	}
	s.active = false
	if e.queues[s.q.id] == s.q {
		e.look(s.q)
		e.abandoned(s.q)
	}
}

// abandoned tells of a queue that has lost its last consumer, as far as anybody knows.
func (e *Engine) abandoned(q *served) {
	if !e.serving || !q.had || q.consumers() > 0 || !q.parting.IsZero() {
		return
	}
	q.used = time.Now()
	e.cfg.Unused(q.id)
}

// release ends s; what it holds is requeued, as a logged return.
func (e *Engine) release(s *sub) {
	q := s.q
	for _, seq := range q.heldBy(s) {
		e.answer(q, s, seq, Requeue)
	}
	q.drop(s)
	e.deactivate(s)
}

// settle takes an edge's answers to what it was handed.
func (e *Engine) settle(at *attachment, r Settle) {
	at.number = r.Number
	if !slices.Contains(e.control.acked, at) {
		e.control.acked = append(e.control.acked, at)
	}
	s := at.subs[r.Sub]
	if s == nil {
		return
	}
	if s.q.settings.SingleActive {
		e.look(s.q) // it may have been all that a better one waited for
	}
	e.tell(s.q)
	for _, rg := range r.Ranges {
		if rg.Last-rg.First >= uint64(len(s.q.out)) { // wider than all that is out: look at what is held instead
			for _, seq := range s.q.heldBy(s) {
				if rg.First <= seq && seq <= rg.Last {
					e.answer(s.q, s, seq, r.Answer)
				}
			}
			continue
		}
		for seq := rg.First; seq <= rg.Last; seq++ {
			e.answer(s.q, s, seq, r.Answer)
		}
	}
}

// answer ends one handing out.
func (e *Engine) answer(q *served, s *sub, seq uint64, a Answer) {
	f, logged := a.fate()
	if !logged && a != Unseen {
		return // an edge of a version to come
	}
	h, ok := q.takeBack(s, seq)
	if !ok {
		return
	}
	if a == Unseen {
		e.unseen(q, seq, h)
		return
	}
	q.seen = max(q.seen, seq)
	if f == requeued && e.cfg.CountReturns {
		f = failed
	}
	if f.returns() {
		q.returning++
	}
	e.end(q, f, seq, h.bytes)
}

// unseen puts back what was lost on its way.
func (e *Engine) unseen(q *served, seq uint64, h held) {
	if q.prioritized() { // others of its priority may have gone out since
		q.seenBefore = max(q.seenBefore, seq)
	}
	if q.mortal() {
		e.comeBack(q, []queue.Range{{First: seq, Last: seq}})
	} else {
		q.putBack(seq, h.priority)
	}
	e.look(q)
	e.tell(q)
}

// get asks for one message for basic.get.
func (e *Engine) get(at *attachment, r Get) {
	q := e.served(r.Queue)
	if q == nil {
		at.out.Send(Got{Sub: r.Sub, Err: ErrNoQueue})
		return
	}
	if err := q.refusesGet(); err != nil {
		at.out.Send(Got{Sub: r.Sub, Err: err})
		return
	}
	e.upToDate(q)
	q.used = time.Now()
	q.gets = append(q.gets, pendingGet{at.holder(r.Sub, q, r.NoAck), r.NoAck})
	e.look(q)
}

// refusesGet says why nobody may take single messages.
func (q *served) refusesGet() error {
	if q.stream {
		return ErrStream
	}
	if q.settings.SingleActive && q.settings.Quorum { // others let it be, as in RabbitMQ, and exclusive consumers do
		return ErrSingleActive
	}
	return nil
}

// holder is the subscription that holds what basic.get took.
func (at *attachment) holder(id uint64, q *served, noAck bool) *sub {
	if s := at.subs[id]; s != nil && s.q == q {
		s.consumer.NoAck = noAck
		return s
	}
	s := &sub{id: id, at: at, q: q, consumer: Consumer{NoAck: noAck}}
	at.subs[id] = s
	q.add(s)
	return s
}
