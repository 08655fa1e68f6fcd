package meta

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/warrenmq/warren/broker/level"
	pb "github.com/warrenmq/warren/proto"
)

// The cluster's level (broker/level) goes up when every registered node has said, with the
// registration of its present process, that it knows the next; one that is down counts with what it
// said last, since its replicas will have to apply what is written meanwhile. Until then any
// process can be followed by one of an older build. From then on such a one is refused: by the state
// machine when it wants to register, by the ledger when it starts on a data folder that has seen the
// level, by its own replicas when they meet the entry.

// errLevel says that a level cannot be turned on.
var errLevel = errors.New("not every node knows the level")

// tooOld is the word to a node that does not know what the cluster has turned on.
func tooOld(cluster, known uint64) error {
	return level.Check("the state of the cluster", cluster, known)
}

// admits refuses processes that do not know the cluster's level.
func (s *state) admits(n Node) error { return tooOld(s.level, n.Level) }

// raise turns a level on. Who proposed it may not have seen the newest registration, so an entry that
// names a level means nothing yet: also a build that does not know it goes on if another does not.
func (s *state) raise(to uint64) error {
	if len(s.nodes) == 0 {
		return fmt.Errorf("level %d: %w: there is none", to, errLevel)
	}
	for _, n := range s.sortedNodes() {
		if n.Level < to {
			return fmt.Errorf("level %d: %w: %s knows %d", to, errLevel, n.ID, n.Level)
		}
	}
	if s.beyond = level.Check("the log of the meta group", to, s.known); s.beyond == nil {
		s.level = max(s.level, to)
	}
	return s.beyond
}

// raise turns on what every node knows, once those are there that are expected: a cluster that is
// being formed of different builds must not shut some of them out.
func (t *tenure) raise(ctx context.Context, v view) error {
	if len(v.nodes) == 0 || len(v.nodes) < v.expect && time.Since(t.since) < firstWait {
		return nil
	}
	to := slices.MinFunc(v.nodes, func(a, b Node) int { return cmp.Compare(a.Level, b.Level) }).Level
	if to <= v.level || to > t.m.cfg.Self.Level {
		return nil
	}
	t.m.log.Info("raises the cluster's level, which every node knows: no node can go back to an older build", "from", v.level, "to", to)
	if err := t.m.propose(ctx, &pb.MetaCommand{Body: &pb.MetaCommand_Raise{Raise: to}}).err; err != nil {
		return fmt.Errorf("raise the level to %d: %w", to, err)
	}
	return nil
}

// Level is the cluster's level, as this node has applied it.
func (m *Meta) Level() (n uint64) {
	m.fsm.view(func(s *state) { n = s.level })
	return n
}

// reached notes the cluster's level in the data folder.
func (m *Meta) reached(n uint64) error {
	if err := m.ledger.reach(n); err != nil {
		return fmt.Errorf("note the cluster's level: %w", err)
	}
	return nil
}

// refuse has Run end.
func (m *Meta) refuse(err error) {
	select {
	case m.refused <- err:
	default:
	}
}
