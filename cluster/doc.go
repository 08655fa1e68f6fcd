// Package cluster ties the parts of replication together on one node: which
// engine serves which group, where a new queue goes, what a group's leader has
// to mend, and which processes of other nodes are known to be gone.
//
// It decides nothing that must survive: definitions are the meta group's,
// messages the queue groups'. All it holds can be rebuilt from them.
package cluster

import (
	"context"
	"log/slog"

	"github.com/warrenmq/warren/broker/leader"
	"github.com/warrenmq/warren/broker/queue"
	"github.com/warrenmq/warren/broker/topology"
	"github.com/warrenmq/warren/cluster/edge"
	"github.com/warrenmq/warren/cluster/meta"
)

// Meta is what this package asks of the meta group.
type Meta interface {
	View(func(*topology.Topology))
	Current(ctx context.Context) error
	Apply(ctx context.Context, c topology.Command) (topology.Result, error)
	Groups() []meta.GroupInfo
	Nodes() []meta.Node
	Level() uint64
}

// TransientGroup is the number under which a node's own transient queues are
// served; no replicated group has it.
const TransientGroup = 0

// settingsOf is what a queue's group must know of it.
func settingsOf(m Meta, q *topology.Queue) (s queue.Settings) {
	m.View(func(t *topology.Topology) { s = t.Settings(q) })
	return s
}

// targetOf is where a queue is served.
func targetOf(q *topology.Queue) edge.Target {
	if q.Group != 0 {
		return edge.Target{Group: q.Group}
	}
	return edge.Target{Home: q.Home, Epoch: q.HomeEpoch}
}

// Locate finds where a queue is served.
func Locate(m Meta, id queue.ID) (t edge.Target, ok bool) {
	m.View(func(top *topology.Topology) {
		if q := top.QueueByID(id); q != nil {
			t, ok = targetOf(q), true
		}
	})
	return t, ok
}

// here says whether q lives in the memory of the process self.
func here(q *topology.Queue, self leader.EdgeID) bool {
	return q.Group == 0 && q.Home == self.Node && q.HomeEpoch == self.Epoch
}

func orDefault(l *slog.Logger) *slog.Logger {
	if l == nil {
		return slog.Default()
	}
	return l
}
