package connection

import (
	"context"

	"github.com/warrenmq/warren/broker/queue"
	"github.com/warrenmq/warren/broker/topology"
	"github.com/warrenmq/warren/broker/wire"
)

// Direct reply-to (M1 to M5): the consumer of topology.ReplyTo gets an exclusive
// auto-delete queue with an unguessable name, which takes its place in the
// reply-to of what the channel publishes. So replies are publishes like all
// others, from whatever node, and go when the channel is gone.

// declareReplies makes the queue of the channel's reply consumer.
func (ch *channel) declareReplies(ctx context.Context, _ string) (*topology.Queue, error) {
	ch.c.owner = true
	result, err := ch.change(ctx, topology.DeclareQueue{ServerNamed: true, Queue: topology.Queue{
		VHost: ch.c.vhost, Name: topology.ReplyTo + "." + randomName(), Exclusive: true, AutoDelete: true, Owner: ch.c.id,
	}})
	if err != nil {
		return nil, about(ch.c.vhost, topology.ReplyTo, err)
	}
	return result.Queue, nil
}

// mayTakeReplies refuses consumers of reply queues: one that acknowledges, a second
// one of the channel, even under the tag of the first, and one of another's queue.
func (ch *channel) mayTakeReplies(m *wire.BasicConsume) error {
	switch {
	case m.Queue == topology.ReplyTo && !m.NoAck:
		return fault(wire.PreconditionFailed, "reply consumer cannot acknowledge")
	case m.Queue == topology.ReplyTo && ch.replies != "" && ch.hasReplies():
		return fault(wire.PreconditionFailed, "reply consumer already set")
	case topology.IsReplyQueue(m.Queue) && m.Queue != ch.replies:
		return fault(wire.PreconditionFailed, "only creator channel may consume from queue '%s' in vhost '%s'", m.Queue, ch.c.vhost)
	}
	return nil
}

// hasReplies tells whether the reply consumer is still there.
func (ch *channel) hasReplies() bool {
	_, err := ch.findQueue(ch.replies)
	return err == nil
}

// replyQueue lets the one who replies ask whether the one who asked is still there.
func (ch *channel) replyQueue(ctx context.Context, m *wire.QueueDeclare) (q *topology.Queue, created bool, err error) {
	err = ch.surely(ctx, func(t *topology.Topology) (err error) {
		if q = t.Queue(ch.c.vhost, m.Queue); q == nil {
			_, err = t.FindQueue(ch.c.vhost, m.Queue, ch.c.id)
		}
		return err
	})
	return q, false, err
}

// replyHere puts the name of the channel's reply queue into a message's reply-to.
func (ch *channel) replyHere(m *queue.Message) error {
	if ch.replies == "" || !ch.hasReplies() {
		return fault(wire.PreconditionFailed, "fast reply consumer does not exist")
	}
	pieces, err := wire.SplitProperties(m.Properties)
	if err != nil {
		return err
	}
	pieces.ReplyTo = append([]byte{byte(len(ch.replies))}, ch.replies...)
	m.Properties, err = pieces.Join(make([]byte, 0, len(m.Properties)+len(ch.replies)))
	return err
}
