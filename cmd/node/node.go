// Package node makes a node of its parts, starts them in order, and stops them
// in reverse. It is the only place that knows all of them.
package node

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"math/rand/v2"
	"net"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"sync/atomic"
	"time"

	"github.com/hashicorp/raft"

	"github.com/warrenmq/warren/broker/auth"
	"github.com/warrenmq/warren/broker/connection"
	"github.com/warrenmq/warren/broker/deadletter"
	"github.com/warrenmq/warren/broker/leader"
	"github.com/warrenmq/warren/broker/management"
	"github.com/warrenmq/warren/broker/queue"
	"github.com/warrenmq/warren/broker/routing"
	"github.com/warrenmq/warren/broker/topology"
	"github.com/warrenmq/warren/broker/transient"
	"github.com/warrenmq/warren/cluster"
	"github.com/warrenmq/warren/cluster/alarm"
	"github.com/warrenmq/warren/cluster/edge"
	"github.com/warrenmq/warren/cluster/group"
	"github.com/warrenmq/warren/cluster/log"
	"github.com/warrenmq/warren/cluster/membership"
	"github.com/warrenmq/warren/cluster/meta"
	"github.com/warrenmq/warren/cluster/peer"
	"github.com/warrenmq/warren/cluster/roster"
	"github.com/warrenmq/warren/cluster/security"
)

// metaGroup is the meta group's number among the Raft groups.
const metaGroup = 0

// lease is how long a leader may act on an answer of its followers, who wait at
// least Raft's heartbeat timeout of 1 s before they elect another.
const lease = 700 * time.Millisecond

// Node is one node's parts.
type Node struct {
	cfg    Config
	logger *slog.Logger
	self   leader.EdgeID

	keys       *security.Keys // nil without a secret
	folder     Identity
	log        *log.Log
	stores     meta.Stores
	stable     Stable
	members    *membership.Membership
	conns      *peer.Conns
	server     *peer.Server
	transports *peer.Transports
	meta       *meta.Meta
	host       *group.Host

	liveness    *cluster.Liveness
	engines     *cluster.Engines
	edge        *edge.Edge
	definitions *cluster.Definitions
	leading     *cluster.Leading
	transient   *transient.Log
	routes      *routing.Table
	letters     *deadletter.Router
	checker     *auth.Checker
	alarms      *alarm.Alarms
	roster      *roster.Roster
	management  *management.Server

	clients    *door
	clientsTLS *door                               // nil without TLS
	clientTLS  *tls.Config                         // for clientsTLS
	listener   atomic.Pointer[connection.Listener] // nil before clients are served
	peerAddr   string
	started    time.Time
	closers    []io.Closer // in the order they were opened
	ready      atomic.Bool
	refusal    refusal
}

// Run runs a node until ctx ends or a part of it fails.
func Run(ctx context.Context, cfg Config) error {
	if err := cfg.Validate(); err != nil {
		return err
	}
	n := &Node{cfg: cfg.withDefaults(), started: time.Now()}
	n.logger = n.cfg.Logger
	peers, err := n.open()
	if err != nil {
		return errors.Join(err, n.close())
	}
	p := newParts(n.logger)
	err = n.start(ctx, p, peers)
	if err == nil {
		select {
		case <-ctx.Done():
			n.logger.Info("stopping")
		case err = <-p.failed:
		}
	}
	if err != nil {
		// Something that the node cannot be without has failed, the disk perhaps:
		// nothing is waited for, and what was not confirmed stays unconfirmed.
		go p.stopAll(n.cfg.StopTimeout)
		return err
	}
	stopping := time.Now()
	if n.ready.Load() {
		n.refuse(ending, true)
		n.handOver(context.WithoutCancel(ctx)) // the others go on at once, and need not find out
	}
	p.stopAll(n.cfg.StopTimeout - time.Since(stopping))
	err = n.close()
	n.logger.Info("stopped")
	return err
}

