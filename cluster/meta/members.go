package meta

import (
	"cmp"
	"context"
	"fmt"
	"slices"

	"github.com/hashicorp/raft"
)

// members takes one step towards a group in which every node is a member, and up
// to MaxVoters live ones vote. What was forgotten leaves first; a dead voter loses its
// vote when another node can get it. One change at a time is all that Raft allows.
func (t *tenure) members(ctx context.Context, v view) error {
	step, err := t.nextChange(ctx, v)
	if err != nil || step == nil {
		return err
	}
	t.m.log.Info("changes the meta group", "node", step.node, "change", step.what)
	if err := step.change().Error(); err != nil {
		return fmt.Errorf("%s: %s: %w", step.node, step.what, err)
	}
	t.m.nudge()
	return nil
}

// memberChange is one change of the group's configuration.
type memberChange struct {
	node, what string
	change     func() raft.IndexFuture
}

func (t *tenure) nextChange(ctx context.Context, v view) (*memberChange, error) {
	conf := t.raft.GetConfiguration()
	if err := conf.Error(); err != nil {
		return nil, fmt.Errorf("read the configuration of the meta group: %w", err)
	}
	var voters, others []string
	for _, s := range conf.Configuration().Servers {
		if s.Suffrage == raft.Voter {
			voters = append(voters, string(s.ID))
		} else {
			others = append(others, string(s.ID))
		}
	}
	for _, n := range v.nodes {
		// Its registration was all that a lost leader managed.
		if !slices.Contains(voters, n.ID) && !slices.Contains(others, n.ID) {
			return t.enter(n.ID), nil
		}
	}
	for _, id := range slices.Concat(others, voters) {
		if slices.Contains(v.forgotten, id) && id != t.m.cfg.Self.ID {
			return t.remove(id), nil
		}
	}
	spare, ok := t.spare(ctx, v, others)
	if !ok {
		return nil, nil
	}
	if len(voters) < t.m.cfg.MaxVoters {
		return t.promote(spare), nil
	}
	for _, id := range voters {
		if t.deadFor(id, t.m.cfg.ReplaceAfter) {
			return t.demote(id), nil
		}
	}
	return nil, nil
}

func (t *tenure) enter(id string) *memberChange {
	return &memberChange{id, "member", func() raft.IndexFuture {
		return t.raft.AddNonvoter(raft.ServerID(id), raft.ServerAddress(id), 0, enqueueTimeout)
	}}
}

func (t *tenure) promote(id string) *memberChange {
	return &memberChange{id, "voter", func() raft.IndexFuture {
		return t.raft.AddVoter(raft.ServerID(id), raft.ServerAddress(id), 0, enqueueTimeout)
	}}
}

func (t *tenure) demote(id string) *memberChange {
	return &memberChange{id, "no vote, it is dead", func() raft.IndexFuture {
		return t.raft.DemoteVoter(raft.ServerID(id), 0, enqueueTimeout)
	}}
}

func (t *tenure) remove(id string) *memberChange {
	return &memberChange{id, "no member, it is forgotten", func() raft.IndexFuture {
		return t.raft.RemoveServer(raft.ServerID(id), 0, enqueueTimeout)
	}}
}

// spare finds the longest-standing live non-voter that has applied what the leader has.
func (t *tenure) spare(ctx context.Context, v view, others []string) (string, bool) {
	nodes := slices.SortedFunc(slices.Values(v.nodes), func(a, b Node) int { return cmp.Compare(a.Joined, b.Joined) })
	applied := t.m.fsm.progress.now()
	for _, n := range nodes {
		if !slices.Contains(others, n.ID) || !v.alive[n.ID] {
			continue
		}
		ctx, cancel := context.WithTimeout(ctx, t.m.cfg.VisibleTimeout)
		has, err := awaitApplied(ctx, t.m.cfg.Conns, n.ID, applied)
		cancel()
		if err == nil && has >= applied {
			return n.ID, true
		}
	}
	return "", false
}
