package connection_test

import (
	"context"
	"errors"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/warrenmq/warren/broker/connection"
	"github.com/warrenmq/warren/broker/connection/conntest"
	"github.com/warrenmq/warren/broker/leader"
	"github.com/warrenmq/warren/broker/queue"
	"github.com/warrenmq/warren/broker/topology"
	"github.com/warrenmq/warren/broker/wire"
)

// I1, I2: confirms count from 1, and what arrives together is told together.
func TestI1Confirms(t *testing.T) {
	b, c := open(t)
	c.Declare(1, &wire.QueueDeclare{Queue: "q"})
	c.Send(1, &wire.ConfirmSelect{})
	conntest.Expect[*wire.ConfirmSelectOk](c, 1)
	b.HoldConfirms()
	for range 5 {
		c.Publish(1, &wire.BasicPublish{RoutingKey: "q"}, wire.Properties{}, "m")
	}
	c.Counts(1, "q")
	b.ReleaseConfirms(nil, 3)
	if m := conntest.Expect[*wire.BasicAck](c, 1); m.DeliveryTag != 3 || m.Multiple {
		t.Errorf("got %+v, want 3 alone", m)
	}
	b.ReleaseConfirms(errors.New("queue is full"), 4) // I3
	if m := conntest.Expect[*wire.BasicNack](c, 1); m.DeliveryTag != 4 || m.Multiple {
		t.Errorf("got %+v, want 4 alone", m)
	}
	b.ReleaseConfirms(nil, 1, 2, 5)
	var last uint64
	for last < 5 {
		m := conntest.Expect[*wire.BasicAck](c, 1)
		if m.DeliveryTag == 3 || m.DeliveryTag == 4 || m.DeliveryTag <= last {
			t.Errorf("got %+v after %d", m, last)
		}
		last = m.DeliveryTag
	}
}

// I3: a publish that the node refuses is a nack, and the channel lives.
func TestI3RefusedPublish(t *testing.T) {
	b, c := open(t)
	c.Declare(1, &wire.QueueDeclare{Queue: "q"})
	c.Send(1, &wire.ConfirmSelect{})
	conntest.Expect[*wire.ConfirmSelectOk](c, 1)
	b.Refuse(errors.New("full"))
	c.Publish(1, &wire.BasicPublish{RoutingKey: "q"}, wire.Properties{}, "m")
	if m := conntest.Expect[*wire.BasicNack](c, 1); m.DeliveryTag != 1 {
		t.Errorf("got %+v", m)
	}
	b.Refuse(nil)
	c.Publish(1, &wire.BasicPublish{RoutingKey: "q"}, wire.Properties{}, "m")
	if m := conntest.Expect[*wire.BasicAck](c, 1); m.DeliveryTag != 2 {
		t.Errorf("got %+v", m)
	}
}

// G2: what nobody wants comes back before its confirm.
func TestG2MandatoryReturnsBeforeConfirm(t *testing.T) {
	_, c := open(t)
	c.Send(1, &wire.ConfirmSelect{})
	conntest.Expect[*wire.ConfirmSelectOk](c, 1)
	for tag := range uint64(100) {
		c.Publish(1, &wire.BasicPublish{Exchange: "amq.topic", RoutingKey: "k", Mandatory: true}, wire.Properties{MessageID: "id"}, "body")
		c.Publish(1, &wire.BasicPublish{Exchange: "amq.topic", RoutingKey: "k"}, wire.Properties{}, "")
		m := conntest.Expect[*wire.BasicReturn](c, 1)
		if m.ReplyCode != 312 || m.ReplyText != "NO_ROUTE" || m.Exchange != "amq.topic" || m.RoutingKey != "k" {
			t.Fatalf("got %+v", m)
		}
		if p, body := c.Message(); p.MessageID != "id" || body != "body" {
			t.Fatalf("returned %+v %q", p, body)
		}
		last := uint64(0)
		for last < 2*tag+2 {
			last = conntest.Expect[*wire.BasicAck](c, 1).DeliveryTag
		}
	}
}

