package peer

import (
	"context"
	"fmt"
	"strconv"
	"time"

	"github.com/hashicorp/raft"
	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/metadata"
	"google.golang.org/grpc/status"

	pb "github.com/warrenmq/warren/proto"
)

// absentCheck is how often a request that waits for an absent peer asks whether
// it is still wanted.
const absentCheck = 200 * time.Millisecond

// AppendEntries replicates to a follower outside of the pipeline: heartbeats,
// and the first requests to a follower or those after a failure.
//
// It does not fail because the peer is down: Raft would back off for up to ten
// seconds, and the peer would wait that long after its return. It waits, without
// holding on to the entries: the request becomes a probe with none, whose
// success makes Raft send them.
func (t *Transport) AppendEntries(id raft.ServerID, _ raft.ServerAddress, r *raft.AppendEntriesRequest, resp *raft.AppendEntriesResponse) error {
	if isHeartbeat(r) {
		return t.beat(id, r, resp)
	}
	for waited := false; ; waited = true {
		err := t.appendOnce(id, r, resp)
		if err == nil && waited {
			t.prompt()
		}
		switch status.Code(err) {
		case codes.Unavailable, codes.NotFound, codes.FailedPrecondition, codes.PermissionDenied:
		default:
			return err
		}
		r.Entries = nil
		if !t.awaitPeer(id, r.Term) {
			return fmt.Errorf("append to %s: %w", id, err)
		}
	}
}

// prompt makes Raft look for entries that a returned peer lacks, which it would
// do with the next proposal only, by proposing nothing.
func (t *Transport) prompt() {
	if r := t.raft.Load(); r != nil {
		go r.Barrier(t.all.cfg.CallTimeout) // returns when Raft has taken it, or in time
	}
}

// awaitPeer pauses before a peer is tried again; false: it is no longer wanted.
func (t *Transport) awaitPeer(id raft.ServerID, term uint64) bool {
	c, err := t.all.cfg.Conns.conn(string(id))
	if err != nil {
		return false
	}
	timer := time.NewTimer(absentCheck)
	defer timer.Stop()
	select {
	case <-c.link.comesUp():
	case <-timer.C:
	case <-t.life.Done():
	}
	r := t.raft.Load()
	if r == nil || t.life.Err() != nil || r.State() != raft.Leader || r.CurrentTerm() != term {
		return false
	}
	f := r.GetConfiguration()
	if f.Error() != nil {
		return false
	}
	for _, s := range f.Configuration().Servers {
		if s.ID == id {
			return true
		}
	}
	return false
}

func (t *Transport) appendOnce(id raft.ServerID, r *raft.AppendEntriesRequest, resp *raft.AppendEntriesResponse) error {
	stream, cancel, err := t.openAppend(id)
	if err != nil {
		return err
	}
	defer cancel()
	for _, part := range splitAppend(r) {
		sent := time.Now()
		if err := sendAppend(stream, part); err != nil {
			_, err = stream.Recv() // Send knows only that the stream is over
			return err
		}
		answer, err := stream.Recv()
		if err != nil {
			return err
		}
		if err := t.fill(id, part, sent, answer, resp); err != nil || !resp.Success {
			return err
		}
	}
	return nil
}

type appendStream = grpc.BidiStreamingClient[pb.RaftAppendChunk, pb.RaftAppendAnswer]

func (t *Transport) openAppend(id raft.ServerID) (appendStream, context.CancelFunc, error) {
	client, _, err := t.client(id)
	if err != nil {
		return nil, nil, err
	}
	ctx, cancel := context.WithCancel(t.life)
	stream, err := client.Append(metadata.AppendToOutgoingContext(ctx, keyGroup, strconv.FormatUint(t.group, 10)))
	if err != nil {
		cancel()
		return nil, nil, err
	}
	return stream, cancel, nil
}

func sendAppend(stream appendStream, r *raft.AppendEntriesRequest) error {
	for _, frame := range encodeAppend(r) {
		if err := stream.SendMsg(frame); err != nil {
			return err
		}
	}
	return nil
}

