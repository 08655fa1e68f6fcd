package placement

import (
	"fmt"
	"math/rand/v2"
	"slices"
	"testing"
)

func TestBalance(t *testing.T) {
	group := func(id uint64, preferred string, others ...string) Group {
		return Group{ID: id, Preferred: preferred, Replicas: append([]string{preferred}, others...)}
	}
	tests := []struct {
		name   string
		nodes  []Node
		groups []Group
		want   Move
		ok     bool
	}{
		{"the fullest gives to the emptiest", []Node{{ID: "a", Load: 5}, {ID: "b", Load: 4}, {ID: "c", Load: 1}},
			[]Group{group(1, "b", "a")}, Move{1, "a", "c"}, true},
		{"a difference of one is none", []Node{{ID: "a", Load: 2}, {ID: "b", Load: 2}, {ID: "c", Load: 1}},
			[]Group{group(1, "b", "a")}, Move{}, false},
		{"the preferred one stays", []Node{{ID: "a", Load: 5}, {ID: "c", Load: 1}}, []Group{group(1, "a")}, Move{}, false},
		{"nothing goes to a closed node", []Node{{ID: "a", Load: 5}, {ID: "b", Load: 4}, {ID: "c", Load: 1, Closed: true}},
			[]Group{group(1, "b", "a")}, Move{}, false},
		{"a zone is worth more than load", []Node{{ID: "a", Zone: "z1", Load: 1}, {ID: "b", Zone: "z1", Load: 1}, {ID: "c", Zone: "z2", Load: 9}},
			[]Group{group(1, "b", "a")}, Move{1, "a", "c"}, true},
		{"load is not worth a zone", []Node{{ID: "a", Zone: "z2", Load: 9}, {ID: "b", Zone: "z1", Load: 1}, {ID: "c", Zone: "z1", Load: 1}},
			[]Group{group(1, "b", "a")}, Move{}, false},
	}
	for _, tt := range tests {
		if got, ok := Balance(tt.nodes, tt.groups); got != tt.want || ok != tt.ok {
			t.Errorf("%s: %v %v, want %v %v", tt.name, got, ok, tt.want, tt.ok)
		}
	}
}

// Moves end, and then no two nodes differ by more than one replica unless zones or
// preferences keep them.
func TestBalanceEnds(t *testing.T) {
	for seed := range uint64(200) {
		rng := rand.New(rand.NewPCG(seed, 0))
		zones := 1 + rng.IntN(4)
		nodes := make([]Node, 1+rng.IntN(9))
		for i := range nodes {
			nodes[i] = Node{ID: fmt.Sprintf("n%d", i), Zone: fmt.Sprintf("z%d", rng.IntN(zones))}
		}
		var groups []Group
		for i := range 4 * len(nodes) {
			set := []string{nodes[rng.IntN(len(nodes))].ID}
			for len(set) < min(3, len(nodes)) {
				if id := nodes[rng.IntN(len(nodes))].ID; !slices.Contains(set, id) {
					set = append(set, id)
				}
			}
			Hold(nodes, set)
			groups = append(groups, Group{ID: uint64(i), Replicas: set, Preferred: set[0]})
		}
		moves := 0
		for ; ; moves++ {
			m, ok := Balance(nodes, groups)
			if !ok {
				break
			}
			if moves > 1000 {
				t.Fatalf("seed %d: no end of moves", seed)
			}
			g := &groups[m.Group]
			if m.From == g.Preferred || slices.Contains(g.Replicas, m.To) {
				t.Fatalf("seed %d: %v of %v", seed, m, *g)
			}
			g.Replicas[slices.Index(g.Replicas, m.From)] = m.To
			for i := range nodes {
				switch nodes[i].ID {
				case m.From:
					nodes[i].Load--
				case m.To:
					nodes[i].Load++
				}
			}
		}
		for _, g := range groups { // spread over as many zones as there are
			seen, all := map[string]bool{}, map[string]bool{}
			for _, n := range nodes {
				all[n.Zone] = true
				if slices.Contains(g.Replicas, n.ID) {
					seen[n.Zone] = true
				}
			}
			if len(seen) < min(len(all), len(g.Replicas)) {
				t.Fatalf("seed %d: %v lies in %d zones of %d", seed, g.Replicas, len(seen), len(all))
			}
		}
	}
}