// G4: the size is refused at the header; nothing of the body is waited for.
func TestG4MessageSize(t *testing.T) {
	_, c := open(t, func(c *connection.Config) { c.MaxMessageBytes = 1000 })
	c.Declare(1, &wire.QueueDeclare{Queue: "q", Exclusive: true})
	c.Publish(1, &wire.BasicPublish{RoutingKey: "q"}, wire.Properties{}, strings.Repeat("x", 1000))
	if ready, _ := c.Counts(1, "q"); ready != 1 {
		t.Errorf("%d messages, want 1", ready)
	}
	c.Publish(1, &wire.BasicPublish{RoutingKey: "q"}, wire.Properties{}, strings.Repeat("x", 1001))
	c.ExpectChannelClose(1, 406, "PRECONDITION_FAILED - message size 1001 is larger than configured max size 1000")
}

// A9: parts of messages on many channels do not add up beyond the bound.
func TestA9AssemblyIsBounded(t *testing.T) {
	_, c := open(t, func(c *connection.Config) { c.MaxMessageBytes, c.AssemblyBytes = 100_000, 150_000 })
	c.Channel(2)
	part := make([]byte, 90_000)
	for channel := range uint16(2) {
		b := wire.AppendMethodFrame(nil, channel+1, &wire.BasicPublish{RoutingKey: "q"})
		b = wire.AppendFrame(b, wire.FrameHeader, channel+1, []byte{0, 60, 0, 0, 0, 0, 0, 0, 0, 1, 0x86, 0xA0, 0, 0})
		c.Write(wire.AppendFrame(b, wire.FrameBody, channel+1, part))
	}
	c.ExpectClose(506, "RESOURCE_ERROR - more than 150000 bytes of unfinished messages on one connection")
}

// G5: properties and bodies come out as they went in, whatever their size.
func TestG5ContentIsKept(t *testing.T) {
	_, c := open(t)
	c.Declare(1, &wire.QueueDeclare{Queue: "q", Exclusive: true})
	c.Consume(1, &wire.BasicConsume{Queue: "q", NoAck: true})
	p := wire.Properties{ContentType: "text/plain", Headers: wire.Table{"x-unknown": []any{int64(1), nil}}, DeliveryMode: 2, Priority: 3,
		CorrelationID: "c", ReplyTo: "r", Expiration: "60000", MessageID: "m", Type: "t", UserID: "guest", AppID: "a", ClusterID: "z"}
	for _, size := range []int{0, 1, 131064, 131065, 32 << 10, 1 << 20} {
		body := strings.Repeat("0123456789abcdef", size/16+1)[:size]
		c.Publish(1, &wire.BasicPublish{RoutingKey: "q"}, p, body)
		conntest.Expect[*wire.BasicDeliver](c, 1)
		got, gotBody := c.Message()
		if gotBody != body || got.ContentType != "text/plain" || got.ReplyTo != "r" || got.ClusterID != "z" || len(got.Headers["x-unknown"].([]any)) != 2 {
			t.Errorf("size %d came back as %d octets with %+v", size, len(gotBody), got)
		}
	}
}

// G9: CC and BCC are further routing keys; BCC is not told.
func TestG9SenderSelectedDistribution(t *testing.T) {
	_, c := open(t)
	for _, name := range []string{"a", "b", "c"} {
		c.Declare(1, &wire.QueueDeclare{Queue: name, Exclusive: true})
	}
	headers := wire.Table{"CC": []any{"b", "a"}, "BCC": []any{"c"}, "other": int64(1)}
	c.Publish(1, &wire.BasicPublish{RoutingKey: "a"}, wire.Properties{Headers: headers}, "m")
	for _, name := range []string{"a", "b", "c"} {
		c.Send(1, &wire.BasicGet{Queue: name, NoAck: true})
		if m := conntest.Expect[*wire.BasicGetOk](c, 1); m.MessageCount != 0 {
			t.Errorf("queue %s has %d more", name, m.MessageCount)
		}
		p, _ := c.Message()
		if _, ok := p.Headers["BCC"]; ok || p.Headers["CC"] == nil || p.Headers["other"] == nil {
			t.Errorf("headers in %s: %v", name, p.Headers)
		}
	}
}

