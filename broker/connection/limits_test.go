package connection_test

import (
	"context"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/warrenmq/warren/broker/auth"
	"github.com/warrenmq/warren/broker/connection"
	"github.com/warrenmq/warren/broker/connection/conntest"
	"github.com/warrenmq/warren/broker/queue"
	"github.com/warrenmq/warren/broker/wire"
)

// gate admits so many connections, and channels of a user.
type gate struct {
	mu       sync.Mutex
	free     int
	channels int
	seen     connection.Info
}

func (g *gate) Admit(_ context.Context, c connection.Info) (func(), error) {
	g.mu.Lock()
	defer g.mu.Unlock()
	g.seen = c
	if g.free == 0 {
		return nil, &auth.Error{Kind: auth.ErrNotAllowed, Text: "connection refused for user 'guest': user connection limit (1) is reached"}
	}
	g.free--
	return func() {
		g.mu.Lock()
		defer g.mu.Unlock()
		g.free++
	}, nil
}

func (g *gate) MaxChannels(string) (int, bool) { return g.channels, true }

// B16: limits of vhosts and users are asked for with what is known of the client,
// and what was let in is let go.
func TestB16Admission(t *testing.T) {
	g := &gate{free: 1, channels: 2}
	_, address := start(t, func(c *connection.Config) { c.Admission = g })
	first := conntest.Open(t, address)
	g.mu.Lock()
	if s := &g.seen; s.User != "guest" || s.VHost != "/" || s.Mechanism != "PLAIN" || s.FrameMax == 0 || s.Peer == nil {
		t.Errorf("Admission sees %+v", s)
	}
	g.mu.Unlock()
	second := conntest.Dial(t, address)
	second.Login(conntest.DefaultStartOk())
	second.Send(0, &wire.ConnectionTuneOk{ChannelMax: 1, FrameMax: 4096}, &wire.ConnectionOpen{VirtualHost: "/"})
	second.ExpectClose(530, "NOT_ALLOWED - connection refused for user 'guest': user connection limit (1) is reached")
	first.Send(0, &wire.ConnectionClose{ReplyCode: 200})
	conntest.Expect[*wire.ConnectionCloseOk](first, 0)
	first.ExpectEOF()
	conntest.Open(t, address)
}

// B17: the channels of a user, and of the node, on all connections together.
func TestB17UserAndNodeLimits(t *testing.T) {
	g := &gate{free: 10, channels: 2}
	_, address := start(t, func(c *connection.Config) { c.Admission = g })
	first, second := conntest.Open(t, address), conntest.Open(t, address)
	first.Channel(1)
	first.Channel(2)
	second.Send(1, &wire.ChannelOpen{})
	second.ExpectClose(530, "NOT_ALLOWED - number of channels opened for user 'guest' has reached the maximum allowed user limit of 2")
	first.Send(1, &wire.ChannelClose{ReplyCode: 200})
	conntest.Expect[*wire.ChannelCloseOk](first, 1)
	conntest.Open(t, address).Channel(9)

	_, address = start(t, func(c *connection.Config) { c.MaxChannels, c.Node = 1, "n1" })
	first = conntest.Open(t, address)
	first.Channel(1)
	first.Send(2, &wire.ChannelOpen{})
	first.ExpectClose(530, "NOT_ALLOWED - number of channels opened on node 'n1' has reached the maximum allowed limit of 1")
	conntest.Open(t, address).Channel(1) // what a connection had is free again
}

// H3, H15: consumers of a channel, and the prefetch that it starts with.
func TestH3ConsumersOfAChannel(t *testing.T) {
	b, c := open(t, func(c *connection.Config) { c.MaxConsumers, c.Prefetch = 2, 3 })
	c.Declare(1, &wire.QueueDeclare{Queue: "q"})
	fill(c, 1, "q", 0, 10)
	c.Consume(1, &wire.BasicConsume{Queue: "q"})
	expectDeliveries(t, c, 1, 0, 3, false)
	nothing(c, 1, "q")
	if held := b.Held("/", "q"); held != 3 {
		t.Errorf("%d held, want the default prefetch", held)
	}
	c.Declare(1, &wire.QueueDeclare{Queue: "r"})
	tag := c.Consume(1, &wire.BasicConsume{Queue: "r"})
	c.Send(1, &wire.BasicCancel{ConsumerTag: tag})
	conntest.Expect[*wire.BasicCancelOk](c, 1)
	c.Consume(1, &wire.BasicConsume{Queue: "r"})
	c.Send(1, &wire.BasicConsume{Queue: "r"})
	c.ExpectClose(530, "NOT_ALLOWED - reached maximum (2) of consumers per channel")
}

