package connection

import (
	"context"
	"crypto/rand"
	"errors"
	"strings"

	"github.com/warrenmq/warren/broker/auth"
	"github.com/warrenmq/warren/broker/leader"
	"github.com/warrenmq/warren/broker/topology"
	"github.com/warrenmq/warren/broker/wire"
)

func (ch *channel) queueMethod(ctx context.Context, m wire.Method) error {
	switch m := m.(type) {
	case *wire.QueueDeclare:
		return ch.declareQueue(ctx, m)
	case *wire.QueueBind:
		b, err := ch.queueBinding(m.Queue, m.Exchange, m.RoutingKey, m.Arguments)
		if err != nil {
			return err
		}
		if err := ch.bind(ctx, b, topology.Bind{Binding: b, Connection: ch.c.id}); err != nil {
			return err
		}
		ch.answer(m.NoWait, &wire.QueueBindOk{})
	case *wire.QueueUnbind:
		b, err := ch.queueBinding(m.Queue, m.Exchange, m.RoutingKey, m.Arguments)
		if err != nil {
			return err
		}
		if err := ch.bind(ctx, b, topology.Unbind{Binding: b, Connection: ch.c.id}); err != nil {
			return err
		}
		ch.send(&wire.QueueUnbindOk{})
	case *wire.QueuePurge:
		return ch.purge(ctx, m)
	case *wire.QueueDelete:
		return ch.deleteQueue(ctx, m)
	}
	return nil
}

// queueName is what a client means by a queue's name: none is the queue that the
// channel declared last (E8).
func (ch *channel) queueName(name string) (string, error) {
	if name != "" {
		return topology.CleanName(name), nil
	}
	if ch.lastQueue == "" {
		return "", fault(wire.NotFound, "no previously declared queue")
	}
	return ch.lastQueue, nil
}

// findQueue finds a queue that the connection may use, as far as this node knows.
func (ch *channel) findQueue(name string) (q *topology.Queue, err error) {
	err = ch.view(func(t *topology.Topology) (err error) {
		q, err = t.FindQueue(ch.c.vhost, name, ch.c.id)
		return err
	})
	return q, err
}

// queueNamed is findQueue for a client: what it refuses is so.
func (ch *channel) queueNamed(ctx context.Context, name string) (q *topology.Queue, err error) {
	err = ch.surely(ctx, func(t *topology.Topology) (err error) {
		q, err = t.FindQueue(ch.c.vhost, name, ch.c.id)
		return err
	})
	return q, err
}

func (ch *channel) queueBinding(name, exchange, key string, args wire.Table) (topology.Binding, error) {
	q, err := ch.queueName(name)
	if err != nil {
		return topology.Binding{}, err
	}
	if topology.IsReplyQueue(q) {
		return topology.Binding{}, fault(wire.AccessRefused, "cannot bind or unbind to a volatile (direct reply-to) queue")
	}
	if name == "" && key == "" {
		key = q
	}
	return topology.Binding{
		VHost: ch.c.vhost, Source: topology.CleanName(exchange), Destination: q, RoutingKey: key, Arguments: args,
	}, nil
}

// declareQueue runs queue.declare (E1 to E10).
func (ch *channel) declareQueue(ctx context.Context, m *wire.QueueDeclare) error {
	find := ch.declaredQueue
	switch {
	case m.Queue == topology.ReplyTo:
		ch.answer(m.NoWait, &wire.QueueDeclareOk{Queue: topology.ReplyTo, ConsumerCount: 1})
		return nil
	case topology.IsReplyQueue(m.Queue):
		find = ch.replyQueue
	case m.Passive:
		find = ch.passiveQueue
	}
	var ok wire.QueueDeclareOk
	var q *topology.Queue
	for tries := 0; ; tries++ {
		var created bool
		var err error
		if q, created, err = find(ctx, m); err != nil {
			return err
		}
		if !created && !m.NoWait {
			err = ch.count(ctx, q, &ok)
		}
		if errors.Is(err, leader.ErrNoQueue) && tries == 0 && ch.current(ctx) {
			continue // deleted, which this node had not heard of
		}
		if err != nil {
			return about(q.VHost, q.Name, err)
		}
		break
	}
	ok.Queue, ch.lastQueue = q.Name, q.Name
	ch.answer(m.NoWait, &ok)
	return nil
}

// count fills in what declare-ok says of a queue that was there.
func (ch *channel) count(ctx context.Context, q *topology.Queue, ok *wire.QueueDeclareOk) error {
	asked, cancel := ch.call(ctx)
	defer cancel()
	ch.catchUp(asked)
	ready, consumers, err := ch.c.cfg.Queues.Counts(asked, q.ID)
	ok.MessageCount, ok.ConsumerCount = clip(ready), clip(consumers)
	return err
}

