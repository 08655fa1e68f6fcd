package meta

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"math/rand/v2"
	"net"
	"os"
	"slices"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/hashicorp/raft"
	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/credentials/insecure"
	"google.golang.org/grpc/status"
	"google.golang.org/grpc/test/bufconn"

	"github.com/warrenmq/warren/broker/topology"
	pb "github.com/warrenmq/warren/proto"
)

// simCluster is a cluster in one synctest bubble: real Raft on its in-memory
// transport, real gRPC on bufconn, links that can be cut, disks that survive.
type simCluster struct {
	t   testing.TB
	log *slog.Logger

	mu       sync.Mutex
	nodes    map[string]*simNode // by ServerID
	cut      map[[2]string]bool
	clusters map[string]bool // every cluster id that any node ever wrote
	latency  time.Duration   // most of each way of a call, and of a write of the ledger
}

type simNode struct {
	c     *simCluster
	cfg   Config
	disk  *simDisk
	epoch uint64

	mu        sync.Mutex
	meta      *Meta
	transport *raft.InmemTransport
	server    *grpc.Server
	listener  *bufconn.Listener
	conns     map[string]*grpc.ClientConn
	cancel    context.CancelFunc
	ended     chan error
	seen      uint64 // the process that the others saw to end
}

// sawEnd has the others see that the present process ends.
func (n *simNode) sawEnd() {
	n.mu.Lock()
	defer n.mu.Unlock()
	n.seen = n.epoch
}

// simDisk keeps what a node wrote until the instant of its crash.
type simDisk struct {
	*raft.InmemStore
	snapshots raft.SnapshotStore
	written   func(key, value []byte)
	delay     func()

	mu      sync.Mutex
	crashed bool
	hang    chan struct{} // while not nil, writes wait for it
}

var errCrashed = errors.New("the disk is gone")

func (d *simDisk) write(do func() error) error {
	d.mu.Lock()
	hang := d.hang
	d.mu.Unlock()
	if hang != nil {
		<-hang
	}
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.crashed {
		return errCrashed
	}
	return do()
}

func (d *simDisk) StoreLog(e *raft.Log) error { return d.StoreLogs([]*raft.Log{e}) }
func (d *simDisk) StoreLogs(es []*raft.Log) error {
	return d.write(func() error { return d.InmemStore.StoreLogs(es) })
}
func (d *simDisk) DeleteRange(first, last uint64) error {
	return d.write(func() error { return d.InmemStore.DeleteRange(first, last) })
}

// Set never fails: Raft panics when a term or a vote does. In a crash, such a write
// was just in time.
func (d *simDisk) Set(key, value []byte) error {
	d.delay()
	d.written(key, value)
	return d.InmemStore.Set(key, value)
}

func (d *simDisk) setCrashed(crashed bool) {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.crashed = crashed
}

// simSnapshots shows a snapshot when it is whole, which raft.InmemSnapshotStore
// does not wait for.
type simSnapshots struct {
	mu   sync.Mutex
	last *simSnapshot
}

type simSnapshot struct {
	bytes.Buffer
	store *simSnapshots
	meta  raft.SnapshotMeta
}

func (s *simSnapshots) Create(version raft.SnapshotVersion, index, term uint64, conf raft.Configuration, confIndex uint64, _ raft.Transport) (raft.SnapshotSink, error) {
	return &simSnapshot{store: s, meta: raft.SnapshotMeta{Version: version, ID: fmt.Sprintf("%d-%d", term, index),
		Index: index, Term: term, Configuration: conf, ConfigurationIndex: confIndex}}, nil
}

func (s *simSnapshots) List() ([]*raft.SnapshotMeta, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.last == nil {
		return nil, nil
	}
	meta := s.last.meta
	return []*raft.SnapshotMeta{&meta}, nil
}

func (s *simSnapshots) Open(id string) (*raft.SnapshotMeta, io.ReadCloser, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.last == nil || s.last.meta.ID != id {
		return nil, nil, errCrashed
	}
	meta := s.last.meta
	return &meta, io.NopCloser(bytes.NewReader(s.last.Bytes())), nil
}

func (s *simSnapshot) ID() string    { return s.meta.ID }
func (s *simSnapshot) Cancel() error { return nil }
func (s *simSnapshot) Close() error {
	s.store.mu.Lock()
	defer s.store.mu.Unlock()
	s.meta.Size = int64(s.Len())
	s.store.last = s
	return nil
}

func newSimCluster(t testing.TB) *simCluster {
	level := slog.Level(100)
	if os.Getenv("WARREN_TEST_LOG") != "" {
		level = slog.LevelDebug
	}
	return &simCluster{
		t: t, log: slog.New(slog.NewTextHandler(os.Stderr, &slog.HandlerOptions{Level: level})),
		nodes: make(map[string]*simNode), cut: make(map[[2]string]bool), clusters: make(map[string]bool),
	}
}

