package connection

import (
	"context"
	"crypto/rand"
	"encoding/base64"
	"errors"
	"maps"
	"slices"
	"sync"
	"time"

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
	if err := ch.mayTakeReplies(m); err != nil {
		return err
	}
	if err := ch.roomForConsumer(m.ConsumerTag); err != nil {
		return err
	}
	ch.sweep()
	find := ch.readable
	if m.Queue == topology.ReplyTo {
		find = ch.declareReplies
	}
	q, err := find(ctx, m.Queue)
	if err != nil {
		return err
	}
	args, err := consumerArguments(q, m.Arguments)
	if err != nil {
		return err
	}
	if q.Stream() {
		if err := ch.mayRead(q, m); err != nil {
			return err
		}
	}
	settings := ch.settings(q)
	if m.Exclusive && settings.SingleActive { // H21
		return about(ch.c.vhost, q.Name, leader.ErrExclusive)
	}
	k := &consumer{
		holder: holder{ch: ch, timeout: ch.answerTime(&settings)},
		tag:    m.ConsumerTag, queue: q.Name, id: q.ID, noAck: m.NoAck, prefetch: ch.prefetch, counts: counted(&settings),
		exclusive: m.Exclusive, arguments: m.Arguments, stream: q.Stream(),
		window: min(ch.c.cfg.DeliveryWindow, max(ch.c.cfg.DeliveryBudget-int64(ch.c.consumers)*ch.c.cfg.DeliveryWindow, deliveryWindowMin)),
	}
	k.holder.consumer, k.priority = k, args.priority
	if args.timeout.Set {
		k.timeout = args.timeout.N
	}
	if k.tag == "" {
		k.tag = "amq.ctag-" + randomName()
	}
	want := leader.Consumer{
		Tag: k.tag, NoAck: m.NoAck, Exclusive: m.Exclusive && !k.stream, Priority: args.priority,
		Messages: ch.join(k, settings.SingleActive), Bytes: k.firstBytes(), Since: time.Now(), Start: args.start,
	}
	asked, cancel := ch.call(ctx)
	defer cancel()
	sub, err := ch.c.cfg.Queues.Subscribe(asked, q.ID, want, k)
	if err != nil {
		ch.out.mu.Lock()
		k.end()
		ch.out.mu.Unlock()
		ch.grant()
		return about(ch.c.vhost, q.Name, err)
	}
	ch.c.consumers++
	if m.Queue == topology.ReplyTo {
		ch.replies = q.Name
	}
	ch.start(k, sub, m.NoWait)
	return nil
}

// roomForConsumer refuses a tag that is in use (H2), and a consumer too many (H3).
func (ch *channel) roomForConsumer(tag string) error {
	ch.out.mu.Lock()
	defer ch.out.mu.Unlock()
	limit := ch.c.cfg.MaxConsumers
	switch {
	case ch.consumers[tag] != nil:
		return fault(wire.NotAllowed, "attempt to reuse consumer tag '%s'", tag)
	case limit > 0 && len(ch.consumers) >= limit:
		return fault(wire.NotAllowed, "reached maximum (%d) of consumers per channel", limit)
	}
	return nil
}

// settings are those in force for q.
func (ch *channel) settings(q *topology.Queue) (s queue.Settings) {
	ch.c.cfg.Definitions.View(func(t *topology.Topology) { s = t.Settings(q) })
	return s
}

// join puts k among the channel's consumers and says with how much message
// credit it starts.
func (ch *channel) join(k *consumer, alone bool) int {
	ch.out.mu.Lock()
	defer ch.out.mu.Unlock()
	ch.consumers[k.tag] = k
	if k.noAck {
		return -1
	}
	if k.stream {
		k.granted = max(k.room(), 0)
		return k.granted
	}
	ch.counted++
	ch.enter(k, alone)
	if ch.limit == 0 || k.pool.idle() {
		k.granted = max(k.target(), 0)
	}
	return k.granted
}

// start sends consume-ok and what was delivered meanwhile.
func (ch *channel) start(k *consumer, sub Subscription, noWait bool) {
	o := ch.out
	o.mu.Lock()
	k.sub = sub
	ch.c.consuming[k] = struct{}{}
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
	if k.lost {
		ch.grant()
	}
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
	more := k.topUp()
	ch.out.mu.Unlock()
	k.credit(more, bytes)
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
		asked, cancel := ch.call(ctx)
		ch.deleteUnused(asked, k)
		cancel()
	}
	ch.answer(m.NoWait, &wire.BasicCancelOk{ConsumerTag: m.ConsumerTag})
	return nil
}

// deleteUnused deletes an auto-delete queue whose last consumer was cancelled
// before the client hears of it: it may declare the queue again at once, and
// would be given the old one just before that goes (kombu's mailboxes do so).
func (ch *channel) deleteUnused(ctx context.Context, k *consumer) {
	q := ch.autoDelete(k)
	if q == nil {
		return
	}
	_, err := ch.c.cfg.Queues.Delete(ctx, *q, true, false, ch.c.id)
	if err != nil && !errors.Is(err, topology.ErrPreconditionFailed) && !errors.Is(err, topology.ErrNotFound) && !errors.Is(err, leader.ErrInUse) {
		ch.c.logger.Warn("an unused queue is not deleted yet", "channel", ch.id, "queue", k.queue, "error", err)
	}
}

// autoDelete is the consumer's queue, if that goes with its last consumer.
func (ch *channel) autoDelete(k *consumer) (q *topology.Queue) {
	ch.c.cfg.Definitions.View(func(t *topology.Topology) { q = t.QueueByID(k.id) })
	if q == nil || !q.AutoDelete {
		return nil
	}
	return q
}

// atOnce is how many auto-delete queues a channel that ends deletes at a time.
const atOnce = 8

// leaveQueues ends the consumers of auto-delete queues, and deletes those that
// nobody else consumes from, before the client hears of the channel's end.
func (ch *channel) leaveQueues(ctx context.Context) {
	ch.out.mu.Lock()
	consumers := slices.Collect(maps.Values(ch.consumers))
	ch.out.mu.Unlock()
	var leaving sync.WaitGroup
	slots := make(chan struct{}, atOnce)
	for _, k := range consumers {
		if ch.autoDelete(k) == nil {
			continue
		}
		slots <- struct{}{}
		leaving.Go(func() {
			defer func() { <-slots }()
			if err := k.sub.Cancel(ctx); err == nil {
				ch.deleteUnused(ctx, k)
			}
		})
	}
	leaving.Wait()
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
		if k.queue == ch.replies {
			ch.replies = "" // whether its queue is gone already or not
		}
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

// readable finds a queue that the client may consume from.
func (ch *channel) readable(ctx context.Context, name string) (*topology.Queue, error) {
	name, err := ch.queueName(name)
	if err != nil {
		return nil, err
	}
	if err := ch.allow(auth.Read, false, name); err != nil {
		return nil, err
	}
	return ch.queueNamed(ctx, name)
}

// randomName is 22 characters that nobody else has.
func randomName() string {
	var random [16]byte
	rand.Read(random[:])
	return base64.RawURLEncoding.EncodeToString(random[:])
}