// G15: a publisher that never waits costs its connection no more than what is read ahead.
func TestG15PublisherThatNeverWaits(t *testing.T) {
	bubble(t, func(t *testing.T, b *conntest.Broker, _ *connection.Listener, c *conntest.Client) {
		c.Declare(1, &wire.QueueDeclare{Queue: "q"})
		c.Send(1, &wire.ConfirmSelect{})
		conntest.Expect[*wire.ConfirmSelectOk](c, 1)
		b.OnPublish = func(ctx context.Context, _ *queue.Message) error { // the byte window of what is unconfirmed is used up
			<-ctx.Done()
			return ctx.Err()
		}
		c.Conn.SetDeadline(time.Time{})
		frames := wire.AppendMethodFrame(nil, 1, &wire.BasicPublish{RoutingKey: "q"})
		frames = wire.AppendContent(frames, 1, 131072, wire.ClassBasic, []byte{0, 0}, make([]byte, 10_000))
		var written atomic.Int64
		go func() {
			for range 10_000 {
				if _, err := c.Conn.Write(frames); err != nil {
					return
				}
				written.Add(int64(len(frames)))
			}
		}()
		synctest.Wait()
		if n := written.Load(); n > 256<<10 {
			t.Errorf("%d bytes are taken from a publisher whose messages have no place", n)
		}
		c.Conn.Close()
	})
}

// H15: consumers without prefetch that never acknowledge, and do not even read, have
// no more on its way than their windows, and all of a connection no more than its budget.
func TestH15ConsumersThatNeverAcknowledge(t *testing.T) {
	bubble(t, func(t *testing.T, b *conntest.Broker, _ *connection.Listener, c *conntest.Client) {
		const size, consumers = 10_000, 40
		c.Declare(1, &wire.QueueDeclare{Queue: "q"})
		body := strings.Repeat("x", size)
		for range 3000 { // 30 MB
			b.Put("/", "q", body)
		}
		for range consumers {
			c.Send(1, &wire.BasicConsume{Queue: "q", NoWait: true})
		}
		synctest.Wait()
		held := b.Held("/", "q") * size
		if bound := 16<<20 + consumers*(64<<10+2*size); held > bound || held < 1<<20 {
			t.Errorf("%d bytes on their way, want at most %d", held, bound)
		}
		c.Conn.Close()
	})
}

// K12, G8, K14: topic permissions, the tag impersonator, and a right that is taken away.
func TestK12TopicPermissions(t *testing.T) {
	b := conntest.New(t)
	b.Tags = []string{"impersonator"}
	b.Topic = &auth.TopicPermission{Write: "^{username}\\.", Read: "^news"}
	c := conntest.Open(t, conntest.Serve(t, b.Config()))
	c.Channel(1)
	c.Declare(1, &wire.QueueDeclare{Queue: "q"})
	c.Send(1, &wire.QueueBind{Queue: "q", Exchange: "amq.topic", RoutingKey: "news.#"}, &wire.QueueBind{Queue: "q", Exchange: "amq.direct", RoutingKey: "guest.a"})
	conntest.Expect[*wire.QueueBindOk](c, 1)
	conntest.Expect[*wire.QueueBindOk](c, 1)
	c.Publish(1, &wire.BasicPublish{Exchange: "amq.topic", RoutingKey: "guest.a"}, wire.Properties{UserID: "anna"}, "")
	c.Publish(1, &wire.BasicPublish{Exchange: "amq.direct", RoutingKey: "guest.a"}, wire.Properties{}, "")
	if ready, _ := c.Counts(1, "q"); ready != 1 {
		t.Errorf("%d ready, want 1", ready)
	}
	c.Publish(1, &wire.BasicPublish{Exchange: "amq.topic", RoutingKey: "guest.a"}, wire.Properties{Headers: wire.Table{"CC": []any{"news"}}}, "")
	c.ExpectChannelClose(1, 403, "ACCESS_REFUSED - write access to topic 'news' in exchange 'amq.topic' in vhost '/' refused for user 'guest'")
	c.Channel(1)
	c.Send(1, &wire.QueueUnbind{Queue: "q", Exchange: "amq.topic", RoutingKey: "sport"})
	c.ExpectChannelClose(1, 403, "ACCESS_REFUSED - read access to topic 'sport' in exchange 'amq.topic' in vhost '/' refused for user 'guest'")
	c.Channel(1)
	fill(c, 1, "q", 0, 1)
	c.Counts(1, "q")
	b.Allow(".*", "^none", ".*")
	fill(c, 1, "q", 0, 1)
	c.ExpectChannelClose(1, 403, "ACCESS_REFUSED - write access to exchange 'amq.default' in vhost '/' refused for user 'guest'")
}

// B19: a client that renews its secret loses the consumers that it has no right to any more.
func TestB19ConsumersAreLookedAtAnew(t *testing.T) {
	b, c := open(t)
	for _, name := range []string{"mine", "theirs"} {
		c.Declare(1, &wire.QueueDeclare{Queue: name})
		c.Consume(1, &wire.BasicConsume{Queue: name, ConsumerTag: name})
	}
	b.Allow(".*", ".*", "^mine")
	c.Send(0, &wire.ConnectionUpdateSecret{NewSecret: "guest"})
	conntest.Expect[*wire.ConnectionUpdateSecretOk](c, 0)
	if m := conntest.Expect[*wire.BasicCancel](c, 1); m.ConsumerTag != "theirs" {
		t.Errorf("consumer %s is cancelled", m.ConsumerTag)
	}
	if _, consumers := c.Counts(1, "mine"); consumers != 1 {
		t.Error("the other consumer is gone, too")
	}
}
