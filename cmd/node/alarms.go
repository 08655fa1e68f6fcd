package node

import (
	"github.com/warrenmq/warren/broker/queue"
	"github.com/warrenmq/warren/broker/topology"
	"github.com/warrenmq/warren/cluster"
	"github.com/warrenmq/warren/cluster/alarm"
	"github.com/warrenmq/warren/cluster/membership"
)

// assembleAlarms makes what watches over this node's memory and disk. The other
// nodes hear of it with the heartbeats of the links to them.
func (n *Node) assembleAlarms() (err error) {
	n.alarms, err = alarm.New(alarm.Config{
		Self: n.self.Node, Resources: n.cfg.World.Resources(n.cfg.DataDir),
		Watermark: n.cfg.Watermark, DiskFreeLimit: n.cfg.DiskFreeLimit, DiskNeeded: uint64(n.log.Needs()), MemoryLimit: n.cfg.MemoryLimit,
		Tell: n.tellAlarms, Locate: n.storedAt, Logger: n.logger,
	})
	return err
}

// tellAlarms lets all know what this node is short of. While that is disk it leads
// nothing, if others can: they take publishes as long as a majority has room.
func (n *Node) tellAlarms(k alarm.Kind) {
	n.conns.TellAlarms(uint32(k))
	n.refuse(shortOfDisk, k&alarm.Disk != 0)
}

// heardAlarms takes in what another node is short of.
func (n *Node) heardAlarms(serverID string, alarms uint32) {
	n.alarms.Heard(serverID, alarm.Kind(alarms))
}

// linkTo holds a link to every member, so that each hears of the others' alarms.
func (n *Node) linkTo(e membership.Event) {
	if e.Kind != membership.Joined {
		return
	}
	if _, err := n.conns.Conn(e.Member.ID); err != nil {
		n.logger.Debug("no link to a member", "node", e.Member.ID, "error", err)
	}
}

// storedAt finds who leads a queue, as far as this node knows, and who stores its messages.
func (n *Node) storedAt(id queue.ID) (leader string, replicas []string, ok bool) {
	var group uint64
	n.meta.View(func(t *topology.Topology) {
		if q := t.QueueByID(id); q != nil {
			group, leader, ok = q.Group, q.Home, true
		}
	})
	if !ok || group == cluster.TransientGroup {
		return leader, nil, ok
	}
	g, _ := n.meta.Group(group)
	return n.leaderOf(group), g.Replicas, true
}

// leaderOf is who leads a group as far as this node knows. Where it has no
// replica it takes the leader for the one that is preferred, as it is but for a while,
// unless that is known to lead nothing.
func (n *Node) leaderOf(group uint64) string {
	if id, hosted := n.leaderHere(group); hosted {
		return id
	}
	return n.wanted(group)
}