// add makes a node with an empty disk; it does not run yet.
func (c *simCluster) add(name string, change func(*Config)) *simNode {
	n := &simNode{c: c, disk: &simDisk{InmemStore: raft.NewInmemStore(), snapshots: &simSnapshots{}}}
	n.disk.delay = c.delay
	n.disk.written = func(key, value []byte) {
		var l pb.MetaLedger
		if string(key) == ledgerKey && decode(value, &l) == nil && l.GetClusterId() != "" {
			c.mu.Lock()
			defer c.mu.Unlock()
			c.clusters[l.GetClusterId()] = true
		}
	}
	n.cfg = Config{Self: Node{ID: fmt.Sprintf("%s@%016x", name, len(c.nodes)+1), Name: name, Zone: "z"}, Expect: 3, Logger: c.log.With("node", name)}
	if change != nil {
		change(&n.cfg)
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	c.nodes[n.cfg.Self.ID] = n
	return n
}

func (c *simCluster) addAll(change func(*Config), names ...string) (nodes []*simNode) {
	for _, name := range names {
		n := c.add(name, change)
		n.start()
		nodes = append(nodes, n)
	}
	return nodes
}

func (n *simNode) id() string { return n.cfg.Self.ID }

func (n *simNode) start() {
	n.mu.Lock()
	defer n.mu.Unlock()
	n.epoch++
	n.disk.setCrashed(false)
	_, n.transport = raft.NewInmemTransport(raft.ServerAddress(n.id()))
	n.conns = make(map[string]*grpc.ClientConn)
	n.listener = bufconn.Listen(1 << 16)
	n.server = grpc.NewServer()
	cfg := n.cfg
	cfg.Self.Epoch = n.epoch
	if cfg.Stores.Log == nil {
		cfg.Stores = Stores{Log: n.disk, Stable: n.disk, Snapshots: n.disk.snapshots}
	}
	cfg.Transport, cfg.Conns, cfg.Members = n.transport, n, n.members
	m, err := New(cfg)
	if err != nil {
		n.c.t.Fatal(err)
	}
	m.Register(n.server)
	n.watchAnswers(m)
	n.meta = m
	ctx, cancel := context.WithCancel(context.Background())
	n.cancel, n.ended = cancel, make(chan error, 1)
	go n.server.Serve(n.listener)
	go func() { n.ended <- m.Run(ctx) }()
	go n.c.connect()
}

// watchAnswers fails the test when the process applies a command twice.
func (n *simNode) watchAnswers(m *Meta) {
	type command struct {
		origin        string
		epoch, number uint64
	}
	applied := make(map[command]uint64)
	finish := m.fsm.finish
	m.fsm.finish = func(answers []answer) {
		for _, a := range answers {
			c := command{a.origin, a.epoch, a.number}
			if at, twice := applied[c]; twice {
				n.c.t.Errorf("%s applied %+v at %d and again at %d", n.id(), c, at, a.index)
			}
			applied[c] = a.index
		}
		finish(answers)
	}
}

// stop is a kill -9: nothing is written from this instant on.
func (n *simNode) stop() error {
	n.disk.setCrashed(true)
	n.mu.Lock()
	if n.meta == nil {
		n.mu.Unlock()
		return nil
	}
	n.meta = nil
	conns := n.conns
	n.conns = nil
	n.mu.Unlock()
	n.c.connect()
	n.cancel()
	n.server.Stop()
	for _, conn := range conns {
		conn.Close()
	}
	return <-n.ended
}

// process is the epoch of the process that runs, or ran last.
func (n *simNode) process() uint64 {
	n.mu.Lock()
	defer n.mu.Unlock()
	return n.epoch
}

// running is the node's Meta, or nil.
func (n *simNode) running() *Meta {
	n.mu.Lock()
	defer n.mu.Unlock()
	return n.meta
}

func (c *simCluster) stopAll() {
	for _, n := range c.list() {
		n.stop()
	}
}

func (c *simCluster) list() (nodes []*simNode) {
	c.mu.Lock()
	defer c.mu.Unlock()
	for _, n := range c.nodes {
		nodes = append(nodes, n)
	}
	slices.SortFunc(nodes, func(a, b *simNode) int { return byID(a.cfg.Self, b.cfg.Self) })
	return nodes
}

// reaches reports whether messages get from a to b.
func (c *simCluster) reaches(a, b *simNode) bool {
	c.mu.Lock()
	cut := c.cut[[2]string{a.id(), b.id()}]
	c.mu.Unlock()
	return !cut && a.running() != nil && b.running() != nil
}

func (c *simCluster) delay() {
	c.mu.Lock()
	most := c.latency
	c.mu.Unlock()
	if most > 0 {
		time.Sleep(rand.N(most))
	}
}

func (c *simCluster) setLatency(most time.Duration) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.latency = most
}

// isolate cuts the nodes off from all others; no nodes heals everything.
func (c *simCluster) isolate(side ...*simNode) {
	c.mu.Lock()
	clear(c.cut)
	for a, na := range c.nodes {
		for b, nb := range c.nodes {
			if slices.Contains(side, na) != slices.Contains(side, nb) {
				c.cut[[2]string{a, b}] = true
			}
		}
	}
	c.mu.Unlock()
	c.connect()
}

