package connection_test

import (
	"testing"
	"testing/synctest"
	"time"

	"github.com/warrenmq/warren/broker/connection"
	"github.com/warrenmq/warren/broker/connection/conntest"
	"github.com/warrenmq/warren/broker/wire"
)

// H11: what is not answered in time goes back, and the consumer is cancelled; what
// came later stays, and late answers are fine.
func TestH11ConsumerTimeout(t *testing.T) {
	bubble(t, func(t *testing.T, b *conntest.Broker, _ *connection.Listener, c *conntest.Client) {
		c.Declare(1, &wire.QueueDeclare{Queue: "q"})
		tag := c.Consume(1, &wire.BasicConsume{Queue: "q"})
		fill(c, 1, "q", 0, 2)
		expectDeliveries(t, c, 1, 0, 2, false)
		time.Sleep(29 * time.Minute)
		fill(c, 1, "q", 2, 3)
		last := expectDeliveries(t, c, 1, 2, 3, false)
		begin := time.Now()
		c.Conn.SetReadDeadline(time.Time{})
		f, err := c.Frame()
		for err != nil { // the client is less patient than the broker
			f, err = c.Frame()
		}
		if m, _ := wire.ParseMethod(f.Payload); m == nil || m.Name() != "basic.cancel" || m.(*wire.BasicCancel).ConsumerTag != tag {
			t.Fatalf("got %+v, want basic.cancel", m)
		}
		if passed := time.Since(begin); passed < 59*time.Second || passed > 61*time.Second {
			t.Errorf("cancelled %v after the 29th minute", passed)
		}
		synctest.Wait()
		if ready, consumers := c.Counts(1, "q"); ready != 2 || consumers != 0 || b.Held("/", "q") != 1 {
			t.Errorf("%d ready, %d consumers, %d held; want 2, 0, 1", ready, consumers, b.Held("/", "q"))
		}
		c.Send(1, &wire.BasicAck{DeliveryTag: last, Multiple: true})
		if ready, _ := c.Counts(1, "q"); ready != 2 || b.Held("/", "q") != 0 {
			t.Errorf("%d ready, %d held; want 2, 0", ready, b.Held("/", "q"))
		}
		c.Consume(1, &wire.BasicConsume{Queue: "q"})
		expectDeliveries(t, c, 1, 0, 2, true)
	})
}

// H7, H11: the consumer's word counts before the queue's, the queue's before the node's.
// Without the capability, for a cancelled consumer, and for basic.get the channel goes.
func TestH11PrecedenceAndChannelClose(t *testing.T) {
	const text = "PRECONDITION_FAILED - delivery acknowledgement on channel 1 timed out. Timeout value used: "
	const more = " ms. This timeout value can be configured, see consumers doc guide to learn more"
	tests := []struct {
		name string
		do   func(c *conntest.Client)
		used string
	}{
		{"the node's default", func(c *conntest.Client) {
			c.Declare(1, &wire.QueueDeclare{Queue: "q"})
			fill(c, 1, "q", 0, 1)
			c.Send(1, &wire.BasicGet{Queue: "q"})
			conntest.Expect[*wire.BasicGetOk](c, 1)
			c.Message()
		}, "9000"},
		{"the queue's argument", func(c *conntest.Client) {
			c.Declare(1, &wire.QueueDeclare{Queue: "q", Arguments: wire.Table{"x-consumer-timeout": int32(5000)}})
			fill(c, 1, "q", 0, 1)
			c.Send(1, &wire.BasicGet{Queue: "q"})
			conntest.Expect[*wire.BasicGetOk](c, 1)
			c.Message()
		}, "5000"},
		{"the consumer's argument", func(c *conntest.Client) {
			c.Declare(1, &wire.QueueDeclare{Queue: "q", Arguments: wire.Table{"x-consumer-timeout": int32(5000)}})
			fill(c, 1, "q", 0, 1)
			tag := c.Consume(1, &wire.BasicConsume{Queue: "q", Arguments: wire.Table{"x-consumer-timeout": int64(7000)}})
			c.Delivery(1)
			c.Send(1, &wire.BasicCancel{ConsumerTag: tag})
			conntest.Expect[*wire.BasicCancelOk](c, 1)
		}, "7000"},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			bubble(t, func(t *testing.T, b *conntest.Broker, _ *connection.Listener, c *conntest.Client) {
				test.do(c)
				c.ExpectChannelClose(1, 406, text+test.used+more)
				synctest.Wait()
				if held := b.Held("/", "q"); held != 0 {
					t.Errorf("%d held", held)
				}
				c.Channel(1)
			}, func(c *connection.Config) { c.ConsumerTimeout = 9 * time.Second })
		})
	}
	t.Run("a client that does not know of cancellation", func(t *testing.T) {
		synctest.Test(t, func(t *testing.T) {
			b := conntest.New(t)
			ln := newPipeListener()
			cfg := b.Config()
			cfg.ConsumerTimeout = 3 * time.Second
			_, stop := conntest.Run(t, ln, cfg)
			defer stop()
			c := conntest.NewClient(t, ln.dial())
			startOk := conntest.DefaultStartOk()
			startOk.ClientProperties = nil
			c.Login(startOk)
			c.OpenVHost("/")
			c.Channel(1)
			c.Declare(1, &wire.QueueDeclare{Queue: "q"})
			fill(c, 1, "q", 0, 1)
			c.Consume(1, &wire.BasicConsume{Queue: "q"})
			c.Delivery(1)
			c.ExpectChannelClose(1, 406, text+"3000"+more)
		})
	})
}

// A11: looking after timeouts is no sign of life from the client.
func TestA11TimeoutsDoNotHideSilence(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := conntest.New(t)
		ln := newPipeListener()
		l, stop := conntest.Run(t, ln, b.Config())
		defer stop()
		c := conntest.NewClient(t, ln.dial())
		c.Login(conntest.DefaultStartOk())
		c.Send(0, &wire.ConnectionTuneOk{ChannelMax: 1, FrameMax: 4096, Heartbeat: 10}, &wire.ConnectionOpen{VirtualHost: "/"})
		conntest.Expect[*wire.ConnectionOpenOk](c, 0)
		c.Channel(1)
		c.Declare(1, &wire.QueueDeclare{Queue: "q"})
		fill(c, 1, "q", 0, 1)
		for i := range 30 { // each is due a second after the last
			c.Send(1, &wire.BasicConsume{Queue: "q", Arguments: wire.Table{"x-consumer-timeout": int64(1000 * (i + 1))}})
		}
		go func() {
			for {
				if _, err := c.Frame(); err != nil {
					return
				}
			}
		}()
		time.Sleep(24 * time.Second)
		if l.Open() != 1 {
			t.Error("dropped before two intervals")
		}
		time.Sleep(3 * time.Second)
		synctest.Wait()
		if l.Open() != 0 {
			t.Error("a silent client is not dropped")
		}
	})
}
