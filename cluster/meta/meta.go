package meta

import (
	"context"
	"fmt"
	"log/slog"
	"slices"
	"sync"
	"sync/atomic"

	"github.com/hashicorp/raft"

	"github.com/warrenmq/warren/broker/topology"
	pb "github.com/warrenmq/warren/proto"
)

// Meta is this node's member of the meta group.
type Meta struct {
	cfg        Config
	log        *slog.Logger
	ledger     *ledger
	guard      *guard
	fsm        *fsm
	proposals  *proposals
	appender   *appender
	notifier   *notifier
	visibility *visibility
	barriers   *barriers
	kick       chan struct{} // housekeeping has something to do
	formed     chan struct{} // closed when the node belongs to a cluster
	ready      chan struct{} // closed when the node is registered and up to date
	raft       atomic.Pointer[raft.Raft]
	refused    chan error    // this build cannot go on: its first element ends Run
	handed     atomic.Uint64 // the term in which this node tried to hand the leadership over
}

// New opens the node's part of the meta group; nothing runs before Run.
func New(cfg Config) (*Meta, error) {
	if err := cfg.Validate(); err != nil {
		return nil, err
	}
	cfg = cfg.withDefaults()
	m := &Meta{
		cfg:        cfg,
		log:        cfg.Logger,
		guard:      newGuard(cfg.StallTimeout),
		proposals:  newProposals(cfg.Self.ID, cfg.Self.Epoch),
		appender:   newAppender(cfg.Self.ID),
		notifier:   newNotifier(cfg.Self.ID),
		visibility: newVisibility(cfg.Conns, cfg.VisibleTimeout),
		barriers:   newBarriers(),
		kick:       make(chan struct{}, 1),
		formed:     make(chan struct{}),
		ready:      make(chan struct{}),
		refused:    make(chan error, 1),
	}
	m.fsm = &fsm{
		state: newState(), committed: m.committed, finish: m.proposals.finish, restored: m.proposals.restored,
		reached: m.reached, refused: m.refuse,
	}
	m.fsm.state.known = cfg.Self.Level
	m.cfg.Stores.Log = guardedLog{cfg.Stores.Log, m.guard}
	m.cfg.Stores.Stable = guardedStable{cfg.Stores.Stable, m.guard}
	var err error
	if m.ledger, err = openLedger(m.cfg.Stores.Stable, cfg.Self.Epoch, cfg.Self.Level); err != nil {
		return nil, err
	}
	return m, nil
}

// Run binds the node to a cluster, joins the meta group and serves until ctx
// ends. An error means that the process has to stop; after a disk that hangs, what
// Run started may hang with it.
func (m *Meta) Run(ctx context.Context) error {
	ctx, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	ended := make(chan error, 1)
	go func() { ended <- m.run(ctx) }()
	guarded := make(chan error, 1)
	go func() { guarded <- m.guard.run(ctx) }()
	select {
	case err := <-ended:
		cancel(nil)
		<-guarded
		return err
	case err := <-guarded:
		cancel(err)
		if err == nil {
			return <-ended
		}
		return err // without waiting for what hangs
	}
}

func (m *Meta) run(ctx context.Context) error {
	if err := m.bind(ctx); err != nil {
		if ctx.Err() != nil {
			return nil
		}
		return err
	}
	close(m.formed)
	r, err := m.openRaft()
	if err != nil {
		return err
	}
	m.raft.Store(r)
	ctx, cancel := context.WithCancelCause(ctx)
	var parts sync.WaitGroup
	parts.Go(func() { m.proposals.run(ctx, m.send) })
	parts.Go(func() { m.appender.run(ctx, r) })
	parts.Go(func() { m.notifier.run(ctx, r, m.cfg.Transport) })
	parts.Go(func() { m.visibility.run(ctx) })
	parts.Go(func() { m.barriers.run(ctx, m.catchUp) })
	parts.Go(func() { m.snapshots(ctx, r) })
	parts.Go(func() { m.lead(ctx, r) })
	parts.Go(func() {
		if err := m.register(ctx); err != nil {
			cancel(err)
		}
	})
	select {
	case <-ctx.Done():
	case err := <-m.refused:
		cancel(err)
	}
	err = context.Cause(ctx)
	cancel(nil)
	shutdown := r.Shutdown().Error()
	parts.Wait()
	switch {
	case err != nil && err != context.Canceled:
		return err
	case shutdown != nil:
		return fmt.Errorf("stop the meta group: %w", shutdown)
	}
	return nil
}

