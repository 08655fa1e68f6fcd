package meta

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/warrenmq/warren/cluster/placement"
	pb "github.com/warrenmq/warren/proto"
)

// groups gives every live node its groups, and every group its replicas. It only
// decides who shall hold them: a group's own leader does the rest (cluster/groups.go).
func (t *tenure) groups(ctx context.Context, v view) error {
	nodes := placeable(v.nodes, v.groups, v.alive)
	if early := open(nodes) < min(v.expect, t.m.cfg.Replicas); early && len(v.groups) == 0 && time.Since(t.since) < firstWait {
		return nil
	}
	return errors.Join(t.newGroups(ctx, v, nodes), t.targets(ctx, v, nodes), t.balance(ctx, v, nodes))
}

// placeable are the nodes with what they hold. Those that are dead or drained keep it,
// and take nothing new.
func placeable(all []Node, groups []GroupInfo, alive map[string]bool) []placement.Node {
	nodes := make([]placement.Node, 0, len(all))
	for _, n := range all {
		p := placement.Node{ID: n.ID, Zone: n.Zone, Closed: !alive[n.ID] || n.Drained}
		for _, g := range groups {
			if slices.Contains(g.Target, n.ID) {
				p.Load++
			}
		}
		nodes = append(nodes, p)
	}
	return nodes
}

func open(nodes []placement.Node) (count int) {
	for _, n := range nodes {
		if !n.Closed {
			count++
		}
	}
	return count
}

// preferring counts the groups of the usual size that prefer each node.
func (t *tenure) preferring(v view) map[string]int {
	have := make(map[string]int)
	for _, g := range v.groups {
		if g.Size == t.m.cfg.Replicas {
			have[g.Preferred]++
		}
	}
	return have
}

// newGroups lets every open node have its groups: those that others have too many of,
// since nodes were forgotten, else new ones.
func (t *tenure) newGroups(ctx context.Context, v view, nodes []placement.Node) error {
	have := t.preferring(v)
	var errs error
	for _, n := range nodes {
		if n.Closed {
			continue
		}
		for have[n.ID] < t.m.cfg.GroupsPerNode {
			g, ok := t.surplus(v, have)
			if !ok {
				break
			}
			have[g.Preferred]--
			have[n.ID]++
			target := slices.Clone(g.Target)
			if !slices.Contains(target, n.ID) {
				target[slices.Index(target, g.Preferred)] = n.ID
				placement.Hold(nodes, []string{n.ID})
			}
			errs = errors.Join(errs, t.setTarget(ctx, v, g, target, n.ID))
		}
		missing := t.m.cfg.GroupsPerNode - have[n.ID]
		if missing <= 0 {
			continue
		}
		// The command says what the node shall have in all; those it has are skipped.
		c := &pb.MetaEnsureGroups{Node: n.ID, Size: uint32(t.m.cfg.Replicas)}
		for range have[n.ID] {
			c.Sets = append(c.Sets, &pb.MetaReplicas{})
		}
		for _, set := range placement.Groups(nodes, n.ID, missing, t.m.cfg.Replicas) {
			c.Sets = append(c.Sets, &pb.MetaReplicas{Ids: set})
			placement.Hold(nodes, set)
		}
		out := t.m.propose(ctx, &pb.MetaCommand{Body: &pb.MetaCommand_EnsureGroups{EnsureGroups: c}})
		if out.err != nil {
			errs = errors.Join(errs, fmt.Errorf("create groups of %s: %w", n.ID, out.err))
		}
	}
	return errs
}

// surplus finds a group of the node that is preferred by the most, if those are more
// than it should have, and nothing of the group is moving.
func (t *tenure) surplus(v view, have map[string]int) (best GroupInfo, ok bool) {
	for _, g := range v.groups {
		over := have[g.Preferred] > t.m.cfg.GroupsPerNode
		if g.Size == t.m.cfg.Replicas && over && g.settled() && slices.Contains(g.Target, g.Preferred) &&
			(!ok || have[g.Preferred] > have[best.Preferred]) {
			best, ok = g, true
		}
	}
	return best, ok
}

// settled tells whether the group has the replicas that it shall have.
func (g GroupInfo) settled() bool {
	return slices.Equal(slices.Sorted(slices.Values(g.Replicas)), slices.Sorted(slices.Values(g.Target)))
}

