package cluster

import (
	"context"
	"errors"
	"log/slog"
	"slices"
	"time"

	"github.com/warrenmq/warren/cluster/group"
	"github.com/warrenmq/warren/cluster/meta"
)

const (
	// groupsEvery is how often the groups are looked at besides at every change.
	groupsEvery = 2 * time.Second
	// groupsSoon is how soon a move goes on that has more steps.
	groupsSoon = 100 * time.Millisecond
	// reportTimeout bounds what one step of a move asks of the meta group.
	reportTimeout = 5 * time.Second
)

// GroupsMeta is what Groups asks of the meta group.
type GroupsMeta interface {
	Groups() []meta.GroupInfo
	Group(id uint64) (meta.GroupInfo, bool)
	Node(id string) (meta.Node, bool)
	Current(ctx context.Context) error
	WatchGroups(func([]meta.GroupInfo))
	SetReplicas(ctx context.Context, group uint64, replicas []string, term, index uint64) error
}

// Groups opens the queue groups that have a replica here, and moves the
// replicas of those that are led here to where the meta group wants them.
//
// The meta group says what shall be (GroupInfo.Target), the group's own
// configuration what is. Each step of a move begins with a look at both, so it does
// not matter who took the step before, nor whether that one died over it.
type Groups struct {
	self   string // ServerID
	meta   GroupsMeta
	host   *group.Host
	logger *slog.Logger
	wake   chan struct{}
	failed map[uint64]string // what was logged of groups that cannot be opened
}

// NewGroups makes Groups; Run does the work.
func NewGroups(self string, m GroupsMeta, host *group.Host, logger *slog.Logger) *Groups {
	return &Groups{
		self: self, meta: m, host: host, logger: orDefault(logger),
		wake: make(chan struct{}, 1), failed: make(map[uint64]string),
	}
}

// Run follows the meta group until ctx ends.
func (g *Groups) Run(ctx context.Context) error {
	g.meta.WatchGroups(func([]meta.GroupInfo) {
		select {
		case g.wake <- struct{}{}:
		default:
		}
	})
	ticker := time.NewTicker(groupsEvery)
	defer ticker.Stop()
	for {
		again := g.pass(ctx)
		var soon <-chan time.Time
		if again {
			soon = time.After(groupsSoon)
		}
		select {
		case <-ctx.Done():
			return nil
		case <-g.wake:
		case <-soon:
		case <-ticker.C:
		}
	}
}

// pass looks at each group once; it reports whether a move has more steps.
func (g *Groups) pass(ctx context.Context) (again bool) {
	for _, info := range g.meta.Groups() {
		if !info.Hosts(g.self) {
			continue
		}
		if err := g.host.Ensure(info.ID, info.Initial); err != nil {
			if text := err.Error(); g.failed[info.ID] != text {
				g.failed[info.ID] = text
				g.logger.Error("a queue group cannot be opened here", "group", info.ID, "error", err)
			}
			continue
		}
		delete(g.failed, info.ID)
		if r, ok := g.host.Group(info.ID); ok && r.Leader() == g.self {
			err := g.lead(ctx, r, info)
			again = again || err != nil
			if err != nil && !errors.Is(err, group.ErrMoving) && ctx.Err() == nil {
				g.logger.Warn("replicas could not be moved", "group", info.ID, "error", err)
			}
		}
	}
	return again
}

// lead takes one step towards the group's target and reports what the group has.
func (g *Groups) lead(ctx context.Context, r *group.Group, info meta.GroupInfo) error {
	ctx, cancel := context.WithTimeout(ctx, reportTimeout)
	defer cancel()
	s := r.Status()
	if !same(s.Replicas, info.Target) || len(s.Learners) > 0 {
		// What this node knows of the target may be old: another leader may have brought
		// the group further already.
		if err := g.meta.Current(ctx); err != nil {
			return err
		}
		info, _ = g.meta.Group(info.ID)
	}
	moving := r.Move(ctx, info.Target, g.gone(s))
	if same(r.Status().Replicas, info.Replicas) && info.Term > 0 {
		return moving
	}
	voters, term, index, err := r.Members()
	if err == nil && len(voters) > 0 {
		err = g.meta.SetReplicas(ctx, info.ID, voters, term, index)
	}
	return errors.Join(moving, err)
}

// gone are the group's members that the cluster has forgotten.
func (g *Groups) gone(s group.Status) []string {
	return slices.DeleteFunc(slices.Concat(s.Replicas, s.Learners), func(id string) bool {
		_, known := g.meta.Node(id)
		return known
	})
}

// same tells whether two lists name the same nodes.
func same(a, b []string) bool {
	return slices.Equal(slices.Sorted(slices.Values(a)), slices.Sorted(slices.Values(b)))
}
