package connection

import (
	"github.com/warrenmq/warren/broker/queue"
	"github.com/warrenmq/warren/broker/wire"
)

// flow pauses or resumes the channel's deliveries (C2). While it is paused its
// consumers have no byte credit, so that messages stay ready or go to others; what
// is on its way here goes back. A consumer without acknowledgements has it for good:
// that waits.
func (ch *channel) flow(active bool) {
	type back struct {
		k      *consumer
		unseen []queue.Range
		bytes  int64
	}
	var backs []back
	o := ch.out
	o.mu.Lock()
	change := ch.paused == active
	ch.paused = !active
	if active {
		o.put(wire.AppendMethodFrame(nil, ch.id, &wire.ChannelFlowOk{Active: true}))
	}
	for _, k := range ch.consumers {
		unseen, bytes := k.flush()
		if change {
			bytes += k.allowance()
		}
		backs = append(backs, back{k, unseen, bytes})
	}
	wake := o.rouse()
	o.mu.Unlock()
	o.signal(wake)
	for _, b := range backs {
		ch.handBack(b.k, b.unseen, b.bytes)
	}
	if !active {
		ch.send(&wire.ChannelFlowOk{})
	}
}

// firstBytes is the byte credit that a consumer starts with.
func (k *consumer) firstBytes() int64 {
	if k.ch.paused {
		return 0
	}
	return k.window
}

// allowance is the byte credit that a consumer gets, or loses, when its channel goes
// on or is paused. The outbox is locked.
func (k *consumer) allowance() int64 {
	if k.ch.paused {
		return -k.window
	}
	return k.window
}

// qos sets a prefetch: for consumers to come, or for all of the channel together (H14).
func (ch *channel) qos(m *wire.BasicQos) error {
	if m.PrefetchSize != 0 {
		return fault(wire.NotImplemented, "prefetch_size!=0 (%d)", m.PrefetchSize)
	}
	ch.send(&wire.BasicQosOk{})
	limit := 0 // a prefetch of consumers ends that of the channel, as in RabbitMQ
	if m.Global {
		limit = int(m.PrefetchCount)
	} else {
		ch.prefetch = int(m.PrefetchCount)
	}
	ch.out.mu.Lock()
	ch.limit = limit
	ch.out.mu.Unlock()
	ch.grant()
	return nil
}

// grant gives all consumers of the channel the credit that they are to have.
func (ch *channel) grant() {
	ch.out.mu.Lock()
	ch.c.grants = ch.c.grants[:0]
	for _, k := range ch.consumers {
		if g := k.topUp(); g.to != nil {
			ch.c.grants = append(ch.c.grants, g)
		}
	}
	ch.out.mu.Unlock()
	ch.c.giveGrants()
}

// grant is message credit on its way to a queue's leader.
type grant struct {
	to       *consumer
	messages int
}

func (c *conn) giveGrants() {
	for _, g := range c.grants {
		g.to.sub.Credit(g.messages, 0)
	}
	clear(c.grants)
}
