package meta

import (
	"errors"
	"fmt"
	"log/slog"
	"time"

	"github.com/hashicorp/raft"
	"google.golang.org/grpc"

	"github.com/warrenmq/warren/broker/auth"
	"github.com/warrenmq/warren/broker/level"
	"github.com/warrenmq/warren/broker/topology"
)

// ErrUnavailable says that a command was not seen to be applied in time. It may
// have been, or may come to be.
var ErrUnavailable = errors.New("cluster metadata is not available")

// ErrNoQuorum is the ErrUnavailable of a node that sees no meta leader: too few
// nodes can be reached.
var ErrNoQuorum = fmt.Errorf("%w: no majority of its nodes can be reached", ErrUnavailable)

// ErrNotFound says that a command named what does not exist.
var ErrNotFound = errors.New("not found")

// Member is a node as membership sees it.
type Member struct {
	ID    string // ServerID
	Name  string
	Epoch uint64
	Alive bool
	Ended bool // the process was seen to end: it is not just silent
}

// Conns gives connections to nodes by their ServerIDs; it works for nodes of no
// cluster too, since those are what a bootstrap speaks to.
type Conns interface {
	Conn(serverID string) (*grpc.ClientConn, error)
}

// Stores is where the group keeps itself.
type Stores struct {
	Log       raft.LogStore
	Stable    raft.StableStore
	Snapshots raft.SnapshotStore
}

// Config is what the meta group needs. Fields without a default are required.
type Config struct {
	Self Node // this node as it registers itself; Joined is ignored; Level is level.Known by default

	// Expect is the number of fresh nodes that form a cluster together; 1: this
	// node forms one alone unless it sees a formed one; 0: it only ever joins.
	Expect int

	Stores    Stores
	Transport raft.Transport // Raft addresses are ServerIDs
	Conns     Conns
	Members   func() []Member // this node may be among them

	// Users and Permissions are created with the cluster; default guest, with all
	// rights in the vhost "/".
	Users       []auth.User
	Permissions []auth.Permission

	Limits topology.Limits // that definitions made at this node are judged by; the same on all nodes

	GroupsPerNode int // queue groups of Replicas replicas that a node brings; default 4
	Replicas      int // of a queue group; default 3
	MaxVoters     int // of the meta group; default 5

	ApplyTimeout    time.Duration // until a command fails; default 4.5 s, inside the 5 s that clients are promised
	VisibleTimeout  time.Duration // until a node that does not answer is not waited for; default 1 s
	StallTimeout    time.Duration // a disk operation that takes longer ends Run; default 3 s
	DropAfter       time.Duration // a silent node's transient queues are dropped; default 10 s
	ReplaceAfter    time.Duration // a dead voter is replaced; default 30 s
	RebuildAfter    time.Duration // a dead node's replicas are made elsewhere; default 10 min; negative: never
	ForgetAfter     time.Duration // a dead node is forgotten; default 0: never
	SnapshotBytes   int           // log bytes that make a snapshot worth while; default 4 MiB
	TrailingEntries uint64        // kept behind a snapshot; default 2048

	Logger *slog.Logger // default slog.Default()
}

// Validate reports what is missing or wrong.
func (c *Config) Validate() error {
	switch {
	case c.Self.ID == "" || c.Self.Name == "":
		return errors.New("meta: a node needs a name and a ServerID")
	case c.Self.Epoch == 0:
		return errors.New("meta: the epoch of a process starts at 1")
	case c.Replicas < 0 || c.Replicas > MaxReplicas:
		return fmt.Errorf("meta: %d replicas of a group, at most %d can be had", c.Replicas, MaxReplicas)
	case c.Expect < 0:
		return fmt.Errorf("meta: %d nodes expected", c.Expect)
	case c.Stores.Log == nil || c.Stores.Stable == nil || c.Stores.Snapshots == nil:
		return errors.New("meta: stores are missing")
	case c.Transport == nil || c.Conns == nil || c.Members == nil:
		return errors.New("meta: transport, connections or members are missing")
	}
	return nil
}

func (c *Config) withDefaults() Config {
	d := *c
	orElse(&d.Self.Level, level.Known)
	orElse(&d.GroupsPerNode, 4)
	orElse(&d.Replicas, 3)
	orElse(&d.MaxVoters, 5)
	orElse(&d.ApplyTimeout, 4500*time.Millisecond)
	orElse(&d.VisibleTimeout, time.Second)
	orElse(&d.StallTimeout, 3*time.Second)
	orElse(&d.DropAfter, 10*time.Second)
	orElse(&d.ReplaceAfter, 30*time.Second)
	orElse(&d.RebuildAfter, 10*time.Minute)
	orElse(&d.SnapshotBytes, 4<<20)
	orElse(&d.TrailingEntries, 2048)
	if d.Logger == nil {
		d.Logger = slog.Default()
	}
	d.Logger = d.Logger.With("group", "meta")
	return d
}

func orElse[T comparable](field *T, value T) {
	var zero T
	if *field == zero {
		*field = value
	}
}
