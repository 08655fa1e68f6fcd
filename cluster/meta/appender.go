package meta

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/hashicorp/raft"

	pb "github.com/warrenmq/warren/proto"
)

const (
	appendQueue    = 256 // batches that wait at the leader; more wait at their senders
	entryBatches   = 64
	entryBytes     = 256 << 10
	enqueueTimeout = time.Second
)

// errNotLeader says that nothing was appended.
var errNotLeader = errors.New("not the leader of the meta group")

// appender makes log entries at the leader: what arrives while one entry is being
// committed goes into the next.
type appender struct {
	self  string
	queue chan appendRequest
}

type appendRequest struct {
	batch *pb.MetaBatch
	done  chan error // buffered
}

func newAppender(self string) *appender {
	return &appender{self: self, queue: make(chan appendRequest, appendQueue)}
}

// append returns nil when the batch is committed and applied here, errNotLeader
// when it surely never will be by this call. Any other error leaves it open.
func (a *appender) append(ctx context.Context, b *pb.MetaBatch) error {
	if err := checkBatch(b); err != nil {
		return err
	}
	req := appendRequest{b, make(chan error, 1)}
	select {
	case a.queue <- req:
	case <-ctx.Done():
		return ctx.Err()
	}
	select {
	case err := <-req.done:
		return err
	case <-ctx.Done():
		return ctx.Err()
	}
}

// checkBatch refuses what replicas could not apply: after the append it is too late.
func checkBatch(b *pb.MetaBatch) error {
	if b.GetOrigin() == "" || len(b.GetCommands()) == 0 || len(b.GetCommands()) > maxBatchLength {
		return fmt.Errorf("a batch of %d commands from %q cannot be appended", len(b.GetCommands()), b.GetOrigin())
	}
	for _, c := range b.GetCommands() {
		if c.GetBody() == nil {
			return fmt.Errorf("command %d from %s is of a kind that this version does not know", c.GetNumber(), b.GetOrigin())
		}
	}
	return nil
}

func (a *appender) run(ctx context.Context, r *raft.Raft) {
	for {
		select {
		case first := <-a.queue:
			a.commit(r, a.gather(first))
		case <-ctx.Done():
			return
		}
	}
}

func (a *appender) gather(first appendRequest) []appendRequest {
	reqs := []appendRequest{first}
	size := batchBytes(first.batch)
	for len(reqs) < entryBatches && size < entryBytes {
		select {
		case next := <-a.queue:
			reqs = append(reqs, next)
			size += batchBytes(next.batch)
		default:
			return reqs
		}
	}
	return reqs
}

func batchBytes(b *pb.MetaBatch) (n int) {
	for _, c := range b.GetCommands() {
		n += len(c.GetTopology()) + 32
	}
	return n
}

func (a *appender) commit(r *raft.Raft, reqs []appendRequest) {
	e := &pb.MetaEntry{Proposer: a.self}
	for _, req := range reqs {
		e.Batches = append(e.Batches, req.batch)
	}
	data, err := encode(e)
	if err == nil {
		err = r.Apply(data, enqueueTimeout).Error()
	}
	if errors.Is(err, raft.ErrNotLeader) || errors.Is(err, raft.ErrEnqueueTimeout) {
		err = errNotLeader
	}
	for _, req := range reqs {
		req.done <- err
	}
}
