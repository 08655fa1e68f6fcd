package meta

import (
	"cmp"
	"context"
	"fmt"
	"slices"

	"github.com/hashicorp/raft"
)

// members takes one step towards a group in which every node is a member, and up
// to MaxVoters live ones vote: first a dead voter loses its vote, then another
// node gets it. One change at a time is all that Raft allows.
func (t *tenure) members(ctx context.Context, v view) error {
	conf := t.raft.GetConfiguration()
	if err := conf.Error(); err != nil {
		return fmt.Errorf("read the configuration of the meta group: %w", err)
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
		if !slices.Contains(voters, n.ID) && !slices.Contains(others, n.ID) {
			t.m.nudge()
			return addMember(t.raft, n.ID) // its registration was all that a lost leader managed
		}
	}
	spare, ok := t.spare(ctx, v, others)
	if !ok {
		return nil
	}
	for _, id := range voters {
		gone := superseded(v.nodes, id) && !v.alive[id]
		if gone || len(voters) >= t.m.cfg.MaxVoters && t.deadFor(id, t.m.cfg.ReplaceAfter) {
			t.m.log.Info("a dead node loses its vote in the meta group", "node", id, "successor", spare)
			t.m.nudge()
			return t.raft.DemoteVoter(raft.ServerID(id), 0, enqueueTimeout).Error()
		}
	}
	if len(voters) >= t.m.cfg.MaxVoters {
		return nil
	}
	t.m.log.Info("a node gets a vote in the meta group", "node", spare)
	t.m.nudge()
	return t.raft.AddVoter(raft.ServerID(spare), raft.ServerAddress(spare), 0, enqueueTimeout).Error()
}

// spare finds the longest-standing live non-voter that has applied what the leader has.
func (t *tenure) spare(ctx context.Context, v view, others []string) (string, bool) {
	nodes := slices.SortedFunc(slices.Values(v.nodes), func(a, b Node) int { return cmp.Compare(a.Joined, b.Joined) })
	applied := t.m.fsm.progress.now()
	for _, n := range nodes {
		if !slices.Contains(others, n.ID) || !v.alive[n.ID] || superseded(v.nodes, n.ID) {
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
