// Package memnet is a network in memory for gossip: transports for memberlist,
// with partitions, delay, loss and silent deaths, for tests and simulations.
//
// It works inside a testing/synctest bubble, where all of its delays and timeouts
// are virtual, and outside of one. Faults are drawn from a seed. It knows nothing
// of what is said; hosts are IP addresses, and every rule holds between hosts.
package memnet

import (
	"fmt"
	"math/rand/v2"
	"net"
	"net/netip"
	"sync"
	"time"
)

// Network joins transports. It is safe for concurrent use.
type Network struct {
	mu         sync.Mutex
	rng        *rand.Rand
	transports map[netip.AddrPort]*Transport
	crashed    map[netip.AddrPort]bool // nothing answers there, not even a refusal
	sides      map[netip.Addr]int      // who is on which side of a partition
	cut        map[[2]netip.Addr]bool  // from, to
	delay      time.Duration
	jitter     time.Duration
	loss       float64
}

// New returns a network without faults.
func New(seed uint64) *Network {
	return &Network{
		rng:        rand.New(rand.NewPCG(seed, 0)),
		transports: make(map[netip.AddrPort]*Transport),
		crashed:    make(map[netip.AddrPort]bool),
		sides:      make(map[netip.Addr]int),
		cut:        make(map[[2]netip.Addr]bool),
	}
}

// Listen opens a transport at addr, an IP address and port that is not in use.
func (n *Network) Listen(addr string) (*Transport, error) {
	at, err := netip.ParseAddrPort(addr)
	if err != nil {
		return nil, fmt.Errorf("listen on %q: %w", addr, err)
	}
	n.mu.Lock()
	defer n.mu.Unlock()
	if n.transports[at] != nil {
		return nil, fmt.Errorf("listen on %s: address already in use", at)
	}
	t := newTransport(n, at)
	n.transports[at] = t
	delete(n.crashed, at)
	return t, nil
}

// SetDelay makes every packet and every piece of a stream take between base and
// base+jitter. Packets may overtake each other then, pieces of a stream do not.
func (n *Network) SetDelay(base, jitter time.Duration) {
	n.mu.Lock()
	defer n.mu.Unlock()
	n.delay, n.jitter = base, jitter
}

// SetLoss drops this share of the packets. Streams lose nothing.
func (n *Network) SetLoss(share float64) {
	n.mu.Lock()
	defer n.mu.Unlock()
	n.loss = share
}

// Partition keeps hosts of different groups apart, in place of an earlier
// partition. A host in no group reaches all.
func (n *Network) Partition(groups ...[]string) {
	n.mu.Lock()
	defer n.mu.Unlock()
	clear(n.sides)
	for side, hosts := range groups {
		for _, host := range hosts {
			n.sides[netip.MustParseAddr(host)] = side
		}
	}
}

// Cut drops what goes from one host to another; the way back stays open.
func (n *Network) Cut(from, to string) {
	n.mu.Lock()
	defer n.mu.Unlock()
	n.cut[[2]netip.Addr{netip.MustParseAddr(from), netip.MustParseAddr(to)}] = true
}

// Heal ends all partitions and cuts. Streams that were open across one stay dead,
// as if their retransmissions had been given up.
func (n *Network) Heal() {
	n.mu.Lock()
	defer n.mu.Unlock()
	clear(n.sides)
	clear(n.cut)
}

// passes says whether host from reaches host to.
func (n *Network) passes(from, to netip.Addr) bool {
	n.mu.Lock()
	defer n.mu.Unlock()
	return n.passesLocked(from, to)
}

func (n *Network) passesLocked(from, to netip.Addr) bool {
	a, inA := n.sides[from]
	b, inB := n.sides[to]
	return !n.cut[[2]netip.Addr{from, to}] && (!inA || !inB || a == b)
}

// transit draws how long something takes.
func (n *Network) transit() time.Duration {
	n.mu.Lock()
	defer n.mu.Unlock()
	return n.transitLocked()
}

func (n *Network) transitLocked() time.Duration {
	if n.jitter <= 0 {
		return n.delay
	}
	return n.delay + time.Duration(n.rng.Int64N(int64(n.jitter)))
}

// packet decides about one packet: who gets it, after which time; nil when nobody.
func (n *Network) packet(from *Transport, to netip.AddrPort) (*Transport, time.Duration) {
	n.mu.Lock()
	defer n.mu.Unlock()
	lost := n.rng.Float64() < n.loss
	if lost || n.transports[from.at] != from || !n.passesLocked(from.at.Addr(), to.Addr()) {
		return nil, 0
	}
	return n.transports[to], n.transitLocked()
}

// listener returns who listens at an address, nil for nobody. answers is false when
// not even a refusal comes back: behind a partition, or after a crash.
func (n *Network) listener(from *Transport, to netip.AddrPort) (t *Transport, answers bool) {
	n.mu.Lock()
	defer n.mu.Unlock()
	if n.transports[from.at] != from || n.crashed[to] ||
		!n.passesLocked(from.at.Addr(), to.Addr()) || !n.passesLocked(to.Addr(), from.at.Addr()) {
		return nil, false
	}
	return n.transports[to], true
}

// remove takes t off the network; what is on its way to it is lost.
func (n *Network) remove(t *Transport, crashed bool) {
	n.mu.Lock()
	defer n.mu.Unlock()
	if n.transports[t.at] == t {
		delete(n.transports, t.at)
		n.crashed[t.at] = crashed
	}
}

var _ net.Addr = addr{}

// addr is an address on the network.
type addr struct{ netip.AddrPort }

func (addr) Network() string { return "memnet" }
