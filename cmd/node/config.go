package node

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"strings"
	"time"

	"github.com/hashicorp/memberlist"
	"github.com/hashicorp/raft"

	"github.com/warrenmq/warren/broker/auth"
	"github.com/warrenmq/warren/broker/connection"
	"github.com/warrenmq/warren/broker/topology"
	"github.com/warrenmq/warren/cluster/alarm"
	"github.com/warrenmq/warren/cluster/group"
	"github.com/warrenmq/warren/cluster/log"
	"github.com/warrenmq/warren/cluster/meta"
)

// Config is what a node is told. Zero values of all but Name and DataDir are
// replaced by the defaults named with them.
type Config struct {
	Name    string
	DataDir string
	Version string

	Listen         string              // AMQP clients: ":5672"
	TLSListen      string              // AMQP clients with TLS: "" for none
	TLS            connection.TLSFiles // for TLSListen
	Gossip         string              // "127.0.0.1:7946"
	Peer           string              // gRPC between nodes: "127.0.0.1:7947"
	Advertise      string              // host that other nodes reach this one at: found from Gossip
	Seeds          []string            // host:port of gossip, DNS names, or file:/path
	Expect         int                 // nodes that form the cluster together; 0: only ever join one
	Secret         string              // of the cluster; "": loopback only
	Zone           string
	LoopbackUsers  []string // nil: guest; empty: none
	Product        string   // what connection.start says: "RabbitMQ"
	ProductVersion string   // likewise: "4.2.0"
	ClusterName    string   // likewise: "warren"

	// What clients may have; zero values are broker/connection's defaults.
	ChannelMax      uint16
	FrameMax        uint32
	Heartbeat       time.Duration
	MaxConnections  int
	MaxChannels     int
	MaxConsumers    int
	MaxMessageBytes uint64
	Prefetch        int
	ConsumerTimeout time.Duration

	// ClusterLimits bound the virtual hosts, queues and exchanges of the cluster; the
	// same on all nodes.
	ClusterLimits topology.Limits

	// CountReturns lets every return count against delivery limits, as RabbitMQ did
	// before 4.3; the same on all nodes.
	CountReturns bool

	// Queue groups: cluster/meta's defaults. They count on the node that leads the meta
	// group, so they should be the same on all.
	GroupsPerNode int           // that a node brings
	Replicas      int           // of a group
	RebuildAfter  time.Duration // of a node that is down, whose replicas are then made elsewhere; negative: never
	ForgetAfter   time.Duration // of a node that is down, which is then forgotten; 0: never

	// Memory and disk: cluster/alarm's defaults. MemoryLimit hears the watermark in
	// bytes; it may be nil.
	Watermark     alarm.Limit
	DiskFreeLimit alarm.Limit
	MemoryLimit   func(bytes uint64)

	// TransientBytes bounds the messages of the queues in this node's memory:
	// 1 GiB. At the bound their publishers wait.
	TransientBytes uint64

	// SnapshotRate bounds the bytes a second of snapshots that this node sends to others,
	// all together: 128 MiB.
	SnapshotRate int64

	StopTimeout time.Duration // for all of an orderly stop: 18 s

	Logger *slog.Logger
	World  World
}

// World is all that a node touches outside its process; a simulation brings its
// own. Zero values are the real ones.
type World struct {
	// Identity opens the data folder.
	Identity func(dir, name string) (Identity, error)
	FS       log.FS
	Segments int64 // bytes of a segment of the shared log; 0: its default
	Listen   func(addr string) (net.Listener, error)
	Dial     func(ctx context.Context, addr string) (net.Conn, error)
	Gossip   memberlist.Transport // nil: sockets
	// MetaStores, Stable and Snapshots hold what Raft keeps beside the shared log.
	MetaStores func(dir string) (meta.Stores, io.Closer, error)
	Stable     func(path string) (Stable, error)
	Snapshots  func(dir string, group uint64) (raft.SnapshotStore, error)
	// DropSnapshots makes void what Snapshots keeps of a group.
	DropSnapshots  func(dir string, group uint64) error
	SnapshotLimits group.SnapshotLimits // zero: its defaults
	// Resources measure memory and the disk of a data folder.
	Resources func(dataDir string) alarm.Resources
	// Ready hears that the node serves.
	Ready func(*Node)
	// NoControl leaves out the control socket.
	NoControl bool
}

// Identity is a held data folder's say on who the node is.
type Identity interface {
	Incarnation() string
	Epoch() uint64
	Close() error
}

// Stable holds votes and terms of the queue groups.
type Stable interface {
	Group(id uint64) raft.StableStore
	Close() error
}

func (c Config) withDefaults() Config {
	text := func(field *string, value string) {
		if *field == "" {
			*field = value
		}
	}
	text(&c.Version, "dev")
	text(&c.Listen, ":5672")
	text(&c.Gossip, "127.0.0.1:7946")
	text(&c.Peer, "127.0.0.1:7947")
	text(&c.Product, "RabbitMQ")
	text(&c.ProductVersion, "4.2.0")
	text(&c.ClusterName, "warren")
	if c.TransientBytes == 0 {
		c.TransientBytes = 1 << 30
	}
	if c.LoopbackUsers == nil {
		c.LoopbackUsers = auth.DefaultLoopbackUsers()
	}
	if c.StopTimeout == 0 {
		c.StopTimeout = 18 * time.Second
	}
	if c.Logger == nil {
		c.Logger = slog.Default()
	}
	c.World = c.World.withDefaults()
	return c
}

// nameCharacters are what names of hosts are made of: a node's name appears in
// addresses, certificates and log lines.
const nameCharacters = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789.-_"

// Validate reports what is missing or cannot work.
func (c Config) Validate() error {
	switch {
	case c.Name == "":
		return errors.New("a node needs a name")
	case strings.Trim(c.Name, nameCharacters) != "" || len(c.Name) > 128:
		return fmt.Errorf("%q cannot be a node's name: letters, digits, dots, hyphens and underscores can", c.Name)
	case c.DataDir == "":
		return errors.New("a node needs a data folder")
	case c.Expect < 0:
		return fmt.Errorf("expect %d is negative", c.Expect)
	case c.Expect == 0 && len(c.Seeds) == 0:
		return errors.New("a node that only joins a cluster needs seeds: where is it?")
	case c.Expect > 1 && len(c.Seeds) == 0:
		return fmt.Errorf("a cluster of %d needs seeds: where are the other nodes?", c.Expect)
	}
	return nil
}