// G15: while the Publisher holds back, the reader waits, and the stop of the broker ends that.
func TestG15BackPressureEndsWithTheBroker(t *testing.T) {
	b := conntest.New(t)
	waiting := make(chan struct{})
	b.OnPublish = func(ctx context.Context, _ *queue.Message) error {
		close(waiting)
		<-ctx.Done()
		return ctx.Err()
	}
	ln := newPipeListener()
	_, stop := conntest.Run(t, ln, b.Config())
	c := conntest.NewClient(t, ln.dial())
	c.Login(conntest.DefaultStartOk())
	c.OpenVHost("/")
	c.Channel(1)
	c.Declare(1, &wire.QueueDeclare{Queue: "q"})
	c.Publish(1, &wire.BasicPublish{RoutingKey: "q"}, wire.Properties{}, "m")
	<-waiting
	done := make(chan struct{})
	go func() {
		stop()
		close(done)
	}()
	c.ExpectClose(320, "CONNECTION_FORCED - broker forced connection closure with reason 'shutdown'")
	<-done
}

// K10, K11: permissions are asked for, write before existence.
func TestK11Permissions(t *testing.T) {
	b := conntest.New(t)
	b.Permission.Write, b.Permission.Read, b.Permission.Configure = "^ok", "^ok", "^ok"
	address := conntest.Serve(t, b.Config())
	c := conntest.Open(t, address)
	refused := func(text string, methods ...wire.Method) {
		t.Helper()
		c.Channel(1)
		c.Send(1, methods...)
		c.ExpectChannelClose(1, 403, "ACCESS_REFUSED - "+text+" refused for user 'guest'")
	}
	c.Channel(2)
	c.Declare(2, &wire.QueueDeclare{Queue: "ok"})
	refused("configure access to queue 'q' in vhost '/'", &wire.QueueDeclare{Queue: "q"})
	refused("configure access to queue 'q' in vhost '/'", &wire.QueueDeclare{Queue: "q", Passive: true})
	refused("configure access to queue 'q' in vhost '/'", &wire.QueueDelete{Queue: "q"})
	refused("read access to queue 'q' in vhost '/'", &wire.BasicGet{Queue: "q"})
	refused("read access to queue 'q' in vhost '/'", &wire.BasicConsume{Queue: "q"})
	refused("read access to queue 'q' in vhost '/'", &wire.QueuePurge{Queue: "q"})
	refused("read access to exchange 'amq.topic' in vhost '/'", &wire.QueueBind{Queue: "ok", Exchange: "amq.topic"})
	refused("write access to queue 'q' in vhost '/'", &wire.QueueBind{Queue: "q", Exchange: "ok"})
	refused("configure access to exchange 'x' in vhost '/'", &wire.ExchangeDeclare{Exchange: "x", Type: "direct"})
	refused("write access to exchange 'dlx' in vhost '/'", &wire.QueueDeclare{Queue: "ok2", Arguments: wire.Table{"x-dead-letter-exchange": "dlx"}})
	refused("write access to exchange 'ae' in vhost '/'", &wire.ExchangeDeclare{Exchange: "ok", Type: "direct", Arguments: wire.Table{"alternate-exchange": "ae"}})
	c.Channel(1)
	c.Publish(1, &wire.BasicPublish{Exchange: "missing"}, wire.Properties{}, "m")
	c.ExpectChannelClose(1, 403, "ACCESS_REFUSED - write access to exchange 'missing' in vhost '/' refused for user 'guest'")
	c.Channel(1)
	c.Publish(1, &wire.BasicPublish{RoutingKey: "ok"}, wire.Properties{}, "m")
	c.ExpectChannelClose(1, 403, "ACCESS_REFUSED - write access to exchange 'amq.default' in vhost '/' refused for user 'guest'")
}

