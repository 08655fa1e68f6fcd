package connection

import (
	"context"
	"math"

	"github.com/warrenmq/warren/broker/leader"
	"github.com/warrenmq/warren/broker/topology"
	"github.com/warrenmq/warren/broker/wire"
)

// get runs basic.get (H16).
func (ch *channel) get(ctx context.Context, m *wire.BasicGet) error {
	if topology.IsReplyQueue(m.Queue) {
		return fault(wire.NotImplemented, "basic.get not supported by volatile queue '%s' in vhost '%s'", m.Queue, ch.c.vhost)
	}
	q, err := ch.readable(ctx, m.Queue)
	if err != nil {
		return err
	}
	if q.Stream() {
		return fault(wire.NotImplemented, "basic.get not supported by stream queues queue '%s' in vhost '%s'", q.Name, q.VHost)
	}
	settings := ch.settings(q)
	if settings.Quorum && settings.SingleActive {
		return about(ch.c.vhost, q.Name, leader.ErrSingleActive)
	}
	asked, cancel := ch.call(ctx)
	defer cancel()
	ch.catchUp(asked)
	d, remaining, held, ok, err := ch.c.cfg.Queues.Get(asked, q.ID, m.NoAck)
	if err != nil {
		return about(ch.c.vhost, q.Name, err)
	}
	if !ok {
		ch.send(&wire.BasicGetEmpty{})
		return nil
	}
	if d.Returned > 0 && counted(&settings) {
		d.Message.Properties = withCounts(d.Message.Properties, &d)
	}
	timeout := ch.answerTime(&settings)
	content := wire.AppendContent(nil, ch.id, ch.c.frameMax, wire.ClassBasic, d.Message.Properties, d.Message.Body)
	o := ch.out
	now := ch.c.clock()
	o.mu.Lock()
	ch.tag++
	if held != nil {
		h := &holder{ch: ch, sub: held, outstanding: 1, over: true, timeout: timeout}
		ch.holders[h] = struct{}{}
		ch.unacked.add(ch.tag, d.Seq, h, now)
		if timeout > 0 {
			ch.c.expect(now, now+timeout)
		}
	}
	o.put(wire.AppendMethodFrame(nil, ch.id, &wire.BasicGetOk{
		DeliveryTag:  ch.tag,
		Redelivered:  d.Redelivered,
		Exchange:     d.Message.Exchange,
		RoutingKey:   d.Message.RoutingKey,
		MessageCount: clip(remaining),
	}))
	o.put(content)
	wake := o.rouse()
	o.mu.Unlock()
	o.signal(wake)
	return nil
}

// clip fits a count into AMQP's 32 bits.
func clip[N uint64 | int](n N) uint32 { return uint32(min(uint64(n), math.MaxUint32)) }