// open takes hold of everything that can fail for an operator's reasons, and
// makes the parts. It returns the listener for other nodes.
func (n *Node) open() (peers net.Listener, err error) {
	if err := n.secure(); err != nil {
		return nil, err
	}
	w := n.cfg.World
	if n.folder, err = w.Identity(n.cfg.DataDir, n.cfg.Name); err != nil {
		return nil, err
	}
	n.closers = append(n.closers, n.folder)
	n.self = leader.EdgeID{Node: n.cfg.Name + "@" + n.folder.Incarnation(), Epoch: n.folder.Epoch()}
	if n.clients, err = openDoor(n.cfg.Listen, w.Listen); err != nil {
		return nil, fmt.Errorf("AMQP: %w", err)
	}
	if n.cfg.TLSListen != "" {
		if n.clientsTLS, err = n.listenTLS(); err != nil {
			return nil, fmt.Errorf("AMQP with TLS: %w", err)
		}
	}
	if peers, err = w.Listen(n.cfg.Peer); err != nil {
		return nil, fmt.Errorf("cluster: %w", err)
	}
	n.closers = append(n.closers, peers)
	if w.Gossip == nil { // gossip listens by itself later: better to know now
		probe, err := w.Listen(n.cfg.Gossip)
		if err != nil {
			return nil, fmt.Errorf("gossip: %w", err)
		}
		probe.Close()
	}
	if err := n.openDisk(); err != nil {
		return nil, err
	}
	return peers, n.assemble(peers.Addr().String())
}

// secure derives the keys, or keeps the cluster's ports on loopback.
func (n *Node) secure() (err error) {
	if n.cfg.Secret != "" {
		n.keys, err = security.New(n.cfg.Secret)
		return err
	}
	for _, addr := range []string{n.cfg.Peer, n.cfg.Gossip} {
		if err := security.RequireLoopback(addr); err != nil {
			return err
		}
	}
	return nil
}

func (n *Node) path(elem ...string) string {
	return filepath.Join(append([]string{n.cfg.DataDir}, elem...)...)
}

// openDisk opens the shared log, the meta group's stores, votes and terms.
func (n *Node) openDisk() (err error) {
	w := n.cfg.World
	if n.log, err = log.Open(w.FS, n.path("log"), log.Config{
		SegmentBytes: w.Segments, Thin: queue.Thin, Logger: n.logger, OnCorrupt: n.corrupt,
	}); err != nil {
		return err
	}
	n.closers = append(n.closers, n.log)
	if err := n.log.Damaged(); err != nil {
		n.logger.Error("the log is damaged, and nobody knows whose entries were: all queue groups' replicas on this node are rebuilt", "error", err)
	}
	var stores io.Closer
	if n.stores, stores, err = w.MetaStores(n.path("meta")); err != nil {
		return err
	}
	n.closers = append(n.closers, stores)
	if n.stable, err = w.Stable(n.path("groups.db")); err != nil {
		return err
	}
	n.closers = append(n.closers, n.stable)
	return nil
}

func (n *Node) close() error {
	var errs []error
	for i := len(n.closers) - 1; i >= 0; i-- {
		err := n.closers[i].Close()
		if !errors.Is(err, net.ErrClosed) {
			errs = append(errs, err)
		}
	}
	if n.clients != nil {
		n.clients.Close() // the listener has closed it already, if it ever ran
	}
	if n.clientsTLS != nil {
		n.clientsTLS.Close() // likewise
	}
	return errors.Join(errs...)
}

// assemble makes the parts; nothing runs yet.
func (n *Node) assemble(peerAddr string) error {
	n.peerAddr = peerAddr
	if err := n.assemblePeers(peerAddr); err != nil {
		return err
	}
	if err := n.assembleMeta(peerAddr); err != nil {
		return err
	}
	if err := n.assembleQueues(); err != nil {
		return err
	}
	n.checker = auth.New(auth.Config{
		User:            n.meta.User,
		Permission:      n.meta.Permission,
		TopicPermission: n.meta.TopicPermission,
		VHost:           n.hasVHost,
		LoopbackUsers:   n.cfg.LoopbackUsers,
	})
	n.meta.Watch(func(changes []topology.Change) {
		n.routes.Apply(changes)
		n.definitions.Changed(changes)
		n.engines.Changed(changes)
	})
	n.meta.WatchGroups(func([]meta.GroupInfo) { n.engines.Raised() })
	return n.assembleOperators()
}

func (n *Node) hasVHost(name string) (ok bool) {
	n.meta.View(func(t *topology.Topology) { ok = t.VHost(name) != nil })
	return ok
}

// clusterID is "" until the node belongs to a cluster.
func (n *Node) clusterID() string {
	if n.meta == nil {
		return ""
	}
	return n.meta.ClusterID()
}

