package leader

// elect gives a queue with a single active consumer the one that it delivers to
// now. The one that it has stays; else it is the one with the highest priority,
// of equals the oldest. In a quorum queue one with a higher priority takes over
// as soon as the present one holds nothing any more, as in RabbitMQ since 4.0.
func (e *Engine) elect(q *served) {
	if !q.settings.SingleActive || !e.serving {
		return
	}
	best := q.first()
	now := q.sole
	if now != nil && (!now.active || now.q != q) {
		now = nil
	}
	switch {
	case now == nil:
		q.sole = nil
	case !q.settings.Quorum || best == nil || best.consumer.Priority <= now.consumer.Priority:
		best = now
	case now.held > 0:
		now.standby = true // it gets no more, and stays until it has answered
		return
	}
	if best != nil {
		e.activate(q, best)
	}
}

// first is the consumer that comes first when there is no active one. One whose
// edge is away cannot be told.
func (q *served) first() (best *sub) {
	for _, s := range q.subs {
		if s.active && s.at.attached && (best == nil || s.consumer.Priority > best.consumer.Priority) {
			best = s
		}
	}
	return best
}

// activate makes s the active consumer of its queue.
func (e *Engine) activate(q *served, s *sub) {
	before := q.sole
	q.sole, s.standby = s, false
	if before == s {
		return
	}
	if before != nil {
		before.standby = true
		before.at.out.Send(Active{Sub: before.id})
	}
	s.at.out.Send(Active{Sub: s.id, Active: true})
}

// resumeSingle gives a consumer that is resumed its place in a queue with a
// single active one; old is what it was before, at this leader. An earlier leader's
// choice stands, and between two that claim to be it the first that says so.
func (e *Engine) resumeSingle(q *served, s, old *sub, claims bool) {
	if !q.settings.SingleActive || !s.active {
		return
	}
	switch {
	case q.sole != nil && q.sole == old, q.sole == nil && claims:
		q.sole = s
	default:
		s.standby = true
	}
	if is := q.sole == s; is != claims {
		s.at.out.Send(Active{Sub: s.id, Active: is})
	}
}
