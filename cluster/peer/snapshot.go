package peer

import (
	"context"
	"errors"
	"fmt"
	"io"

	"github.com/hashicorp/raft"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"

	pb "github.com/warrenmq/warren/proto"
)

const snapshotChunkBytes = 256 << 10

// InstallSnapshot streams a snapshot to a follower. It takes as long as it takes;
// a follower that falls silent breaks the connection.
func (t *Transport) InstallSnapshot(id raft.ServerID, _ raft.ServerAddress, r *raft.InstallSnapshotRequest, resp *raft.InstallSnapshotResponse, data io.Reader) error {
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
	err = stream.Send(&pb.RaftSnapshotChunk{Head: &pb.RaftSnapshotHead{
		Group: t.group, SnapshotVersion: int32(r.SnapshotVersion), Term: r.Term,
		LastLogIndex: r.LastLogIndex, LastLogTerm: r.LastLogTerm,
		Configuration: r.Configuration, ConfigurationIndex: r.ConfigurationIndex, Size: r.Size,
	}})
	if err == nil {
		err = sendSnapshot(stream, data)
	}
	if err != nil && !errors.Is(err, io.EOF) { // EOF: the answer says why the stream is over
		return fmt.Errorf("send snapshot to %s: %w", id, err)
	}
	answer, err := stream.CloseAndRecv()
	if err != nil {
		return fmt.Errorf("send snapshot to %s: %w", id, err)
	}
	resp.RPCHeader, resp.Term, resp.Success = header(string(id)), answer.Term, answer.Success
	return nil
}

func sendSnapshot(stream pb.Raft_InstallSnapshotClient, data io.Reader) error {
	for {
		b := make([]byte, snapshotChunkBytes)
		n, err := io.ReadFull(data, b)
		if n > 0 {
			if err := stream.Send(&pb.RaftSnapshotChunk{Data: b[:n]}); err != nil {
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

// InstallSnapshot serves a leader that sends its snapshot.
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
	caller, _ := CallerOf(stream.Context())
	from := header(caller.ServerID)
	resp, err := t.ask(stream.Context(), raft.RPC{
		Command: &raft.InstallSnapshotRequest{
			RPCHeader: from, SnapshotVersion: raft.SnapshotVersion(head.SnapshotVersion), Term: head.Term, Leader: from.Addr,
			LastLogIndex: head.LastLogIndex, LastLogTerm: head.LastLogTerm,
			Configuration: head.Configuration, ConfigurationIndex: head.ConfigurationIndex, Size: head.Size,
		},
		Reader: &snapshotReader{stream: stream, rest: first.Data},
	})
	if err != nil {
		return err
	}
	a := resp.(*raft.InstallSnapshotResponse)
	return stream.SendAndClose(&pb.RaftSnapshotAnswer{Term: a.Term, Success: a.Success})
}

// snapshotReader reads the data of a stream's chunks.
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
