package peer

import (
	"errors"
	"fmt"
	"time"

	"github.com/hashicorp/raft"

	pb "github.com/warrenmq/warren/proto"
)

var errNotOpen = errors.New("the peer has not opened the group")

// isHeartbeat is hashicorp/raft's own test: such a request needs no disk.
func isHeartbeat(r *raft.AppendEntriesRequest) bool {
	return r.Term != 0 && r.PrevLogEntry == 0 && r.PrevLogTerm == 0 && len(r.Entries) == 0 && r.LeaderCommitIndex == 0
}

// beat sends a heartbeat over the link to a peer and waits for its answer.
func (t *Transport) beat(id raft.ServerID, r *raft.AppendEntriesRequest, resp *raft.AppendEntriesResponse) error {
	c, err := t.all.cfg.Conns.conn(string(id))
	if err != nil {
		return err
	}
	type outcome struct {
		answer *pb.RaftBeatAnswer
		err    error
	}
	heard := make(chan outcome, 1)
	b := &beat{done: func(a *pb.RaftBeatAnswer, err error) { heard <- outcome{a, err} }}
	b.wire.Group, b.wire.Term = t.group, r.Term
	if err := c.link.add(b, false); err != nil {
		return err
	}
	timeout := time.NewTimer(t.all.cfg.CallTimeout)
	defer timeout.Stop()
	select {
	case o := <-heard:
		switch {
		case o.err != nil:
			return o.err
		case !o.answer.Known:
			return fmt.Errorf("%w: group %d, %s", errNotOpen, t.group, id)
		}
		resp.RPCHeader, resp.Term, resp.LastLog, resp.Success = header(string(id)), o.answer.Term, o.answer.LastLog, o.answer.Success
		if resp.Success && resp.Term == r.Term {
			t.acknowledged(r.Term, id, b.sent, resp.LastLog)
		}
		return nil
	case <-timeout.C:
		return fmt.Errorf("%w: heartbeat of group %d, %s", errUnanswered, t.group, id)
	case <-t.life.Done():
		return ErrTransportClosed
	}
}

// Announce tells followers at once how far the group has committed, where Raft
// would tell them with the next entry: an append request without entries, in
// r, that is not waited for. A follower that is down learns it later.
func (t *Transport) Announce(followers []raft.ServerID, r *raft.AppendEntriesRequest) {
	for _, id := range followers {
		c, err := t.all.cfg.Conns.conn(string(id))
		if err != nil {
			continue
		}
		b := &beat{done: func(*pb.RaftBeatAnswer, error) {}}
		b.wire.Group, b.wire.Term = t.group, r.Term
		b.wire.PrevIndex, b.wire.PrevTerm, b.wire.Commit = r.PrevLogEntry, r.PrevLogTerm, r.LeaderCommitIndex
		if c.link.add(b, true) != nil {
			continue
		}
	}
}

// serveBeat answers a beat of a leader. A heartbeat is answered here and now,
// past the disk; an announcement goes to Raft in its own time.
func (t *Transport) serveBeat(leader string, b *pb.RaftBeat) *pb.RaftBeatAnswer {
	t.follows(leader)
	from := header(leader)
	answer := make(chan raft.RPCResponse, 1)
	rpc := raft.RPC{RespChan: answer, Command: &raft.AppendEntriesRequest{
		RPCHeader: from, Term: b.Term, Leader: from.Addr,
		PrevLogEntry: b.PrevIndex, PrevLogTerm: b.PrevTerm, LeaderCommitIndex: b.Commit,
	}}
	if b.PrevIndex != 0 || b.Commit != 0 {
		t.pass(rpc)
		return &pb.RaftBeatAnswer{Known: true}
	}
	handler := t.heartbeat.Load()
	if handler == nil {
		return &pb.RaftBeatAnswer{}
	}
	(*handler)(rpc)
	select {
	case a := <-answer:
		resp, ok := a.Response.(*raft.AppendEntriesResponse)
		if !ok || a.Error != nil {
			return &pb.RaftBeatAnswer{}
		}
		return &pb.RaftBeatAnswer{Known: true, Success: resp.Success, Term: resp.Term, LastLog: resp.LastLog}
	default: // Raft is stopping
		return &pb.RaftBeatAnswer{}
	}
}

// pass hands an announcement to Raft without waiting. One at a time: a later
// one is covered by the leader's next request.
func (t *Transport) pass(rpc raft.RPC) {
	if !t.announced.CompareAndSwap(false, true) {
		return
	}
	go func() {
		defer t.announced.Store(false)
		select {
		case t.consumer <- rpc:
		case <-t.life.Done():
		}
	}()
}