func (n *Node) assemblePeers(peerAddr string) (err error) {
	w := n.cfg.World
	var key []byte
	if n.keys != nil {
		key = n.keys.GossipKey()
	}
	n.members, err = membership.New(membership.Config{
		Name: n.cfg.Name, Incarnation: n.folder.Incarnation(), Epoch: n.self.Epoch,
		ClusterID: n.clusterID,
		BindAddr:  n.cfg.Gossip, AdvertiseAddr: n.cfg.Advertise,
		PeerAddr: peerAddr, AMQPAddr: n.clients.Addr().String(), Zone: n.cfg.Zone, Version: n.cfg.Version,
		Seeds: n.cfg.Seeds, Key: key, Transport: w.Gossip, Logger: n.logger,
	})
	if err != nil {
		return err
	}
	identity := peer.Identity{ServerID: n.self.Node, Epoch: n.self.Epoch, ClusterID: n.clusterID}
	server := peer.ServerConfig{Identity: identity, Open: openCall, Logger: n.logger}
	conns := peer.ConnsConfig{Identity: identity, Resolver: n.members, Dial: w.Dial, Logger: n.logger}
	if n.keys != nil {
		serverTLS, clientTLS, err := n.keys.NodeTLS(n.self.Node)
		if err != nil {
			return err
		}
		server.TLS, server.CheckPeer = serverTLS, security.CheckPeer
		conns.TLS = func(id string) *tls.Config { return security.Expect(clientTLS, id) }
	}
	if n.server, err = peer.NewServer(server); err != nil {
		return err
	}
	if n.conns, err = peer.NewConns(conns); err != nil {
		return err
	}
	n.transports, err = peer.NewTransports(peer.TransportsConfig{
		Identity: identity, Conns: n.conns, Lease: lease, Alarms: n.heardAlarms, SnapshotRate: n.cfg.SnapshotRate, Logger: n.logger,
	}, n.server)
	if err != nil {
		return err
	}
	n.members.Watch(n.linkTo)
	return n.assembleAlarms()
}

// openCall names the calls between nodes that belong to no cluster yet.
func openCall(method string) bool { return strings.HasPrefix(method, "/warren.v1.Bootstrap/") }

func (n *Node) assembleMeta(peerAddr string) (err error) {
	m, err := meta.New(meta.Config{
		Self: meta.Node{
			ID: n.self.Node, Name: n.cfg.Name, Zone: n.cfg.Zone, PeerAddr: peerAddr,
			AMQPAddr: n.clients.Addr().String(), Version: n.cfg.Version, Epoch: n.self.Epoch,
		},
		Expect:    n.cfg.Expect,
		Stores:    n.stores,
		Transport: n.transports.Transport(metaGroup),
		Conns:     n.conns,
		Members:   n.metaMembers,
		Limits:    n.cfg.ClusterLimits,

		GroupsPerNode: n.cfg.GroupsPerNode, Replicas: n.cfg.Replicas,
		RebuildAfter: n.cfg.RebuildAfter, ForgetAfter: n.cfg.ForgetAfter,

		Logger: n.logger,
	})
	if err != nil {
		return err
	}
	n.meta = m
	m.Register(n.server)
	return nil
}

func (n *Node) metaMembers() []meta.Member {
	members := n.members.Members()
	list := make([]meta.Member, len(members))
	for i, m := range members {
		list[i] = meta.Member{ID: m.ID, Name: m.Name, Epoch: m.Epoch, Alive: m.Alive,
			Ended: n.liveness.Ended(leader.EdgeID{Node: m.ID, Epoch: m.Epoch})}
	}
	return list
}

