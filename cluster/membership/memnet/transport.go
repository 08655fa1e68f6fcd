package memnet

import (
	"errors"
	"fmt"
	"net"
	"net/netip"
	"slices"
	"sync"
	"time"

	"github.com/hashicorp/memberlist"
)

// packetQueue bounds the packets that wait for their reader; more are lost, as in
// a full socket buffer. streamQueue bounds the streams that wait to be accepted.
const (
	packetQueue = 1024
	streamQueue = 128
)

// Transport is one end of a Network: a memberlist.Transport.
type Transport struct {
	net     *Network
	at      netip.AddrPort
	packets chan *memberlist.Packet
	streams chan net.Conn
	closed  chan struct{}
	once    sync.Once
}

var _ memberlist.Transport = (*Transport)(nil)

func newTransport(n *Network, at netip.AddrPort) *Transport {
	return &Transport{
		net:     n,
		at:      at,
		packets: make(chan *memberlist.Packet, packetQueue),
		streams: make(chan net.Conn, streamQueue),
		closed:  make(chan struct{}),
	}
}

// Addr returns the address that the transport listens on.
func (t *Transport) Addr() string { return t.at.String() }

// Crash takes the transport off the network without a word, as a machine that
// lost its power: its streams stall, dials of it hang, and its address is free for
// another.
func (t *Transport) Crash() { t.stop(true) }

// Shutdown implements memberlist.Transport: the end of a process, whose address
// refuses dials from then on.
func (t *Transport) Shutdown() error {
	t.stop(false)
	return nil
}

func (t *Transport) stop(crashed bool) {
	t.once.Do(func() {
		t.net.remove(t, crashed)
		close(t.closed)
	})
}

// FinalAdvertiseAddr implements memberlist.Transport.
func (t *Transport) FinalAdvertiseAddr(string, int) (net.IP, int, error) {
	return t.at.Addr().AsSlice(), int(t.at.Port()), nil
}

// PacketCh implements memberlist.Transport.
func (t *Transport) PacketCh() <-chan *memberlist.Packet { return t.packets }

// StreamCh implements memberlist.Transport.
func (t *Transport) StreamCh() <-chan net.Conn { return t.streams }

// WriteTo implements memberlist.Transport. As with UDP, what is lost is no error.
func (t *Transport) WriteTo(b []byte, to string) (time.Time, error) {
	now := time.Now()
	dest, err := netip.ParseAddrPort(to)
	if err != nil {
		return now, fmt.Errorf("send to %q: %w", to, err)
	}
	receiver, delay := t.net.packet(t, dest)
	if receiver == nil {
		return now, nil
	}
	payload := slices.Clone(b)
	if delay <= 0 {
		receiver.receive(payload, t.at)
		return now, nil
	}
	time.AfterFunc(delay, func() { receiver.receive(payload, t.at) })
	return now, nil
}

func (t *Transport) receive(payload []byte, from netip.AddrPort) {
	select {
	case <-t.closed:
		return
	default:
	}
	select {
	case t.packets <- &memberlist.Packet{Buf: payload, From: addr{from}, Timestamp: time.Now()}:
	default:
	}
}

// DialTimeout implements memberlist.Transport. An address where nobody listens
// refuses at once; one behind a partition lets the caller wait for the timeout.
func (t *Transport) DialTimeout(to string, timeout time.Duration) (net.Conn, error) {
	dest, err := netip.ParseAddrPort(to)
	if err != nil {
		return nil, fmt.Errorf("dial %q: %w", to, err)
	}
	receiver, answers := t.net.listener(t, dest)
	switch {
	case !answers:
		if timeout > 0 {
			expired := time.NewTimer(timeout)
			defer expired.Stop()
			select {
			case <-expired.C:
			case <-t.closed:
			}
		}
		return nil, dialError(dest, errors.New("i/o timeout"))
	case receiver == nil:
		return nil, dialError(dest, errors.New("connection refused"))
	}
	near, far := newStream(t, receiver)
	select {
	case receiver.streams <- far:
		return near, nil
	default:
		near.Close()
		far.Close()
		return nil, dialError(dest, errors.New("connection refused"))
	}
}

// dialError has the shape of a real one, which memberlist looks at.
func dialError(to netip.AddrPort, err error) error {
	return &net.OpError{Op: "dial", Net: "tcp", Addr: addr{to}, Err: err}
}
