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
	// reportTimeout bounds the report of a group's replicas to the meta group.
	reportTimeout = 5 * time.Second
)

// GroupsMeta is what Groups asks of the meta group.
type GroupsMeta interface {
	Groups() []meta.GroupInfo
	WatchGroups(func([]meta.GroupInfo))
	SetReplicas(ctx context.Context, group uint64, replicas []string) error
}

// Groups opens the queue groups that have a replica here, and moves the
// replicas of those that are led here to where the meta group wants them.
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
			soon = time.After(100 * time.Millisecond)
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
			again = g.move(ctx, r, info) || again
		}
	}
	return again
}

// move takes one step towards the group's target and reports what it has.
func (g *Groups) move(ctx context.Context, r *group.Group, info meta.GroupInfo) (again bool) {
	replicas, err := r.Move(ctx, info.Target)
	if err != nil && !errors.Is(err, group.ErrMoving) {
		g.logger.Warn("replicas could not be moved", "group", info.ID, "error", err)
	}
	slices.Sort(replicas)
	if len(replicas) == 0 || slices.Equal(replicas, slices.Sorted(slices.Values(info.Replicas))) {
		return err != nil
	}
	ctx, cancel := context.WithTimeout(ctx, reportTimeout)
	defer cancel()
	if err := g.meta.SetReplicas(ctx, info.ID, replicas); err != nil {
		g.logger.Warn("replicas could not be reported", "group", info.ID, "error", err)
		return true
	}
	return err != nil
}
