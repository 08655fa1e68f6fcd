package meta

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/hashicorp/raft"

	"github.com/warrenmq/warren/broker/topology"
	pb "github.com/warrenmq/warren/proto"
)

const deposedLook = 100 * time.Millisecond

// Apply carries out a definition and returns when every live node has applied it,
// or after VisibleTimeout. A refusal is topology's; ErrUnavailable (ErrNoQuorum
// among them) leaves open whether it was or will be applied.
func (m *Meta) Apply(ctx context.Context, c topology.Command) (topology.Result, error) {
	result, index, err := m.Propose(ctx, c)
	if err != nil {
		return result, err
	}
	m.AwaitVisible(ctx, index)
	return result, nil
}

// Propose is Apply that returns when this node has applied the definition, with
// its index in the log.
func (m *Meta) Propose(ctx context.Context, c topology.Command) (topology.Result, uint64, error) {
	out := m.propose(ctx, &pb.MetaCommand{Body: &pb.MetaCommand_Topology{Topology: topology.EncodeCommand(m.cfg.Limits.Attach(c))}})
	return out.result, out.index, out.err
}

// AwaitVisible returns when every live node has applied the index, or after
// VisibleTimeout. A node that did not answer in time is passed over until it has
// answered again.
func (m *Meta) AwaitVisible(ctx context.Context, index uint64) {
	var others []process
	m.fsm.view(func(s *state) {
		for _, mem := range m.cfg.Members() {
			if n, joined := s.nodes[mem.ID]; joined && mem.Alive && mem.ID != m.cfg.Self.ID {
				others = append(others, process{mem.ID, n.Epoch})
			}
		}
	})
	m.visibility.await(ctx, index, others)
}

// SetReplicas reports, by a group's leader, which replicas the group has, and term and
// index of its log by which that is so.
func (m *Meta) SetReplicas(ctx context.Context, group uint64, replicas []string, term, index uint64) error {
	return m.propose(ctx, &pb.MetaCommand{Body: &pb.MetaCommand_SetReplicas{
		SetReplicas: &pb.MetaSetReplicas{Group: group, Replicas: replicas, Term: term, Index: index}}}).err
}

// propose waits until this node has applied the command.
func (m *Meta) propose(ctx context.Context, c *pb.MetaCommand) outcome {
	ctx, cancel := context.WithTimeout(ctx, m.cfg.ApplyTimeout)
	defer cancel()
	prop, err := m.proposals.add(c)
	if err != nil {
		return outcome{err: err}
	}
	select {
	case out := <-prop.done:
		return out
	case <-ctx.Done():
	}
	m.proposals.giveUp(prop)
	select {
	case out := <-prop.done: // just now
		return out
	default:
	}
	if m.Leader() == "" {
		return outcome{err: fmt.Errorf("%w (%w)", ErrNoQuorum, ctx.Err())}
	}
	return outcome{err: fmt.Errorf("%w: its leader does not answer (%w)", ErrUnavailable, ctx.Err())}
}

// send hands a batch to the leader, wherever that is.
func (m *Meta) send(ctx context.Context, b *pb.MetaBatch) error {
	ctx, cancel := context.WithTimeout(ctx, sendTimeout)
	defer cancel()
	leader := m.Leader()
	switch leader {
	case "":
		return ErrNoQuorum
	case m.cfg.Self.ID:
		return m.appender.append(ctx, b)
	}
	conn, err := m.cfg.Conns.Conn(leader)
	if err != nil {
		return err
	}
	go m.cancelWhenDeposed(ctx, cancel, leader)
	resp, err := pb.NewMetaClient(conn).Forward(ctx, &pb.MetaForwardRequest{Batch: b})
	if err == nil && !resp.GetCommitted() {
		err = errNotLeader
	}
	return err
}

// cancelWhenDeposed ends a call to a leader that hangs as soon as another is known.
// It ends with the call.
func (m *Meta) cancelWhenDeposed(ctx context.Context, cancel context.CancelFunc, leader string) {
	tick := time.NewTicker(deposedLook)
	defer tick.Stop()
	for {
		select {
		case <-tick.C:
		case <-ctx.Done():
			return
		}
		if now := m.Leader(); now != leader && now != "" {
			cancel()
		}
	}
}

// leads reports whether this node's Raft believes to lead.
func (m *Meta) leads() (*raft.Raft, error) {
	r := m.raft.Load()
	if r == nil || r.State() != raft.Leader {
		return nil, errNotLeader
	}
	return r, nil
}

func isNotLeader(err error) bool {
	return errors.Is(err, errNotLeader) || errors.Is(err, raft.ErrNotLeader)
}
