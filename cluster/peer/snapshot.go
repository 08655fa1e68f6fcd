package peer

import (
	"context"
	"errors"
	"fmt"
	"io"
	"time"

	"github.com/hashicorp/raft"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"

	pb "github.com/warrenmq/warren/proto"
)

// Bodies are what a snapshot needs beside the state: the payloads of the entries
// that the state has unsettled messages of. They go past Raft, which sees the state.
type Bodies interface {
	// Send calls to for each body of the entries behind have, up to through, in the
	// order of their indexes; they go to the node serverID. It returns the entry up
	// to which all that was left out is settled, though by the state it may not be.
	Send(serverID string, have, through uint64, to func(index, term uint64, payload []byte) error) (settledBy uint64, err error)
	// Receive begins to take bodies in; it ends what was begun before.
	Receive() BodySink
}

// BodySink takes in the bodies of one snapshot.
type BodySink interface {
	// Have is up to which entry all bodies are here already.
	Have() uint64
	// Adopt takes a body in. It may keep payload.
	Adopt(index, term uint64, payload []byte) error
	// Finish returns when all bodies are durable, and Raft may have the state.
	Finish(settledBy uint64) error
}

// Carry says whose bodies go with the group's snapshots, before Raft runs. Without
// it only the state is sent.
func (t *Transport) Carry(b Bodies) { t.bodies.Store(&b) }

const (
	snapshotChunkBytes = 256 << 10
	// maxBodyBytes is the largest body that is put together again from its parts.
	maxBodyBytes = maxMessageBytes
)

var (
	errReturned = errors.New("the peer was away and is back: to be sent the newest snapshot")
	errDeposed  = errors.New("the leader of another term sends now")
)

// InstallSnapshot streams a snapshot and its bodies to a follower. It takes as long
// as it takes; a follower that falls silent breaks the connection. While the
// follower is down it waits, for the reason that AppendEntries gives.
func (t *Transport) InstallSnapshot(id raft.ServerID, _ raft.ServerAddress, r *raft.InstallSnapshotRequest, resp *raft.InstallSnapshotResponse, data io.Reader) error {
	if err := t.reachable(id, r.Term); err != nil {
		return fmt.Errorf("send snapshot to %s: %w", id, err)
	}
	client, _, err := t.client(id)
	if err != nil {
		return err
	}
	ctx, cancel := context.WithCancel(t.life)
	defer cancel()
	stream, err := client.InstallSnapshot(ctx)
	if err != nil {
		return fmt.Errorf("send snapshot to %s: %w", id, err)
	}
	s := snapshotSender{t: t, to: string(id), stream: stream, term: r.Term}
	began := time.Now()
	err = s.send(r, data)
	if errors.Is(err, io.EOF) { // the answer says why the stream is over
		err = nil
	}
	if err == nil {
		err = stream.CloseSend()
	}
	var answer *pb.RaftSnapshotAnswer
	if err == nil {
		answer, err = stream.Recv()
	}
	if err != nil {
		return fmt.Errorf("send snapshot to %s: %w", id, err)
	}
	t.all.cfg.Logger.Info("snapshot sent", "group", t.group, "to", string(id), "entry", r.LastLogIndex,
		"state", r.Size, "bodies", s.bodies, "bytes", s.bytes, "took", time.Since(began), "taken", answer.Success)
	resp.RPCHeader, resp.Term, resp.Success = header(string(id)), answer.Term, answer.Success
	return nil
}

// reachable returns when the group answers at a peer; an error that it was away
// makes Raft choose the snapshot anew.
func (t *Transport) reachable(id raft.ServerID, term uint64) error {
	for waited := false; ; waited = true {
		client, _, err := t.client(id)
		if err != nil {
			return err
		}
		ctx, cancel := context.WithTimeout(t.life, t.all.cfg.CallTimeout)
		_, err = client.Position(ctx, &pb.RaftPositionRequest{Group: t.group})
		cancel()
		switch status.Code(err) {
		case codes.OK:
			if waited {
				return errReturned
			}
			return nil
		case codes.Unavailable, codes.NotFound, codes.FailedPrecondition, codes.PermissionDenied:
		default:
			return err
		}
		if !t.awaitPeer(id, term) {
			return err
		}
	}
}

// snapshotSender sends one snapshot.
type snapshotSender struct {
	t      *Transport
	to     string // ServerID
	stream pb.Raft_InstallSnapshotClient
	term   uint64
	chunk  *pb.RaftSnapshotChunk // of bodies, being filled
	filled int
	bodies int
	bytes  int64
}

func (s *snapshotSender) send(r *raft.InstallSnapshotRequest, data io.Reader) error {
	err := s.stream.Send(&pb.RaftSnapshotChunk{Head: &pb.RaftSnapshotHead{
		Group: s.t.group, SnapshotVersion: int32(r.SnapshotVersion), Term: r.Term,
		LastLogIndex: r.LastLogIndex, LastLogTerm: r.LastLogTerm,
		Configuration: r.Configuration, ConfigurationIndex: r.ConfigurationIndex, Size: r.Size,
	}})
	if err != nil {
		return err
	}
	first, err := s.stream.Recv()
	if err != nil {
		return err
	}
	var settledBy uint64
	if b := s.t.bodies.Load(); b != nil {
		if settledBy, err = (*b).Send(s.to, first.Have, r.LastLogIndex, s.body); err != nil {
			return err
		}
		if err := s.flush(); err != nil {
			return err
		}
	}
	if err := s.stream.Send(&pb.RaftSnapshotChunk{Settled: &pb.RaftSnapshotSettled{By: settledBy}}); err != nil {
		return err
	}
	return s.state(data)
}