// cutRandomly cuts each link, in both directions, with the probability.
func (c *simCluster) cutRandomly(rng *rand.Rand, p float64) {
	nodes := c.list()
	c.mu.Lock()
	clear(c.cut)
	for i, a := range nodes {
		for _, b := range nodes[:i] {
			if rng.Float64() < p {
				c.cut[[2]string{a.id(), b.id()}] = true
				c.cut[[2]string{b.id(), a.id()}] = true
			}
		}
	}
	c.mu.Unlock()
	c.connect()
}

// connect makes the Raft transports follow the links.
func (c *simCluster) connect() {
	nodes := c.list()
	for _, a := range nodes {
		a.mu.Lock()
		from := a.transport
		a.mu.Unlock()
		for _, b := range nodes {
			b.mu.Lock()
			to := b.transport
			b.mu.Unlock()
			if a == b || from == nil || to == nil {
				continue
			}
			from.Disconnect(to.LocalAddr())
			if c.reaches(a, b) {
				from.Connect(to.LocalAddr(), to)
			}
		}
	}
}

func (n *simNode) members() (list []Member) {
	for _, other := range n.c.list() {
		alive := other == n || n.c.reaches(n, other) && n.c.reaches(other, n)
		other.mu.Lock()
		seen := other.seen
		other.mu.Unlock()
		epoch := other.process()
		list = append(list, Member{ID: other.id(), Name: other.cfg.Self.Name, Epoch: epoch, Alive: alive, Ended: epoch > 0 && epoch <= seen})
	}
	return list
}

// Conn implements Conns.
func (n *simNode) Conn(id string) (*grpc.ClientConn, error) {
	n.c.mu.Lock()
	to := n.c.nodes[id]
	n.c.mu.Unlock()
	n.mu.Lock()
	defer n.mu.Unlock()
	if n.conns == nil || to == nil {
		return nil, errCrashed
	}
	if conn := n.conns[id]; conn != nil {
		return conn, nil
	}
	conn, err := grpc.NewClient("passthrough:///"+id,
		grpc.WithTransportCredentials(insecure.NewCredentials()),
		grpc.WithContextDialer(func(ctx context.Context, _ string) (net.Conn, error) {
			to.mu.Lock()
			ln := to.listener
			to.mu.Unlock()
			if ln == nil || to.running() == nil {
				return nil, errCrashed
			}
			return ln.DialContext(ctx)
		}),
		grpc.WithUnaryInterceptor(func(ctx context.Context, method string, req, reply any, cc *grpc.ClientConn, invoke grpc.UnaryInvoker, opts ...grpc.CallOption) error {
			if !n.c.reaches(n, to) {
				return status.Error(codes.Unavailable, "cut before the request")
			}
			n.c.delay()
			err := invoke(ctx, method, req, reply, cc, opts...)
			n.c.delay()
			if !n.c.reaches(to, n) {
				return status.Error(codes.Unavailable, "cut before the answer")
			}
			return err
		}))
	if err == nil {
		n.conns[id] = conn
	}
	return conn, err
}

// simulate runs a test in virtual time and stops what it started.
func simulate(t *testing.T, f func(t *testing.T, c *simCluster)) {
	synctest.Test(t, func(t *testing.T) {
		c := newSimCluster(t)
		defer c.stopAll()
		f(t, c)
	})
}

// eventually waits, in virtual time, until the condition holds.
func eventually(t testing.TB, within time.Duration, what string, holds func() bool) {
	t.Helper()
	for deadline := time.Now().Add(within); !holds(); time.Sleep(20 * time.Millisecond) {
		if time.Now().After(deadline) {
			t.Fatalf("after %v: not yet: %s", within, what)
		}
	}
}

func isReady(m *Meta) bool {
	if m == nil {
		return false
	}
	select {
	case <-m.Ready():
		return true
	default:
		return false
	}
}

func (c *simCluster) awaitReady(within time.Duration) {
	c.t.Helper()
	eventually(c.t, within, "all nodes ready", func() bool {
		return !slices.ContainsFunc(c.list(), func(n *simNode) bool { return !isReady(n.running()) })
	})
}

// awaitVoters waits until the group has so many voters.
func (c *simCluster) awaitVoters(count int) {
	c.t.Helper()
	eventually(c.t, 60*time.Second, fmt.Sprintf("%d voters", count), func() bool {
		l := c.leader()
		return l != nil && len(l.running().Status().Voters) == count
	})
}

func (c *simCluster) leader() *simNode {
	for _, n := range c.list() {
		if m := n.running(); m != nil && m.Status().State == "Leader" {
			return n
		}
	}
	return nil
}

func (c *simCluster) follower() *simNode {
	for _, n := range c.list() {
		if m := n.running(); m != nil && m.Status().State == "Follower" {
			return n
		}
	}
	return nil
}

func declare(name string) topology.Command {
	return topology.DeclareQueue{Queue: topology.Queue{VHost: "/", Name: name, Durable: true, Group: 1}}
}

func (n *simNode) has(name string) (ok bool) {
	m := n.running()
	if m == nil {
		return false
	}
	m.View(func(t *topology.Topology) { ok = t.Queue("/", name) != nil })
	return ok
}
