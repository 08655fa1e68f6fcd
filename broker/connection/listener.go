package connection

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"net"
	"sync"
	"sync/atomic"
	"time"

	"github.com/warrenmq/warren/broker/topology"
)

// Listener accepts AMQP clients.
type Listener struct {
	ln  net.Listener
	cfg Config

	handshakes atomic.Int64 // sockets whose client is not logged in
	open       atomic.Int64 // connections
	orphans    chan string  // connections that ended while their queues could not be deleted

	mu           sync.Mutex
	conns        map[string]*conn // open ones by name
	channels     map[string]int   // open ones by user
	channelCount int              // of all users
}

// NewListener makes a listener of ln, which it takes over.
func NewListener(ln net.Listener, cfg Config) (*Listener, error) {
	if err := cfg.Validate(); err != nil {
		return nil, fmt.Errorf("amqp listener: %w", err)
	}
	return &Listener{ln: ln, cfg: cfg.withDefaults(), orphans: make(chan string, orphansMax), conns: make(map[string]*conn), channels: make(map[string]int)}, nil
}

// Addr is where clients connect.
func (l *Listener) Addr() net.Addr { return l.ln.Addr() }

// Open counts the open connections.
func (l *Listener) Open() int { return int(l.open.Load()) }

const (
	acceptPauseMin = 5 * time.Millisecond
	acceptPauseMax = time.Second
	orphansMax     = 10_000      // connections whose exclusive queues wait to be deleted
	orphansRetry   = time.Second // between attempts
)

// Run serves until ctx ends; then it tells the clients so and waits for them,
// for ShutdownTimeout at most.
func (l *Listener) Run(ctx context.Context) error {
	var conns, keeper sync.WaitGroup
	keeping, stopKeeping := context.WithCancel(context.WithoutCancel(ctx))
	keeper.Go(func() { l.bury(keeping) })
	defer keeper.Wait()
	defer stopKeeping()
	defer conns.Wait()
	ctx, cancel := context.WithCancelCause(ctx)
	defer cancel(nil) // runs before Wait: connections are told first, then awaited
	var doors sync.WaitGroup
	for _, d := range []door{{l.ln, nil}, {l.cfg.TLSListen, l.cfg.TLS}} {
		if d.ln == nil {
			continue
		}
		stop := context.AfterFunc(ctx, func() { d.ln.Close() })
		defer stop()
		doors.Go(func() { cancel(l.accept(ctx, d, &conns)) })
	}
	doors.Wait()
	if err := context.Cause(ctx); !errors.Is(err, context.Canceled) {
		return err
	}
	return nil
}

// door is where clients come in.
type door struct {
	ln  net.Listener
	tls *tls.Config // nil: plain
}

// accept lets clients in at d until ctx ends, or the door is broken.
func (l *Listener) accept(ctx context.Context, d door, conns *sync.WaitGroup) error {
	pause := acceptPauseMin
	for {
		nc, err := d.ln.Accept()
		switch {
		case ctx.Err() != nil:
			if err == nil {
				nc.Close()
			}
			return nil
		case errors.Is(err, net.ErrClosed):
			return fmt.Errorf("accept on %s: %w", d.ln.Addr(), err)
		case err != nil: // out of descriptors, or a client that is gone already
			l.cfg.Logger.Warn("cannot accept a connection", "address", d.ln.Addr(), "error", err, "pause", pause)
			wait(ctx, pause)
			pause = min(2*pause, acceptPauseMax)
			continue
		}
		pause = acceptPauseMin
		if l.handshakes.Add(1) > int64(l.cfg.MaxHandshakes) {
			l.handshakes.Add(-1)
			nc.Close()
			l.cfg.Logger.Warn("too many clients that are not logged in", "peer", nc.RemoteAddr())
			continue
		}
		if d.tls != nil {
			nc = tls.Server(nc, d.tls)
		}
		conns.Go(func() { newConn(l, nc).serve(ctx) })
	}
}

// wait sleeps for d, or until ctx ends.
func wait(ctx context.Context, d time.Duration) {
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-ctx.Done():
	case <-timer.C:
	}
}

// dropOwned deletes the exclusive queues of a connection that has ended.
func (l *Listener) dropOwned(owner string) error {
	ctx, cancel := context.WithTimeout(context.Background(), l.cfg.CallTimeout)
	defer cancel()
	_, err := l.cfg.Definitions.Apply(ctx, topology.DeleteOwned{Owner: owner})
	return err
}

// bury deletes the queues of connections that ended while the definitions could
// not be changed, until ctx ends: what is left then goes with the node.
func (l *Listener) bury(ctx context.Context) {
	for {
		select {
		case <-ctx.Done():
			return
		case owner := <-l.orphans:
			for l.dropOwned(owner) != nil && ctx.Err() == nil {
				wait(ctx, orphansRetry)
			}
		}
	}
}
