package peer

import (
	"bytes"
	"context"
	"errors"
	"io"
	"log/slog"
	"net"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/hashicorp/raft"

	"github.com/warrenmq/warren/cluster/peer/memconn"
)

// addresses is a Resolver that knows all: a node listens where its name says.
type addresses struct{}

func (addresses) Address(serverID string) (string, bool) { return nodeName(serverID) + ":1", true }

// node is one process of a test.
type node struct {
	id         string
	identity   Identity
	server     *Server
	conns      *Conns
	transports *Transports
	log        *syncBuffer
	killed     atomic.Bool
	stop       func()
}

type syncBuffer struct {
	mu sync.Mutex
	b  bytes.Buffer
}

func (s *syncBuffer) Write(p []byte) (int, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.b.Write(p)
}

func (s *syncBuffer) count(text string) int {
	s.mu.Lock()
	defer s.mu.Unlock()
	return strings.Count(s.b.String(), text)
}

func (s *syncBuffer) String() string {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.b.String()
}

type nodeOption func(*Identity, *ServerConfig, *ConnsConfig, *TransportsConfig)

func inCluster(id string) nodeOption {
	return func(self *Identity, _ *ServerConfig, _ *ConnsConfig, _ *TransportsConfig) {
		self.ClusterID = func() string { return id }
	}
}

// startNode starts a node on net under the host of its name.
func startNode(t testing.TB, network *memconn.Network, serverID string, epoch uint64, options ...nodeOption) *node {
	t.Helper()
	host := nodeName(serverID)
	return startNodeOn(t, serverID, epoch,
		func() (net.Listener, error) { return network.Listen(host + ":1") },
		addresses{}, network.Dialer(host), options...)
}

func startNodeOn(t testing.TB, serverID string, epoch uint64, listen func() (net.Listener, error), resolver Resolver,
	dial func(context.Context, string) (net.Conn, error), options ...nodeOption) *node {
	t.Helper()
	n := &node{id: serverID, log: &syncBuffer{}}
	logger := slog.New(slog.NewTextHandler(n.log, &slog.HandlerOptions{Level: slog.LevelDebug}))
	n.identity = Identity{ServerID: serverID, Epoch: epoch, ClusterID: func() string { return "c1" }}
	sc := ServerConfig{Logger: logger}
	cc := ConnsConfig{Resolver: resolver, Dial: dial, Logger: logger}
	tc := TransportsConfig{Logger: logger}
	for _, o := range options {
		o(&n.identity, &sc, &cc, &tc)
	}
	sc.Identity, cc.Identity, tc.Identity = n.identity, n.identity, n.identity
	var err error
	if n.server, err = NewServer(sc); err != nil {
		t.Fatalf("NewServer: %v", err)
	}
	if n.conns, err = NewConns(cc); err != nil {
		t.Fatalf("NewConns: %v", err)
	}
	tc.Conns = n.conns
	if n.transports, err = NewTransports(tc, n.server); err != nil {
		t.Fatalf("NewTransports: %v", err)
	}
	l, err := listen()
	if err != nil {
		t.Fatalf("Listen: %v", err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	var running sync.WaitGroup
	running.Go(func() {
		if err := n.server.Run(ctx, l); err != nil && !n.killed.Load() {
			t.Errorf("%s: %v", serverID, err)
		}
	})
	running.Go(func() { n.conns.Run(ctx) })
	running.Go(func() { n.transports.Run(ctx) })
	n.stop = sync.OnceFunc(func() { cancel(); running.Wait() })
	t.Cleanup(n.stop)
	return n
}

// member is a node's replica of a group whose state machine counts its entries.
type member struct {
	*node
	transport *Transport
	raft      *raft.Raft
	store     *raft.InmemStore
	fsm       *counter
}

type counter struct {
	mu      sync.Mutex
	applied [][]byte
}

func (c *counter) Apply(l *raft.Log) any {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.applied = append(c.applied, l.Data)
	return len(c.applied)
}

func (c *counter) count() int {
	c.mu.Lock()
	defer c.mu.Unlock()
	return len(c.applied)
}

func (c *counter) Snapshot() (raft.FSMSnapshot, error) { return nil, errors.New("no snapshots here") }
func (c *counter) Restore(r io.ReadCloser) error       { return r.Close() }

func startMember(t testing.TB, n *node, group uint64, voters []string, store *raft.InmemStore) *member {
	t.Helper()
	m := &member{node: n, transport: n.transports.Transport(group), store: store, fsm: &counter{}}
	cfg := raft.DefaultConfig()
	cfg.LocalID = raft.ServerID(n.id)
	cfg.CommitTimeout = time.Second
	cfg.BatchApplyCh = true
	cfg.NoLegacyTelemetry = true
	cfg.Logger = RaftLogger(slog.New(slog.NewTextHandler(n.log, &slog.HandlerOptions{Level: slog.LevelDebug})))
	snapshots := raft.NewInmemSnapshotStore()
	if last, _ := store.LastIndex(); last == 0 {
		var servers []raft.Server
		for _, v := range voters {
			servers = append(servers, raft.Server{ID: raft.ServerID(v), Address: raft.ServerAddress(v)})
		}
		if err := raft.BootstrapCluster(cfg, store, store, snapshots, m.transport, raft.Configuration{Servers: servers}); err != nil {
			t.Fatalf("BootstrapCluster: %v", err)
		}
	}
	r, err := raft.NewRaft(cfg, m.fsm, store, store, snapshots, m.transport)
	if err != nil {
		t.Fatalf("NewRaft: %v", err)
	}
	m.raft = r
	m.transport.Attach(r)
	t.Cleanup(m.leave)
	return m
}

func (m *member) leave() {
	m.transport.Close()
	m.raft.Shutdown().Error()
}

// kill ends the member's process as kill -9 does.
func (m *member) kill(network *memconn.Network) {
	m.killed.Store(true)
	network.Kill(nodeName(m.id))
	m.leave()
	m.stop()
}

var voters = []string{"a@1", "b@1", "c@1"}

// cluster starts three nodes with one group.
func cluster(t testing.TB, network *memconn.Network, options ...nodeOption) []*member {
	var members []*member
	for _, v := range voters {
		members = append(members, startMember(t, startNode(t, network, v, 1, options...), 1, voters, raft.NewInmemStore()))
	}
	return members
}

// await polls in virtual time.
func await(t testing.TB, what string, limit time.Duration, ok func() bool) time.Duration {
	t.Helper()
	start := time.Now()
	for !ok() {
		if time.Since(start) > limit {
			t.Fatalf("%s: not after %v", what, limit)
		}
		time.Sleep(5 * time.Millisecond)
	}
	return time.Since(start)
}

func leaderOf(members []*member) *member {
	for _, m := range members {
		if m.raft.State() == raft.Leader {
			return m
		}
	}
	return nil
}

func awaitLeader(t testing.TB, members []*member) *member {
	t.Helper()
	await(t, "a leader", 10*time.Second, func() bool { return leaderOf(members) != nil })
	return leaderOf(members)
}

func without(members []*member, gone *member) []*member {
	var rest []*member
	for _, m := range members {
		if m != gone {
			rest = append(rest, m)
		}
	}
	return rest
}

// bubble runs f in virtual time.
func bubble(t *testing.T, f func(t *testing.T)) {
	t.Helper()
	synctest.Test(t, f)
}

// otherListener is for nodes that nobody calls.
func otherListener(network *memconn.Network) func() (net.Listener, error) {
	return func() (net.Listener, error) { return network.Listen("elsewhere:1") }
}
