package peer

import (
	"context"
	"slices"
	"strconv"
	"sync"
	"time"

	"github.com/hashicorp/raft"

	pb "github.com/warrenmq/warren/proto"
)

const (
	positionTimeout = 150 * time.Millisecond // for the survivors to say how far their logs reach
	successionPause = 300 * time.Millisecond // before the next in line stands for election
)

// position is how far a replica's log reaches.
type position struct{ term, index uint64 }

func (p position) before(other position) bool {
	return p.term < other.term || p.term == other.term && p.index < other.index
}

func positionOf(r *raft.Raft) position {
	term, _ := strconv.ParseUint(r.Stats()["last_log_term"], 10, 64)
	return position{term: term, index: r.LastIndex()}
}

// follows makes sure that this node holds links to the leader, whose death it
// wants to hear of, and to the others, whom it then asks.
func (t *Transport) follows(leader string) {
	if last := t.followed.Load(); last != nil && *last == leader {
		return
	}
	t.followed.Store(&leader)
	peers := []string{leader}
	if r := t.raft.Load(); r != nil {
		peers = append(peers, t.voters(r)...)
	}
	for _, id := range peers {
		if id == t.all.cfg.Identity.ServerID {
			continue
		}
		if _, err := t.all.cfg.Conns.conn(id); err != nil {
			return // this node is stopping
		}
	}
}

// succeed gets a group whose leader's process is gone a new one, without waiting
// for the heartbeat timeout. Every survivor runs it: they ask each other how far
// their logs reach, the one who is furthest (among equals the first of the
// configuration) stands for election at once, the next a little later if that
// was in vain. Standing for election is always safe; the order only keeps them
// from taking each other's votes.
func (t *Transport) succeed(ctx context.Context, leader string) {
	r := t.raft.Load()
	if r == nil {
		return
	}
	voters := t.voters(r)
	self := t.all.cfg.Identity.ServerID
	if !slices.Contains(voters, self) {
		return
	}
	rank := t.rank(ctx, positionOf(r), slices.DeleteFunc(voters, func(v string) bool { return v == leader }))
	if rank > 0 {
		pause(ctx, time.Duration(rank)*successionPause)
	}
	_, current := r.LeaderWithID()
	if ctx.Err() != nil || r.State() != raft.Follower || current != "" && string(current) != leader {
		return
	}
	ctx, cancel := context.WithTimeout(ctx, t.all.cfg.CallTimeout)
	defer cancel()
	t.all.cfg.Logger.Info("the leader's process is gone, standing for election", "group", t.group, "leader", leader)
	if _, err := t.ask(ctx, raft.RPC{Command: &raft.TimeoutNowRequest{RPCHeader: header(self)}}); err != nil {
		t.all.cfg.Logger.Debug("could not stand for election", "group", t.group, "error", err)
	}
}

// rank is this node's place in line: how many of the others go before it.
func (t *Transport) rank(ctx context.Context, own position, survivors []string) int {
	ctx, cancel := context.WithTimeout(ctx, positionTimeout)
	defer cancel()
	self := slices.Index(survivors, t.all.cfg.Identity.ServerID)
	ahead := make([]bool, len(survivors))
	var asking sync.WaitGroup
	for i, id := range survivors {
		if i == self {
			continue
		}
		asking.Go(func() {
			client, _, err := t.client(raft.ServerID(id))
			if err != nil {
				return
			}
			a, err := client.Position(ctx, &pb.RaftPositionRequest{Group: t.group})
			if err != nil {
				return // it will not stand for election either, or votes for this node
			}
			theirs := position{term: a.LastLogTerm, index: a.LastLogIndex}
			ahead[i] = own.before(theirs) || own == theirs && i < self
		})
	}
	asking.Wait()
	rank := 0
	for _, a := range ahead {
		if a {
			rank++
		}
	}
	return rank
}

// Position serves survivors of a leader.
func (ts *Transports) Position(_ context.Context, r *pb.RaftPositionRequest) (*pb.RaftPositionAnswer, error) {
	t, err := ts.find(r.Group)
	if err != nil {
		return nil, err
	}
	attached := t.raft.Load()
	if attached == nil {
		return &pb.RaftPositionAnswer{}, nil
	}
	p := positionOf(attached)
	return &pb.RaftPositionAnswer{LastLogTerm: p.term, LastLogIndex: p.index}, nil
}
