package connection_test

import (
	"net"
	"testing"

	"github.com/warrenmq/warren/broker/connection"
	"github.com/warrenmq/warren/broker/connection/conntest"
	"github.com/warrenmq/warren/broker/wire"
)

// H21: consumers are listed with what their clients asked for, as long as they are there.
func TestH21ConsumersAreListed(t *testing.T) {
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	l, stop := conntest.Run(t, ln, conntest.New(t).Config())
	t.Cleanup(stop)
	c := conntest.Open(t, ln.Addr().String())
	c.Channel(1)
	byTag := func() map[string]connection.ConsumerInfo {
		found := make(map[string]connection.ConsumerInfo)
		for _, k := range l.Consumers() {
			found[k.Tag] = k
		}
		return found
	}
	c.Channel(2)
	c.Declare(1, &wire.QueueDeclare{Queue: "q"})
	c.Declare(1, &wire.QueueDeclare{Queue: "x"})
	c.Send(2, &wire.BasicQos{PrefetchCount: 7})
	conntest.Expect[*wire.BasicQosOk](c, 2)
	c.Consume(1, &wire.BasicConsume{Queue: "q", ConsumerTag: "a", NoAck: true})
	c.Consume(2, &wire.BasicConsume{Queue: "q", ConsumerTag: "b", Arguments: wire.Table{"x-priority": int32(3)}})
	c.Consume(2, &wire.BasicConsume{Queue: "x", ConsumerTag: "c", Exclusive: true})
	found := byTag()
	if k := found["a"]; len(found) != 3 || !k.NoAck || k.Exclusive || k.Prefetch != 0 || k.Channel != 1 || !k.Active || k.Connection.User != "guest" {
		t.Errorf("%d consumers, a: %+v", len(found), k)
	}
	if k := found["b"]; k.NoAck || k.Prefetch != 7 || k.Channel != 2 || k.Arguments["x-priority"] != int32(3) || k.Queue != found["a"].Queue {
		t.Errorf("b: %+v", k)
	}
	if k := found["c"]; !k.Exclusive || k.Queue == found["a"].Queue {
		t.Errorf("c: %+v", k)
	}
	c.Send(1, &wire.BasicCancel{ConsumerTag: "a"})
	conntest.Expect[*wire.BasicCancelOk](c, 1)
	c.Send(1, &wire.QueueDelete{Queue: "x"})
	conntest.Expect[*wire.QueueDeleteOk](c, 1)
	conntest.Expect[*wire.BasicCancel](c, 2)
	if found = byTag(); len(found) != 1 || found["b"].Tag == "" {
		t.Errorf("after a cancel and a delete: %+v", found)
	}
	c.Send(2, &wire.ChannelClose{ReplyCode: 200})
	conntest.Expect[*wire.ChannelCloseOk](c, 2)
	if found = byTag(); len(found) != 0 {
		t.Errorf("after the channel's end: %+v", found)
	}
}
