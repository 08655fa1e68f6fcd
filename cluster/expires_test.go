package cluster

import (
	"context"
	"log/slog"
	"testing"
	"time"

	"github.com/warrenmq/warren/broker/level"
	"github.com/warrenmq/warren/broker/queue"
	"github.com/warrenmq/warren/broker/topology"
	"github.com/warrenmq/warren/cluster/edge"
	"github.com/warrenmq/warren/cluster/meta"
)

// definedHere is the definitions of one node, without a cluster.
type definedHere struct{ t *topology.Topology }

func (m definedHere) View(f func(*topology.Topology)) { f(m.t) }
func (m definedHere) Apply(_ context.Context, c topology.Command) (topology.Result, error) {
	return m.t.Apply(c)
}
func (definedHere) Current(context.Context) error { return nil }
func (definedHere) Groups() []meta.GroupInfo      { return nil }
func (definedHere) Nodes() []meta.Node            { return nil }
func (definedHere) Level() uint64                 { return level.First }

func TestAQueueThatExpiresOutlivesItsLastConsumer(t *testing.T) {
	m := definedHere{topology.New()}
	must := func(c topology.Command) *topology.Queue {
		t.Helper()
		r, err := m.t.Apply(c)
		if err != nil {
			t.Fatal(err)
		}
		return r.Queue
	}
	must(topology.DeclareVHost{VHost: topology.VHost{Name: "v"}})
	expires := must(topology.DeclareQueue{Queue: topology.Queue{
		VHost: "v", Name: "expires", Durable: true, Arguments: topology.Arguments{"x-expires": int64(time.Hour / time.Millisecond)}}})
	auto := must(topology.DeclareQueue{Queue: topology.Queue{VHost: "v", Name: "auto", Durable: true, AutoDelete: true}})

	d := NewDefinitions(DefinitionsConfig{Meta: m, Logger: slog.New(slog.DiscardHandler), Edge: edge.New(edge.Config{
		Locate: func(queue.ID) (edge.Target, bool) { return edge.Target{}, false }, // their groups do not know them
	})})
	defined := func(q *topology.Queue) (there bool) {
		d.View(func(t *topology.Topology) { there = t.QueueByID(q.ID) != nil })
		return there
	}
	told := func(tell func(queue.ID), q *topology.Queue) {
		t.Helper()
		tell(q.ID)
		if id, ok := d.unused.pop(); !ok || id != q.ID {
			t.Fatalf("queue %d is not looked at", q.ID)
		}
		d.unused.attend(t.Context(), q.ID)
	}
	told(d.Unused, expires)
	if !defined(expires) {
		t.Error("a queue that may be unused for an hour went with its last consumer")
	}
	told(d.Expired, expires)
	if defined(expires) {
		t.Error("a queue that was unused for too long is still there")
	}
	told(d.Unused, auto)
	if defined(auto) {
		t.Error("an auto-delete queue outlived its last consumer")
	}
}