func (n *Node) assembleQueues() (err error) {
	n.liveness = &cluster.Liveness{Self: n.self, Peers: n.peers}
	n.conns.WatchDead(n.liveness.Dead)
	n.conns.WatchDead(func(string) { n.meta.Look() })
	n.conns.WatchDead(n.alarms.Gone)
	n.conns.Watch(func(id string, up bool) {
		if up {
			n.liveness.Up(id)
		}
	})
	n.engines = &cluster.Engines{LeaderOf: n.leaderHere}
	incarnation, err := strconv.ParseUint(n.folder.Incarnation(), 16, 64)
	if err != nil {
		return fmt.Errorf("incarnation: %w", err)
	}
	n.edge = edge.New(edge.Config{
		Self:      n.self,
		Session:   queue.Session{Incarnation: incarnation, Epoch: n.self.Epoch},
		Local:     n.engines,
		Conns:     n.conns,
		Locate:    func(id queue.ID) (edge.Target, bool) { return cluster.Locate(n.meta, id) },
		Replicas:  n.replicas,
		HomeAlive: n.homeAlive,
		Caller:    caller,
		Logger:    n.logger,
	})
	n.edge.Register(n.server)
	n.definitions = cluster.NewDefinitions(cluster.DefinitionsConfig{
		Self: n.self, Meta: n.meta, Edge: n.edge, Engines: n.engines, Logger: n.logger,
		GroupSize: n.meta.Replicas(), EnsureGroup: n.meta.EnsureGroup,
		Route: func(vhost, exchange string, m *queue.Message) []queue.ID {
			return deadletter.Queues(n.routes, vhost, exchange, m)
		},
	})
	n.routes = routing.NewTable(routing.Config{Local: n.definitions.Led, Random: rand.IntN})
	n.letters = deadletter.New(deadletter.Config{
		Routes: n.routes, Publisher: letterPublisher{n.edge}, Ready: n.meta.Ready(), Current: n.current, Name: n.queueName, Settings: n.settingsNow, Logger: n.logger,
	})
	n.leading = &cluster.Leading{
		Self: n.self, Meta: n.meta, Edge: n.edge, Engines: n.engines, Liveness: n.liveness,
		Unused: n.definitions.Unused, Expired: n.definitions.Expired, DeadLetter: n.letters.DeadLetter,
		CountReturns: n.cfg.CountReturns, Logger: n.logger,
	}
	n.transient = transient.NewLog(n.cfg.TransientBytes, func(touched []queue.ID) { n.engines.Applied(cluster.TransientGroup, touched) })
	n.host, err = group.NewHost(group.Config{
		Self:      n.self.Node,
		Entries:   func(id uint64) (group.Entries, error) { return n.log.Group(id), nil },
		Stable:    func(id uint64) (raft.StableStore, error) { return n.stable.Group(id), nil },
		Snapshots: func(id uint64) (raft.SnapshotStore, error) { return n.cfg.World.Snapshots(n.path("groups"), id) },
		Transport: func(id uint64) group.Transport { return groupTransport{n.transports.Transport(id)} },
		Lead: func(ctx context.Context, g *group.Group, term uint64) {
			n.leading.Lead(ctx, g.ID(), term, g)
		},
		Resign:   n.engines.Resign,
		Applied:  n.engines.Applied,
		Replicas: n.replicas,
		Expel:    n.transports.Expel,
		Wipe: func(id uint64) error {
			return errors.Join(n.log.DropGroup(id), n.cfg.World.DropSnapshots(n.path("groups"), id))
		},
		Preferred:      n.wanted,
		Yields:         n.yields,
		SnapshotLimits: n.cfg.World.SnapshotLimits,
		Logger:         n.logger,
	})
	return err
}

// groupTransport says how far a follower's log reaches in group's terms.
type groupTransport struct{ *peer.Transport }

func (t groupTransport) LastIndex(id string) (uint64, time.Time) {
	p := t.Progress(id)
	return p.LastIndex, p.At
}

func caller(ctx context.Context) (leader.EdgeID, bool) {
	c, ok := peer.CallerOf(ctx)
	return leader.EdgeID{Node: c.ServerID, Epoch: c.Epoch}, ok
}

// corrupt hears that a group's log cannot be read any more. Its replica here
// stops: it serves nothing and does not vote; the other replicas rebuild it.
func (n *Node) corrupt(id uint64, cause error) {
	go func() { // the log calls from a read, which the group may be waiting for
		if err := n.host.Rebuild(id, cause); err != nil {
			n.logger.Error("a damaged replica did not stop", "group", id, "error", err)
		}
	}()
}

func (n *Node) peers() []cluster.Peer {
	members := n.members.Members()
	list := make([]cluster.Peer, len(members))
	for i, m := range members {
		list[i] = cluster.Peer{ID: leader.EdgeID{Node: m.ID, Epoch: m.Epoch}, Alive: m.Alive}
	}
	return list
}

func (n *Node) replicas(id uint64) []string {
	g, _ := n.meta.Group(id)
	return g.Replicas
}

