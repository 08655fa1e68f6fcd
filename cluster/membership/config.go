package membership

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/netip"
	"strings"
	"time"

	"github.com/hashicorp/memberlist"

	"github.com/warrenmq/warren/cluster/security"
)

// label marks the gossip of Warren: what does not carry it is dropped unread, so
// that another program's memberlist on the same port does no harm.
const label = "warren"

const (
	// rejoinInterval is how often seeds and last known peers are contacted while
	// any of them is missing. memberlist never merges again by itself after a
	// partition that outlasted its own memory of the other side.
	rejoinInterval = 5 * time.Second
	// calmInterval is how often seeds are looked up when nobody is missing.
	calmInterval = 30 * time.Second
	// leaveTimeout bounds the farewell at the end of Run.
	leaveTimeout = time.Second
	// announceTimeout bounds how long one announcement of changed data is followed.
	announceTimeout = time.Second
	// streamTimeout bounds one exchange of full state, its dial included.
	streamTimeout = 3 * time.Second
	// joinsAtOnce bounds the exchanges of full state that one round runs in parallel.
	joinsAtOnce = 8
)

// Config says who this node is, where it listens and whom it looks for.
type Config struct {
	Name        string // of the node; stable
	Incarnation string // 16 lower-case hex digits, as old as the data folder
	Epoch       uint64 // number of this start of the process

	// ClusterID returns the id of the cluster that the node belongs to, "" before
	// it has one. It is called by New, Run and UpdateClusterID; nil means "".
	ClusterID func() string

	BindAddr      string // host:port to listen on, UDP and TCP; port 0 picks one
	AdvertiseAddr string // host or host:port that others reach; "": found from BindAddr

	// What the others learn of the node. An address without a host, or with an
	// unspecified one (0.0.0.0), is completed with the gossip address's.
	PeerAddr string // gRPC between nodes, host:port
	AMQPAddr string
	Zone     string
	Version  string

	// Seeds are where other nodes may be found: host:port, host (with the port of
	// BindAddr), or file:/path with one of these on each line. A name stands for
	// all of its addresses; names and files are read again in every round.
	Seeds []string

	Key []byte // of the gossip, 32 bytes; empty: loopback only

	Transport memberlist.Transport                                         // nil: sockets
	Resolve   func(ctx context.Context, host string) ([]netip.Addr, error) // nil: DNS
	Logger    *slog.Logger                                                 // nil: slog.Default()
}

// Validate says what is wrong with c in words for an operator.
func (c *Config) Validate() error {
	if _, err := parseNodeName(c.nodeName()); err != nil {
		return fmt.Errorf("node %q, incarnation %q, epoch %d: %w", c.Name, c.Incarnation, c.Epoch, err)
	}
	switch len(c.Key) {
	case 0, 16, 24, 32:
	default:
		return fmt.Errorf("gossip key of %d bytes, want 32", len(c.Key))
	}
	if c.Transport == nil {
		if err := c.validateAddrs(); err != nil {
			return err
		}
	}
	self := c.self()
	self.ClusterID = strings.Repeat("0", clusterIDBytes) // it will have one
	if _, err := encodeMeta(self); err != nil {
		return err
	}
	for _, s := range c.Seeds {
		if err := validateSeed(s); err != nil {
			return err
		}
	}
	return nil
}

func (c *Config) validateAddrs() error {
	host, _, err := net.SplitHostPort(c.BindAddr)
	if err != nil {
		return fmt.Errorf("gossip address %q: %w", c.BindAddr, err)
	}
	if len(c.Key) > 0 {
		return nil
	}
	if err := security.RequireLoopback(host); err != nil {
		return fmt.Errorf("gossip address: %w", err)
	}
	if c.AdvertiseAddr != "" {
		if err := security.RequireLoopback(c.AdvertiseAddr); err != nil {
			return fmt.Errorf("advertised gossip address: %w", err)
		}
	}
	return nil
}

// self is the node as the others are to know it.
func (c *Config) self() Member {
	m := Member{
		ID:       c.Name + "@" + c.Incarnation,
		Name:     c.Name,
		Epoch:    c.Epoch,
		PeerAddr: c.PeerAddr,
		AMQPAddr: c.AMQPAddr,
		Zone:     c.Zone,
		Version:  c.Version,
		Alive:    true,
	}
	if c.ClusterID != nil {
		m.ClusterID = c.ClusterID()
	}
	return m
}

func (c *Config) nodeName() string {
	return nodeName(c.Name+"@"+c.Incarnation, c.Epoch)
}

// gossip is memberlist's configuration: LAN detection at the cost of about one
// small packet a second.
//
//   - A dead node is probed within about a second, found silent ProbeInterval
//     later and declared dead after SuspicionMult more: 3 to 6 s in all. Few
//     confirmations can be had in a small cluster, so suspicion has no longer
//     maximum that would wait for them, and AwarenessMaxMultiplier at most
//     doubles the interval.
//   - State is small: compressing it costs more than it saves.
//   - DeadNodeReclaimTime matters only to a process whose address changes while it
//     runs: a restart has another epoch, and with it another gossip name.
func (c *Config) gossip() *memberlist.Config {
	g := memberlist.DefaultLANConfig()
	g.Name = c.nodeName()
	g.Label = label
	g.SecretKey = c.Key
	g.GossipVerifyIncoming = true
	g.GossipVerifyOutgoing = true
	g.TCPTimeout = streamTimeout
	g.ProbeInterval = time.Second
	g.ProbeTimeout = 500 * time.Millisecond
	g.SuspicionMult = 3
	g.SuspicionMaxTimeoutMult = 1
	g.AwarenessMaxMultiplier = 2
	g.GossipInterval = 200 * time.Millisecond
	g.GossipToTheDeadTime = 30 * time.Second
	g.PushPullInterval = 30 * time.Second
	g.DeadNodeReclaimTime = 15 * time.Second
	g.EnableCompression = false
	if len(c.Key) == 0 && c.Transport == nil {
		g.CIDRsAllowed = loopbackNets()
	}
	return g
}

func loopbackNets() []net.IPNet {
	return []net.IPNet{
		{IP: net.IPv4(127, 0, 0, 0).To4(), Mask: net.CIDRMask(8, 32)},
		{IP: net.IPv6loopback, Mask: net.CIDRMask(128, 128)},
	}
}

// bindPort is the port of BindAddr, which seeds without one share.
func (c *Config) bindPort() (string, error) {
	_, port, err := net.SplitHostPort(c.BindAddr)
	if err != nil || port == "" || port == "0" {
		return "", errors.New("it has no port, and the gossip address gives none")
	}
	return port, nil
}
