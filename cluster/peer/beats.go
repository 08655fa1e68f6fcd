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
	if err := c.link.add(b); err != nil {
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

// serveBeat answers a heartbeat of a leader here and now, past the disk: only
// the first one of a term that this node has not voted in makes it write.
func (t *Transport) serveBeat(leader string, b *pb.RaftBeat) *pb.RaftBeatAnswer {
	t.follows(leader)
	handler := t.heartbeat.Load()
	if handler == nil {
		return &pb.RaftBeatAnswer{}
	}
	from := header(leader)
	answer := make(chan raft.RPCResponse, 1)
	(*handler)(raft.RPC{RespChan: answer, Command: &raft.AppendEntriesRequest{RPCHeader: from, Term: b.Term}})
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
