package node

import (
	"context"
	"encoding/json"
	"net"
	"os"
	"runtime"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/warrenmq/warren/broker/connection"
	"github.com/warrenmq/warren/broker/leader"
	"github.com/warrenmq/warren/broker/management"
	"github.com/warrenmq/warren/broker/queue"
	"github.com/warrenmq/warren/broker/topology"
	"github.com/warrenmq/warren/cluster/alarm"
	"github.com/warrenmq/warren/cluster/meta"
	"github.com/warrenmq/warren/cluster/roster"
)

// assembleOperators makes what counts, lists and closes clients, and the HTTP API.
func (n *Node) assembleOperators() (err error) {
	n.roster, err = roster.New(roster.Config{
		Conns: n.conns, Others: n.others, Limits: limits{n.meta}, Local: n, Logger: n.logger,
	})
	if err != nil {
		return err
	}
	n.roster.Register(n.server)
	n.management, err = management.New(management.Config{
		Definitions: n.definitions, Access: n.meta, Queues: operatorsQueues{queues{n.edge, n.definitions}, n},
		Clients: n.roster, Nodes: operatorsNodes{n},
		Version: n.cfg.Version, RabbitMQVersion: n.cfg.ProductVersion, ClusterName: n.cfg.ClusterName, Logger: n.logger,
	})
	return err
}

// others are the other living nodes.
func (n *Node) others() (ids []string) {
	for _, e := range n.liveness.Edges() {
		if e != n.self {
			ids = append(ids, e.Node)
		}
	}
	return ids
}

// limits is roster.Limits over the meta group.
type limits struct{ meta *meta.Meta }

func (l limits) VHostConnections(vhost string) (limit int64, set bool) {
	l.meta.View(func(t *topology.Topology) { limit, set = t.Limits(vhost)[topology.MaxConnections] })
	return limit, set && limit >= 0
}

func (l limits) UserConnections(user string) (limit int64, set bool) {
	limit, set = l.meta.UserLimits(user)[meta.MaxConnections]
	return limit, set && limit >= 0
}

// admission is connection.Admission over the roster.
type admission struct {
	roster *roster.Roster
	meta   *meta.Meta
}

func (a admission) Admit(ctx context.Context, i connection.Info) (release func(), err error) {
	return a.roster.Admit(ctx, i.VHost, i.User)
}

func (a admission) MaxChannels(user string) (limit int, limited bool) {
	most, set := a.meta.UserLimits(user)[meta.MaxChannels]
	return int(most), set && most >= 0
}

// The node's own clients: roster.Local. There are none before it serves any.

// Connections describes them.
func (n *Node) Connections() [][]byte {
	var list [][]byte
	for _, i := range n.openConnections() {
		b, err := json.Marshal(management.DescribeConnection(n.cfg.Name, &i))
		if err != nil {
			n.logger.Warn("a connection cannot be described", "connection", i.Name, "error", err)
			continue
		}
		list = append(list, b)
	}
	return list
}

// Consumers describes their consumers, but for those of direct replies, which are no
// queue's to an operator.
func (n *Node) Consumers(vhost string) (list [][]byte) {
	l := n.listener.Load()
	if l == nil {
		return nil
	}
	var described []management.Consumer
	open := l.Consumers()
	n.meta.View(func(t *topology.Topology) {
		for _, i := range open {
			q := t.QueueByID(i.Queue)
			if q == nil || topology.IsReplyQueue(q.Name) || vhost != "" && vhost != q.VHost {
				continue
			}
			settings := t.Settings(q)
			described = append(described, management.DescribeConsumer(n.cfg.Name, q, &settings, &i))
		}
	})
	for _, c := range described {
		b, err := json.Marshal(c)
		if err != nil {
			n.logger.Warn("a consumer cannot be described", "connection", c.ChannelDetails.ConnectionName, "consumer", c.Tag, "error", err)
			continue
		}
		list = append(list, b)
	}
	return list
}

func (n *Node) openConnections() []connection.Info {
	if l := n.listener.Load(); l != nil {
		return l.Connections()
	}
	return nil
}

