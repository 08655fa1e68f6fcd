package cluster

import (
	"context"
	"fmt"
	"io"
	"net/http"
	"os"
	"slices"
	"strings"
)

// lagging is by how many entries a replica may be behind its leader and count as
// caught up, under load.
const lagging = 1000

// Add starts a new node that joins the cluster, and waits until it serves.
func (w *Warren) Add(ctx context.Context, name string) (*Node, error) {
	gossip, err := FreeAddress()
	if err != nil {
		return nil, err
	}
	n, err := w.node(name, gossip, append(slices.Clone(w.gossip), gossip))
	if err != nil {
		return nil, err
	}
	n.Use("--expect", "0")
	w.Nodes = append(w.Nodes, n)
	if err := n.Start(); err != nil {
		return nil, err
	}
	return n, n.AwaitReady(ctx)
}

// Wipe empties the disk of a node that does not run.
func (n *Node) Wipe() error {
	if n.Running() {
		return fmt.Errorf("%s is running", n.Name)
	}
	if err := os.RemoveAll(n.Dir); err != nil {
		return fmt.Errorf("wipe %s: %w", n.Name, err)
	}
	return os.MkdirAll(n.Dir, 0o755)
}

// Remove takes a node that does not run out of those that are looked after.
func (w *Warren) Remove(n *Node) {
	w.Nodes = slices.DeleteFunc(slices.Clone(w.Nodes), func(other *Node) bool { return other == n })
	w.after = append(w.after, n.Kill, n.Log.close)
}

// Drain is warrenctl drain.
func (n *Node) Drain(ctx context.Context) error { return n.order(ctx, http.MethodPut, "/maintenance") }

// Revive is warrenctl revive.
func (n *Node) Revive(ctx context.Context) error {
	return n.order(ctx, http.MethodDelete, "/maintenance")
}

// Forget is warrenctl forget_cluster_node at this node.
func (n *Node) Forget(ctx context.Context, name string) error {
	return n.order(ctx, http.MethodDelete, "/nodes/"+name)
}

// order asks for a change over the node's socket.
func (n *Node) order(ctx context.Context, method, path string) error {
	req, err := http.NewRequestWithContext(ctx, method, "http://warren"+path, nil)
	if err != nil {
		return fmt.Errorf("%s %s at %s: %w", method, path, n.Name, err)
	}
	resp, err := n.control().Do(req)
	if err != nil {
		return fmt.Errorf("%s %s at %s: %w", method, path, n.Name, err)
	}
	defer resp.Body.Close()
	if resp.StatusCode/100 != 2 {
		text, _ := io.ReadAll(io.LimitReader(resp.Body, 200))
		return fmt.Errorf("%s %s at %s: %s: %s", method, path, n.Name, resp.Status, text)
	}
	return nil
}

// AwaitSettled waits until every running node sees a cluster of exactly the running
// nodes, whose groups have the replicas that they shall have, all caught up, and are led
// where they should be: nothing is left of a change of nodes.
func (w *Warren) AwaitSettled(ctx context.Context) error {
	return w.Await(ctx, func(all []Status) string {
		for _, s := range all {
			if why := unsettled(s, all); why != "" {
				return s.Name + " sees " + why
			}
		}
		return ""
	})
}

func unsettled(s Status, all []Status) string {
	here := make(map[string]Status)
	for _, other := range all {
		here[other.ID] = other
	}
	switch {
	case !s.Ready:
		return "itself not ready"
	case len(s.Nodes) != len(all):
		return fmt.Sprintf("%d nodes of %d", len(s.Nodes), len(all))
	case s.Meta.Leader == "":
		return "no leader of the meta group"
	case len(s.Meta.Voters) != min(5, len(all)) || len(s.Meta.Voters)+len(s.Meta.NonVoters) != len(all):
		return fmt.Sprintf("voters %v and %v", s.Meta.Voters, s.Meta.NonVoters)
	}
	for _, n := range s.Nodes {
		if _, runs := here[n.ID]; !runs || !n.Alive {
			return "node " + n.ID
		}
	}
	for _, g := range s.Groups {
		replicas, target := slices.Sorted(slices.Values(g.Replicas)), slices.Sorted(slices.Values(g.Target))
		if !slices.Equal(replicas, target) || len(target) != min(g.Size, len(all)) {
			return fmt.Sprintf("group %d on %s, which shall be on %s", g.ID, strings.Join(replicas, " "), strings.Join(target, " "))
		}
		if slices.Contains(target, s.ID) && g.Leader != g.Preferred {
			return fmt.Sprintf("group %d led by %s, which prefers %s", g.ID, g.Leader, g.Preferred)
		}
		for _, id := range target {
			if behind := behind(here[g.Preferred], here[id], g.ID); behind > lagging {
				return fmt.Sprintf("group %d on %s %d entries behind", g.ID, id, behind)
			}
		}
	}
	return ""
}

// behind is by how many entries one node's replica is behind another's.
func behind(leader, follower Status, group uint64) int {
	applied := func(s Status) int {
		for _, g := range s.Groups {
			if g.ID == group {
				return int(g.Applied)
			}
		}
		return 0
	}
	return applied(leader) - applied(follower)
}
