package connection

import (
	"context"
	"crypto/rand"
	"encoding/base64"
	"fmt"
	"math"

	"github.com/warrenmq/warren/broker/auth"
	"github.com/warrenmq/warren/broker/leader"
	"github.com/warrenmq/warren/broker/queue"
	"github.com/warrenmq/warren/broker/topology"
	"github.com/warrenmq/warren/broker/wire"
)

// deliveryWindowMin is the byte credit of a consumer beyond the connection's budget.
const deliveryWindowMin = 64 << 10

// consume starts a consumer (H1).
func (ch *channel) consume(ctx context.Context, m *wire.BasicConsume) error {
	if ch.consumer(m.ConsumerTag) != nil && m.ConsumerTag != "" {
		return fault(wire.NotAllowed, "attempt to reuse consumer tag '%s'", m.ConsumerTag)
	}
	ch.sweep()
	find := ch.readable
	if m.Queue == replyTo {
		find = ch.declareReplies
		if !m.NoAck {
			return fault(wire.PreconditionFailed, "reply consumer cannot acknowledge")
		}
	}
	q, err := find(ctx, m.Queue)
	if err != nil {
		return err
	}
	priority, err := consumerPriority(q, m.Arguments)
	if err != nil {
		return err
	}
	timeout, err := ch.answerTime(q, m.Arguments)
	if err != nil {
		return err
	}
	k := &consumer{
		holder: holder{ch: ch, timeout: timeout}, tag: m.ConsumerTag, noAck: m.NoAck, prefetch: ch.prefetch,
		counts: q.Type() == "quorum",
		window: min(ch.c.cfg.DeliveryWindow, max(ch.c.cfg.DeliveryBudget-int64(ch.c.consumers)*ch.c.cfg.DeliveryWindow, deliveryWindowMin)),
	}
	k.holder.consumer = k
	if k.tag == "" {
		k.tag = "amq.ctag-" + randomName()
	}
	want := leader.Consumer{
		Tag: k.tag, NoAck: m.NoAck, Exclusive: m.Exclusive, Priority: priority, Arguments: m.Arguments,
		Messages: ch.join(k), Bytes: k.window, Connection: ch.c.name, Channel: ch.id,
	}
	asked, cancel := ch.call(ctx)
	defer cancel()
	sub, err := ch.c.cfg.Queues.Subscribe(asked, q.ID, want, k)
	if err != nil {
		ch.out.mu.Lock()
		k.end()
		ch.out.mu.Unlock()
		return about(ch.c.vhost, q.Name, err)
	}
	ch.c.consumers++
	if m.Queue == replyTo {
		ch.replies = q.Name
	}
	ch.start(k, sub, m.NoWait)
	return nil
}

// join puts k among the channel's consumers and says with how much message
// credit it starts.
func (ch *channel) join(k *consumer) int {
	ch.out.mu.Lock()
	defer ch.out.mu.Unlock()
	ch.consumers[k.tag] = k
	if k.noAck {
		return -1
	}
	ch.counted++
	k.granted = max(k.target(), 0)
	return k.granted
}

// start sends consume-ok and what was delivered meanwhile.
func (ch *channel) start(k *consumer, sub Subscription, noWait bool) {
	o := ch.out
	o.mu.Lock()
	k.sub = sub
	ch.holders[&k.holder] = struct{}{}
	if !noWait {
		o.put(wire.AppendMethodFrame(nil, ch.id, &wire.BasicConsumeOk{ConsumerTag: k.tag}))
	}
	k.started = true
	unseen, bytes := k.flush()
	if k.lost {
		k.end()
		k.tell()
	}
	wake := o.rouse()
	o.mu.Unlock()
	o.signal(wake)
	ch.handBack(k, unseen, bytes)
	ch.tidy(&k.holder)
}

// handBack returns messages that reached the edge and may not be sent.
func (ch *channel) handBack(k *consumer, unseen []queue.Range, bytes int64) {
	if unseen != nil {
		k.sub.Settle(leader.Unseen, unseen)
	}
	ch.out.mu.Lock()
	if unseen != nil {
		k.returns--
	}
	credit := k.topUp()
	ch.out.mu.Unlock()
	if credit > 0 || bytes > 0 {
		k.sub.Credit(credit, bytes)
	}
}

// consumer finds a consumer by its tag.
func (ch *channel) consumer(tag string) *consumer {
	ch.out.mu.Lock()
	defer ch.out.mu.Unlock()
	return ch.consumers[tag]
}

// cancel stops a consumer; an unknown one is fine, and what is unacknowledged
// stays so (H13).
func (ch *channel) cancel(ctx context.Context, m *wire.BasicCancel) error {
	if k := ch.consumer(m.ConsumerTag); k != nil {
		ch.stop(ctx, k, false)
		ch.grant()
	}
	ch.answer(m.NoWait, &wire.BasicCancelOk{ConsumerTag: m.ConsumerTag})
	return nil
}

