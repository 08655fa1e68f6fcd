// Package memconn is a network in memory for tests: listeners, dialers and
// stream connections between named hosts, with latency, partitions, killed and
// vanished hosts.
//
// It behaves as TCP does where tests depend on it: bytes written into a cut
// path are held back and arrive when the path heals, a killed host resets its
// connections and refuses new ones, a vanished one does neither. It knows no
// protocol and no real clock: all waiting is on package time and on
// synchronisation that testing/synctest sees through, so that whole nodes run
// on it in virtual time.
//
// Addresses are "host:port"; hosts exist as soon as they are named.
package memconn

import (
	"context"
	"fmt"
	"net"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"time"
)

// Network is a set of hosts that can reach each other. Its methods may be
// called from any goroutine.
type Network struct {
	mu        sync.Mutex
	listeners map[string]*listener
	paths     map[[2]string]*path
	conns     map[*Conn]struct{}
	gone      map[string]bool // vanished hosts: silent until Return
	nextPort  int
}

// path is one direction between two hosts.
type path struct {
	latency time.Duration
	cut     bool
	healed  chan struct{} // closed when the cut ends
}

// New makes a network without latency and without partitions.
func New() *Network {
	return &Network{
		listeners: make(map[string]*listener),
		paths:     make(map[[2]string]*path),
		conns:     make(map[*Conn]struct{}),
		gone:      make(map[string]bool),
		nextPort:  40000,
	}
}

// Host is the part before the colon.
func hostOf(addr string) string {
	host, _, _ := strings.Cut(addr, ":")
	return host
}

func (n *Network) path(from, to string) *path {
	key := [2]string{from, to}
	p := n.paths[key]
	if p == nil {
		p = &path{}
		n.paths[key] = p
	}
	return p
}

// open says whether bytes travel from one host to the other now.
func (n *Network) open(from, to string) bool {
	return !n.path(from, to).cut && !n.gone[from] && !n.gone[to]
}

// wakeAll lets every waiter look again.
func (n *Network) wakeAll() {
	for c := range n.conns {
		c.in.cond.Broadcast()
		c.out.cond.Broadcast()
	}
	for _, p := range n.paths {
		if p.healed != nil {
			close(p.healed)
			p.healed = nil
		}
	}
}

// Cut holds back everything that from sends to another host: one direction only.
func (n *Network) Cut(from, to string) {
	n.mu.Lock()
	defer n.mu.Unlock()
	n.path(from, to).cut = true
}

// Heal undoes Cut; what was held back arrives.
func (n *Network) Heal(from, to string) {
	n.mu.Lock()
	defer n.mu.Unlock()
	n.path(from, to).cut = false
	n.wakeAll()
}

// Partition cuts both directions between every host of one side and every host
// of the other.
func (n *Network) Partition(one, other []string) {
	for _, a := range one {
		for _, b := range other {
			n.Cut(a, b)
			n.Cut(b, a)
		}
	}
}

// HealAll undoes every Cut and Partition.
func (n *Network) HealAll() {
	n.mu.Lock()
	defer n.mu.Unlock()
	for _, p := range n.paths {
		p.cut = false
	}
	n.wakeAll()
}

// Latency delays what from sends to another host from now on: one direction only.
func (n *Network) Latency(from, to string, d time.Duration) {
	n.mu.Lock()
	defer n.mu.Unlock()
	n.path(from, to).latency = d
}

// Kill ends a host's process: its connections are reset and dialling it is
// refused until it listens again. The other sides do not hear of it where the
// path is cut.
func (n *Network) Kill(host string) {
	n.mu.Lock()
	defer n.mu.Unlock()
	for addr, l := range n.listeners {
		if hostOf(addr) == host {
			l.shut()
			delete(n.listeners, addr)
		}
	}
	for c := range n.conns {
		if hostOf(string(c.local)) == host {
			c.abort(syscall.ECONNRESET)
		}
	}
	n.wakeAll()
}

// Vanish takes a host off the network without a word, as a power cut or a
// pulled cable does: nothing is reset, nothing refused, nothing answered.
func (n *Network) Vanish(host string) {
	n.mu.Lock()
	defer n.mu.Unlock()
	n.gone[host] = true
}

// Return undoes Vanish. A host whose process ended meanwhile should be killed
// before, so that its old connections are reset as a booted machine would.
func (n *Network) Return(host string) {
	n.mu.Lock()
	defer n.mu.Unlock()
	delete(n.gone, host)
	n.wakeAll()
}

// Listen listens on "host:port"; port 0 picks one.
func (n *Network) Listen(addr string) (net.Listener, error) {
	n.mu.Lock()
	defer n.mu.Unlock()
	if host, port, ok := strings.Cut(addr, ":"); ok && port == "0" {
		addr = host + ":" + strconv.Itoa(n.port())
	}
	if n.listeners[addr] != nil {
		return nil, opError("listen", addr, syscall.EADDRINUSE)
	}
	l := &listener{network: n, addr: Addr(addr), backlog: make(chan *Conn, 128), closed: make(chan struct{})}
	n.listeners[addr] = l
	return l, nil
}

func (n *Network) port() int {
	n.nextPort++
	return n.nextPort
}

// Dialer returns a dial function for a host.
func (n *Network) Dialer(host string) func(ctx context.Context, addr string) (net.Conn, error) {
	return func(ctx context.Context, addr string) (net.Conn, error) { return n.dial(ctx, host, addr) }
}

func (n *Network) dial(ctx context.Context, from, addr string) (net.Conn, error) {
	to := hostOf(addr)
	if err := n.roundTrip(ctx, from, to); err != nil {
		return nil, opError("dial", addr, err)
	}
	n.mu.Lock()
	l := n.listeners[addr]
	if l == nil || n.gone[from] {
		n.mu.Unlock()
		return nil, opError("dial", addr, syscall.ECONNREFUSED)
	}
	local := Addr(from + ":" + strconv.Itoa(n.port()))
	near, far := n.pair(local, l.addr)
	n.mu.Unlock()
	select {
	case l.backlog <- far:
		return near, nil
	case <-l.closed:
		near.Close()
		return nil, opError("dial", addr, syscall.ECONNREFUSED)
	case <-ctx.Done():
		near.Close()
		return nil, opError("dial", addr, ctx.Err())
	}
}

// roundTrip waits as long as a handshake between the hosts takes: for ever
// while one direction is cut.
func (n *Network) roundTrip(ctx context.Context, from, to string) error {
	for {
		n.mu.Lock()
		there, back := n.path(from, to), n.path(to, from)
		if n.open(from, to) && n.open(to, from) {
			delay := there.latency + back.latency
			n.mu.Unlock()
			return pause(ctx, delay)
		}
		if there.healed == nil {
			there.healed = make(chan struct{})
		}
		healed := there.healed
		n.mu.Unlock()
		select {
		case <-healed:
		case <-ctx.Done():
			return ctx.Err()
		}
	}
}

func pause(ctx context.Context, d time.Duration) error {
	if d <= 0 {
		return ctx.Err()
	}
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-t.C:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}

func opError(op, addr string, err error) error {
	return fmt.Errorf("memconn: %w", &net.OpError{Op: op, Net: "mem", Addr: Addr(addr), Err: err})
}

// Addr is the address of an end: "host:port".
type Addr string

// Network names the kind of address.
func (Addr) Network() string { return "mem" }

func (a Addr) String() string { return string(a) }
