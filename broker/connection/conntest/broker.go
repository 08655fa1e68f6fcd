// Package conntest stands in for the rest of Warren in tests of package
// connection: a Broker with the definitions and queues of one node in memory,
// and a Client that speaks raw frames.
//
// It keeps no promise about speed or durability. Deliveries, cancellations and
// confirms come from one goroutine, in the order in which they came about.
package conntest

import (
	"context"
	"log/slog"
	"net"
	"sync"
	"testing"
	"time"

	"github.com/warrenmq/warren/broker/auth"
	"github.com/warrenmq/warren/broker/connection"
	"github.com/warrenmq/warren/broker/queue"
	"github.com/warrenmq/warren/broker/routing"
	"github.com/warrenmq/warren/broker/topology"
)

// Broker is what a listener works with.
type Broker struct {
	*auth.Checker
	Routes *routing.Table

	// OnPublish and OnApply come first, when set: their error is the answer.
	OnPublish func(ctx context.Context, m *queue.Message) error
	OnApply   func(ctx context.Context, c topology.Command) error
	// OnSettled, when set, is what a channel waits for that waits for its answers.
	OnSettled func(ctx context.Context) error
	// Tags of user guest, and the topic permission that it has everywhere.
	Tags  []string
	Topic *auth.TopicPermission
	// Permission of user guest, until Allow; by default everything is allowed.
	Permission auth.Permission
	access     sync.Mutex // guards Permission once the broker runs

	mu       sync.Mutex
	topology *topology.Topology
	behind   *topology.Topology // what View shows of it, since Lag; nil: all
	unrouted []topology.Change  // since Lag
	lazy     bool               // unused queues stay until they are deleted
	queues   map[queue.ID]*mailbox
	events   []func()
	wake     chan struct{}
	hold     bool // confirms wait for Release
	refuse   error
	held     []connection.Receipt
}

// New returns a running broker with user guest, password guest, and vhost /.
func New(tb testing.TB) *Broker {
	b := &Broker{
		Routes:     routing.NewTable(routing.Config{}),
		Permission: auth.Permission{User: "guest", VHost: "/", Configure: ".*", Write: ".*", Read: ".*"},
		topology:   topology.New(),
		queues:     make(map[queue.ID]*mailbox),
		wake:       make(chan struct{}, 1),
	}
	hash := auth.HashPassword("guest", [4]byte{})
	b.Checker = auth.New(auth.Config{
		User: func(name string) (auth.User, bool) {
			return auth.User{Name: "guest", PasswordHash: hash, Tags: b.Tags}, name == "guest"
		},
		Permission: func(user, vhost string) (auth.Permission, bool) {
			b.access.Lock()
			defer b.access.Unlock()
			return b.Permission, user == "guest" && vhost == "/"
		},
		TopicPermission: func(string, string, string) (p auth.TopicPermission, ok bool) {
			if b.Topic == nil {
				return p, false
			}
			return *b.Topic, true
		},
		VHost: func(name string) bool { return name == "/" },
	})
	b.Routes.Apply(b.topology.Contents())
	ctx, cancel := context.WithCancel(context.Background())
	var running sync.WaitGroup
	running.Go(func() { b.run(ctx) })
	tb.Cleanup(func() {
		cancel()
		running.Wait()
	})
	return b
}

// Allow changes what user guest may do.
func (b *Broker) Allow(configure, write, read string) {
	b.access.Lock()
	defer b.access.Unlock()
	b.Permission.Configure, b.Permission.Write, b.Permission.Read = configure, write, read
}

// Config is a listener's configuration with b behind it.
func (b *Broker) Config() connection.Config {
	return connection.Config{
		Publisher: b, Definitions: b, Queues: b, Authenticator: b, Routes: b.Routes,
		Logger: slog.New(slog.DiscardHandler),
	}
}

// Serve runs a listener on loopback and returns its address.
func Serve(tb testing.TB, cfg connection.Config) string {
	tb.Helper()
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		tb.Fatal(err)
	}
	_, stop := Run(tb, ln, cfg)
	tb.Cleanup(stop)
	return ln.Addr().String()
}

// endTime is how long a listener may take to end: a test fails then, and the others go on.
const endTime = time.Minute

