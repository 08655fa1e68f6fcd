package connection_test

import (
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/warrenmq/warren/broker/connection"
	"github.com/warrenmq/warren/broker/connection/conntest"
	"github.com/warrenmq/warren/broker/queue"
	"github.com/warrenmq/warren/broker/wire"
)

// alarms are on where reasons says so.
type alarms struct {
	mu      sync.Mutex
	reasons map[queue.ID]string
	changed chan struct{}
}

func newAlarms() *alarms {
	return &alarms{reasons: make(map[queue.ID]string), changed: make(chan struct{})}
}

func (a *alarms) Blocked(to []queue.ID) (string, <-chan struct{}, bool) {
	a.mu.Lock()
	defer a.mu.Unlock()
	for _, id := range to {
		if reason := a.reasons[id]; reason != "" {
			return reason, a.changed, true
		}
	}
	return "", nil, false
}

func (a *alarms) set(b *conntest.Broker, queue, reason string) {
	id := b.Queue("/", queue).ID
	a.mu.Lock()
	defer a.mu.Unlock()
	a.reasons[id] = reason
	close(a.changed)
	a.changed = make(chan struct{})
}

// withAlarms is bubble with queues "short" and "roomy".
func withAlarms(t *testing.T, f func(t *testing.T, a *alarms, b *conntest.Broker, l *connection.Listener, c *conntest.Client)) {
	var a *alarms
	bubble(t, func(t *testing.T, b *conntest.Broker, l *connection.Listener, c *conntest.Client) {
		c.Declare(1, &wire.QueueDeclare{Queue: "short"})
		c.Declare(1, &wire.QueueDeclare{Queue: "roomy"})
		f(t, a, b, l, c)
	}, func(c *connection.Config) {
		a = newAlarms()
		c.Alarms = a
	})
}

// B18, Q5, L1: a publisher whose target is short is told so once and waits; others
// are not concerned; it is told when there is room again, and each time anew.
func TestB18Blocked(t *testing.T) {
	withAlarms(t, func(t *testing.T, a *alarms, b *conntest.Broker, l *connection.Listener, c *conntest.Client) {
		for _, reason := range []string{"low on memory", "low on disk & memory"} {
			a.set(b, "short", reason)
			fill(c, 1, "roomy", 0, 1)
			c.Counts(1, "roomy")
			go fill(c, 1, "short", 0, 1) // a pipe has no buffer
			if m := conntest.Expect[*wire.ConnectionBlocked](c, 0); m.Reason != reason {
				t.Errorf("reason %q, want %q", m.Reason, reason)
			}
			if infos := l.Connections(); len(infos) != 1 || infos[0].State != "blocked" {
				t.Errorf("listed as %+v", infos)
			}
			time.Sleep(time.Hour)
			a.set(b, "roomy", "") // a change that changes nothing
			synctest.Wait()
			a.set(b, "short", "")
			conntest.Expect[*wire.ConnectionUnblocked](c, 0)
			synctest.Wait()
		}
		if ready, _ := c.Counts(1, "short"); ready != 2 {
			t.Errorf("%d ready, want 2", ready)
		}
		if state := l.Connections()[0].State; state != "running" {
			t.Errorf("state %q", state)
		}
	})
}

// B18: who only consumes is not concerned, and deliveries go on to one that is blocked.
func TestB18ConsumersGoOn(t *testing.T) {
	withAlarms(t, func(t *testing.T, a *alarms, b *conntest.Broker, _ *connection.Listener, c *conntest.Client) {
		c.Consume(1, &wire.BasicConsume{Queue: "roomy"})
		a.set(b, "short", "low on disk")
		fill(c, 1, "roomy", 0, 1)
		expectDeliveries(t, c, 1, 0, 1, false)
		go fill(c, 1, "short", 0, 1)
		conntest.Expect[*wire.ConnectionBlocked](c, 0)
		b.Put("/", "roomy", "more")
		if _, body := c.Delivery(1); body != "more" {
			t.Errorf("delivered %q", body)
		}
	})
}

// B18: a client without the capability is not told, and waits all the same. A
// blocked connection hears an operator's close and the end of its socket.
func TestB18BlockedConnectionsEnd(t *testing.T) {
	withAlarms(t, func(t *testing.T, a *alarms, b *conntest.Broker, l *connection.Listener, c *conntest.Client) {
		a.set(b, "short", "low on disk")
		go fill(c, 1, "short", 0, 1)
		conntest.Expect[*wire.ConnectionBlocked](c, 0)
		if !l.Close(l.Connections()[0].Name, "maintenance") || l.Close("nobody", "") {
			t.Error("Close does not know who is there")
		}
		c.ExpectClose(320, "CONNECTION_FORCED - maintenance")
	})
	synctest.Test(t, func(t *testing.T) {
		b, a := conntest.New(t), newAlarms()
		ln := newPipeListener()
		cfg := b.Config()
		cfg.Alarms = a
		l, stop := conntest.Run(t, ln, cfg)
		defer stop()
		c := conntest.NewClient(t, ln.dial())
		startOk := conntest.DefaultStartOk()
		startOk.ClientProperties = nil
		c.Login(startOk)
		c.Send(0, &wire.ConnectionTuneOk{ChannelMax: 1, FrameMax: 4096, Heartbeat: 10}, &wire.ConnectionOpen{VirtualHost: "/"})
		conntest.Expect[*wire.ConnectionOpenOk](c, 0)
		c.Channel(1)
		c.Declare(1, &wire.QueueDeclare{Queue: "short"})
		a.set(b, "short", "low on disk")
		go fill(c, 1, "short", 0, 1)
		reading := make(chan struct{})
		go func() { // takes heartbeats for a while, sends none
			defer close(reading)
			for range 10 {
				c.Conn.SetReadDeadline(time.Time{})
				var b [64]byte
				if _, err := c.Conn.Read(b[:]); err != nil {
					t.Error(err)
				}
			}
		}()
		time.Sleep(40 * time.Second)
		if l.Open() != 1 {
			t.Error("a blocked client's silence counts")
		}
		<-reading
		c.Conn.Close()
		time.Sleep(10 * time.Second)
		synctest.Wait()
		if l.Open() != 0 {
			t.Error("a dead socket is not noticed")
		}
	})
}
