package peer

import (
	"context"
	"errors"
	"fmt"
	"sync/atomic"
	"time"

	"github.com/hashicorp/raft"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"

	pb "github.com/warrenmq/warren/proto"
)

// ErrTransportClosed is returned for what is asked of a transport after Close.
var ErrTransportClosed = errors.New("raft transport is closed")

// Transport is the raft.Transport of one group.
type Transport struct {
	all      *Transports
	group    uint64
	consumer chan raft.RPC
	// life ends with Close. It is a field because the methods of raft.Transport
	// bring no context.
	life      context.Context
	end       context.CancelFunc
	raft      atomic.Pointer[raft.Raft] // nil before Attach
	heartbeat atomic.Pointer[func(raft.RPC)]
	followed  atomic.Pointer[string] // the leader last heard
	yields    atomic.Bool            // leadership is not to be handed to this node
	lease     lease
	progress  progress
	bodies    atomic.Pointer[Bodies]             // nil: snapshots are the state alone
	expel     atomic.Pointer[func(string) error] // nil: nobody is expelled
}

func newTransport(all *Transports, group uint64) *Transport {
	life, end := context.WithCancel(context.Background())
	return &Transport{
		all: all, group: group,
		consumer: make(chan raft.RPC),
		life:     life, end: end,
		progress: progress{peers: make(map[string]Progress)},
	}
}

// Attach tells the transport whose it is, right after raft.NewRaft. Without it
// there is no lease and no quick succession.
func (t *Transport) Attach(r *raft.Raft) { t.raft.Store(r) }

// Yield says whether this node refuses to be handed the leadership by another.
func (t *Transport) Yield(yes bool) { t.yields.Store(yes) }

// Consumer is where Raft takes its requests from.
func (t *Transport) Consumer() <-chan raft.RPC { return t.consumer }

// LocalAddr is this node's ServerID.
func (t *Transport) LocalAddr() raft.ServerAddress {
	return raft.ServerAddress(t.all.cfg.Identity.ServerID)
}

// EncodePeer gives the ServerID, which is the address.
func (t *Transport) EncodePeer(id raft.ServerID, _ raft.ServerAddress) []byte { return []byte(id) }

// DecodePeer is the inverse of EncodePeer.
func (t *Transport) DecodePeer(b []byte) raft.ServerAddress { return raft.ServerAddress(b) }

// SetHeartbeatHandler takes the function that answers heartbeats past the disk.
func (t *Transport) SetHeartbeatHandler(f func(raft.RPC)) { t.heartbeat.Store(&f) }

// Close ends everything under way; the group is no longer served here.
func (t *Transport) Close() error {
	t.end()
	t.all.drop(t)
	return nil
}

// header is what every request of a peer says of its sender.
func header(serverID string) raft.RPCHeader {
	return raft.RPCHeader{ProtocolVersion: raft.ProtocolVersionMax, ID: []byte(serverID), Addr: []byte(serverID)}
}

// ask hands a request to this node's Raft and waits for its answer.
func (t *Transport) ask(ctx context.Context, rpc raft.RPC) (any, error) {
	answer := make(chan raft.RPCResponse, 1)
	rpc.RespChan = answer
	select {
	case t.consumer <- rpc:
	case <-ctx.Done():
		return nil, status.FromContextError(ctx.Err()).Err()
	case <-t.life.Done():
		return nil, status.Error(codes.Unavailable, ErrTransportClosed.Error())
	}
	select {
	case a := <-answer:
		if a.Error != nil {
			return nil, status.Error(codes.Aborted, a.Error.Error())
		}
		return a.Response, nil
	case <-ctx.Done():
		return nil, status.FromContextError(ctx.Err()).Err()
	case <-t.life.Done():
		return nil, status.Error(codes.Unavailable, ErrTransportClosed.Error())
	}
}

func (t *Transport) client(peer raft.ServerID) (pb.RaftClient, *conn, error) {
	c, err := t.all.cfg.Conns.conn(string(peer))
	if err != nil {
		return nil, nil, err
	}
	return pb.NewRaftClient(c.grpc), c, nil
}

// RequestVote asks a peer for its vote.
func (t *Transport) RequestVote(id raft.ServerID, _ raft.ServerAddress, r *raft.RequestVoteRequest, resp *raft.RequestVoteResponse) error {
	a, err := t.vote(id, &pb.RaftVoteRequest{
		Group: t.group, Term: r.Term, LastLogIndex: r.LastLogIndex, LastLogTerm: r.LastLogTerm,
		LeadershipTransfer: r.LeadershipTransfer,
	})
	if err != nil {
		return fmt.Errorf("request vote of %s: %w", id, err)
	}
	resp.RPCHeader, resp.Term, resp.Granted = header(string(id)), a.Term, a.Granted
	return nil
}

