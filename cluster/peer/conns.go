package peer

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"sync"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/backoff"
	"google.golang.org/grpc/keepalive"
	"google.golang.org/grpc/status"
)

// ErrClosed is returned for what is asked of connections after their end.
var ErrClosed = errors.New("connections to peers are closed")

// Resolver knows where nodes are; it is asked at every dial.
type Resolver interface {
	Address(serverID string) (hostPort string, ok bool)
}

// ConnsConfig is what Conns need. Fields without a default are required.
type ConnsConfig struct {
	Identity Identity
	Resolver Resolver
	// TLS gives the client side's configuration for a peer, which must check that
	// the peer is the one meant; default plain text, for loopback alone.
	TLS func(serverID string) *tls.Config
	// Dial opens a stream connection; default TCP.
	Dial   func(ctx context.Context, hostPort string) (net.Conn, error)
	Logger *slog.Logger // default slog.Default()
}

// Validate reports what is missing.
func (c *ConnsConfig) Validate() error {
	switch {
	case c.Identity.ServerID == "" || c.Identity.ClusterID == nil:
		return errors.New("peer: connections need an identity")
	case c.Resolver == nil:
		return errors.New("peer: connections need a resolver")
	}
	return nil
}

// Conns holds one connection to each peer, and keeps it: a broken one is dialled
// again at once, then after 50 ms to 1 s.
type Conns struct {
	cfg     ConnsConfig
	notices *notices

	mu     sync.Mutex
	peers  map[string]*conn
	alarms uint32          // what this node is short of
	run    context.Context // nil before Run
	loops  sync.WaitGroup
	closed bool

	watchers struct {
		sync.Mutex
		up   []func(serverID string, up bool)
		dead []func(serverID string)
	}
}

// NewConns makes the connections of a node; nothing is dialled before the first
// Conn, and links are held only while Run runs.
func NewConns(cfg ConnsConfig) (*Conns, error) {
	if err := cfg.Validate(); err != nil {
		return nil, err
	}
	if cfg.Logger == nil {
		cfg.Logger = slog.Default()
	}
	if cfg.Dial == nil {
		dialer := &net.Dialer{Timeout: connectTimeout}
		cfg.Dial = func(ctx context.Context, addr string) (net.Conn, error) {
			return dialer.DialContext(ctx, "tcp", addr)
		}
	}
	return &Conns{cfg: cfg, notices: newNotices(cfg.Logger), peers: make(map[string]*conn)}, nil
}

// connectTimeout bounds one attempt: dialling, TLS and HTTP/2 together.
const connectTimeout = 3 * time.Second

// Run holds a link to every peer that Conn was ever asked for, until ctx ends;
// then it closes all connections.
func (cs *Conns) Run(ctx context.Context) error {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	cs.mu.Lock()
	if cs.closed || cs.run != nil {
		cs.mu.Unlock()
		return ErrClosed
	}
	cs.run = ctx
	for _, c := range cs.peers {
		cs.start(c)
	}
	cs.mu.Unlock()
	<-ctx.Done()
	cs.mu.Lock()
	cs.closed = true
	for _, c := range cs.peers {
		c.close()
	}
	cs.mu.Unlock()
	cs.loops.Wait()
	return nil
}

// start begins to hold the link to c; cs.mu is held and cs.run is set.
func (cs *Conns) start(c *conn) {
	ctx, cancel := context.WithCancel(cs.run)
	c.cancel = cancel
	cs.loops.Go(func() { c.hold(ctx) })
}

// Conn returns the connection to a peer, which may be down: calls on it fail
// fast unless they say WaitForReady.
func (cs *Conns) Conn(serverID string) (*grpc.ClientConn, error) {
	c, err := cs.conn(serverID)
	if err != nil {
		return nil, err
	}
	return c.grpc, nil
}