// leaderHere is who leads a group as this node's replica knows it, if it has one. One that
// was removed from the group, or is not in it yet, hears of no leader: others have to be
// asked.
func (n *Node) leaderHere(id uint64) (serverID string, hosted bool) {
	g, _ := n.meta.Group(id)
	if !g.Hosts(n.self.Node) {
		return "", false
	}
	serverID, hosted = n.host.Leader(id)
	return serverID, hosted && (serverID != "" || slices.Contains(g.Replicas, n.self.Node))
}

// homeAlive: a process with transient queues counts as running while it is not known
// to have ended, and while they are defined.
func (n *Node) homeAlive(home leader.EdgeID) (alive bool) {
	if !n.liveness.Gone(home) {
		return true
	}
	n.meta.View(func(t *topology.Topology) {
		for _, q := range t.QueuesAt(home.Node) {
			alive = alive || q.HomeEpoch == home.Epoch
		}
	})
	return alive
}

// start runs the parts in order; it returns when clients are served.
func (n *Node) start(ctx context.Context, p *parts, peers net.Listener) error {
	p.start("log", n.log.Run)
	if watched, ok := n.stable.(interface{ Run(context.Context) error }); ok {
		p.start("votes and terms", watched.Run) // a hanging disk ends the node here, too
	}
	p.start("membership", n.members.Run)
	p.start("connections to nodes", n.conns.Run)
	p.start("server for nodes", func(ctx context.Context) error { return n.server.Run(ctx, peers) })
	p.start("raft transports", n.transports.Run)
	p.start("alarms", n.alarms.Run)
	p.start("meta group", n.meta.Run)
	if err := p.waitFor(ctx, n.meta.Formed()); err != nil || ctx.Err() != nil {
		return err
	}
	n.members.UpdateClusterID()
	p.start("dead letters", n.letters.Run)
	p.start("queue groups", n.host.Run)
	p.start("edge", n.edge.Run)
	p.start("definitions", n.definitions.Run)
	p.start("transient queues", func(ctx context.Context) error {
		n.leading.Lead(ctx, cluster.TransientGroup, n.self.Epoch, n.transient)
		return nil
	})
	p.start("groups", cluster.NewGroups(n.self.Node, n.meta, n.host, n.logger).Run)
	if !n.cfg.World.NoControl {
		serve, err := n.openControl()
		if err != nil { // the path may be too long for a socket
			n.logger.Warn("no control socket: warrenctl cannot ask this node", "error", err)
		} else {
			p.start("control socket", serve)
		}
	}
	if err := p.waitFor(ctx, n.meta.Ready()); err != nil || ctx.Err() != nil {
		return err
	}
	return n.serveClients(p)
}

// serveClients opens the door.
func (n *Node) serveClients(p *parts) error {
	var overTLS net.Listener // not a door that is nil
	if n.clientsTLS != nil {
		overTLS = n.clientsTLS
	}
	l, err := connection.NewListener(n.clients, connection.Config{
		Publisher:         publisher{n.edge},
		Definitions:       n.definitions,
		Queues:            queues{n.edge, n.definitions},
		Authenticator:     n.checker,
		Routes:            n.routes,
		Alarms:            n.alarms,
		Admission:         admission{n.roster, n.meta},
		ChannelsElsewhere: n.roster.ChannelsElsewhere,
		Logger:            n.logger,

		TLSListen: overTLS, TLS: n.clientTLS,

		Node:        n.cfg.Name,
		Product:     n.cfg.Product,
		Version:     n.cfg.ProductVersion,
		ClusterName: n.cfg.ClusterName,
		Information: "Warren " + n.cfg.Version,

		ChannelMax: n.cfg.ChannelMax, FrameMax: n.cfg.FrameMax, Heartbeat: n.cfg.Heartbeat,
		MaxConnections: n.cfg.MaxConnections, MaxChannels: n.cfg.MaxChannels, MaxConsumers: n.cfg.MaxConsumers,
		MaxMessageBytes: n.cfg.MaxMessageBytes, Prefetch: n.cfg.Prefetch, ConsumerTimeout: n.cfg.ConsumerTimeout,
	})
	if err != nil {
		return err
	}
	n.listener.Store(l)
	p.start("AMQP", l.Run)
	p.start("maintenance", n.maintain)
	n.ready.Store(true)
	n.logger.Info("Server startup complete", "node", n.cfg.Name, "amqp", n.clients.Addr().String(), "cluster", n.meta.ClusterID())
	n.cfg.World.Ready(n)
	return nil
}
