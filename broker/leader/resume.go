package leader

import (
	"slices"

	"github.com/warrenmq/warren/broker/queue"
)

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
	e.begin(s)
	at.subs[r.Sub] = s
	q.had = q.had || !r.Get
	if old != nil {
		e.handOver(q, old, s, r.Held)
	}
	e.claim(s, r.Held)
	q.add(s)
	e.resumeSingle(q, s, old, r.Active)
	for _, o := range rivals {
		if o.fresh {
			o.at.out.Send(Cancelled{Sub: o.id, Err: ErrExclusive})
			delete(o.at.subs, o.id)
			e.release(o)
		}
	}
	e.look(q)
	if r.Cancelled && old != nil && old.active { // cancelled while the stream was down
		e.abandoned(q)
	}
}

// handOver gives s what the subscription that it replaces holds, as far as it arrived.
func (e *Engine) handOver(q *served, old, s *sub, arrived []queue.Range) {
	q.drop(old)
	if q.sole == old && !s.active {
		q.sole = nil
	}
	for _, seq := range q.heldBy(old) {
		h, _ := q.takeBack(old, seq)
		if heldIn(arrived, seq) {
			h.s = s
			q.hold(seq, h)
		} else {
			e.unseen(q, seq, h) // no client has seen it
		}
	}
}

// claim notes what an edge's channels hold, as far as it is not settled and
// nobody else has got it meanwhile.
func (e *Engine) claim(s *sub, held []queue.Range) {
	q := s.q
	var items []queue.Item
	e.cfg.Log.Locked(func(st *queue.State) {
		for _, r := range held {
			items = appendLive(items, st.Queue(q.id), r)
		}
	})
	for _, it := range items {
		if q.taken(it.Seq) || q.isBack(it) {
			continue
		}
		bytes := unknownBytes
		if q.settings.MaxLengthBytes.Set {
			bytes = e.size(it.Ref)
		}
		q.handOut(s, it, bytes)
	}
	e.tell(q)
}

// isBack tells whether a message is ready again, for somebody else. In a queue with
// priorities all that is not in anybody's hands is, once it was looked at.
func (q *served) isBack(it queue.Item) bool {
	if q.prioritized() {
		return it.Seq <= q.cursor
	}
	return slices.Contains(q.back, q.key(it.Seq, 0))
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