// Close closes one of them by its name.
func (n *Node) Close(name, reason string) bool {
	l := n.listener.Load()
	return l != nil && l.Close(name, reason)
}

// Channels counts the channels of a user.
func (n *Node) Channels(user string) (channels int) {
	for _, i := range n.openConnections() {
		if i.User == user {
			channels += i.Channels
		}
	}
	return channels
}

// Report is the node's word on itself.
func (n *Node) Report() []byte {
	s := n.alarms.Status()
	files, most := openFiles()
	b, err := json.Marshal(management.Node{
		Name: n.cfg.Name, Type: "disc", Running: true, Partitions: []string{}, OSPid: strconv.Itoa(os.Getpid()),
		Uptime: time.Since(n.started).Milliseconds(), Processors: runtime.GOMAXPROCS(0),
		ProcUsed: runtime.NumGoroutine(), ProcTotal: 1 << 20, FDUsed: files, FDTotal: most,
		MemUsed: s.MemoryUsed, MemLimit: s.MemoryLimit, MemTotal: s.MemoryTotal, MemWatermark: s.Watermark.String(), MemAlarm: s.Alarms&alarm.Memory != 0,
		DiskFree: s.DiskFree, DiskFreeLimit: s.DiskFreeLimit, DiskFreeAlarm: s.Alarms&alarm.Disk != 0,
		RatesMode: "basic", EnabledPlugins: []string{}, Version: n.cfg.Version, DataDir: n.cfg.DataDir,
		Connections: len(n.openConnections()), Listeners: n.listeners(), BeingDrained: n.refusal.is(maintenance),
	})
	if err != nil { // it has nothing that JSON could not say
		n.logger.Warn("the node cannot describe itself", "error", err)
	}
	return b
}

func (n *Node) listeners() (list []management.Listener) {
	type listening struct{ protocol, addr string }
	listeners := []listening{{"amqp", n.clients.Addr().String()}, {"clustering", n.peerAddr}}
	if n.clientsTLS != nil {
		listeners = append(listeners, listening{"amqp/ssl", n.clientsTLS.Addr().String()})
	}
	for _, l := range listeners {
		host, port, err := net.SplitHostPort(l.addr)
		number, perr := strconv.Atoi(port)
		if err == nil && perr == nil {
			list = append(list, management.Listener{Node: n.cfg.Name, Protocol: l.protocol, IPAddress: host, Port: number})
		}
	}
	return list
}

// operatorsQueues is management.Queues.
type operatorsQueues struct {
	queues
	node *Node
}

// Counts observes: that an operator looks at a queue does not make it used.
func (q operatorsQueues) Counts(ctx context.Context, id queue.ID) (leader.Counts, error) {
	return q.edge.Observe(ctx, id)
}

// Place says where a queue is, in names of nodes.
func (q operatorsQueues) Place(d *topology.Queue) (p management.Place) {
	if d.Group == 0 {
		return management.Place{Leader: nodeName(d.Home)}
	}
	g, _ := q.node.meta.Group(d.Group)
	p.Leader = nodeName(q.node.leaderOf(d.Group))
	for _, id := range g.Replicas {
		p.Members = append(p.Members, nodeName(id))
		if m, ok := q.node.members.Member(id); ok && m.Alive {
			p.Online = append(p.Online, nodeName(id))
		}
	}
	return p
}

// operatorsNodes is management.Nodes.
type operatorsNodes struct{ *Node }

// Self is this node's name.
func (n operatorsNodes) Self() string { return n.cfg.Name }

// Names are those of all nodes; one that came back with an empty disk counts once.
func (n operatorsNodes) Names() (names []string) {
	for _, m := range n.meta.Nodes() {
		names = append(names, m.Name)
	}
	slices.Sort(names)
	return slices.Compact(names)
}

// Reports are the words of the nodes that answer.
func (n operatorsNodes) Reports(ctx context.Context) [][]byte { return n.roster.Reports(ctx) }

// nodeName is the name in a ServerID.
func nodeName(serverID string) string {
	name, _, _ := strings.Cut(serverID, "@")
	return name
}
