package connection

import (
	"slices"

	"github.com/warrenmq/warren/broker/leader"
	"github.com/warrenmq/warren/broker/queue"
	"github.com/warrenmq/warren/broker/wire"
)

// ack runs basic.ack (H17).
func (ch *channel) ack(tag uint64, multiple bool) error {
	return ch.answerDeliveries(tag, multiple, leader.Ack)
}

// nack runs basic.nack (H18): what is requeued was returned, which does not count
// against a quorum queue's delivery limit.
func (ch *channel) nack(m *wire.BasicNack) error {
	if m.Requeue {
		return ch.answerDeliveries(m.DeliveryTag, m.Multiple, leader.Requeue)
	}
	return ch.answerDeliveries(m.DeliveryTag, m.Multiple, leader.Reject)
}

// reject runs basic.reject (H18): what is requeued failed.
func (ch *channel) reject(m *wire.BasicReject) error {
	if m.Requeue {
		return ch.answerDeliveries(m.DeliveryTag, false, leader.Fail)
	}
	return ch.answerDeliveries(m.DeliveryTag, false, leader.Reject)
}

// answerDeliveries takes the client's answer to one delivery, or to all up to tag.
func (ch *channel) answerDeliveries(tag uint64, multiple bool, answer leader.Answer) error {
	if ch.tx != nil {
		return ch.tx.answer(ch, tag, multiple, answer)
	}
	ch.out.mu.Lock()
	defer ch.out.mu.Unlock()
	if !multiple {
		d, ok := ch.unacked.take(tag)
		if !ok {
			return unknownTag(tag)
		}
		ch.note(d, answer)
		return nil
	}
	if !ch.unacked.takeThrough(tag, func(d outstanding) { ch.note(d, answer) }) {
		return unknownTag(tag)
	}
	return nil
}

func unknownTag(tag uint64) error {
	return fault(wire.PreconditionFailed, "unknown delivery tag %d", tag)
}

// recover requeues all that is unacknowledged (H20). With requeue=false, too:
// messages keep their places, so the consumer that had one is its first candidate.
func (ch *channel) recover() {
	ch.out.mu.Lock()
	ch.unacked.takeThrough(0, func(d outstanding) { ch.note(d, leader.Requeue) })
	ch.out.mu.Unlock()
	ch.c.settle()
}

// note gathers an answer until settle passes it on. The outbox is locked.
func (ch *channel) note(d outstanding, answer leader.Answer) {
	h := d.from
	if h == &ch.nobody {
		ch.expired-- // too late: it has gone back to its queue
		return
	}
	h.outstanding--
	if h.consumer != nil && h.consumer.pool != nil {
		ch.limited--
	}
	ch.c.gather(h, d.seq, answer)
}

// gather adds an answer to those of h. Answers of another kind go out first: the
// lock is not in their way, as the ranges are only moved aside.
func (c *conn) gather(h *holder, seq uint64, answer leader.Answer) {
	if len(h.ranges) > 0 && h.answer != answer {
		c.turned = append(c.turned, settlement{h, h.answer, h.ranges})
		h.ranges = nil
	}
	h.answer = answer
	h.ranges = addSeq(h.ranges, seq)
	if !h.listed {
		h.listed = true
		c.settling = append(c.settling, h)
	}
}

// settlement is answers of one kind to one subscription.
type settlement struct {
	h      *holder
	answer leader.Answer
	ranges []queue.Range
}

// settle passes the gathered answers on, and the credit that comes with them.
// The reader does so when it has run all that has come from the client, and
// before every method that is not an answer itself.
func (c *conn) settle() {
	if len(c.settling) == 0 {
		return
	}
	for _, s := range c.turned {
		s.h.sub.Settle(s.answer, inOrder(s.ranges))
		s.h.ch.remember(s.h, s.answer)
	}
	clear(c.turned)
	c.turned = c.turned[:0]
	for _, h := range c.settling {
		h.sub.Settle(h.answer, inOrder(h.ranges))
		h.ch.remember(h, h.answer)
		h.ranges, h.listed = nil, false
	}
	c.refill()
	for _, h := range c.settling {
		if h.over {
			h.ch.tidy(h)
		}
	}
	clear(c.settling)
	c.settling = c.settling[:0]
}

// rememberedMax is how many subscriptions a channel waits for before it looks at a queue.
const rememberedMax = 64

// remember notes that messages are on their way back to a queue, or to a
// dead-letter exchange, for catchUp. Acknowledgements show nowhere.
func (ch *channel) remember(h *holder, answer leader.Answer) {
	if answer == leader.Ack || slices.Contains(ch.answered, h.sub) {
		return
	}
	if len(ch.answered) == rememberedMax {
		ch.answered = slices.Delete(ch.answered, 0, 1)
	}
	ch.answered = append(ch.answered, h.sub)
}

// refill grants credit for what was settled: to the consumer, and where all of a
// channel share a limit to the others, too.
func (c *conn) refill() {
	c.out.mu.Lock()
	c.grants = c.grants[:0]
	var shared *channel
	for _, h := range c.settling {
		k := h.consumer
		if k == nil {
			continue
		}
		if g := k.topUp(); g.to != nil {
			c.grants = append(c.grants, g)
		}
		if k.ch.limit == 0 || k.ch == shared {
			continue
		}
		shared = k.ch
		for _, other := range shared.consumers {
			if g := other.topUp(); g.to != nil {
				c.grants = append(c.grants, g)
			}
		}
	}
	c.out.mu.Unlock()
	c.giveGrants()
}

// inOrder sorts ranges, which came in the order of the client's answers, and
// joins those that touch.
func inOrder(ranges []queue.Range) []queue.Range {
	if len(ranges) < 2 {
		return ranges
	}
	less := func(a, b queue.Range) int {
		if a.First < b.First {
			return -1
		}
		return 1
	}
	if !slices.IsSortedFunc(ranges, less) {
		slices.SortFunc(ranges, less)
	}
	out := ranges[:1]
	for _, r := range ranges[1:] {
		if last := &out[len(out)-1]; last.Last+1 == r.First {
			last.Last = r.Last
			continue
		}
		out = append(out, r)
	}
	return out
}