// Run runs a listener until stop, which may be called again.
func Run(tb testing.TB, ln net.Listener, cfg connection.Config) (l *connection.Listener, stop func()) {
	tb.Helper()
	l, err := connection.NewListener(ln, cfg)
	if err != nil {
		tb.Fatal(err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	ended := make(chan error, 1)
	go func() { ended <- l.Run(ctx) }()
	return l, sync.OnceFunc(func() {
		cancel()
		select {
		case err := <-ended:
			if err != nil {
				tb.Errorf("listener: %v", err)
			}
		case <-time.After(endTime):
			tb.Errorf("the listener has not ended after %v", endTime)
		}
	})
}

func (b *Broker) run(ctx context.Context) {
	for {
		b.mu.Lock()
		events := b.events
		b.events = nil
		b.mu.Unlock()
		for _, event := range events {
			event()
		}
		if len(events) > 0 {
			continue
		}
		select {
		case <-ctx.Done():
			return
		case <-b.wake:
		}
	}
}

// later runs f after all that was given before. The mutex is held.
func (b *Broker) later(f func()) {
	b.events = append(b.events, f)
	select {
	case b.wake <- struct{}{}:
	default:
	}
}

// View shows the definitions.
func (b *Broker) View(f func(*topology.Topology)) {
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.behind != nil {
		f(b.behind)
		return
	}
	f(b.topology)
}

// Lag lets View and Routes show what there is now until somebody calls Current.
func (b *Broker) Lag(tb testing.TB) {
	b.mu.Lock()
	defer b.mu.Unlock()
	var err error
	if b.behind, err = topology.RestoreTopology(b.topology.AppendSnapshot(nil)); err != nil {
		tb.Fatal(err)
	}
}

// Current ends what Lag began.
func (b *Broker) Current(context.Context) error {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.behind = nil
	b.Routes.Apply(b.unrouted)
	b.unrouted = nil
	return nil
}

// KeepUnused leaves it to Delete to delete auto-delete queues.
func (b *Broker) KeepUnused() {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.lazy = true
}

// Apply changes the definitions.
func (b *Broker) Apply(ctx context.Context, c topology.Command) (topology.Result, error) {
	if b.OnApply != nil {
		if err := b.OnApply(ctx, c); err != nil {
			return topology.Result{}, err
		}
	}
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.apply(c)
}

func (b *Broker) apply(c topology.Command) (topology.Result, error) {
	result, err := b.topology.Apply(c)
	if err != nil {
		return result, err
	}
	if b.behind != nil {
		b.unrouted = append(b.unrouted, result.Changes...)
	} else {
		b.Routes.Apply(result.Changes)
	}
	for _, change := range result.Changes {
		switch change.Kind {
		case topology.QueueAdded:
			b.queues[change.Queue.ID] = &mailbox{b: b, def: change.Queue, next: 1}
		case topology.QueueRemoved:
			b.queues[change.Queue.ID].removed()
			delete(b.queues, change.Queue.ID)
		}
	}
	return result, nil
}

// Publish puts m into the queues and confirms it.
func (b *Broker) Publish(ctx context.Context, to []queue.ID, m *queue.Message, r connection.Receipt) error {
	if b.OnPublish != nil {
		if err := b.OnPublish(ctx, m); err != nil {
			return err
		}
	}
	kept := *m
	kept.Properties = append([]byte(nil), m.Properties...)
	kept.Body = append([]byte(nil), m.Body...)
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.refuse == nil {
		for _, id := range to {
			if q := b.queues[id]; q != nil {
				q.add(kept)
			}
		}
	}
	switch {
	case r.Confirms == nil:
	case b.hold:
		b.held = append(b.held, r)
	default:
		b.confirm(r, b.refuse)
	}
	return nil
}

func (b *Broker) confirm(r connection.Receipt, err error) {
	b.later(func() { r.Confirms.Confirmed([]uint64{r.Tag}, err) })
}

// HoldConfirms keeps confirms back until they are released.
func (b *Broker) HoldConfirms() {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.hold = true
}

// ReleaseConfirms confirms the publishes with these tags, with an error as refused.
func (b *Broker) ReleaseConfirms(err error, tags ...uint64) {
	b.mu.Lock()
	defer b.mu.Unlock()
	for _, tag := range tags {
		for _, r := range b.held {
			if r.Tag == tag {
				b.confirm(r, err)
			}
		}
	}
}

// Refuse lets all publishes be refused with err, nil for none.
func (b *Broker) Refuse(err error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.refuse = err
}
