package membership

import (
	"bytes"
	"fmt"

	"github.com/hashicorp/memberlist"
)

// delegate is what memberlist asks and tells. Most of its methods run under
// memberlist's lock, so they touch nothing but the table and the log.
type delegate struct {
	table   *table
	remarks *remarks
}

var (
	_ memberlist.Delegate         = (*delegate)(nil)
	_ memberlist.EventDelegate    = (*delegate)(nil)
	_ memberlist.MergeDelegate    = (*delegate)(nil)
	_ memberlist.AliveDelegate    = (*delegate)(nil)
	_ memberlist.ConflictDelegate = (*delegate)(nil)
)

// read makes a Member of what gossip says about a node.
func read(n *memberlist.Node) (Member, error) {
	m, err := parseNodeName(n.Name)
	if err != nil {
		return m, err
	}
	if err := decodeMeta(n.Meta, &m); err != nil {
		return m, err
	}
	m.GossipAddr = n.Address()
	m.PeerAddr = complete(m.PeerAddr, n.Addr)
	m.AMQPAddr = complete(m.AMQPAddr, n.Addr)
	return m, nil
}

// examine reads and judges a node, and logs a refusal.
func (d *delegate) examine(n *memberlist.Node) (Member, error) {
	m, err := read(n)
	if err != nil {
		host := n.Addr.String()
		d.remarks.warn("unreadable "+host, "refused: a node that this version cannot read", "node", n.Name, "address", n.Address(), "error", err)
		return m, fmt.Errorf("%s%q: %w", refusalMark, n.Name, err)
	}
	if why := d.table.judge(m); why != nil {
		d.remarks.refused(why)
		return m, why
	}
	return m, nil
}

// NotifyAlive lets a node in or keeps it out, each time it is announced.
func (d *delegate) NotifyAlive(n *memberlist.Node) error {
	m, err := d.examine(n)
	if why, ok := err.(*refusal); ok && why.reason == otherCluster {
		d.table.drop(m.ID) // it was taken in when it, or this node, had no cluster
	}
	return err
}

// NotifyMerge decides whether to exchange anything at all with a node that shows
// whom it knows. NotifyAlive sorts out single ones, so this refuses only a side
// on which nobody is acceptable; and all sides, while this node is new and
// somebody living has its name, so that it does not half belong to a cluster.
func (d *delegate) NotifyMerge(peers []*memberlist.Node) error {
	self := d.table.me()
	accepted := false
	var refused error
	for _, n := range peers {
		if n.State != memberlist.StateAlive && n.State != memberlist.StateSuspect {
			continue
		}
		m, err := d.examine(n)
		why, judged := err.(*refusal)
		switch {
		case err == nil:
			accepted = accepted || m.ID != self.ID
		case judged && why.reason == predecessor:
		case judged && why.reason == ownName && self.ClusterID == "":
			return err
		case judged && why.reason == ownIdentity:
			return err
		default:
			refused = err
		}
	}
	if accepted {
		return nil
	}
	return refused
}

// NotifyConflict hears of one process name at two addresses.
func (d *delegate) NotifyConflict(existing, other *memberlist.Node) {
	d.remarks.warn("conflict "+existing.Name,
		"refused: one node at two addresses; is a copy of its data folder in use?",
		"node", existing.Name, "address", existing.Address(), "refused_address", other.Address())
}

// NotifyJoin hears that a node which NotifyAlive let in is alive.
func (d *delegate) NotifyJoin(n *memberlist.Node) {
	if m, err := read(n); err == nil {
		d.table.alive(m)
	}
}

// NotifyUpdate hears that a node announces other metadata.
func (d *delegate) NotifyUpdate(n *memberlist.Node) { d.NotifyJoin(n) }

// NotifyLeave hears that a node is gone, in whatever way.
func (d *delegate) NotifyLeave(n *memberlist.Node) {
	if m, err := parseNodeName(n.Name); err == nil {
		d.table.gone(m.ID, m.Epoch)
	}
}

// NodeMeta is what this node announces. Validate has checked that it fits.
func (d *delegate) NodeMeta(limit int) []byte {
	b, err := encodeMeta(d.table.me())
	if err != nil || len(b) > limit {
		d.remarks.warn("own metadata", "cannot tell other nodes about this one", "error", err, "bytes", len(b))
		return []byte{metaVersion}
	}
	return b
}

// A farewell is the one message of our own: it tells a node that stops from one
// that was lost, which memberlist knows and does not say.
const (
	farewellVersion = 1
	farewellKind    = 1
)

func encodeFarewell(name string) []byte {
	return append([]byte{farewellVersion, farewellKind}, name...)
}

// NotifyMsg takes in a farewell.
func (d *delegate) NotifyMsg(b []byte) {
	name, ok := bytes.CutPrefix(b, []byte{farewellVersion, farewellKind})
	if !ok {
		return
	}
	if m, err := parseNodeName(string(name)); err == nil {
		d.table.farewell(m.ID, m.Epoch)
	}
}

// GetBroadcasts, LocalState and MergeRemoteState are not used: gossip carries
// nothing but who is there.
func (d *delegate) GetBroadcasts(int, int) [][]byte { return nil }
func (d *delegate) LocalState(bool) []byte          { return nil }
func (d *delegate) MergeRemoteState([]byte, bool)   {}