// RequestPreVote asks a peer whether it would vote for this node.
func (t *Transport) RequestPreVote(id raft.ServerID, _ raft.ServerAddress, r *raft.RequestPreVoteRequest, resp *raft.RequestPreVoteResponse) error {
	a, err := t.vote(id, &pb.RaftVoteRequest{
		Group: t.group, PreVote: true, Term: r.Term, LastLogIndex: r.LastLogIndex, LastLogTerm: r.LastLogTerm,
	})
	if err != nil {
		return fmt.Errorf("request pre-vote of %s: %w", id, err)
	}
	resp.RPCHeader, resp.Term, resp.Granted = header(string(id)), a.Term, a.Granted
	return nil
}

func (t *Transport) vote(id raft.ServerID, r *pb.RaftVoteRequest) (*pb.RaftVoteAnswer, error) {
	client, _, err := t.client(id)
	if err != nil {
		return nil, err
	}
	ctx, cancel := context.WithTimeout(t.life, t.all.cfg.CallTimeout)
	defer cancel()
	return client.Vote(ctx, r)
}

// TimeoutNow hands the leadership to a peer. From here on another leader may
// stand for election at any moment, so the lease is given up first.
func (t *Transport) TimeoutNow(id raft.ServerID, _ raft.ServerAddress, _ *raft.TimeoutNowRequest, resp *raft.TimeoutNowResponse) error {
	client, _, err := t.client(id)
	if err != nil {
		return err
	}
	t.lease.giveUp(4 * t.all.cfg.Lease)
	ctx, cancel := context.WithTimeout(t.life, t.all.cfg.CallTimeout)
	defer cancel()
	if _, err := client.TimeoutNow(ctx, &pb.RaftTimeoutNowRequest{Group: t.group}); err != nil {
		return fmt.Errorf("hand the leadership of group %d to %s: %w", t.group, id, err)
	}
	resp.RPCHeader = header(string(id))
	return nil
}

// Vote serves both kinds of vote. A process that has just started waits: its
// predecessor may have promised a leader not to vote for as long as a lease.
func (ts *Transports) Vote(ctx context.Context, r *pb.RaftVoteRequest) (*pb.RaftVoteAnswer, error) {
	t, err := ts.find(r.Group)
	if err != nil {
		return nil, err
	}
	if wait := ts.cfg.Lease - time.Since(ts.started); wait > 0 {
		pause(ctx, wait)
	}
	caller, _ := CallerOf(ctx)
	from := header(caller.ServerID)
	if r.PreVote {
		resp, err := t.ask(ctx, raft.RPC{Command: &raft.RequestPreVoteRequest{
			RPCHeader: from, Term: r.Term, LastLogIndex: r.LastLogIndex, LastLogTerm: r.LastLogTerm,
		}})
		if err != nil {
			return nil, err
		}
		a := resp.(*raft.RequestPreVoteResponse)
		return &pb.RaftVoteAnswer{Term: a.Term, Granted: a.Granted}, nil
	}
	resp, err := t.ask(ctx, raft.RPC{Command: &raft.RequestVoteRequest{
		RPCHeader: from, Term: r.Term, LastLogIndex: r.LastLogIndex, LastLogTerm: r.LastLogTerm,
		LeadershipTransfer: r.LeadershipTransfer,
	}})
	if err != nil {
		return nil, err
	}
	a := resp.(*raft.RequestVoteResponse)
	return &pb.RaftVoteAnswer{Term: a.Term, Granted: a.Granted}, nil
}

// TimeoutNow serves a leader that hands its leadership to this node.
func (ts *Transports) TimeoutNow(ctx context.Context, r *pb.RaftTimeoutNowRequest) (*pb.RaftTimeoutNowAnswer, error) {
	t, err := ts.find(r.Group)
	if err != nil {
		return nil, err
	}
	if t.yields.Load() {
		return nil, status.Errorf(codes.FailedPrecondition, "%s takes no leadership now", ts.cfg.Identity.ServerID)
	}
	caller, _ := CallerOf(ctx)
	if _, err := t.ask(ctx, raft.RPC{Command: &raft.TimeoutNowRequest{RPCHeader: header(caller.ServerID)}}); err != nil {
		return nil, err
	}
	return &pb.RaftTimeoutNowAnswer{}, nil
}

var (
	_ raft.Transport   = (*Transport)(nil)
	_ raft.WithPreVote = (*Transport)(nil)
	_ raft.WithClose   = (*Transport)(nil)
)