// targets adds replicas to groups that have too few, because the cluster was smaller
// or because a node is gone for good or for long, and lets a node that is there lead
// those whose preferred one was forgotten.
func (t *tenure) targets(ctx context.Context, v view, nodes []placement.Node) error {
	have := t.preferring(v)
	var errs error
	for _, g := range v.groups {
		target := t.target(v, g, nodes)
		if len(target) == 0 {
			continue // whoever had it is forgotten, and nobody else is there
		}
		preferred := g.Preferred
		if !slices.Contains(target, preferred) {
			preferred = slices.MinFunc(target, func(a, b string) int { return cmp.Or(cmp.Compare(have[a], have[b]), cmp.Compare(a, b)) })
			have[preferred]++
		}
		if slices.Equal(target, g.Target) && preferred == g.Preferred {
			continue
		}
		for i := range nodes {
			if slices.Contains(target, nodes[i].ID) && !slices.Contains(g.Target, nodes[i].ID) {
				nodes[i].Load++
			}
		}
		errs = errors.Join(errs, t.setTarget(ctx, v, g, target, preferred))
	}
	return errs
}

// target is what a group shall have: what it has without what is forgotten; what is lost
// for long is replaced as far as there is somebody to replace it.
func (t *tenure) target(v view, g GroupInfo, nodes []placement.Node) []string {
	var kept, lost []string
	for _, id := range g.Target {
		switch {
		case !slices.ContainsFunc(v.nodes, func(n Node) bool { return n.ID == id }):
		case t.m.cfg.RebuildAfter > 0 && t.deadFor(id, t.m.cfg.RebuildAfter),
			!slices.Contains(g.Replicas, id) && t.deadFor(id, t.m.cfg.ReplaceAfter): // it has nothing yet
			lost = append(lost, id)
		default:
			kept = append(kept, id)
		}
	}
	target := placement.Choose(nodes, kept, max(g.Size, len(kept)))
	for _, id := range lost {
		if len(target) < len(kept)+len(lost) && !slices.Contains(target, id) && len(target) < g.Size {
			target = append(target, id)
		}
	}
	return target
}

// balance moves one replica at a time, when nothing else moves, to where the groups are
// spread better over zones, or the nodes hold more alike.
func (t *tenure) balance(ctx context.Context, v view, nodes []placement.Node) error {
	groups := make([]placement.Group, 0, len(v.groups))
	for _, g := range v.groups {
		if !g.settled() {
			return nil
		}
		groups = append(groups, placement.Group{ID: g.ID, Replicas: g.Target, Preferred: g.Preferred})
	}
	move, ok := placement.Balance(nodes, groups)
	if !ok {
		return nil
	}
	i := slices.IndexFunc(v.groups, func(g GroupInfo) bool { return g.ID == move.Group })
	g := v.groups[i]
	target := slices.Clone(g.Target)
	target[slices.Index(target, move.From)] = move.To
	return t.setTarget(ctx, v, g, target, g.Preferred)
}

// setTarget proposes what a group shall have, and notes it in the view.
func (t *tenure) setTarget(ctx context.Context, v view, g GroupInfo, target []string, preferred string) error {
	t.m.log.Info("places a queue group", "id", g.ID, "on", target, "instead of", g.Target, "led by", preferred)
	out := t.m.propose(ctx, &pb.MetaCommand{Body: &pb.MetaCommand_SetTarget{
		SetTarget: &pb.MetaSetTarget{Group: g.ID, From: g.Target, Target: target, Preferred: preferred}}})
	if out.err != nil {
		return fmt.Errorf("set the replicas of group %d: %w", g.ID, out.err)
	}
	i := slices.IndexFunc(v.groups, func(other GroupInfo) bool { return other.ID == g.ID })
	v.groups[i].Target, v.groups[i].Preferred = target, preferred
	return nil
}

// EnsureGroup sees to it that a group of a size prefers this node, for queues that ask for
// another number of replicas than the usual. It returns when this node knows the group.
func (m *Meta) EnsureGroup(ctx context.Context, size int) error {
	size = min(size, MaxReplicas)
	alive := map[string]bool{m.cfg.Self.ID: true}
	for _, mem := range m.cfg.Members() {
		alive[mem.ID] = alive[mem.ID] || mem.Alive
	}
	var nodes []placement.Node
	m.fsm.view(func(s *state) { nodes = placeable(s.sortedNodes(), s.sortedGroups(), alive) })
	set := placement.Groups(nodes, m.cfg.Self.ID, 1, size)[0]
	return m.propose(ctx, &pb.MetaCommand{Body: &pb.MetaCommand_EnsureGroups{EnsureGroups: &pb.MetaEnsureGroups{
		Node: m.cfg.Self.ID, Size: uint32(size), Sets: []*pb.MetaReplicas{{Ids: set}}}}}).err
}

// Replicas is how many replicas a group has that no queue asks another number for.
func (m *Meta) Replicas() int { return m.cfg.Replicas }
