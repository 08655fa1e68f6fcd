package connection_test

import (
	"context"
	"io"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/warrenmq/warren/broker/connection"
	"github.com/warrenmq/warren/broker/connection/conntest"
	"github.com/warrenmq/warren/broker/leader"
	"github.com/warrenmq/warren/broker/topology"
	"github.com/warrenmq/warren/broker/wire"
)

// bubble runs f in virtual time with a listener and one client that has channel 1 open.
func bubble(t *testing.T, f func(t *testing.T, b *conntest.Broker, l *connection.Listener, c *conntest.Client), change ...func(*connection.Config)) {
	synctest.Test(t, func(t *testing.T) {
		b := conntest.New(t)
		ln := newPipeListener()
		cfg := b.Config()
		for _, f := range change {
			f(&cfg)
		}
		l, stop := conntest.Run(t, ln, cfg)
		defer stop()
		c := conntest.NewClient(t, ln.dial())
		c.Login(conntest.DefaultStartOk())
		c.OpenVHost("/")
		c.Channel(1)
		f(t, b, l, c)
	})
}

// A consumer that stops reading is dropped after the write timeout, and what it
// was sent goes to others.
func TestSlowReaderIsDropped(t *testing.T) {
	bubble(t, func(t *testing.T, b *conntest.Broker, l *connection.Listener, c *conntest.Client) {
		c.Declare(1, &wire.QueueDeclare{Queue: "q"})
		fill(c, 1, "q", 0, 100)
		c.Send(1, &wire.BasicConsume{Queue: "q"})
		synctest.Wait()
		if held := b.Held("/", "q"); held != 100 {
			t.Errorf("%d held, want 100", held)
		}
		time.Sleep(31 * time.Second)
		synctest.Wait()
		if held := b.Held("/", "q"); held != 0 || l.Open() != 0 {
			t.Errorf("%d held by %d connections, want none", held, l.Open())
		}
	})
}

// A client that asks and does not read is not read from: its answers are bounded.
func TestUnreadAnswersAreBounded(t *testing.T) {
	bubble(t, func(t *testing.T, _ *conntest.Broker, _ *connection.Listener, c *conntest.Client) {
		c.Conn.SetDeadline(time.Time{})
		ask := wire.AppendMethodFrame(nil, 1, &wire.QueueDeclare{Queue: "amq.rabbitmq.reply-to", Passive: true})
		var asked, enough atomic.Int64
		enough.Store(1 << 40)
		go func() {
			for asked.Load() < enough.Load() {
				if _, err := c.Conn.Write(ask); err != nil {
					return
				}
				asked.Add(1)
			}
		}()
		synctest.Wait()
		n := asked.Load()
		if bytes := n * int64(len(ask)); bytes > 8<<20 {
			t.Errorf("%d questions are taken without an answer being read", n)
		}
		enough.Store(2 * n)
		go io.Copy(io.Discard, c.Conn)
		synctest.Wait()
		if asked.Load() != 2*n {
			t.Errorf("%d questions are taken once the client reads, want %d", asked.Load(), 2*n)
		}
		c.Conn.Close()
	})
}

// B24: the exclusive queues of a connection that ends without a majority go later.
func TestB24OrphansAreBuried(t *testing.T) {
	bubble(t, func(t *testing.T, b *conntest.Broker, _ *connection.Listener, c *conntest.Client) {
		var down atomic.Bool
		b.OnApply = func(_ context.Context, c topology.Command) error {
			if down.Load() {
				return leader.ErrUnavailable
			}
			return nil
		}
		name := c.Declare(1, &wire.QueueDeclare{Exclusive: true}).Queue
		exists := func() (found bool) {
			b.View(func(t *topology.Topology) { found = t.Queue("/", name) != nil })
			return found
		}
		down.Store(true)
		c.Conn.Close()
		time.Sleep(time.Minute)
		if !exists() {
			t.Error("the queue went without a majority")
		}
		down.Store(false)
		time.Sleep(2 * time.Second)
		if exists() {
			t.Error("the queue is left behind")
		}
	})
}

// A6: a client that does not answer connection.close is dropped after 30 s, and
// holds nothing meanwhile.
func TestA6CloseTimeout(t *testing.T) {
	bubble(t, func(t *testing.T, b *conntest.Broker, l *connection.Listener, c *conntest.Client) {
		c.Declare(1, &wire.QueueDeclare{Queue: "q"})
		fill(c, 1, "q", 0, 3)
		c.Consume(1, &wire.BasicConsume{Queue: "q"})
		expectDeliveries(t, c, 1, 0, 3, false)
		c.Send(1, &wire.ChannelOpen{})
		conntest.Expect[*wire.ConnectionClose](c, 0)
		synctest.Wait()
		if held := b.Held("/", "q"); held != 0 {
			t.Errorf("%d held while closing", held)
		}
		begin := time.Now()
		c.Conn.SetDeadline(time.Time{})
		io.Copy(io.Discard, c.Conn)
		if passed := time.Since(begin); passed != 30*time.Second || l.Open() > 1 {
			t.Errorf("dropped after %v, want 30s", passed)
		}
	})
}
