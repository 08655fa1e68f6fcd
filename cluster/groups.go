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
	Ready() <-chan struct{}
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

	without map[uint64]bool // groups of which there is nothing here, or soon
}

// NewGroups makes Groups; Run does the work.
func NewGroups(self string, m GroupsMeta, host *group.Host, logger *slog.Logger) *Groups {
	return &Groups{
		self: self, meta: m, host: host, logger: orDefault(logger),
		wake: make(chan struct{}, 1), failed: make(map[uint64]string),
		without: make(map[uint64]bool),
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
		if !g.hold(ctx, info) {
			continue
		}
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

// hold opens this node's replica of a group, or gives up what it has of one that is not
// to be here any more. It reports whether there is one.
func (g *Groups) hold(ctx context.Context, info meta.GroupInfo) bool {
	hosts, err := info.Hosts(g.self), error(nil)
	switch {
	case hosts:
		delete(g.without, info.ID)
		err = g.host.Ensure(info.ID, info.Initial)
	case !g.without[info.ID] && g.unwanted(ctx, info.ID):
		err = g.host.Discard(info.ID)
		g.without[info.ID] = err == nil
	}
	if err == nil {
		delete(g.failed, info.ID)
		return hosts
	}
	if text := err.Error(); g.failed[info.ID] != text {
		g.failed[info.ID] = text
		g.logger.Error("a replica of a queue group cannot be opened or given up", "group", info.ID, "wanted", hosts, "error", err)
	}
	return false
}

// unwanted makes sure that no replica is wanted here: a node that has just started, or was
// cut off, sees what was.
func (g *Groups) unwanted(ctx context.Context, id uint64) bool {
	select {
	case <-g.meta.Ready():
	default:
		return false
	}
	ctx, cancel := context.WithTimeout(ctx, reportTimeout)
	defer cancel()
	if err := g.meta.Current(ctx); err != nil {
		return false // the next pass asks again
	}
	info, known := g.meta.Group(id)
	return known && !info.Hosts(g.self)
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
	target := slices.DeleteFunc(slices.Clone(info.Target), g.forgotten) // the meta leader's next look will say so
	moving := r.Move(ctx, target, slices.DeleteFunc(slices.Concat(s.Replicas, s.Learners), g.known))
	if same(r.Status().Replicas, info.Replicas) && info.Term > 0 {
		return moving
	}
	voters, term, index, err := r.Members()
	if err == nil && len(voters) > 0 {
		err = g.meta.SetReplicas(ctx, info.ID, voters, term, index)
	}
	return errors.Join(moving, err)
}

// known tells whether a server is of the cluster.
func (g *Groups) known(id string) bool {
	_, known := g.meta.Node(id)
	return known
}

func (g *Groups) forgotten(id string) bool { return !g.known(id) }

// same tells whether two lists name the same nodes.
func same(a, b []string) bool {
	return slices.Equal(slices.Sorted(slices.Values(a)), slices.Sorted(slices.Values(b)))
}