func (ch *channel) passiveQueue(ctx context.Context, m *wire.QueueDeclare) (*topology.Queue, bool, error) {
	name, err := ch.queueName(m.Queue)
	if err != nil {
		return nil, false, err
	}
	if err := ch.allowAny(false, name); err != nil {
		return nil, false, err
	}
	q, err := ch.queueNamed(ctx, name)
	return q, false, err
}

// declaredQueue finds an equivalent queue, which costs no change of the
// definitions, or makes one.
func (ch *channel) declaredQueue(ctx context.Context, m *wire.QueueDeclare) (*topology.Queue, bool, error) {
	declare := topology.DeclareQueue{Queue: topology.Queue{
		VHost: ch.c.vhost, Name: topology.CleanName(m.Queue),
		Durable: m.Durable, Exclusive: m.Exclusive, AutoDelete: m.AutoDelete, Arguments: m.Arguments,
	}}
	q := &declare.Queue
	if q.Name == "" {
		var random [16]byte
		rand.Read(random[:])
		name, err := topology.ServerName(random, m.Arguments)
		if err != nil {
			return nil, false, err
		}
		q.Name, declare.ServerNamed = name, true
	}
	if q.Exclusive {
		q.Owner = ch.c.id
	}
	if !declare.ServerNamed && strings.HasPrefix(q.Name, "amq.") { // E9: existing or not
		return nil, false, fault(wire.AccessRefused, "queue name '%s' contains reserved prefix 'amq.*'", q.Name)
	}
	if err := ch.allow(auth.Configure, false, q.Name); err != nil {
		return nil, false, err
	}
	var known *topology.Queue
	if err := ch.surely(ctx, func(t *topology.Topology) error {
		if known = t.Queue(q.VHost, q.Name); known == nil {
			return nil
		}
		t.Complete(q)
		return topology.CheckQueueEquivalent(known, q)
	}); err != nil {
		return nil, false, err
	}
	if known != nil {
		return known, false, nil
	}
	if err := ch.mayDeadLetter(q); err != nil {
		return nil, false, err
	}
	ch.c.owner = ch.c.owner || q.Exclusive // before, as the outcome of a failure is not known
	result, err := ch.change(ctx, declare)
	if err != nil {
		return nil, false, about(q.VHost, q.Name, err)
	}
	return result.Queue, result.Created, nil
}

// mayDeadLetter asks for the rights that a new queue's dead-letter exchange takes (E20).
func (ch *channel) mayDeadLetter(q *topology.Queue) error {
	deadLetters, ok := q.Arguments["x-dead-letter-exchange"].(string)
	if !ok {
		return nil
	}
	if err := ch.allow(auth.Read, false, q.Name); err != nil {
		return err
	}
	return ch.allow(auth.Write, true, deadLetters)
}

// purge runs queue.purge (F5). Reply queues keep nothing.
func (ch *channel) purge(ctx context.Context, m *wire.QueuePurge) error {
	if topology.IsReplyQueue(m.Queue) {
		ch.answer(m.NoWait, &wire.QueuePurgeOk{})
		return nil
	}
	q, err := ch.readable(ctx, m.Queue)
	if err != nil {
		return err
	}
	if q.Stream() {
		return fault(wire.NotImplemented, "queue.purge not supported by stream queues queue '%s' in vhost '%s'", q.Name, q.VHost)
	}
	asked, cancel := ch.call(ctx)
	defer cancel()
	ch.catchUp(asked)
	purged, err := ch.c.cfg.Queues.Purge(asked, q.ID)
	if err != nil {
		return about(q.VHost, q.Name, err)
	}
	ch.answer(m.NoWait, &wire.QueuePurgeOk{MessageCount: clip(purged)})
	return nil
}

// deleteQueue runs queue.delete (F6): a missing queue is fine.
func (ch *channel) deleteQueue(ctx context.Context, m *wire.QueueDelete) error {
	name, err := ch.queueName(m.Queue)
	if err != nil {
		return err
	}
	if err := ch.allow(auth.Configure, false, name); err != nil {
		return err
	}
	if topology.IsReplyQueue(name) { // it goes with its consumer alone
		ch.answer(m.NoWait, &wire.QueueDeleteOk{})
		return nil
	}
	q, err := ch.queueNamed(ctx, name)
	var deleted uint64
	switch {
	case errors.Is(err, topology.ErrNotFound):
	case err != nil:
		return err
	default:
		asked, cancel := ch.call(ctx)
		defer cancel()
		ch.catchUp(asked)
		stream := q.Stream() // goes whoever reads it, and counts nothing, as in RabbitMQ
		deleted, err = ch.c.cfg.Queues.Delete(asked, *q, m.IfUnused && !stream, m.IfEmpty && !stream, ch.c.id)
		if err != nil && !errors.Is(err, topology.ErrNotFound) {
			return about(q.VHost, q.Name, err)
		}
		if stream {
			deleted = 0
		}
	}
	ch.answer(m.NoWait, &wire.QueueDeleteOk{MessageCount: clip(deleted)})
	return nil
}
