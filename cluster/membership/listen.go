package membership

import (
	"context"
	"errors"
	"fmt"
	"log"
	"net"
	"net/netip"
	"strconv"
	"time"

	"github.com/hashicorp/memberlist"
)

// socketTransport is memberlist's transport whose streams end with a context, so
// that a stop does not wait for a peer that is silent.
type socketTransport struct {
	*memberlist.NetTransport
	dial func(addr string, timeout time.Duration) (net.Conn, error)
}

var _ memberlist.NodeAwareTransport = (*socketTransport)(nil)

// DialAddressTimeout implements memberlist.NodeAwareTransport.
func (t *socketTransport) DialAddressTimeout(a memberlist.Address, timeout time.Duration) (net.Conn, error) {
	return t.dial(a.Addr, timeout)
}

// DialTimeout implements memberlist.Transport.
func (t *socketTransport) DialTimeout(addr string, timeout time.Duration) (net.Conn, error) {
	return t.dial(addr, timeout)
}

// listen opens the sockets and writes into g where they are and what others dial.
func (m *Membership) listen(ctx context.Context, g *memberlist.Config, logger *log.Logger) error {
	host, port, err := m.bindAddr(ctx)
	if err != nil {
		return err
	}
	// TCP and UDP need the same port; when the kernel picks it for TCP, it may be
	// taken for UDP.
	attempts := 1
	if port == 0 {
		attempts = 10
	}
	var sockets *memberlist.NetTransport
	for range attempts {
		sockets, err = memberlist.NewNetTransport(&memberlist.NetTransportConfig{
			BindAddrs: []string{host.String()}, BindPort: port, Logger: logger,
		})
		if err == nil {
			break
		}
	}
	if err != nil {
		return fmt.Errorf("gossip on %s: %w", m.cfg.BindAddr, err)
	}
	g.Transport = &socketTransport{NetTransport: sockets, dial: dialer(ctx)}
	g.BindAddr, g.BindPort = host.String(), sockets.GetAutoBindPort()
	if g.AdvertiseAddr, g.AdvertisePort, err = m.advertise(ctx, host, g.BindPort); err != nil {
		sockets.Shutdown()
		return err
	}
	return nil
}

// dialer returns a dial whose connections end with ctx.
func dialer(ctx context.Context) func(string, time.Duration) (net.Conn, error) {
	return func(addr string, timeout time.Duration) (net.Conn, error) {
		d := net.Dialer{Timeout: timeout}
		conn, err := d.DialContext(ctx, "tcp", addr)
		if err != nil {
			return nil, err
		}
		return &boundConn{Conn: conn, release: context.AfterFunc(ctx, func() { conn.Close() })}, nil
	}
}

// boundConn lets go of the context when it is closed.
type boundConn struct {
	net.Conn
	release func() bool
}

func (c *boundConn) Close() error {
	c.release()
	return c.Conn.Close()
}

// bindAddr reads BindAddr. memberlist takes a host that is not an IP address for
// "all interfaces", so names are resolved here.
func (m *Membership) bindAddr(ctx context.Context) (netip.Addr, int, error) {
	host, portText, err := net.SplitHostPort(m.cfg.BindAddr)
	if err != nil {
		return netip.Addr{}, 0, fmt.Errorf("gossip address %q: %w", m.cfg.BindAddr, err)
	}
	port, err := strconv.ParseUint(portText, 10, 16)
	if err != nil {
		return netip.Addr{}, 0, fmt.Errorf("gossip address %q: %q is not a port", m.cfg.BindAddr, portText)
	}
	if host == "" {
		return netip.IPv4Unspecified(), int(port), nil
	}
	ip, err := m.oneAddr(ctx, host)
	if err != nil {
		return netip.Addr{}, 0, fmt.Errorf("gossip address %q: %w", m.cfg.BindAddr, err)
	}
	return ip, int(port), nil
}

// advertise finds the address that other nodes are told.
func (m *Membership) advertise(ctx context.Context, bound netip.Addr, port int) (string, int, error) {
	if addr := m.cfg.AdvertiseAddr; addr != "" {
		host, portText, err := splitSeed(addr, strconv.Itoa(port))
		if err != nil {
			return "", 0, fmt.Errorf("advertised gossip address %q: %w", addr, err)
		}
		ip, err := m.oneAddr(ctx, host)
		if err != nil {
			return "", 0, fmt.Errorf("advertised gossip address %q: %w", addr, err)
		}
		advertised, err := strconv.Atoi(portText)
		return ip.String(), advertised, err
	}
	if !bound.IsUnspecified() {
		return bound.String(), port, nil
	}
	ip, err := interfaceAddr()
	if err != nil {
		return "", 0, err
	}
	return ip.String(), port, nil
}

// oneAddr returns an IP address for a host, of several an IPv4 one: it is what
// the other side of a dual stack most likely has too.
func (m *Membership) oneAddr(ctx context.Context, host string) (netip.Addr, error) {
	if ip, err := netip.ParseAddr(host); err == nil {
		return ip.Unmap(), nil
	}
	ctx, cancel := context.WithTimeout(ctx, resolveTimeout)
	defer cancel()
	ips, err := m.cfg.Resolve(ctx, host)
	if err != nil {
		return netip.Addr{}, err
	}
	for _, ip := range ips {
		if ip.Unmap().Is4() {
			return ip.Unmap(), nil
		}
	}
	if len(ips) == 0 {
		return netip.Addr{}, fmt.Errorf("%s has no address", host)
	}
	return ips[0], nil
}

// interfaceAddr chooses the address of this machine that others most likely reach:
// a private IPv4 one, else any other that is neither loopback nor link-local.
func interfaceAddr() (netip.Addr, error) {
	addrs, err := net.InterfaceAddrs()
	if err != nil {
		return netip.Addr{}, fmt.Errorf("find an address to advertise: %w", err)
	}
	var best netip.Addr
	rank := 0
	for _, a := range addrs {
		prefix, err := netip.ParsePrefix(a.String())
		if err != nil {
			continue
		}
		if r := rankAddr(prefix.Addr()); r > rank {
			best, rank = prefix.Addr(), r
		}
	}
	if rank == 0 {
		return netip.Addr{}, errors.New("this machine has no address that other nodes could reach: set the advertised gossip address")
	}
	return best, nil
}

func rankAddr(ip netip.Addr) int {
	switch {
	case !ip.IsGlobalUnicast():
		return 0
	case ip.Is4() && ip.IsPrivate():
		return 4
	case ip.Is4():
		return 3
	case ip.IsPrivate():
		return 2
	}
	return 1
}
