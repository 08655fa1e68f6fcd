// Package placement decides which nodes hold a group's replicas: spread over
// zones first, then over nodes by what they hold already.
//
// It is pure: equal arguments give equal answers, whatever the order of the
// nodes in them. It knows no liveness; callers say which nodes may take a
// replica.
package placement

import (
	"cmp"
	"slices"
)

// Node is a node of the cluster.
type Node struct {
	ID     string
	Zone   string // empty: all such nodes count as one zone
	Load   int    // replicas it holds already
	Closed bool   // it keeps what it holds and takes nothing new
}

// Choose adds open nodes to keep until there are count of them, or no more nodes. The
// next one is always of the zone that holds the fewest so far, of those the
// least loaded, of those the one with the smallest ID. The answer starts with
// keep, in its order.
func Choose(nodes []Node, keep []string, count int) []string {
	chosen := slices.Clone(keep)
	inZone := make(map[string]int)
	var free []Node
	for _, n := range nodes {
		switch {
		case slices.Contains(keep, n.ID):
			inZone[n.Zone]++
		case !n.Closed:
			free = append(free, n)
		}
	}
	for len(chosen) < count && len(free) > 0 {
		best := slices.MinFunc(free, func(a, b Node) int {
			return cmp.Or(
				cmp.Compare(inZone[a.Zone], inZone[b.Zone]),
				cmp.Compare(a.Load, b.Load),
				cmp.Compare(a.ID, b.ID),
			)
		})
		chosen = append(chosen, best.ID)
		inZone[best.Zone]++
		free = slices.DeleteFunc(free, func(n Node) bool { return n.ID == best.ID })
	}
	return chosen
}

// Groups places several new groups that prefer one node, each with up to
// replicas nodes, the preferred one first. What the earlier groups take counts
// as load for the later ones.
func Groups(nodes []Node, preferred string, groups, replicas int) [][]string {
	nodes = slices.Clone(nodes)
	sets := make([][]string, 0, groups)
	for range groups {
		set := Choose(nodes, []string{preferred}, replicas)
		Hold(nodes, set)
		sets = append(sets, set)
	}
	return sets
}

// Hold counts a replica more for each of the nodes of set.
func Hold(nodes []Node, set []string) {
	for i := range nodes {
		if slices.Contains(set, nodes[i].ID) {
			nodes[i].Load++
		}
	}
}