// committed is told of each committed entry before it is applied.
func (m *Meta) committed(e *pb.MetaEntry, index, term uint64) {
	if e.GetProposer() == m.cfg.Self.ID {
		m.notifier.committed(index, term)
	}
}

// ClusterID is the cluster that the node belongs to; "" while it belongs to none.
func (m *Meta) ClusterID() string { return m.ledger.clusterID() }

// Formed is closed when the node belongs to a cluster.
func (m *Meta) Formed() <-chan struct{} { return m.formed }

// Ready is closed when the node is registered in its cluster and has applied all
// that was committed before.
func (m *Meta) Ready() <-chan struct{} { return m.ready }

// View shows the definitions as this node has applied them. look must not keep
// the Topology, nor call back.
func (m *Meta) View(look func(*topology.Topology)) {
	m.fsm.view(func(s *state) { look(s.topology) })
}

// Watch calls w with the whole state, then with every change, in the order of the
// log and one call at a time; the whole state, with a Reset first, comes again when
// a snapshot replaces it. w must not block and must not call Watch.
func (m *Meta) Watch(w func([]topology.Change)) { m.fsm.watch(w) }

// WatchGroups calls w with the groups, then again whenever groups or nodes change.
// w must not block and must not call WatchGroups.
func (m *Meta) WatchGroups(w func([]GroupInfo)) { m.fsm.watchGroups(w) }

// Groups lists the queue groups by id.
func (m *Meta) Groups() []GroupInfo { return m.fsm.groupList() }

// Group finds a queue group.
func (m *Meta) Group(id uint64) (g GroupInfo, ok bool) {
	m.fsm.view(func(s *state) {
		g, ok = s.groups[id]
		g = g.clone()
	})
	return g, ok
}

// Nodes lists the registered nodes by ServerID.
func (m *Meta) Nodes() (nodes []Node) {
	m.fsm.view(func(s *state) { nodes = s.sortedNodes() })
	return nodes
}

// Leader is the ServerID of the meta leader as this node sees it, or "".
func (m *Meta) Leader() string {
	r := m.raft.Load()
	if r == nil {
		return ""
	}
	_, id := r.LeaderWithID()
	return string(id)
}

// Status is what an operator is shown of the group.
type Status struct {
	ClusterID string
	Level     uint64 // of the cluster
	State     string // follower, candidate or leader; "" while the node has no cluster
	Leader    string
	Term      uint64
	Applied   uint64
	Voters    []string
	NonVoters []string
}

// Status reports what this node knows of the group.
func (m *Meta) Status() Status {
	s := Status{ClusterID: m.ClusterID(), Level: m.Level(), Leader: m.Leader(), Applied: m.fsm.progress.now()}
	r := m.raft.Load()
	if r == nil {
		return s
	}
	s.State, s.Term = r.State().String(), r.CurrentTerm()
	conf := r.GetConfiguration()
	if conf.Error() != nil {
		return s
	}
	for _, srv := range conf.Configuration().Servers {
		if srv.Suffrage == raft.Voter {
			s.Voters = append(s.Voters, string(srv.ID))
		} else {
			s.NonVoters = append(s.NonVoters, string(srv.ID))
		}
	}
	slices.Sort(s.Voters)
	slices.Sort(s.NonVoters)
	return s
}
