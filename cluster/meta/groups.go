package meta

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/warrenmq/warren/cluster/placement"
	pb "github.com/warrenmq/warren/proto"
)

// groups gives every live node its groups, and every group its replicas. It only
// decides who shall hold them: a group's own leader does the rest.
func (t *tenure) groups(ctx context.Context, v view) error {
	nodes := v.candidates()
	if early := len(nodes) < min(v.expect, t.m.cfg.Replicas); early && len(v.groups) == 0 && time.Since(t.since) < firstWait {
		return nil
	}
	return errors.Join(t.newGroups(ctx, v, nodes), t.targets(ctx, v, nodes))
}

// candidates are the nodes that may get replicas, with what they hold.
func (v *view) candidates() (nodes []placement.Node) {
	for _, n := range v.nodes {
		if !v.alive[n.ID] || superseded(v.nodes, n.ID) {
			continue
		}
		p := placement.Node{ID: n.ID, Zone: n.Zone}
		for _, g := range v.groups {
			if slices.Contains(g.Target, n.ID) {
				p.Load++
			}
		}
		nodes = append(nodes, p)
	}
	return nodes
}

func (t *tenure) newGroups(ctx context.Context, v view, nodes []placement.Node) error {
	var errs error
	for _, n := range nodes {
		have := 0
		for _, g := range v.groups {
			if g.Preferred == n.ID {
				have++
			}
		}
		missing := t.m.cfg.GroupsPerNode - have
		if missing <= 0 {
			continue
		}
		// The command says what the node shall have in all; those it has are skipped.
		c := &pb.MetaEnsureGroups{Node: n.ID, Sets: make([]*pb.MetaReplicas, have, t.m.cfg.GroupsPerNode)}
		for i := range have {
			c.Sets[i] = &pb.MetaReplicas{}
		}
		for _, set := range placement.Groups(nodes, n.ID, missing, t.m.cfg.Replicas) {
			c.Sets = append(c.Sets, &pb.MetaReplicas{Ids: set})
			for i := range nodes {
				if slices.Contains(set, nodes[i].ID) {
					nodes[i].Load++
				}
			}
		}
		out := t.m.propose(ctx, &pb.MetaCommand{Body: &pb.MetaCommand_EnsureGroups{EnsureGroups: c}})
		if out.err != nil {
			errs = errors.Join(errs, fmt.Errorf("create groups of %s: %w", n.ID, out.err))
		}
	}
	return errs
}

// targets adds replicas to groups that have too few, because the cluster was
// smaller or because a replica's disk is gone for good.
func (t *tenure) targets(ctx context.Context, v view, nodes []placement.Node) error {
	var errs error
	for _, g := range v.groups {
		kept := slices.DeleteFunc(slices.Clone(g.Target), func(id string) bool {
			return superseded(v.nodes, id) && !v.alive[id]
		})
		target := placement.Choose(nodes, kept, t.m.cfg.Replicas)
		if len(target) < len(g.Target) || slices.Equal(target, g.Target) {
			continue // nobody to take over yet, or nothing to do
		}
		for i := range nodes {
			if slices.Contains(target, nodes[i].ID) && !slices.Contains(g.Target, nodes[i].ID) {
				nodes[i].Load++
			}
		}
		out := t.m.propose(ctx, &pb.MetaCommand{Body: &pb.MetaCommand_SetTarget{
			SetTarget: &pb.MetaSetTarget{Group: g.ID, From: g.Target, Target: target}}})
		if out.err != nil {
			errs = errors.Join(errs, fmt.Errorf("set the replicas of group %d: %w", g.ID, out.err))
		}
	}
	return errs
}
