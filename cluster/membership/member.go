package membership

import (
	"errors"
	"fmt"
	"net"
	"net/netip"
	"strconv"
	"strings"
)

// Member is a node as gossip knows it.
type Member struct {
	ID         string // ServerID: name@incarnation
	Name       string
	Epoch      uint64 // start of its process
	GossipAddr string // host:port
	PeerAddr   string // gRPC between nodes, host:port
	AMQPAddr   string
	Zone       string
	Version    string
	ClusterID  string // "" before it belongs to one
	Alive      bool   // false: known from before
}

// Limits of what a node may call itself. Names appear in addresses, certificates,
// log lines and listings, so they are kept to what host names are made of.
const (
	maxNameBytes     = 128
	incarnationBytes = 16
	clusterIDBytes   = 32
)

var errNodeName = errors.New("not a node's name")

// nodeName is what a process is called in gossip: ServerID#epoch. Each start of a
// process is a member of its own, so a node that returns, even at another address,
// is seen at once, and a ping meant for its predecessor is not answered by it.
func nodeName(id string, epoch uint64) string {
	return id + "#" + strconv.FormatUint(epoch, 10)
}

// parseNodeName is the inverse of nodeName: it fills ID, Name and Epoch.
func parseNodeName(s string) (Member, error) {
	id, number, ok := strings.Cut(s, "#")
	name, incarnation, ok2 := strings.Cut(id, "@")
	if !ok || !ok2 {
		return Member{}, fmt.Errorf("%w: want name@incarnation#epoch", errNodeName)
	}
	if err := checkName(name); err != nil {
		return Member{}, err
	}
	if len(incarnation) != incarnationBytes || strings.Trim(incarnation, "0123456789abcdef") != "" {
		return Member{}, fmt.Errorf("%w: an incarnation is %d lower-case hex digits", errNodeName, incarnationBytes)
	}
	epoch, err := strconv.ParseUint(number, 10, 64)
	if err != nil || nodeName(id, epoch) != s { // one spelling only: no +1, no 01
		return Member{}, fmt.Errorf("%w: epoch %q is not a number", errNodeName, number)
	}
	return Member{ID: id, Name: name, Epoch: epoch}, nil
}

func checkName(name string) error {
	if name == "" || len(name) > maxNameBytes {
		return fmt.Errorf("%w: it needs 1 to %d characters", errNodeName, maxNameBytes)
	}
	for _, r := range name {
		switch {
		case r >= 'a' && r <= 'z', r >= 'A' && r <= 'Z', r >= '0' && r <= '9', r == '-', r == '_', r == '.':
		default:
			return fmt.Errorf("%w: %q may not be in it (letters, digits, '-', '_' and '.' may)", errNodeName, r)
		}
	}
	return nil
}

// complete fills the host of an address that its node left open.
func complete(addr string, host net.IP) string {
	h, port, err := net.SplitHostPort(addr)
	if err != nil {
		return addr
	}
	if ip, err := netip.ParseAddr(h); h == "" || (err == nil && ip.IsUnspecified()) {
		return net.JoinHostPort(host.String(), port)
	}
	return addr
}
