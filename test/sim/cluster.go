package sim

import (
	"fmt"
	"log/slog"
	"math"
	"math/rand/v2"
	"slices"
	"sync"
	"testing"
	"time"

	"github.com/warrenmq/warren/cluster/group"
	"github.com/warrenmq/warren/cluster/log/memfs"
	"github.com/warrenmq/warren/cluster/membership/memnet"
	"github.com/warrenmq/warren/cluster/peer/memconn"
)

const (
	amqpPort   = ":5672"
	gossipPort = ":7946"
	peerPort   = ":7947"

	linkLatency = 300 * time.Microsecond
	syncTime    = time.Millisecond

	// segmentBytes is small, so that a schedule fills several segments.
	segmentBytes = 256 << 10
)

// Cluster is a few machines and the networks between them.
type Cluster struct {
	Machines []*Machine // they form the cluster, and clients know of them
	spares   []*Machine // that came later

	tb      testing.TB
	rng     *rand.Rand
	network *memconn.Network
	gossip  *memnet.Network
	log     *record
	logger  *slog.Logger
	running sync.WaitGroup // processes that have been started
	limits  group.SnapshotLimits

	mu       sync.Mutex
	cuts     map[[2]int]int // from, to: how many faults cut it
	failures []string
}

// wholeLogs are many snapshots, and logs of which nothing goes: they are read at the
// end. shortLogs keep hardly more than what is live: who lags is sent a snapshot.
var (
	wholeLogs = group.SnapshotLimits{Bytes: 256 << 10, Entries: 512, Trailing: math.MaxInt64}
	shortLogs = group.SnapshotLimits{Bytes: 1 << 10, Entries: 8, Trailing: 256, TrailingHeld: 1 << 20}
)

// NewCluster makes machines with empty disks; none runs. It is called in a bubble.
func NewCluster(tb testing.TB, seed uint64, machines int) *Cluster {
	c := &Cluster{
		tb: tb, network: memconn.New(), gossip: memnet.New(seed), log: &record{began: time.Now()}, cuts: make(map[[2]int]int),
		limits: wholeLogs,
	}
	c.logger = slog.New(&nodeHandler{record: c.log, name: "sim"})
	c.gossip.SetDelay(linkLatency, linkLatency)
	c.rng = rand.New(rand.NewPCG(seed, 1))
	for i := range machines {
		c.Machines = append(c.Machines, c.machine(i))
	}
	for _, a := range c.Machines {
		c.delay(a, linkLatency)
	}
	return c
}

// machine makes the machine of a number, with an empty disk.
func (c *Cluster) machine(i int) *Machine {
	return &Machine{c: c, Name: fmt.Sprintf("n%d", i+1), host: fmt.Sprintf("127.0.0.%d", i+1), sync: syncTime, disk: c.disk()}
}

func (c *Cluster) disk() *disk {
	return &disk{files: memfs.New(c.rng.Uint64()), incarnation: fmt.Sprintf("%016x", c.rng.Uint64()), stores: make(map[string]*kept)}
}

// all are the machines, by number.
func (c *Cluster) all() []*Machine { return slices.Concat(c.Machines, c.spares) }

// Spare makes one machine more, whose node will join the cluster.
func (c *Cluster) Spare() *Machine {
	m := c.machine(len(c.Machines) + len(c.spares))
	m.joins = true
	c.spares = append(c.spares, m)
	c.delay(m, linkLatency)
	return m
}

// Start starts all machines.
func (c *Cluster) Start() {
	for _, m := range c.Machines {
		m.Start()
	}
}

// Close ends everything and lets what is left of the processes run out: a bubble
// ends with its last goroutine.
func (c *Cluster) Close() {
	for _, m := range c.all() {
		m.Kill()
		if m.dark {
			c.network.Return(m.host)
		}
	}
	c.network.HealAll()
	c.running.Wait()
	time.Sleep(30 * time.Second)
}

// delay makes everything from and to a machine take d.
func (c *Cluster) delay(m *Machine, d time.Duration) {
	for _, other := range c.Machines {
		c.network.Latency(m.host, other.host, d)
		c.network.Latency(other.host, m.host, d)
	}
}

// Cut holds back what one machine sends to another, until Mend as often.
func (c *Cluster) Cut(from, to int) {
	c.mu.Lock()
	defer c.mu.Unlock()
	all := c.all()
	c.cuts[[2]int{from, to}]++
	c.network.Cut(all[from].host, all[to].host)
	c.gossip.Cut(all[from].host, all[to].host)
}

// Mend takes a Cut back.
func (c *Cluster) Mend(from, to int) {
	c.mu.Lock()
	defer c.mu.Unlock()
	all := c.all()
	if c.cuts[[2]int{from, to}]--; c.cuts[[2]int{from, to}] > 0 {
		return
	}
	c.network.Heal(all[from].host, all[to].host)
	c.gossip.Heal()
	for link, n := range c.cuts {
		if n > 0 {
			c.gossip.Cut(all[link[0]].host, all[link[1]].host)
		}
	}
}

// Isolate cuts a machine off from all others, in both directions.
func (c *Cluster) Isolate(i int) (mend func()) {
	c.logger.Info("-- isolated", "node", c.Machines[i].Name)
	for j := range c.all() {
		if j != i {
			c.Cut(i, j)
			c.Cut(j, i)
		}
	}
	return func() {
		c.logger.Info("-- isolated no more", "node", c.Machines[i].Name)
		for j := range c.all() {
			if j != i {
				c.Mend(i, j)
				c.Mend(j, i)
			}
		}
	}
}

// failure notes what must not be.
func (c *Cluster) failure(format string, args ...any) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if len(c.failures) < 20 {
		c.failures = append(c.failures, fmt.Sprintf(format, args...))
	}
	c.logger.Error("!! " + fmt.Sprintf(format, args...))
}

// Failed returns what was noted by failure.
func (c *Cluster) Failed() []string {
	c.mu.Lock()
	defer c.mu.Unlock()
	return append([]string(nil), c.failures...)
}

// Await waits in virtual time until holds; within is what it may take.
func (c *Cluster) Await(within time.Duration, what string, holds func() bool) bool {
	for deadline := time.Now().Add(within); !holds(); time.Sleep(50 * time.Millisecond) {
		if time.Now().After(deadline) {
			c.failure("after %v not yet: %s", within, what)
			return false
		}
	}
	return true
}

// AwaitReady waits until every node serves.
func (c *Cluster) AwaitReady(within time.Duration) bool {
	return c.Await(within, "all nodes serve", func() bool {
		for _, m := range c.Machines {
			if m.Node() == nil {
				return false
			}
		}
		return true
	})
}