func (cs *Conns) conn(serverID string) (*conn, error) {
	cs.mu.Lock()
	defer cs.mu.Unlock()
	if c := cs.peers[serverID]; c != nil && !cs.closed {
		return c, nil
	}
	switch {
	case cs.closed:
		return nil, ErrClosed
	case serverID == "":
		return nil, errors.New("peer: a connection to nobody")
	}
	c := &conn{conns: cs, id: serverID}
	c.link = newLink()
	c.link.alarms = cs.alarms
	cc, err := grpc.NewClient("passthrough:///peer", cs.options(c)...)
	if err != nil {
		return nil, fmt.Errorf("connection to %s: %w", serverID, err)
	}
	c.grpc = cc
	cs.peers[serverID] = c
	if cs.run != nil {
		cs.start(c)
	}
	return c, nil
}

func (cs *Conns) options(c *conn) []grpc.DialOption {
	var config *tls.Config
	if cs.cfg.TLS != nil {
		config = cs.cfg.TLS(c.id)
	}
	return []grpc.DialOption{
		grpc.WithAuthority("warren"),
		grpc.WithContextDialer(c.dial),
		grpc.WithTransportCredentials(newClientCredentials(config, c.handshakeFailed)),
		grpc.WithConnectParams(grpc.ConnectParams{
			Backoff:           backoff.Config{BaseDelay: 50 * time.Millisecond, Multiplier: 1.6, Jitter: 0.2, MaxDelay: time.Second},
			MinConnectTimeout: connectTimeout,
		}),
		grpc.WithKeepaliveParams(keepalive.ClientParameters{Time: keepaliveTime, Timeout: keepaliveTimeout}),
		grpc.WithDefaultCallOptions(
			grpc.ForceCodecV2(Codec()),
			grpc.MaxCallRecvMsgSize(maxMessageBytes),
			grpc.MaxCallSendMsgSize(maxMessageBytes)),
		grpc.WithChainUnaryInterceptor(c.unary),
		grpc.WithChainStreamInterceptor(c.stream),
		grpc.WithStaticStreamWindowSize(streamWindow),
		grpc.WithStaticConnWindowSize(connWindow),
		grpc.WithReadBufferSize(ioBufferBytes),
		grpc.WithWriteBufferSize(ioBufferBytes),
		grpc.WithDisableServiceConfig(),
		grpc.WithDisableRetry(),
		grpc.WithIdleTimeout(0),
		grpc.WithNoProxy(),
	}
}

// Up says whether the link to a peer stands.
func (cs *Conns) Up(serverID string) bool {
	cs.mu.Lock()
	c := cs.peers[serverID]
	cs.mu.Unlock()
	return c != nil && c.link.isUp()
}

// Forget closes the connection to a node that is no member any more.
func (cs *Conns) Forget(serverID string) {
	cs.mu.Lock()
	defer cs.mu.Unlock()
	if c := cs.peers[serverID]; c != nil {
		delete(cs.peers, serverID)
		c.close()
	}
}

// TellAlarms lets all peers know what this node is short of, now and with all
// heartbeats that follow, which go once a second at least.
func (cs *Conns) TellAlarms(alarms uint32) {
	cs.mu.Lock()
	defer cs.mu.Unlock()
	cs.alarms = alarms
	for _, c := range cs.peers {
		c.link.tell(alarms)
	}
}

// Watch calls f whenever a link comes up or goes down; f must not block.
func (cs *Conns) Watch(f func(serverID string, up bool)) {
	cs.watchers.Lock()
	defer cs.watchers.Unlock()
	cs.watchers.up = append(cs.watchers.up, f)
}

// WatchDead calls f when a peer's process is known to be gone: its link broke
// and dialling it was refused. f must not block.
func (cs *Conns) WatchDead(f func(serverID string)) {
	cs.watchers.Lock()
	defer cs.watchers.Unlock()
	cs.watchers.dead = append(cs.watchers.dead, f)
}

func (cs *Conns) tellUp(serverID string, up bool) {
	cs.watchers.Lock()
	watchers := cs.watchers.up
	cs.watchers.Unlock()
	for _, f := range watchers {
		f(serverID, up)
	}
}

func (cs *Conns) tellDead(serverID string) {
	cs.watchers.Lock()
	watchers := cs.watchers.dead
	cs.watchers.Unlock()
	for _, f := range watchers {
		f(serverID)
	}
}

func (cs *Conns) noteRefusal(serverID string, err error) {
	if Refused(err) {
		cs.notices.warn("refused by node", serverID, status.Convert(err).Message())
	}
}
