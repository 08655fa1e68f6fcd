package placement

import (
	"cmp"
	"slices"
)

// Group is a group and where its replicas are.
type Group struct {
	ID        uint64
	Replicas  []string
	Preferred string // its replica stays
}

// Move takes a group's replica from one node to another.
type Move struct {
	Group    uint64
	From, To string
}

// gain is what a move is good for.
type gain struct {
	zones int // how much better the group is spread over zones
	load  int // by how much the one node holds more than the other
}

// Balance finds the best single move of a replica between open nodes, if any makes
// things better: one that spreads a group over more zones, else one from a node to
// another that holds at least two replicas fewer and is no worse a zone for the group.
// Each such move makes a sum smaller, so moves end.
func Balance(nodes []Node, groups []Group) (best Move, ok bool) {
	byID := make(map[string]Node, len(nodes))
	for _, n := range nodes {
		byID[n.ID] = n
	}
	var most gain
	for _, g := range groups {
		inZone := make(map[string]int)
		for _, id := range g.Replicas {
			inZone[byID[id].Zone]++
		}
		for _, id := range g.Replicas {
			from, known := byID[id]
			if !known || from.Closed || id == g.Preferred {
				continue
			}
			for _, to := range nodes {
				if to.Closed || slices.Contains(g.Replicas, to.ID) {
					continue
				}
				this := gain{load: from.Load - to.Load}
				if from.Zone != to.Zone {
					this.zones = inZone[from.Zone] - inZone[to.Zone] - 1
				}
				if this.zones < 0 || this.zones == 0 && this.load < 2 {
					continue
				}
				m := Move{g.ID, id, to.ID}
				if !ok || cmp.Or(
					cmp.Compare(most.zones, this.zones), cmp.Compare(most.load, this.load),
					cmp.Compare(m.Group, best.Group), cmp.Compare(m.From, best.From), cmp.Compare(m.To, best.To),
				) < 0 {
					best, most, ok = m, this, true
				}
			}
		}
	}
	return best, ok
}
