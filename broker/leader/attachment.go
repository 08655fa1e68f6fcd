package leader

import (
	"context"
	"slices"
	"sync"
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
		at.out.Send(Subscribed{Sub: r.Sub, Err: e.subscribe(at, r)})
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
			e.dirty[s.q.id] = struct{}{}
		}
	case Cancel:
		s := at.subs[r.Sub]
		if s != nil {
			e.deactivate(s)
		}
		if s != nil && s.consumer.NoAck { // what is being settled for it still comes
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

func (e *Engine) subscribe(at *attachment, r Subscribe) error {
	q := e.served(r.Queue)
	if q == nil {
		return ErrNoQueue
	}
	if old := at.before[r.Sub]; old != nil { // asked before over a stream that broke
		delete(at.before, r.Sub)
		e.release(old)
	}
	switch {
	case q.sealing:
		return ErrUnavailable
	case q.exclusive() || r.Consumer.Exclusive && q.consumers() > 0:
		return ErrExclusive
	}
	s := &sub{id: r.Sub, at: at, q: q, consumer: r.Consumer, messages: r.Consumer.Messages, bytes: r.Consumer.Bytes, active: true, fresh: !e.serving}
	at.subs[r.Sub] = s
	q.add(s)
	e.dirty[q.id] = struct{}{}
	return nil
}

// resume takes up a subscription from an earlier stream or an earlier leader.
func (e *Engine) resume(at *attachment, r Resume) {
	q := e.served(r.Queue)
	old := at.before[r.Sub]
	delete(at.before, r.Sub)
	if q == nil {
		at.out.Send(Cancelled{Sub: r.Sub, Err: ErrNoQueue})
		return
	}
	s := &sub{id: r.Sub, at: at, q: q, consumer: r.Consumer, messages: r.Consumer.Messages, bytes: r.Consumer.Bytes, active: !r.Cancelled}
	rivals := q.rivals(s, old)
	if len(rivals) > 0 && e.serving { // it came too late: another has its place
		if old != nil {
			e.release(old)
		}
		at.out.Send(Cancelled{Sub: r.Sub, Err: ErrExclusive})
		return
	}
	at.subs[r.Sub] = s
	if old != nil {
		q.drop(old)
		for _, seq := range q.heldBy(old) {
			bytes, _ := q.takeBack(old, seq)
			if heldIn(r.Held, seq) {
				q.handOut(s, seq, bytes)
			} else {
				q.putBack(seq) // lost on its way: no client has seen it
			}
		}
	}
	e.claim(s, r.Held)
	q.add(s)
	for _, o := range rivals {
		if o.fresh {
			o.at.out.Send(Cancelled{Sub: o.id, Err: ErrExclusive})
			delete(o.at.subs, o.id)
			e.release(o)
		}
	}
	e.dirty[q.id] = struct{}{}
}

// claim notes what an edge's channels hold, as far as it is not settled and
// nobody else has got it meanwhile.
func (e *Engine) claim(s *sub, held []queue.Range) {
	e.cfg.Log.Locked(func(st *queue.State) {
		sq := st.Queue(s.q.id)
		if sq == nil {
			return
		}
		for _, r := range held {
			for seq := r.First; seq <= r.Last; {
				it, ok := sq.After(seq - 1)
				if !ok || it.Seq > r.Last {
					break
				}
				_, answered := s.q.gone[it.Seq]
				if !s.q.isOut(it.Seq) && !answered && !slices.Contains(s.q.back, it.Seq) {
					s.q.handOut(s, it.Seq, 0)
				}
				seq = it.Seq + 1
			}
		}
	})
}

func heldIn(held []queue.Range, seq uint64) bool {
	return slices.ContainsFunc(held, func(r queue.Range) bool { return r.First <= seq && seq <= r.Last })
}

// resumed ends an edge's Resumes: what it did not take up is gone.
func (e *Engine) resumed(at *attachment) {
	for _, s := range at.before {
		e.release(s)
	}
	at.before = nil
	e.arrived(at.edge)
}

// detached waits for a broken edge to come back.
func (e *Engine) detached(at *attachment) {
	if e.edges[at.edge] != at || !at.attached {
		return
	}
	at.attached = false
	deadline := time.Now().Add(e.cfg.Grace)
	var look func()
	look = func() {
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
			time.AfterFunc(100*time.Millisecond, func() { e.inbox.post(look) })
		}
	}
	look()
}

// deactivate ends the deliveries to s.
func (e *Engine) deactivate(s *sub) {
	if !s.active {
		return
	}
	s.active = false
	if s.q.had && s.q.consumers() == 0 && e.queues[s.q.id] == s.q {
		e.cfg.Unused(s.q.id)
	}
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
	bytes, ok := q.takeBack(s, seq)
	if !ok {
		return
	}
	if a == Unseen {
		q.putBack(seq)
		e.dirty[q.id] = struct{}{}
		return
	}
	if seq > q.cursor {
		q.gone[seq] = struct{}{}
	}
	q.seen = max(q.seen, seq)
	q.leaving++
	if a == Requeue {
		q.returning++
	}
	e.control.settle(q.id, a, seq, bytes)
}

// get asks for one message for basic.get.
func (e *Engine) get(at *attachment, r Get) {
	q := e.served(r.Queue)
	if q == nil {
		at.out.Send(Got{Sub: r.Sub, Err: ErrNoQueue})
		return
	}
	if q.exclusive() {
		at.out.Send(Got{Sub: r.Sub, Err: ErrExclusive})
		return
	}
	q.gets = append(q.gets, pendingGet{at.holder(r.Sub, q, r.NoAck), r.NoAck})
	e.dirty[q.id] = struct{}{}
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

// takeOver asks every live edge what it holds, before anything is delivered:
// messages that an earlier leader may have handed out must not go to another
// consumer while the first one lives and can answer.
func (e *Engine) takeOver(ctx context.Context, asking *sync.WaitGroup) {
	for _, edge := range e.cfg.Edges() {
		e.pending[edge] = struct{}{}
		asking.Go(func() { e.askEdge(ctx, edge) })
	}
	if len(e.pending) == 0 {
		e.serving = true
		return
	}
	timer := time.AfterFunc(e.cfg.Grace, func() {
		e.inbox.post(func() {
			for edge := range e.pending {
				e.logger.Warn("an edge did not say what it holds in time", "edge", edge.Node)
				e.arrived(edge)
			}
		})
	})
	context.AfterFunc(ctx, func() { timer.Stop() })
}

func (e *Engine) askEdge(ctx context.Context, edge EdgeID) {
	for ctx.Err() == nil {
		attached, err := e.cfg.Announce(ctx, edge)
		if err == nil && attached {
			return // it resumes by itself
		}
		if err == nil || e.cfg.EdgeGone(edge) {
			e.inbox.post(func() { e.arrived(edge) })
			return
		}
		select {
		case <-ctx.Done():
		case <-time.After(50 * time.Millisecond):
		}
	}
}

// arrived notes that edge has said what it holds, or never will.
func (e *Engine) arrived(edge EdgeID) {
	delete(e.pending, edge)
	if len(e.pending) > 0 || e.serving {
		return
	}
	e.serving = true
	for id := range e.queues {
		e.dirty[id] = struct{}{}
	}
	for _, f := range e.waiting {
		f()
	}
	e.waiting = nil
	for _, at := range e.edges {
		later := at.later
		at.later = nil
		for _, list := range later {
			for _, r := range list {
				e.handle(at, r)
			}
		}
	}
}
