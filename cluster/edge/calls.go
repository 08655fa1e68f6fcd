package edge

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/warrenmq/warren/broker/leader"
	"github.com/warrenmq/warren/broker/queue"
	pb "github.com/warrenmq/warren/proto"
)

// Counts counts a queue's messages and consumers at its leader, for queue.declare:
// an unused queue lives longer for it.
func (e *Edge) Counts(ctx context.Context, id queue.ID) (leader.Counts, error) {
	r, err := e.call(ctx, id, &pb.CallRequest{Call: &pb.CallRequest_Counts{Counts: true}})
	return fromCounts(r), err
}

// Observe counts as Counts does, for listings: an unused queue stays so.
func (e *Edge) Observe(ctx context.Context, id queue.ID) (leader.Counts, error) {
	r, err := e.call(ctx, id, &pb.CallRequest{Call: &pb.CallRequest_Observe{Observe: true}})
	return fromCounts(r), err
}

func toCounts(c leader.Counts) *pb.CallReply {
	return &pb.CallReply{Ready: c.Ready, Unacked: c.Unacked, Consumers: uint64(c.Consumers), Active: uint64(c.Active), DeadLetters: c.DeadLetters}
}

func fromCounts(r *pb.CallReply) leader.Counts {
	return leader.Counts{
		Ready: r.GetReady(), Unacked: r.GetUnacked(), Consumers: int(r.GetConsumers()),
		Active: int(r.GetActive()), DeadLetters: r.GetDeadLetters(),
	}
}

// Purge drops a queue's ready messages.
func (e *Edge) Purge(ctx context.Context, id queue.ID) (uint64, error) {
	r, err := e.call(ctx, id, &pb.CallRequest{Call: &pb.CallRequest_Purge{Purge: true}})
	return r.GetReady(), err
}

// Seal makes a queue refuse publishes, as the first step of its deletion.
func (e *Edge) Seal(ctx context.Context, id queue.ID, ifUnused, ifEmpty bool) (uint64, error) {
	r, err := e.call(ctx, id, &pb.CallRequest{Call: &pb.CallRequest_Seal{Seal: &pb.SealCall{IfUnused: ifUnused, IfEmpty: ifEmpty}}})
	return r.GetReady(), err
}

// Configure creates a queue in its group.
func (e *Edge) Configure(ctx context.Context, id queue.ID, settings queue.Settings) error {
	_, err := e.call(ctx, id, &pb.CallRequest{Call: &pb.CallRequest_Configure{Configure: queue.EncodeCommands(queue.Configure{Queue: id, Settings: settings})}})
	return err
}

// ForgetQueue drops a queue and its messages in its group.
func (e *Edge) ForgetQueue(ctx context.Context, id queue.ID, t Target) error {
	_, err := e.callTarget(ctx, t, id, &pb.CallRequest{Call: &pb.CallRequest_Forget{Forget: true}})
	return err
}

// call asks the leader of a queue, looking for it until ctx ends. Every call
// may be repeated: a purge or a seal that was done and not answered is done again.
func (e *Edge) call(ctx context.Context, id queue.ID, r *pb.CallRequest) (*pb.CallReply, error) {
	t, ok := e.target(id)
	if !ok {
		return nil, leader.ErrNoQueue
	}
	return e.callTarget(ctx, t, id, r)
}

func (e *Edge) callTarget(ctx context.Context, t Target, id queue.ID, r *pb.CallRequest) (*pb.CallReply, error) {
	r.Group, r.Queue = t.Group, uint64(id)
	var last error
	for tries := 0; ; tries++ {
		reply, err := e.try(ctx, t, r)
		switch {
		case err == nil && reply.Outcome.GetCode() == 0:
			return reply, nil
		case err == nil:
			err = fromOutcome(reply.Outcome)
			if !errors.Is(err, leader.ErrUnavailable) && !errors.Is(err, leader.ErrNotLeading) {
				return nil, err
			}
		case errors.Is(err, errHomeGone):
			return nil, leader.ErrNoQueue
		}
		last = err
		if !pause(ctx, tries) {
			return nil, fmt.Errorf("queue %d: %w: %w", id, leader.ErrUnavailable, last)
		}
	}
}

// tryTimeout bounds one attempt: a leader that died silently answers nothing.
const tryTimeout = 1500 * time.Millisecond

func (e *Edge) try(ctx context.Context, t Target, r *pb.CallRequest) (*pb.CallReply, error) {
	ctx, cancel := context.WithTimeout(ctx, tryTimeout)
	defer cancel()
	node, err := e.leaderOf(ctx, t)
	if err != nil {
		return nil, err
	}
	if node == e.cfg.Self.Node {
		engine, _, ok := e.cfg.Local.Engine(t.Group)
		if !ok {
			return nil, leader.ErrNotLeading
		}
		return callEngine(ctx, engine, r)
	}
	conn, err := e.cfg.Conns.Conn(node)
	if err != nil {
		return nil, err
	}
	return pb.NewEdgeClient(conn).Call(ctx, r)
}

// callEngine does one thing at an engine of this process.
func callEngine(ctx context.Context, engine *leader.Engine, r *pb.CallRequest) (*pb.CallReply, error) {
	id := queue.ID(r.Queue)
	reply := &pb.CallReply{}
	var err error
	switch call := r.Call.(type) {
	case *pb.CallRequest_Counts:
		var c leader.Counts
		c, err = engine.Counts(ctx, id)
		reply = toCounts(c)
	case *pb.CallRequest_Observe:
		var c leader.Counts
		c, err = engine.Observe(ctx, id)
		reply = toCounts(c)
	case *pb.CallRequest_Purge:
		reply.Ready, err = engine.Purge(ctx, id)
	case *pb.CallRequest_Seal:
		reply.Ready, err = engine.Seal(ctx, id, call.Seal.GetIfUnused(), call.Seal.GetIfEmpty())
	case *pb.CallRequest_Configure:
		err = configure(ctx, engine, call.Configure)
	case *pb.CallRequest_Forget:
		err = engine.Forget(ctx, id)
	default:
		err = fmt.Errorf("unknown call %T: %w", call, leader.ErrUnavailable)
	}
	reply.Outcome = toOutcome(err)
	return reply, nil
}

func configure(ctx context.Context, engine *leader.Engine, encoded []byte) error {
	commands, err := queue.Decode(encoded)
	if err != nil {
		return err
	}
	for _, c := range commands {
		c, ok := c.(queue.Configure)
		if !ok {
			return fmt.Errorf("configure with a %T: %w", c, leader.ErrUnavailable)
		}
		if err := engine.Configure(ctx, c.Queue, c.Settings); err != nil {
			return err
		}
	}
	return nil
}
