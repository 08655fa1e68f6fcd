package membership

import (
	"slices"
	"strings"
	"sync"
	"time"
)

// Bounds of the table. Nobody without the key gets into it at all.
const (
	maxMembers = 1024 // alive ones
	maxGone    = 256  // last known ones; the one that is gone the longest makes room
)

// table is this node's own view of the members, by ServerID. memberlist may hold
// several processes of one node, the living and its predecessors; the table holds
// the latest.
type table struct {
	changed chan struct{} // capacity 1: something changed since it was last emptied

	mu      sync.Mutex
	self    Member
	members map[string]*entry
}

type entry struct {
	member Member
	left   bool      // gone with a farewell
	gone   time.Time // when it ceased to be alive
}

func newTable(self Member) *table {
	return &table{changed: make(chan struct{}, 1), self: self, members: make(map[string]*entry)}
}

// judge says whether a node may be taken for a member: nil, or why not.
func (t *table) judge(m Member) *refusal {
	t.mu.Lock()
	defer t.mu.Unlock()
	if m.ID == t.self.ID {
		return t.judgeSelf(m)
	}
	if t.foreign(m) {
		return &refusal{reason: otherCluster, node: m, known: t.self}
	}
	if m.Name == t.self.Name {
		return &refusal{reason: ownName, node: m, known: t.self}
	}
	if e := t.members[m.ID]; e != nil {
		if m.Epoch < e.member.Epoch {
			return &refusal{reason: predecessor, node: m, known: e.member}
		}
		if e.member.Alive {
			return nil
		}
	}
	alive := 0
	for _, e := range t.members {
		if !e.member.Alive {
			continue
		}
		alive++
		if e.member.Name == m.Name && e.member.ID != m.ID {
			return &refusal{reason: nameTaken, node: m, known: e.member}
		}
	}
	if alive >= maxMembers {
		return &refusal{reason: tooMany, node: m}
	}
	return nil
}

// judgeSelf judges what bears this node's own ServerID.
func (t *table) judgeSelf(m Member) *refusal {
	switch {
	case m.Epoch > t.self.Epoch:
		return &refusal{reason: ownIdentity, node: m, known: t.self}
	case m.Epoch < t.self.Epoch:
		return &refusal{reason: predecessor, node: m, known: t.self}
	}
	return nil
}

// foreign says whether m is of another cluster. A node without a cluster yet is
// nobody's enemy.
func (t *table) foreign(m Member) bool {
	return m.ClusterID != "" && t.self.ClusterID != "" && m.ClusterID != t.self.ClusterID
}

// alive takes in what gossip says of a living member that judge let pass.
func (t *table) alive(m Member) {
	t.mu.Lock()
	defer t.mu.Unlock()
	if m.ID == t.self.ID {
		return
	}
	for id, e := range t.members {
		if e.member.Name == m.Name && id != m.ID && !e.member.Alive {
			delete(t.members, id) // its name has gone to another: it will not return
		}
	}
	m.Alive = true
	t.members[m.ID] = &entry{member: m}
	t.notify()
}

// gone takes in that a process has ended or cannot be reached.
func (t *table) gone(id string, epoch uint64) {
	t.mu.Lock()
	defer t.mu.Unlock()
	e := t.members[id]
	if e == nil || e.member.Epoch != epoch || !e.member.Alive {
		return // a predecessor of the one in the table, or no news
	}
	e.member.Alive = false
	e.gone = time.Now()
	t.makeRoom()
	t.notify()
}

// farewell takes in that a process said it would go. It counts once it is gone: a
// living member cannot be talked away.
func (t *table) farewell(id string, epoch uint64) {
	t.mu.Lock()
	defer t.mu.Unlock()
	if e := t.members[id]; e != nil && e.member.Epoch == epoch {
		e.left = true
	}
}

// drop removes a member that turned out to be another cluster's.
func (t *table) drop(id string) {
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.members[id] != nil {
		delete(t.members, id)
		t.notify()
	}
}

func (t *table) makeRoom() {
	var oldest string
	count := 0
	for id, e := range t.members {
		if e.member.Alive {
			continue
		}
		count++
		if oldest == "" || e.gone.Before(t.members[oldest].gone) {
			oldest = id
		}
	}
	if count > maxGone {
		delete(t.members, oldest)
	}
}

func (t *table) notify() {
	select {
	case t.changed <- struct{}{}:
	default:
	}
}

// update changes what is known of this node itself. Members that are of another
// cluster in its light leave the table.
func (t *table) update(change func(self *Member)) Member {
	t.mu.Lock()
	defer t.mu.Unlock()
	change(&t.self)
	for id, e := range t.members {
		if t.foreign(e.member) {
			delete(t.members, id)
			t.notify()
		}
	}
	return t.self
}

func (t *table) me() Member {
	t.mu.Lock()
	defer t.mu.Unlock()
	return t.self
}

// list returns all members, this node too, by ServerID.
func (t *table) list() []Member {
	t.mu.Lock()
	defer t.mu.Unlock()
	all := make([]Member, 0, len(t.members)+1)
	all = append(all, t.self)
	for _, e := range t.members {
		all = append(all, e.member)
	}
	slices.SortFunc(all, func(a, b Member) int { return strings.Compare(a.ID, b.ID) })
	return all
}

func (t *table) member(id string) (Member, bool) {
	t.mu.Lock()
	defer t.mu.Unlock()
	if id == t.self.ID {
		return t.self, true
	}
	if e := t.members[id]; e != nil {
		return e.member, true
	}
	return Member{}, false
}

// others returns the other members by ServerID, and whether each left in peace.
func (t *table) others() map[string]entry {
	t.mu.Lock()
	defer t.mu.Unlock()
	all := make(map[string]entry, len(t.members))
	for id, e := range t.members {
		all[id] = *e
	}
	return all
}