// body sends a body, with others or in parts.
func (s *snapshotSender) body(index, term uint64, payload []byte) error {
	if r := s.t.raft.Load(); r != nil && (r.State() != raft.Leader || r.CurrentTerm() != s.term) {
		return errDeposed
	}
	s.bodies++
	s.bytes += int64(len(payload))
	for more := true; more; {
		part := payload[:min(len(payload), snapshotChunkBytes)]
		payload = payload[len(part):]
		more = len(payload) > 0
		if s.filled+len(part) > snapshotChunkBytes {
			if err := s.flush(); err != nil {
				return err
			}
		}
		if s.chunk == nil {
			s.chunk = &pb.RaftSnapshotChunk{}
		}
		s.chunk.Bodies = append(s.chunk.Bodies, &pb.RaftSnapshotBody{Index: index, Term: term, Data: part, More: more})
		s.filled += len(part) + bodyHeadBytes
	}
	return nil
}

// bodyHeadBytes is what a body costs beside its data, about.
const bodyHeadBytes = 24

func (s *snapshotSender) flush() error {
	if s.chunk == nil {
		return nil
	}
	if err := s.t.all.throttle.take(s.stream.Context(), s.filled); err != nil {
		return err
	}
	err := s.stream.Send(s.chunk)
	s.chunk, s.filled = nil, 0
	return err
}

func (s *snapshotSender) state(data io.Reader) error {
	for {
		b := make([]byte, snapshotChunkBytes)
		n, err := io.ReadFull(data, b)
		if n > 0 {
			if err := s.t.all.throttle.take(s.stream.Context(), n); err != nil {
				return err
			}
			if err := s.stream.Send(&pb.RaftSnapshotChunk{Data: b[:n]}); err != nil {
				return err
			}
		}
		switch {
		case err == io.EOF || err == io.ErrUnexpectedEOF:
			return nil
		case err != nil:
			return fmt.Errorf("read the snapshot: %w", err)
		}
	}
}

// InstallSnapshot serves a leader that sends its snapshot. Raft hears of it when all
// bodies are here, so that it goes on meanwhile: it hears its leader and votes.
func (ts *Transports) InstallSnapshot(stream pb.Raft_InstallSnapshotServer) error {
	first, err := stream.Recv()
	if err != nil {
		return err
	}
	head := first.Head
	if head == nil {
		return status.Error(codes.InvalidArgument, "a snapshot without a head")
	}
	if err := checkConfiguration(head.Configuration); err != nil {
		return status.Error(codes.InvalidArgument, err.Error())
	}
	t, err := ts.find(head.Group)
	if err != nil {
		return err
	}
	if err := t.receiveBodies(stream, head); err != nil {
		return err
	}
	caller, _ := CallerOf(stream.Context())
	from := header(caller.ServerID)
	resp, err := t.ask(stream.Context(), raft.RPC{
		Command: &raft.InstallSnapshotRequest{
			RPCHeader: from, SnapshotVersion: raft.SnapshotVersion(head.SnapshotVersion), Term: head.Term, Leader: from.Addr,
			LastLogIndex: head.LastLogIndex, LastLogTerm: head.LastLogTerm,
			Configuration: head.Configuration, ConfigurationIndex: head.ConfigurationIndex, Size: head.Size,
		},
		Reader: &snapshotReader{stream: stream},
	})
	if err != nil {
		return err
	}
	a := resp.(*raft.InstallSnapshotResponse)
	return stream.Send(&pb.RaftSnapshotAnswer{Term: a.Term, Success: a.Success})
}

// receiveBodies says which bodies are here already and takes in the others.
func (t *Transport) receiveBodies(stream pb.Raft_InstallSnapshotServer, head *pb.RaftSnapshotHead) error {
	var sink BodySink
	answer := &pb.RaftSnapshotAnswer{}
	if b := t.bodies.Load(); b != nil {
		sink = (*b).Receive()
		answer.Have = sink.Have()
	}
	if err := stream.Send(answer); err != nil {
		return err
	}
	var whole []byte // what has come of a body
	for {
		chunk, err := stream.Recv()
		if err != nil {
			return err
		}
		if err := t.receiving(head.Term); err != nil {
			return err
		}
		for _, b := range chunk.Bodies {
			if len(whole)+len(b.Data) > maxBodyBytes || sink == nil {
				return status.Error(codes.InvalidArgument, "a body that nobody can take")
			}
			if whole == nil && !b.More {
				whole = b.Data
			} else {
				whole = append(whole, b.Data...)
			}
			if b.More {
				continue
			}
			if err := sink.Adopt(b.Index, b.Term, whole); err != nil {
				return status.Error(codes.Aborted, err.Error())
			}
			whole = nil
		}
		if chunk.Settled == nil {
			continue
		}
		if sink != nil {
			if err := sink.Finish(chunk.Settled.By); err != nil {
				return status.Error(codes.Aborted, err.Error())
			}
		}
		return nil
	}
}

// receiving tells whether a snapshot of this term may still be taken in.
func (t *Transport) receiving(term uint64) error {
	if t.life.Err() != nil {
		return status.Error(codes.Unavailable, ErrTransportClosed.Error())
	}
	if r := t.raft.Load(); r != nil && r.CurrentTerm() > term {
		return status.Error(codes.Aborted, errDeposed.Error())
	}
	return nil
}

// snapshotReader reads the state from a stream's chunks.
type snapshotReader struct {
	stream pb.Raft_InstallSnapshotServer
	rest   []byte
}

func (r *snapshotReader) Read(b []byte) (int, error) {
	for len(r.rest) == 0 {
		chunk, err := r.stream.Recv()
		if err != nil {
			return 0, err
		}
		r.rest = chunk.Data
	}
	n := copy(b, r.rest)
	r.rest = r.rest[n:]
	return n, nil
}
