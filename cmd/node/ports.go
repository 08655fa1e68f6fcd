package node

import (
	"context"
	"errors"

	"github.com/warrenmq/warren/broker/connection"
	"github.com/warrenmq/warren/broker/leader"
	"github.com/warrenmq/warren/broker/queue"
	"github.com/warrenmq/warren/broker/topology"
	"github.com/warrenmq/warren/cluster"
	"github.com/warrenmq/warren/cluster/edge"
)

// publisher is connection.Publisher over the edge.
type publisher struct{ edge *edge.Edge }

func (p publisher) Publish(ctx context.Context, to []queue.ID, m *queue.Message, r connection.Receipt) error {
	return p.edge.Publish(ctx, to, m, edge.Receipt{Confirms: r.Confirms, Tag: r.Tag})
}

// queues is connection.Queues over the edge and the definitions.
type queues struct {
	edge        *edge.Edge
	definitions *cluster.Definitions
}

func (q queues) Subscribe(ctx context.Context, id queue.ID, c leader.Consumer, sink connection.Deliveries) (connection.Subscription, error) {
	s, err := q.edge.Subscribe(ctx, id, c, sink)
	if errors.Is(err, leader.ErrNoQueue) {
		if _, cerr := q.definitions.Counts(ctx, id); cerr != nil { // makes it, if it is defined
			return nil, cerr
		}
		s, err = q.edge.Subscribe(ctx, id, c, sink)
	}
	if err != nil {
		return nil, err
	}
	return s, nil
}

func (q queues) Get(ctx context.Context, id queue.ID, noAck bool) (leader.Delivery, uint64, connection.Subscription, bool, error) {
	got, held, err := q.edge.Get(ctx, id, noAck)
	if err != nil || held == nil {
		return got.Delivery, got.Remaining, nil, got.OK, err
	}
	return got.Delivery, got.Remaining, held, got.OK, nil
}

func (q queues) Purge(ctx context.Context, id queue.ID) (uint64, error) {
	return q.edge.Purge(ctx, id)
}

func (q queues) Counts(ctx context.Context, id queue.ID) (uint64, int, error) {
	c, err := q.definitions.Counts(ctx, id)
	return c.Ready, c.Consumers, err
}

func (q queues) Delete(ctx context.Context, d topology.Queue, ifUnused, ifEmpty bool, connection string) (uint64, error) {
	return q.definitions.Delete(ctx, d, ifUnused, ifEmpty, connection)
}
