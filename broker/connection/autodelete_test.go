package connection_test

import (
	"testing"

	"github.com/warrenmq/warren/broker/connection/conntest"
	"github.com/warrenmq/warren/broker/wire"
)

// An auto-delete queue is gone when the client hears of the end of its last consumer,
// however that ends.
func TestAutoDeleteComesBeforeTheAnswer(t *testing.T) {
	for name, end := range map[string]func(c *conntest.Client, tag string){
		"cancel": func(c *conntest.Client, tag string) {
			c.Send(1, &wire.BasicCancel{ConsumerTag: tag})
			conntest.Expect[*wire.BasicCancelOk](c, 1)
		},
		"channel.close": func(c *conntest.Client, _ string) {
			c.Send(1, &wire.ChannelClose{ReplyCode: 200})
			conntest.Expect[*wire.ChannelCloseOk](c, 1)
		},
		"a channel error": func(c *conntest.Client, _ string) {
			c.Send(1, &wire.QueueDeclare{Queue: "missing", Passive: true})
			conntest.Expect[*wire.ChannelClose](c, 1)
		},
		"connection.close": func(c *conntest.Client, _ string) {
			c.Send(0, &wire.ConnectionClose{ReplyCode: 200})
			conntest.Expect[*wire.ConnectionCloseOk](c, 0)
		},
	} {
		t.Run(name, func(t *testing.T) {
			b, c := open(t)
			b.KeepUnused()
			c.Declare(1, &wire.QueueDeclare{Queue: "auto", AutoDelete: true})
			c.Declare(1, &wire.QueueDeclare{Queue: "shared", AutoDelete: true})
			c.Declare(1, &wire.QueueDeclare{Queue: "kept"})
			tag := c.Consume(1, &wire.BasicConsume{Queue: "auto"})
			c.Consume(1, &wire.BasicConsume{Queue: "kept"})
			c.Consume(1, &wire.BasicConsume{Queue: "shared"})
			c.Channel(2)
			c.Consume(2, &wire.BasicConsume{Queue: "shared"})
			end(c, tag)
			if b.Queue("/", "auto") != nil {
				t.Error("the queue is still there")
			}
			if b.Queue("/", "kept") == nil {
				t.Error("a queue went that stays")
			}
			if shared := b.Queue("/", "shared") != nil; shared == (name == "connection.close") {
				t.Errorf("the queue with two consumers: %v", shared)
			}
		})
	}
}
