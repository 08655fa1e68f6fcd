package placement

import (
	"fmt"
	"math/rand/v2"
	"slices"
	"testing"
)

func TestChoose(t *testing.T) {
	zoned := []Node{{ID: "a", Zone: "z1", Load: 0}, {ID: "b", Zone: "z1", Load: 0}, {ID: "c", Zone: "z2", Load: 9}, {ID: "d", Zone: "z2", Load: 5}, {ID: "e", Zone: "z3", Load: 7}}
	flat := []Node{{ID: "a", Zone: "", Load: 3}, {ID: "b", Zone: "", Load: 1}, {ID: "c", Zone: "", Load: 2}, {ID: "d", Zone: "", Load: 1}}
	tests := []struct {
		name  string
		nodes []Node
		keep  []string
		count int
		want  []string
	}{
		{"each zone gets one before any gets two", zoned, []string{"a"}, 3, []string{"a", "d", "e"}},
		{"a fourth goes to the least loaded of the zones", zoned, []string{"a"}, 4, []string{"a", "d", "e", "b"}},
		{"without zones load decides, then the ID", flat, []string{"a"}, 3, []string{"a", "b", "d"}},
		{"too few nodes give what there is", flat[:2], []string{"a"}, 3, []string{"a", "b"}},
		{"enough to keep adds nothing", flat, []string{"c", "a", "b"}, 3, []string{"c", "a", "b"}},
		{"an unknown node is kept", flat[:2], []string{"x"}, 2, []string{"x", "b"}},
		{"nothing to keep", flat, nil, 1, []string{"b"}},
		{"a closed node is kept, its zone counts, and it gets nothing", []Node{{ID: "a", Zone: "z1", Closed: true}, {ID: "b", Zone: "z1"}, {ID: "c", Zone: "z2"}, {ID: "d", Zone: "z3", Closed: true}},
			[]string{"a"}, 2, []string{"a", "c"}},
		{"no nodes", nil, nil, 3, nil},
	}
	for _, tt := range tests {
		if got := Choose(tt.nodes, tt.keep, tt.count); !slices.Equal(got, tt.want) {
			t.Errorf("%s: Choose(%v, %v, %d) = %v, want %v", tt.name, tt.nodes, tt.keep, tt.count, got, tt.want)
		}
	}
}

func TestGroupsBalance(t *testing.T) {
	nodes := make([]Node, 7)
	for i := range nodes {
		nodes[i] = Node{ID: fmt.Sprintf("n%d", i), Zone: fmt.Sprintf("z%d", i%3)}
	}
	for _, n := range slices.Clone(nodes) {
		for _, set := range Groups(nodes, n.ID, 4, 3) {
			if set[0] != n.ID {
				t.Fatalf("%v does not start with the preferred %s", set, n.ID)
			}
			zones := map[string]bool{}
			for _, id := range set {
				i := slices.IndexFunc(nodes, func(n Node) bool { return n.ID == id })
				nodes[i].Load++
				zones[nodes[i].Zone] = true
			}
			if len(set) != 3 || len(zones) != 3 {
				t.Fatalf("%v lies in %d zones", set, len(zones))
			}
		}
	}
	// 84 replicas in zones of 3, 2 and 2 nodes, one of each group in each zone.
	for _, n := range nodes {
		if n.Load < 8 || n.Load > 15 {
			t.Errorf("%s holds %d of 84 replicas", n.ID, n.Load)
		}
	}
}

func TestChooseIgnoresOrder(t *testing.T) {
	rng := rand.New(rand.NewPCG(1, 2))
	for range 500 {
		nodes := make([]Node, 1+rng.IntN(8))
		for i := range nodes {
			nodes[i] = Node{ID: fmt.Sprintf("n%d", i), Zone: fmt.Sprintf("z%d", rng.IntN(3)), Load: rng.IntN(3)}
		}
		want := Choose(nodes, []string{"n0"}, 3)
		rng.Shuffle(len(nodes), func(i, j int) { nodes[i], nodes[j] = nodes[j], nodes[i] })
		if got := Choose(nodes, []string{"n0"}, 3); !slices.Equal(got, want) {
			t.Fatalf("Choose(%v) = %v, in another order %v", nodes, got, want)
		}
	}
}