// E37, Q7: without a majority a declare fails with 541, the connection's error.
func TestE37NoMajority(t *testing.T) {
	b, address := start(t)
	b.OnApply = func(context.Context, topology.Command) error { return leader.ErrUnavailable }
	c := conntest.Open(t, address)
	c.Channel(1)
	c.Send(1, &wire.QueueDeclare{Queue: "q"})
	c.ExpectClose(541, "INTERNAL_ERROR - failed to perform operation on queue 'q' in vhost '/' due to timeout")
}

// I6: publishes and answers wait for commit; rollback forgets them.
func TestI6Transactions(t *testing.T) {
	b, c := open(t)
	c.Declare(1, &wire.QueueDeclare{Queue: "q", Exclusive: true})
	c.Channel(2)
	commit := func() {
		c.Send(1, &wire.TxCommit{})
		conntest.Expect[*wire.TxCommitOk](c, 1)
	}
	rollback := func() {
		c.Send(1, &wire.TxRollback{})
		conntest.Expect[*wire.TxRollbackOk](c, 1)
	}
	ready := func(want uint32) {
		t.Helper()
		if got, _ := c.Counts(2, "q"); got != want {
			t.Errorf("%d ready, want %d", got, want)
		}
	}
	c.Send(1, &wire.TxSelect{})
	conntest.Expect[*wire.TxSelectOk](c, 1)
	for range 3 {
		c.Publish(1, &wire.BasicPublish{RoutingKey: "q"}, wire.Properties{}, "m")
	}
	ready(0)
	rollback()
	ready(0)
	for range 3 {
		c.Publish(1, &wire.BasicPublish{RoutingKey: "q"}, wire.Properties{}, "m")
	}
	commit()
	ready(3)
	c.Publish(1, &wire.BasicPublish{Exchange: "amq.topic", RoutingKey: "k", Mandatory: true}, wire.Properties{}, "m")
	c.Send(1, &wire.TxCommit{})
	conntest.Expect[*wire.BasicReturn](c, 1)
	c.Message()
	conntest.Expect[*wire.TxCommitOk](c, 1)

	c.Send(1, &wire.BasicGet{Queue: "q"}) // I7
	tag := conntest.Expect[*wire.BasicGetOk](c, 1).DeliveryTag
	c.Message()
	c.Send(1, &wire.BasicAck{DeliveryTag: tag})
	rollback()
	if held := b.Held("/", "q"); held != 1 {
		t.Errorf("%d held after rollback, want 1", held)
	}
	c.Send(1, &wire.BasicAck{DeliveryTag: tag})
	commit()
	if held := b.Held("/", "q"); held != 0 {
		t.Errorf("%d held after commit, want 0", held)
	}
	b.Refuse(errors.New("full"))
	c.Publish(1, &wire.BasicPublish{RoutingKey: "q"}, wire.Properties{}, "m")
	c.Send(1, &wire.TxCommit{})
	c.ExpectChannelClose(1, 406, "PRECONDITION_FAILED - partial tx completion")
}

// C5: who publishes and then looks sees what was published, confirms or not; but
// publishes that take long are not waited for.
func TestC5LooksSeePublishes(t *testing.T) {
	bubble(t, func(t *testing.T, b *conntest.Broker, _ *connection.Listener, c *conntest.Client) {
		c.Declare(1, &wire.QueueDeclare{Queue: "q"})
		look := func(want time.Duration) {
			t.Helper()
			begin := time.Now()
			c.Counts(1, "q")
			if passed := time.Since(begin); passed != want {
				t.Errorf("looked after %v, want %v", passed, want)
			}
		}
		publish := func(exchange string) {
			c.Publish(1, &wire.BasicPublish{Exchange: exchange, RoutingKey: "q"}, wire.Properties{}, "m")
		}
		publish("")
		publish("amq.topic") // to nobody
		look(0)
		b.HoldConfirms()
		publish("")
		time.AfterFunc(100*time.Millisecond, func() { b.ReleaseConfirms(nil, 3) })
		look(100 * time.Millisecond)
		c.Send(1, &wire.ConfirmSelect{})
		conntest.Expect[*wire.ConfirmSelectOk](c, 1)
		publish("")
		c.Send(1, &wire.QueueDeclare{Queue: "q", Passive: true})
		time.AfterFunc(100*time.Millisecond, func() { b.ReleaseConfirms(nil, 1) })
		begin := time.Now()
		for range 2 { // ack and declare-ok, in either order
			if _, m := c.Method(); m.Name() == "queue.declare-ok" && time.Since(begin) != 100*time.Millisecond {
				t.Errorf("looked after %v", time.Since(begin))
			}
		}
		publish("")
		look(time.Second)
	})
}

