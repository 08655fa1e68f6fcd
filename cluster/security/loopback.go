package security

import (
	"errors"
	"fmt"
	"net"
	"net/netip"
)

// ErrNotLoopback is wrapped by RequireLoopback.
var ErrNotLoopback = errors.New("a cluster address that other machines can reach needs a cluster secret")

// RequireLoopback is the rule for nodes without a secret: addr (host or
// host:port) must be loopback. Of names only localhost is taken, since what
// another one means may change after it was checked.
func RequireLoopback(addr string) error {
	host := addr
	if h, _, err := net.SplitHostPort(addr); err == nil {
		host = h
	}
	if host == "localhost" {
		return nil
	}
	ip, err := netip.ParseAddr(host)
	if err == nil && ip.Unmap().IsLoopback() {
		return nil
	}
	return fmt.Errorf("%w: %q is not a loopback address; set a secret, or listen on 127.0.0.1", ErrNotLoopback, addr)
}
