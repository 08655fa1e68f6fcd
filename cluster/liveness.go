package cluster

import (
	"sync"

	"github.com/warrenmq/warren/broker/leader"
)

// Peer is a process of another node, as membership sees it.
type Peer struct {
	ID    leader.EdgeID
	Alive bool
}

// Liveness knows which processes can still hold deliveries. A process is gone
// when its connections broke and dialling it is refused, when membership has
// given it up, or when its node has started anew.
type Liveness struct {
	Self leader.EdgeID
	// Peers lists what membership knows.
	Peers func() []Peer

	mu   sync.Mutex
	dead map[string]uint64 // ServerID to the epoch whose process was seen to end
}

// Dead notes that the process behind serverID was seen to end.
func (l *Liveness) Dead(serverID string) {
	epoch := uint64(0)
	for _, p := range l.Peers() {
		if p.ID.Node == serverID {
			epoch = p.ID.Epoch
		}
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.dead == nil {
		l.dead = make(map[string]uint64)
	}
	l.dead[serverID] = epoch
}

// Up notes that serverID answers again: what was seen to end may have been an
// earlier process than membership knew of.
func (l *Liveness) Up(serverID string) {
	l.mu.Lock()
	defer l.mu.Unlock()
	delete(l.dead, serverID)
}

// Ended tells whether a process was seen to end, which is surer than that
// membership does not see it any more.
func (l *Liveness) Ended(e leader.EdgeID) bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	epoch, dead := l.dead[e.Node]
	return dead && e.Epoch <= epoch && e != l.Self
}

// Gone tells whether a process is known to have ended.
func (l *Liveness) Gone(e leader.EdgeID) bool {
	if e == l.Self {
		return false
	}
	if e.Node == l.Self.Node {
		return true
	}
	if l.Ended(e) {
		return true
	}
	for _, p := range l.Peers() {
		if p.ID.Node == e.Node {
			return !p.Alive || p.ID.Epoch > e.Epoch
		}
	}
	return true
}

// Edges lists the processes that may hold deliveries, this one included.
func (l *Liveness) Edges() []leader.EdgeID {
	edges := []leader.EdgeID{l.Self}
	for _, p := range l.Peers() {
		if p.ID != l.Self && p.Alive && !l.Gone(p.ID) {
			edges = append(edges, p.ID)
		}
	}
	return edges
}
