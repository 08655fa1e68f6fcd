package peer

import (
	"context"
	"errors"
	"log/slog"
	"sync"
	"time"

	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/metadata"
	"google.golang.org/grpc/status"

	pb "github.com/warrenmq/warren/proto"
)

// keyGroup is the metadata of an Append stream that names its group.
const keyGroup = "warren-group"

// TransportsConfig is what Transports need. Fields without a default are required.
type TransportsConfig struct {
	Identity Identity
	Conns    *Conns
	// Lease is how long a follower that answered keeps from electing another
	// leader, counted from when the leader sent what was answered: half of Raft's
	// HeartbeatTimeout; default 500 ms.
	Lease time.Duration
	// CallTimeout bounds votes and heartbeats; default 1 s.
	CallTimeout time.Duration
	// InFlight is how many append requests to one follower are on their way at
	// once: a second one hides the network while the first is synced, more only
	// make them smaller; default 2.
	InFlight int
	// Alarms, if set, hears with each peer's heartbeats what it is short of. It
	// must not block.
	Alarms func(serverID string, alarms uint32)
	// SnapshotRate bounds the bytes a second of the snapshots that this node sends,
	// all together; default 128 MiB.
	SnapshotRate int64
	Logger       *slog.Logger // default slog.Default()
}

// Transports are the Raft transports of all groups of a node. Raft's addresses
// are ServerIDs.
type Transports struct {
	pb.UnimplementedRaftServer
	cfg      TransportsConfig
	started  time.Time
	dead     chan string // peers whose process is gone
	throttle throttle

	mu     sync.Mutex
	groups map[uint64]*Transport
}

// NewTransports makes the transports and registers their service.
func NewTransports(cfg TransportsConfig, server *Server) (*Transports, error) {
	if cfg.Identity.ServerID == "" || cfg.Conns == nil || server == nil {
		return nil, errors.New("peer: transports need an identity, connections and a server")
	}
	if cfg.Lease == 0 {
		cfg.Lease = 500 * time.Millisecond
	}
	if cfg.CallTimeout == 0 {
		cfg.CallTimeout = time.Second
	}
	if cfg.InFlight < 1 {
		cfg.InFlight = 2
	}
	if cfg.SnapshotRate < 1 {
		cfg.SnapshotRate = 128 << 20
	}
	if cfg.Alarms == nil {
		cfg.Alarms = func(string, uint32) {}
	}
	if cfg.Logger == nil {
		cfg.Logger = slog.Default()
	}
	ts := &Transports{
		cfg: cfg, started: time.Now(),
		dead:     make(chan string, 64),
		throttle: throttle{perSecond: cfg.SnapshotRate},
		groups:   make(map[uint64]*Transport),
	}
	pb.RegisterRaftServer(server, expelService{ts})
	cfg.Conns.WatchDead(func(serverID string) {
		select {
		case ts.dead <- serverID:
		default: // many nodes at once: the followers' timers are the fallback
		}
	})
	return ts, nil
}

// Transport returns the transport of a group, making it when there is none. It
// is gone once closed; then the next call makes a new one.
func (ts *Transports) Transport(group uint64) *Transport {
	ts.mu.Lock()
	defer ts.mu.Unlock()
	t := ts.groups[group]
	if t == nil {
		t = newTransport(ts, group)
		ts.groups[group] = t
	}
	return t
}

// find returns the transport of a group that is open here.
func (ts *Transports) find(group uint64) (*Transport, error) {
	ts.mu.Lock()
	defer ts.mu.Unlock()
	if t := ts.groups[group]; t != nil && t.heartbeat.Load() != nil {
		return t, nil
	}
	return nil, status.Errorf(codes.NotFound, "group %d is not open on %s", group, ts.cfg.Identity.ServerID)
}

func (ts *Transports) drop(t *Transport) {
	ts.mu.Lock()
	defer ts.mu.Unlock()
	if ts.groups[t.group] == t {
		delete(ts.groups, t.group)
	}
}

// Run watches over leaders' processes until ctx ends.
func (ts *Transports) Run(ctx context.Context) error {
	var elections sync.WaitGroup
	defer elections.Wait()
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	for {
		select {
		case serverID := <-ts.dead:
			for _, t := range ts.ledBy(serverID) {
				elections.Go(func() { t.succeed(ctx, serverID) })
			}
		case <-ctx.Done():
			return nil
		}
	}
}

func (ts *Transports) ledBy(serverID string) []*Transport {
	ts.mu.Lock()
	defer ts.mu.Unlock()
	var led []*Transport
	for _, t := range ts.groups {
		if r := t.raft.Load(); r != nil {
			if _, leader := r.LeaderWithID(); string(leader) == serverID {
				led = append(led, t)
			}
		}
	}
	return led
}

// Link serves the beats of one peer.
func (ts *Transports) Link(stream pb.Raft_LinkServer) error {
	caller, _ := CallerOf(stream.Context())
	if err := stream.SendHeader(metadata.Pairs(keyNode, ts.cfg.Identity.ServerID)); err != nil {
		return err
	}
	for {
		msg, err := stream.Recv()
		if err != nil {
			return err
		}
		ts.cfg.Alarms(caller.ServerID, msg.Alarms)
		answers := &pb.RaftBeatAnswers{Number: msg.Number, Answers: make([]*pb.RaftBeatAnswer, len(msg.Beats))}
		for i, b := range msg.Beats {
			answers.Answers[i] = ts.beat(caller.ServerID, b)
		}
		if err := stream.Send(answers); err != nil {
			return err
		}
	}
}

func (ts *Transports) beat(leader string, b *pb.RaftBeat) *pb.RaftBeatAnswer {
	t, err := ts.find(b.Group)
	if err != nil {
		return &pb.RaftBeatAnswer{}
	}
	return t.serveBeat(leader, b)
}