// I6: what a transaction answers is applied before commit-ok; else it is partial.
func TestI6CommitAwaitsItsAnswers(t *testing.T) {
	b := conntest.New(t)
	var failing atomic.Bool
	applied := make(chan struct{})
	b.OnSettled = func(ctx context.Context) error {
		if failing.Load() {
			return leader.ErrUnavailable
		}
		select {
		case <-applied:
			return nil
		case <-ctx.Done():
			return ctx.Err()
		}
	}
	c := conntest.Open(t, conntest.Serve(t, b.Config()))
	c.Channel(1)
	c.Channel(2)
	c.Declare(1, &wire.QueueDeclare{Queue: "q"})
	fill(c, 1, "q", 0, 2)
	take := func() uint64 {
		c.Send(1, &wire.BasicGet{Queue: "q"})
		ok := conntest.Expect[*wire.BasicGetOk](c, 1)
		c.Message()
		return ok.DeliveryTag
	}
	c.Send(1, &wire.TxSelect{})
	conntest.Expect[*wire.TxSelectOk](c, 1)
	c.Send(1, &wire.BasicNack{DeliveryTag: take(), Requeue: true}, &wire.TxCommit{})
	close(applied)
	conntest.Expect[*wire.TxCommitOk](c, 1)

	failing.Store(true)
	c.Send(1, &wire.BasicAck{DeliveryTag: take()}, &wire.TxCommit{})
	c.ExpectChannelClose(1, 406, "PRECONDITION_FAILED - partial tx completion")
}

// D18, confirms: a delayed message waits in its exchange's hidden queue, for as long
// as it says, and is confirmed when it is there.
func TestD18DelayedPublish(t *testing.T) {
	b := conntest.New(t)
	ttls := make(chan time.Duration, 10)
	b.OnPublish = func(_ context.Context, m *queue.Message) error {
		ttls <- m.TTL
		return nil
	}
	c := conntest.Open(t, conntest.Serve(t, b.Config()))
	c.Channel(1)
	c.Send(1, &wire.ExchangeDeclare{Exchange: "later", Type: "x-delayed-message", Arguments: wire.Table{"x-delayed-type": "fanout"}},
		&wire.ExchangeDeclare{Exchange: "both", Type: "fanout"}, &wire.ExchangeBind{Source: "both", Destination: "later"})
	conntest.Expect[*wire.ExchangeDeclareOk](c, 1)
	conntest.Expect[*wire.ExchangeDeclareOk](c, 1)
	conntest.Expect[*wire.ExchangeBindOk](c, 1)
	c.Declare(1, &wire.QueueDeclare{Queue: "q"})
	c.Send(1, &wire.QueueBind{Queue: "q", Exchange: "both"}, &wire.ConfirmSelect{})
	conntest.Expect[*wire.QueueBindOk](c, 1)
	conntest.Expect[*wire.ConfirmSelectOk](c, 1)
	for tag, exchange := range []string{"later", "both"} {
		c.Publish(1, &wire.BasicPublish{Exchange: exchange, Mandatory: true}, wire.Properties{Expiration: "7", Headers: wire.Table{"x-delay": int32(5000)}}, "m")
		if ack := conntest.Expect[*wire.BasicAck](c, 1); ack.DeliveryTag != uint64(tag)+1 {
			t.Errorf("confirmed %d", ack.DeliveryTag)
		}
		if ttl := <-ttls; ttl != 5*time.Second {
			t.Errorf("%s: waits %v", exchange, ttl)
		}
	}
	if ttl := <-ttls; ttl != 7*time.Millisecond { // what is not delayed expires as it says
		t.Errorf("lives %v", ttl)
	}
	if len(ttls) > 0 {
		t.Error("published once more")
	}
}
