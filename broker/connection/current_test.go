package connection_test

import (
	"testing"

	"github.com/warrenmq/warren/broker/connection/conntest"
	"github.com/warrenmq/warren/broker/topology"
	"github.com/warrenmq/warren/broker/wire"
)

// A node that lags behind refuses nothing that others allow by now: what was deleted or
// declared elsewhere, as the client may have seen there.
func TestRefusalsAreCurrent(t *testing.T) {
	b, c := open(t)
	apply := func(list ...topology.Command) {
		t.Helper()
		for _, command := range list {
			if _, err := b.Apply(t.Context(), command); err != nil {
				t.Fatal(err)
			}
		}
	}
	locked := topology.Queue{VHost: "/", Name: "locked", Exclusive: true, Owner: "another connection"}
	apply(topology.DeclareQueue{Queue: locked}, topology.DeclareQueue{Queue: topology.Queue{VHost: "/", Name: "differs", AutoDelete: true}},
		topology.DeclareExchange{Exchange: topology.Exchange{VHost: "/", Name: "x", Type: topology.Topic}})
	for _, method := range []struct {
		send  wire.Method
		after topology.Command
	}{
		{&wire.QueueDeclare{Queue: "locked", Exclusive: true}, topology.DeleteQueue{VHost: "/", Name: "locked", Connection: "another connection"}},
		{&wire.QueueDeclare{Queue: "differs"}, topology.DeleteQueue{VHost: "/", Name: "differs"}},
		{&wire.ExchangeDeclare{Exchange: "x", Type: topology.Direct}, topology.DeleteExchange{VHost: "/", Name: "x"}},
		{&wire.QueueDeclare{Queue: "passive", Passive: true}, topology.DeclareQueue{Queue: topology.Queue{VHost: "/", Name: "passive"}}},
		{&wire.ExchangeDeclare{Exchange: "y", Passive: true}, topology.DeclareExchange{Exchange: topology.Exchange{VHost: "/", Name: "y", Type: topology.Direct}}},
		{&wire.QueuePurge{Queue: "purged"}, topology.DeclareQueue{Queue: topology.Queue{VHost: "/", Name: "purged"}}},
		{&wire.BasicGet{Queue: "got"}, topology.DeclareQueue{Queue: topology.Queue{VHost: "/", Name: "got"}}},
		{&wire.BasicConsume{Queue: "consumed"}, topology.DeclareQueue{Queue: topology.Queue{VHost: "/", Name: "consumed"}}},
	} {
		b.Lag(t)
		apply(method.after)
		c.Send(1, method.send)
		if _, m := c.Method(); m.Name() == (&wire.ChannelClose{}).Name() {
			t.Errorf("%s: %+v", method.send.Name(), m)
			c.Send(1, &wire.ChannelCloseOk{})
			c.Channel(1)
		}
	}

	b.Lag(t)
	apply(topology.DeclareExchange{Exchange: topology.Exchange{VHost: "/", Name: "z", Type: topology.Fanout}})
	c.Publish(1, &wire.BasicPublish{Exchange: "z", Mandatory: true}, wire.Properties{}, "m")
	conntest.Expect[*wire.BasicReturn](c, 1)
	c.Message()

	b.Lag(t)
	apply(topology.DeclareQueue{Queue: topology.Queue{VHost: "/", Name: "deleted"}})
	c.Send(1, &wire.QueueDelete{Queue: "deleted"})
	conntest.Expect[*wire.QueueDeleteOk](c, 1)
	if b.Queue("/", "deleted") != nil {
		t.Error("a queue that the node had not heard of outlives its deletion")
	}
}

// A queue that this node takes for there, though it is gone, is declared anew.
func TestADeclareFindsNoQueueThatIsGone(t *testing.T) {
	b, c := open(t)
	c.Declare(1, &wire.QueueDeclare{Queue: "q"})
	b.Lag(t)
	if _, err := b.Apply(t.Context(), topology.DeleteQueue{VHost: "/", Name: "q"}); err != nil {
		t.Fatal(err)
	}
	c.Declare(1, &wire.QueueDeclare{Queue: "q"})
	if b.Queue("/", "q") == nil {
		t.Error("declared, and not there")
	}
}
