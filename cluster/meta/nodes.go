package meta

import (
	"slices"
	"strings"

	pb "github.com/warrenmq/warren/proto"
)

// Node is a registered node.
type Node struct {
	ID       string // ServerID
	Name     string
	Zone     string
	PeerAddr string
	AMQPAddr string
	Version  string
	Epoch    uint64 // of the process that registered last
	Joined   uint64 // log index of the first registration
	Since    uint64 // the process vouches for definitions of later serials (lifetime.go)
	Ended    bool   // the process was not seen for long
	Drained  bool   // the process leads nothing and takes no clients
	Level    uint64 // the highest that the process's build knows
}

func nodeToProto(n Node) *pb.MetaNode {
	return &pb.MetaNode{Id: n.ID, Name: n.Name, Zone: n.Zone, PeerAddr: n.PeerAddr, AmqpAddr: n.AMQPAddr,
		Version: n.Version, Epoch: n.Epoch, Joined: n.Joined, Since: n.Since, Ended: n.Ended, Drained: n.Drained, Level: n.Level}
}

func nodeFromProto(p *pb.MetaNode) Node {
	return Node{ID: p.GetId(), Name: p.GetName(), Zone: p.GetZone(), PeerAddr: p.GetPeerAddr(), AMQPAddr: p.GetAmqpAddr(),
		Version: p.GetVersion(), Epoch: p.GetEpoch(), Joined: p.GetJoined(), Since: p.GetSince(), Ended: p.GetEnded(), Drained: p.GetDrained(), Level: p.GetLevel()}
}

// superseded reports whether another server has joined under n's name since: n's
// disk is gone, and it will not come back.
func superseded(nodes []Node, id string) bool {
	i := slices.IndexFunc(nodes, func(n Node) bool { return n.ID == id })
	return i >= 0 && slices.ContainsFunc(nodes, func(n Node) bool {
		return n.Name == nodes[i].Name && n.Joined > nodes[i].Joined
	})
}

func byID(a, b Node) int { return strings.Compare(a.ID, b.ID) }

// GroupInfo is a queue group as the meta group records it.
type GroupInfo struct {
	ID uint64
	// Initial are the replicas the group was created with: the configuration that
	// each of them, and nobody else, starts an empty group with. There are none
	// once the group has had a leader, who tells all others: a replica that has lost
	// its log must not think itself one of the first.
	Initial []string
	// Replicas are those it has now, as its leader last reported.
	Replicas []string
	// Target are those its leader shall bring it to: add what is missing, let it
	// catch up, then remove what is not in it.
	Target    []string
	Preferred string // the node that should lead it
	Size      int    // how many replicas it shall have once there are as many nodes

	Term, Index uint64 // of the group's log when its leader last reported
}

// Hosts reports whether the node holds or shall hold a replica.
func (g GroupInfo) Hosts(id string) bool {
	return slices.Contains(g.Replicas, id) || slices.Contains(g.Target, id)
}

func (g GroupInfo) clone() GroupInfo {
	g.Initial, g.Replicas, g.Target = slices.Clone(g.Initial), slices.Clone(g.Replicas), slices.Clone(g.Target)
	return g
}

func groupToProto(g GroupInfo) *pb.MetaGroup {
	return &pb.MetaGroup{Id: g.ID, Initial: g.Initial, Replicas: g.Replicas, Target: g.Target, Preferred: g.Preferred,
		Size: uint32(g.Size), Term: g.Term, Index: g.Index}
}

func groupFromProto(p *pb.MetaGroup) GroupInfo {
	return GroupInfo{ID: p.GetId(), Initial: p.GetInitial(), Replicas: p.GetReplicas(), Target: p.GetTarget(), Preferred: p.GetPreferred(),
		Size: int(p.GetSize()), Term: p.GetTerm(), Index: p.GetIndex()}
}
