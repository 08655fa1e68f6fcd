package node

import (
	"context"
	"time"

	"github.com/warrenmq/warren/broker/queue"
	"github.com/warrenmq/warren/broker/topology"
	"github.com/warrenmq/warren/cluster/edge"
)

// letterPublisher is deadletter.Publisher over the edge.
type letterPublisher struct{ edge *edge.Edge }

func (p letterPublisher) Publish(ctx context.Context, to []queue.ID, m *queue.Message, done func(error)) error {
	return p.edge.Publish(ctx, to, m, edge.Receipt{Confirms: &letterConfirm{done}})
}

// letterConfirm hears of one dead letter. It is a pointer because an edge compares them.
type letterConfirm struct{ done func(error) }

func (c *letterConfirm) Confirmed(_ []uint64, err error) { c.done(err) }

// current makes sure that this node knows all definitions: a change that changes
// nothing is applied here when all before it are.
func (n *Node) current(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, currentTimeout)
	defer cancel()
	_, _, err := n.meta.Propose(ctx, topology.DeleteOwned{})
	return err
}

const currentTimeout = 5 * time.Second

// queueName names a queue for the detection of cycles.
func (n *Node) queueName(id queue.ID) (name string, ok bool) {
	n.meta.View(func(t *topology.Topology) {
		if q := t.QueueByID(id); q != nil {
			name, ok = q.Name, true
		}
	})
	return name, ok
}

// settingsNow are those of the queue that s is or was of. A queue that is gone has
// none, and its dead letters go where it last said.
func (n *Node) settingsNow(s queue.Settings) (now queue.Settings, ok bool) {
	now, ok = s, true
	n.meta.View(func(t *topology.Topology) {
		if q := t.Queue(s.VHost, s.Name); q != nil {
			now = t.Settings(q)
		}
	})
	return now, ok
}
