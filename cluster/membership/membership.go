// Package membership is the gossip of the cluster: which nodes are alive, where
// they are reached and what they say of themselves.
//
// It reports and decides nothing. Liveness seen here is a hint: what is stored
// where, and who may vote, is the meta group's alone, so a wrong death costs time
// and never a message. It is hashicorp/memberlist with what that leaves open:
// nodes of another cluster, with another secret or with the name of a living node
// stay out and are logged; seeds and lost peers are joined again, so that a healed
// partition merges; each start of a process is a member of its own (ServerID#epoch),
// so a node that restarts at another address is seen at once.
//
// It runs in a testing/synctest bubble when it is given a memberlist.Transport such
// as those of cluster/membership/memnet. Probes and streams that memberlist had under
// way end by their own timeouts up to 3 s after Run: a bubble has to let them.
package membership

import (
	"context"
	"fmt"
	"log"
	"log/slog"
	"sync"
	"time"

	"github.com/hashicorp/memberlist"
)

// Membership is this node's view of the cluster's members. It is safe for
// concurrent use; before Run it knows only itself.
type Membership struct {
	cfg      Config
	table    *table
	remarks  *remarks
	started  chan struct{}
	announce chan struct{} // capacity 1: the metadata changed

	mu       sync.Mutex
	watchers []*watcher // never changed in place
}

// New checks the configuration. Run does the rest.
func New(cfg Config) (*Membership, error) {
	if cfg.Logger == nil {
		cfg.Logger = slog.Default()
	}
	if cfg.Resolve == nil {
		cfg.Resolve = lookup
	}
	if err := cfg.Validate(); err != nil {
		return nil, fmt.Errorf("membership: %w", err)
	}
	return &Membership{
		cfg:      cfg,
		table:    newTable(cfg.self()),
		remarks:  newRemarks(cfg.Logger),
		started:  make(chan struct{}),
		announce: make(chan struct{}, 1),
	}, nil
}

// Run takes part in the gossip until ctx ends, then says farewell, which takes at
// most a second. It is called once.
func (m *Membership) Run(ctx context.Context) error {
	streams, hangUp := context.WithCancel(context.WithoutCancel(ctx))
	defer hangUp()
	m.UpdateClusterID()
	list, err := m.create(streams)
	if err != nil {
		return err
	}
	m.introduce(list)
	close(m.started)

	var running sync.WaitGroup
	running.Go(func() { m.dispatch(ctx) })
	running.Go(func() { m.announcements(ctx, list) })
	running.Go(func() {
		r := &rejoiner{m: m, list: list, contacted: make(map[string]time.Time)}
		r.run(ctx)
	})
	stop := m.Watch(m.logEvent)
	<-ctx.Done()
	stop()
	hangUp()
	m.leave(list)
	err = list.Shutdown()
	running.Wait()
	if err != nil {
		return fmt.Errorf("stop gossip: %w", err)
	}
	return nil
}

// create starts memberlist on the injected transport or on sockets.
func (m *Membership) create(streams context.Context) (*memberlist.Memberlist, error) {
	g := m.cfg.gossip()
	g.Logger = log.New(&logBridge{remarks: m.remarks}, "", 0)
	d := &delegate{table: m.table, remarks: m.remarks}
	g.Delegate, g.Events, g.Merge, g.Alive, g.Conflict = d, d, d, d, d
	if m.cfg.Transport != nil {
		g.Transport = m.cfg.Transport
	} else if err := m.listen(streams, g, g.Logger); err != nil {
		return nil, err
	}
	list, err := memberlist.Create(g)
	if err != nil {
		g.Transport.Shutdown()
		return nil, fmt.Errorf("start gossip: %w", err)
	}
	return list, nil
}

// introduce completes what this node knows of itself with its gossip address.
func (m *Membership) introduce(list *memberlist.Memberlist) {
	local := list.LocalNode()
	self := m.table.update(func(self *Member) {
		self.GossipAddr = local.Address()
		self.PeerAddr = complete(self.PeerAddr, local.Addr)
		self.AMQPAddr = complete(self.AMQPAddr, local.Addr)
	})
	m.cfg.Logger.Info("gossip started", "node", self.ID, "epoch", self.Epoch, "address", self.GossipAddr)
}

// announcements tells the others when this node's metadata changed.
func (m *Membership) announcements(ctx context.Context, list *memberlist.Memberlist) {
	for {
		select {
		case <-ctx.Done():
			return
		case <-m.announce:
		}
		if err := list.UpdateNode(announceTimeout); err != nil {
			m.cfg.Logger.Debug("announcement of this node's data is slow", "error", err)
		}
	}
}

// leave says farewell to everybody, and then to gossip.
func (m *Membership) leave(list *memberlist.Memberlist) {
	farewell := encodeFarewell(m.cfg.nodeName())
	for _, e := range m.table.others() {
		if !e.member.Alive {
			continue
		}
		to := memberlist.Address{Addr: e.member.GossipAddr, Name: nodeName(e.member.ID, e.member.Epoch)}
		if err := list.SendToAddress(to, farewell); err != nil {
			m.cfg.Logger.Debug("farewell not sent", "node", to.Name, "error", err)
		}
	}
	if err := list.Leave(leaveTimeout); err != nil {
		m.cfg.Logger.Debug("left the gossip without an answer", "error", err)
	}
}

func (m *Membership) logEvent(e Event) {
	m.cfg.Logger.Info("member "+e.Kind.String(), "node", e.Member.ID, "epoch", e.Member.Epoch, "address", e.Member.GossipAddr)
}

// Started is closed when the gossip address is open.
func (m *Membership) Started() <-chan struct{} { return m.started }

// UpdateClusterID asks Config.ClusterID again and tells the others. Members of
// another cluster are members no longer.
func (m *Membership) UpdateClusterID() {
	id := ""
	if m.cfg.ClusterID != nil {
		id = m.cfg.ClusterID()
	}
	changed := false
	m.table.update(func(self *Member) {
		changed = self.ClusterID != id
		self.ClusterID = id
	})
	if !changed {
		return
	}
	select {
	case m.announce <- struct{}{}:
	default:
	}
}

// Members returns all nodes that are alive or known from before, this one too, by
// ServerID.
func (m *Membership) Members() []Member { return m.table.list() }

// Member returns one node by its ServerID.
func (m *Membership) Member(id string) (Member, bool) { return m.table.member(id) }

// Address returns where the node id answers other nodes, or did when it was last
// heard of.
func (m *Membership) Address(id string) (peerAddr string, ok bool) {
	member, ok := m.table.member(id)
	return member.PeerAddr, ok && member.PeerAddr != ""
}