// fill turns a follower's answer to r into Raft's, and counts it for the lease.
// The follower says how far its log reached before it took r.
func (t *Transport) fill(id raft.ServerID, r *raft.AppendEntriesRequest, sent time.Time, a *pb.RaftAppendAnswer, resp *raft.AppendEntriesResponse) error {
	if a.Error != "" {
		return fmt.Errorf("%s answers: %s", id, a.Error)
	}
	resp.RPCHeader = header(string(id))
	resp.Term, resp.LastLog, resp.Success, resp.NoRetryBackoff = a.Term, a.LastLog, a.Success, a.NoRetryBackoff
	if a.Success && a.Term == r.Term {
		reached := a.LastLog
		if n := len(r.Entries); n > 0 {
			reached = max(reached, r.Entries[n-1].Index)
		}
		t.acknowledged(r.Term, id, sent, reached)
	}
	return nil
}

// Append serves one leader's stream for one group. Reading and decoding the next
// request goes on while Raft works at the last.
func (ts *Transports) Append(stream pb.Raft_AppendServer) error {
	ctx := stream.Context()
	md, _ := metadata.FromIncomingContext(ctx)
	name := md.Get(keyGroup)
	if len(name) != 1 {
		return status.Error(codes.InvalidArgument, "an append stream without a group")
	}
	group, err := strconv.ParseUint(name[0], 10, 64)
	if err != nil {
		return status.Errorf(codes.InvalidArgument, "an append stream of group %q", name[0])
	}
	t, err := ts.find(group)
	if err != nil {
		return err
	}
	caller, _ := CallerOf(ctx)
	t.follows(caller.ServerID)
	asked := make(chan chan raft.RPCResponse, ts.cfg.InFlight)
	ended := make(chan error, 1)
	go func() { ended <- t.readAppends(stream, caller.ServerID, asked) }() // ends with the stream, which ends below
	return t.answerAppends(stream, asked, ended)
}

func (t *Transport) readAppends(stream pb.Raft_AppendServer, leader string, asked chan<- chan raft.RPCResponse) error {
	var assembler appendAssembler
	defer assembler.reset()
	from := header(leader)
	for {
		var chunk appendChunk
		if err := stream.RecvMsg(&chunk); err != nil {
			return err
		}
		r, err := assembler.add(&chunk)
		if err != nil {
			return status.Error(codes.InvalidArgument, err.Error())
		}
		if r == nil {
			continue
		}
		r.RPCHeader = from
		answer := make(chan raft.RPCResponse, 1)
		select {
		case t.consumer <- raft.RPC{Command: r, RespChan: answer}:
		case <-stream.Context().Done():
			return stream.Context().Err()
		case <-t.life.Done():
			return status.Error(codes.NotFound, ErrTransportClosed.Error())
		}
		select {
		case asked <- answer:
		case <-stream.Context().Done():
			return stream.Context().Err()
		}
	}
}

// answerAppends sends Raft's answers in the order of the requests.
func (t *Transport) answerAppends(stream pb.Raft_AppendServer, asked <-chan chan raft.RPCResponse, ended <-chan error) error {
	for {
		var answer chan raft.RPCResponse
		select {
		case answer = <-asked:
		case err := <-ended:
			return err
		case <-t.life.Done():
			return status.Error(codes.NotFound, ErrTransportClosed.Error())
		}
		select {
		case a := <-answer:
			if err := stream.Send(appendAnswer(a)); err != nil {
				return err
			}
		case err := <-ended:
			return err
		case <-t.life.Done():
			return status.Error(codes.NotFound, ErrTransportClosed.Error())
		}
	}
}

func appendAnswer(a raft.RPCResponse) *pb.RaftAppendAnswer {
	if a.Error != nil {
		return &pb.RaftAppendAnswer{Error: a.Error.Error()}
	}
	resp, ok := a.Response.(*raft.AppendEntriesResponse)
	if !ok {
		return &pb.RaftAppendAnswer{Error: fmt.Sprintf("an answer of type %T", a.Response)}
	}
	return &pb.RaftAppendAnswer{Term: resp.Term, LastLog: resp.LastLog, Success: resp.Success, NoRetryBackoff: resp.NoRetryBackoff}
}
