package membership

import (
	"bytes"
	"context"
	"fmt"
	"log/slog"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/warrenmq/warren/cluster/membership/memnet"
)

var (
	testKey  = bytes.Repeat([]byte{7}, 32)
	otherKey = bytes.Repeat([]byte{8}, 32)
)

const (
	clusterX = "0123456789abcdef0123456789abcdef"
	clusterY = "fedcba9876543210fedcba9876543210"
)

// incarnation makes one from a digit.
func incarnation(digit byte) string { return strings.Repeat(string(digit), 16) }

func id(name string, digit byte) string { return name + "@" + incarnation(digit) }

// node is a member under test.
type node struct {
	*Membership
	t         testing.TB
	transport *memnet.Transport
	stop      func() // leaves in peace; waits for Run
	log       *lines

	mu      sync.Mutex
	events  []string
	cluster string
}

// lines collects the log at info and above.
type lines struct {
	mu  sync.Mutex
	buf bytes.Buffer
}

func (l *lines) Write(b []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.buf.Write(b)
}

// count says how many lines have all of these parts.
func (l *lines) count(parts ...string) int {
	l.mu.Lock()
	defer l.mu.Unlock()
	n := 0
	for line := range strings.Lines(l.buf.String()) {
		if !slices.ContainsFunc(parts, func(p string) bool { return !strings.Contains(line, p) }) {
			n++
		}
	}
	return n
}

func (l *lines) String() string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.buf.String()
}

// start runs a node at host on net until the test ends.
func start(t testing.TB, net *memnet.Network, host, name string, digit byte, change func(*Config)) *node {
	t.Helper()
	addr := host + ":7946"
	transport, err := net.Listen(addr)
	if err != nil {
		t.Fatal(err)
	}
	n := &node{t: t, transport: transport, log: &lines{}}
	cfg := Config{
		Name:        name,
		Incarnation: incarnation(digit),
		Epoch:       1,
		ClusterID:   n.clusterID,
		BindAddr:    addr,
		PeerAddr:    "0.0.0.0:7947",
		AMQPAddr:    host + ":5672",
		Zone:        "zone-" + name,
		Version:     "0.1.0",
		Seeds:       []string{"10.0.0.1:7946", "10.0.0.2:7946"},
		Key:         testKey,
		Transport:   transport,
		Logger:      slog.New(slog.NewTextHandler(n.log, nil)),
	}
	if change != nil {
		change(&cfg)
	}
	if cfg.ClusterID != nil {
		n.cluster = cfg.ClusterID()
		cfg.ClusterID = n.clusterID
	}
	n.Membership, err = New(cfg)
	if err != nil {
		t.Fatal(err)
	}
	n.Watch(func(e Event) {
		n.mu.Lock()
		defer n.mu.Unlock()
		n.events = append(n.events, fmt.Sprintf("%s %s#%d", e.Kind, e.Member.ID, e.Member.Epoch))
	})
	n.stop = run(t, n.Membership)
	return n
}

// run runs a membership until the returned function is called, or the test ends.
func run(t testing.TB, m *Membership) (stop func()) {
	ctx, cancel := context.WithCancel(context.Background())
	ended := make(chan struct{})
	go func() {
		defer close(ended)
		if err := m.Run(ctx); err != nil {
			t.Errorf("Run: %v", err)
		}
	}()
	stop = sync.OnceFunc(func() {
		cancel()
		<-ended
	})
	t.Cleanup(stop)
	return stop
}

func (n *node) clusterID() string {
	n.mu.Lock()
	defer n.mu.Unlock()
	return n.cluster
}

// found gives the node a cluster.
func (n *node) found(cluster string) {
	n.mu.Lock()
	n.cluster = cluster
	n.mu.Unlock()
	n.UpdateClusterID()
}

// kill ends the node without a word.
func (n *node) kill() {
	n.transport.Crash()
	n.stop()
}

// alive lists the living members, itself too.
func (n *node) alive() []string {
	var ids []string
	for _, m := range n.Members() {
		if m.Alive {
			ids = append(ids, m.ID)
		}
	}
	return ids
}

func (n *node) heard() []string {
	n.mu.Lock()
	defer n.mu.Unlock()
	return slices.Clone(n.events)
}

// within waits for a state, in the bubble's time, and returns how long it took.
func within(t testing.TB, limit time.Duration, what string, holds func() bool) time.Duration {
	t.Helper()
	from := time.Now()
	for {
		synctest.Wait()
		if holds() {
			return time.Since(from)
		}
		if time.Since(from) > limit {
			t.Fatalf("not within %v: %s", limit, what)
		}
		time.Sleep(50 * time.Millisecond)
	}
}

// sees waits until every one of nodes has just these living members.
func sees(t testing.TB, limit time.Duration, nodes []*node, want ...string) time.Duration {
	t.Helper()
	return within(t, limit, fmt.Sprintf("living members %v", want), func() bool {
		for _, n := range nodes {
			if !slices.Equal(n.alive(), want) {
				return false
			}
		}
		return true
	})
}

// trio starts three nodes that know each other.
func trio(t testing.TB, net *memnet.Network) (a, b, c *node) {
	t.Helper()
	a = start(t, net, "10.0.0.1", "alpha", 'a', nil)
	b = start(t, net, "10.0.0.2", "beta", 'b', nil)
	c = start(t, net, "10.0.0.3", "gamma", 'c', nil)
	took := sees(t, 6*time.Second, []*node{a, b, c}, id("alpha", 'a'), id("beta", 'b'), id("gamma", 'c'))
	t.Logf("joined after %v", took)
	return a, b, c
}

// bubble runs a test in virtual time on a LAN-like network.
func bubble(t *testing.T, test func(t *testing.T, net *memnet.Network)) {
	t.Helper()
	synctest.Test(t, func(t *testing.T) {
		// memberlist's probes and streams outlive it by their timeouts, and a
		// bubble's clock stops with its test.
		t.Cleanup(func() { time.Sleep(2 * streamTimeout) })
		net := memnet.New(1)
		net.SetDelay(200*time.Microsecond, time.Millisecond)
		test(t, net)
	})
}