// stop ends a consumer from this side, and tells the client if it does not know.
func (ch *channel) stop(ctx context.Context, k *consumer, tell bool) {
	asked, cancel := ch.call(ctx)
	defer cancel()
	if err := k.sub.Cancel(asked); err != nil {
		ch.c.logger.Warn("consumer cancelled without its queue's answer", "channel", ch.id, "consumer", k.tag, "error", err)
	}
	ch.out.mu.Lock()
	var unseen []queue.Range
	if !k.over { // nor lost meanwhile
		for i := range k.waiting {
			unseen = addSeq(unseen, k.waiting[i].Seq)
		}
		k.end()
		if tell {
			k.tell()
		}
	}
	wake := ch.out.rouse()
	ch.out.mu.Unlock()
	ch.out.signal(wake)
	if unseen != nil && !k.noAck {
		k.sub.Settle(leader.Unseen, unseen)
	}
	ch.tidy(&k.holder)
}

// sweep tidies after consumers that ended from the broker's side.
func (ch *channel) sweep() {
	ch.out.mu.Lock()
	var over []*holder
	for h := range ch.holders {
		if h.over {
			over = append(over, h)
		}
	}
	ch.out.mu.Unlock()
	for _, h := range over {
		ch.tidy(h)
	}
}

// tidy releases a subscription that nothing more is expected of.
func (ch *channel) tidy(h *holder) {
	ch.out.mu.Lock()
	_, known := ch.holders[h]
	done := known && h.over && h.outstanding == 0 && len(h.ranges) == 0
	if done {
		delete(ch.holders, h)
	}
	ch.out.mu.Unlock()
	if !done {
		return
	}
	if h.consumer != nil {
		ch.c.consumers--
	}
	h.sub.Release()
}

// flow pauses or resumes the channel's deliveries (C2).
func (ch *channel) flow(active bool) {
	type back struct {
		k      *consumer
		unseen []queue.Range
		bytes  int64
	}
	var backs []back
	o := ch.out
	o.mu.Lock()
	ch.paused = !active
	o.put(wire.AppendMethodFrame(nil, ch.id, &wire.ChannelFlowOk{Active: active}))
	for _, k := range ch.consumers {
		unseen, bytes := k.flush()
		backs = append(backs, back{k, unseen, bytes})
	}
	wake := o.rouse()
	o.mu.Unlock()
	o.signal(wake)
	for _, b := range backs {
		ch.handBack(b.k, b.unseen, b.bytes)
	}
}

// qos sets a prefetch: for consumers to come, or for all of the channel together (H14).
func (ch *channel) qos(m *wire.BasicQos) error {
	if m.PrefetchSize != 0 {
		return fault(wire.NotImplemented, "prefetch_size!=0 (%d)", m.PrefetchSize)
	}
	ch.send(&wire.BasicQosOk{})
	if !m.Global {
		ch.prefetch = int(m.PrefetchCount)
		return nil
	}
	ch.out.mu.Lock()
	ch.limit = int(m.PrefetchCount)
	ch.out.mu.Unlock()
	ch.grant()
	return nil
}

// grant gives all consumers of the channel the credit that they are to have.
func (ch *channel) grant() {
	ch.out.mu.Lock()
	ch.c.grants = ch.c.grants[:0]
	for _, k := range ch.consumers {
		if n := k.topUp(); n > 0 {
			ch.c.grants = append(ch.c.grants, grant{k.sub, n})
		}
	}
	ch.out.mu.Unlock()
	ch.c.giveGrants()
}

// grant is message credit on its way to a queue's leader.
type grant struct {
	sub      Subscription
	messages int
}

func (c *conn) giveGrants() {
	for _, g := range c.grants {
		g.sub.Credit(g.messages, 0)
	}
	clear(c.grants)
}

// readable finds a queue that the client may consume from.
func (ch *channel) readable(_ context.Context, name string) (*topology.Queue, error) {
	name, err := ch.queueName(name)
	if err != nil {
		return nil, err
	}
	if err := ch.allow(auth.Read, false, name); err != nil {
		return nil, err
	}
	return ch.findQueue(name)
}

// consumerPriority reads the argument x-priority (H6).
func consumerPriority(q *topology.Queue, args wire.Table) (int32, error) {
	const name = "x-priority"
	value, ok := args[name]
	if !ok {
		return 0, nil
	}
	n, ok := integer(value)
	if !ok {
		return 0, invalidConsumerArgument(name, q, fmt.Sprintf("%q", "expected integer, got "+fieldType(value)))
	}
	return int32(min(max(n, math.MinInt32), math.MaxInt32)), nil
}

func invalidConsumerArgument(name string, q *topology.Queue, reason string) error {
	return fault(wire.PreconditionFailed, "invalid arg '%s' for queue '%s' in vhost '%s': %s", name, q.Name, q.VHost, reason)
}

func integer(value any) (int64, bool) {
	switch n := value.(type) {
	case int8:
		return int64(n), true
	case uint8:
		return int64(n), true
	case int16:
		return int64(n), true
	case uint16:
		return int64(n), true
	case int32:
		return int64(n), true
	case uint32:
		return int64(n), true
	case int64:
		return n, true
	}
	return 0, false
}

// randomName is 22 characters that nobody else has.
func randomName() string {
	var random [16]byte
	rand.Read(random[:])
	return base64.RawURLEncoding.EncodeToString(random[:])
}
