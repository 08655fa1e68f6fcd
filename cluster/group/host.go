package group

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"math"
	"slices"
	"sync"
	"time"

	"github.com/hashicorp/raft"

	"github.com/warrenmq/warren/broker/level"
	"github.com/warrenmq/warren/broker/queue"
	"github.com/warrenmq/warren/cluster/log"
	"github.com/warrenmq/warren/cluster/peer"
)

// Entries is a group's part of the shared log; what its methods mean stands there.
type Entries interface {
	raft.LogStore
	// Payload is the data of an entry, also of one that Raft has released. It is immutable.
	Payload(index uint64) ([]byte, error)
	// Body is Payload with the entry's term; raft.ErrLogNotFound: it was reclaimed.
	Body(index uint64) (term uint64, payload []byte, err error)
	// Has tells whether there is such a Body, without reading it.
	Has(index uint64) bool
	// Adopt stores a Body that came from elsewhere; it is durable after SyncAdopted.
	Adopt(index, term uint64, payload []byte) error
	SyncAdopted() error
	// SetLive says whom to ask which released entries are still needed.
	SetLive(log.Live)
}

// Transport carries a group's Raft traffic. Its addresses are ServerIDs.
type Transport interface {
	raft.Transport
	// Attach tells the transport whose it is, right after raft.NewRaft.
	Attach(*raft.Raft)
	// Lease is until when nobody else can lead the group, zero when somebody may.
	Lease() time.Time
	// Yield says whether this node refuses to be handed the leadership.
	Yield(bool)
	// LastIndex is how far a follower's log reached, and when that was asked.
	LastIndex(serverID string) (index uint64, at time.Time)
	// Carry says whose bodies go with snapshots, OnExpel who takes replicas out of
	// the group, both before raft.NewRaft.
	Carry(peer.Bodies)
	OnExpel(func(serverID string) error)
}

// Config is what a Host needs. Fields without a default are required.
type Config struct {
	Self      string // ServerID
	Entries   func(group uint64) (Entries, error)
	Stable    func(group uint64) (raft.StableStore, error)
	Snapshots func(group uint64) (raft.SnapshotStore, error)
	Transport func(group uint64) Transport
	// Lead runs while this node leads a group: the log is applied up to the
	// start of term. It must return soon after ctx ends.
	Lead func(ctx context.Context, g *Group, term uint64)
	// Resign is called before the leadership of a group is handed over; what it has
	// logged when it returns reaches the next leader. stay hears that this node leads
	// on. Nil: there is nothing to do.
	Resign func(ctx context.Context, group uint64) (stay func())
	// Applied hears which queues an entry touched; it must not block.
	Applied func(group uint64, touched []queue.ID)
	// Replicas lists the nodes that may lead a group; Expel asks one of them to take
	// this node out of its voters. Without them a damaged replica stays closed.
	Replicas func(group uint64) []string
	Expel    func(ctx context.Context, serverID string, group uint64) error
	// Wipe makes all void that is kept of a group: its log and its snapshots, but not
	// its votes and terms.
	Wipe func(group uint64) error
	// Preferred names the node that should lead a group; "" when that is not known.
	Preferred func(group uint64) string
	// Yields tells which nodes are known to take no leadership now; nil: none.
	Yields func(serverID string) bool

	SnapshotLimits   SnapshotLimits
	HeartbeatTimeout time.Duration // default 1 s; a silent leader is replaced within twice that and an election
	Logger           *slog.Logger  // default slog.Default()
}

// Validate reports what is missing.
func (c *Config) Validate() error {
	switch {
	case c.Self == "":
		return errors.New("group: a host needs a ServerID")
	case c.Entries == nil || c.Stable == nil || c.Snapshots == nil || c.Transport == nil:
		return errors.New("group: stores or transport are missing")
	case c.Lead == nil || c.Applied == nil:
		return errors.New("group: lead or applied is missing")
	}
	return nil
}

// keyTerm and errNotFound are hashicorp/raft's: where it keeps its term, and the
// text by which it knows that a key is missing.
var keyTerm = []byte("CurrentTerm")

const errNotFound = "not found"

// Host holds the queue groups that have a replica on this node.
type Host struct {
	cfg    Config
	logger *slog.Logger

	mu      sync.Mutex
	groups  map[uint64]*Group
	opening map[uint64]bool
	leaving map[uint64]*leaving // replicas that are given up
	gone    map[uint64]bool     // there is nothing of these groups here
	unknown map[uint64]error    // replicas that need a newer build
	ctx     context.Context     // of Run; nil before
	lives   sync.WaitGroup
	moving  sync.Mutex // one transfer of leadership at a time

	yields bool // Yield's; under mu
}

// NewHost makes a host without groups.
func NewHost(cfg Config) (*Host, error) {
	if err := cfg.Validate(); err != nil {
		return nil, err
	}
	if cfg.HeartbeatTimeout == 0 {
		cfg.HeartbeatTimeout = time.Second
	}
	if cfg.Logger == nil {
		cfg.Logger = slog.Default()
	}
	if cfg.Resign == nil {
		cfg.Resign = func(context.Context, uint64) func() { return func() {} }
	}
	if cfg.Preferred == nil {
		cfg.Preferred = func(uint64) string { return "" }
	}
	if cfg.Yields == nil {
		cfg.Yields = func(string) bool { return false }
	}
	if cfg.Replicas == nil || cfg.Expel == nil {
		cfg.Replicas = func(uint64) []string { return nil }
	}
	if cfg.Wipe == nil {
		cfg.Wipe = func(uint64) error { return errCannotWipe }
	}
	cfg.SnapshotLimits = cfg.SnapshotLimits.withDefaults()
	return &Host{
		cfg: cfg, logger: cfg.Logger,
		groups: make(map[uint64]*Group), opening: make(map[uint64]bool),
		leaving: make(map[uint64]*leaving), gone: make(map[uint64]bool), unknown: make(map[uint64]error),
	}, nil
}

// Run serves the groups until ctx ends, then hands leaderships over and stops them.
func (h *Host) Run(ctx context.Context) error {
	h.mu.Lock()
	h.ctx = ctx
	for _, g := range h.groups {
		h.live(g)
	}
	for id, l := range h.leaving {
		h.leave(id, l)
	}
	h.mu.Unlock()
	<-ctx.Done()
	h.mu.Lock()
	groups := h.list()
	h.mu.Unlock()
	var stopping sync.WaitGroup
	errs := make([]error, len(groups))
	for i, g := range groups {
		stopping.Go(func() { errs[i] = g.stop() })
	}
	stopping.Wait()
	h.lives.Wait()
	return errors.Join(errs...)
}

// list is the groups by id. The caller holds mu.
func (h *Host) list() []*Group {
	groups := make([]*Group, 0, len(h.groups))
	for _, g := range h.groups {
		groups = append(groups, g)
	}
	slices.SortFunc(groups, func(a, b *Group) int {
		if a.id < b.id {
			return -1
		}
		return 1
	})
	return groups
}

// Groups lists the groups that are open here, by id.
func (h *Host) Groups() []*Group {
	h.mu.Lock()
	defer h.mu.Unlock()
	return h.list()
}

// Group finds a group that is open here.
func (h *Host) Group(id uint64) (*Group, bool) {
	h.mu.Lock()
	defer h.mu.Unlock()
	g, ok := h.groups[id]
	return g, ok
}

// Leader tells what this node's replica of a group knows of its leader; hosted
// is false when there is none here.
func (h *Host) Leader(id uint64) (serverID string, hosted bool) {
	g, ok := h.Group(id)
	if !ok {
		return "", false
	}
	return g.Leader(), true
}

// Ensure opens a group here, unless it is open. Where it has no state yet it
// starts with the configuration initial if this node is in it; a node that is
// not waits to be added by the leader. A replica whose data is damaged is given
// up and rebuilt by the others.
func (h *Host) Ensure(id uint64, initial []string) error {
	h.mu.Lock()
	if l := h.leaving[id]; l != nil {
		l.reopen = true
	}
	if h.groups[id] != nil || h.opening[id] || h.leaving[id] != nil || h.ctx != nil && h.ctx.Err() != nil {
		defer h.mu.Unlock()
		return nil
	}
	if err := h.unknown[id]; err != nil {
		defer h.mu.Unlock()
		return err
	}
	delete(h.gone, id)
	h.opening[id] = true
	h.mu.Unlock()
	g, err := h.open(id, initial) // reads the disk
	h.mu.Lock()
	delete(h.opening, id)
	if errors.Is(err, errDamaged) {
		h.mu.Unlock()
		return h.Rebuild(id, err)
	}
	if err != nil {
		h.mu.Unlock()
		return fmt.Errorf("open group %d: %w", id, err)
	}
	if h.ctx != nil && h.ctx.Err() != nil {
		h.mu.Unlock()
		return errors.Join(h.ctx.Err(), g.stop())
	}
	if err := h.unknown[id]; err != nil { // it has come that far already
		h.mu.Unlock()
		return errors.Join(err, g.stop())
	}
	defer h.mu.Unlock()
	h.groups[id] = g
	g.transport.Yield(h.yields)
	if h.ctx != nil {
		h.live(g)
	}
	return nil
}

// close stops a replica whose log or snapshot needs a newer build: what is kept of it stays as
// it is, for that.
func (h *Host) close(id uint64, cause error) {
	h.mu.Lock()
	h.unknown[id] = cause
	h.mu.Unlock()
	h.logger.Error("a queue group's replica on this node stops: this build is too old for it", "group", id, "error", cause)
	if err := h.Retire(id); err != nil {
		h.logger.Error("a replica did not stop in good order", "group", id, "error", err)
	}
}

// live lets g run until it is stopped or retired: when the host ends, it leads until
// the leadership is handed over. The caller holds mu.
func (h *Host) live(g *Group) {
	ctx, retire := context.WithCancel(context.WithoutCancel(h.ctx))
	g.retire = retire
	h.lives.Go(func() {
		defer retire()
		g.run(ctx)
	})
}

// Retire stops this node's replica of a group.
func (h *Host) Retire(id uint64) error {
	h.mu.Lock()
	g := h.groups[id]
	delete(h.groups, id)
	if g == nil || h.ctx != nil && h.ctx.Err() != nil {
		h.mu.Unlock()
		return nil
	}
	if g.retire == nil { // the host does not run yet, nor does the group
		h.mu.Unlock()
		return g.stop()
	}
	g.retire()
	h.mu.Unlock()
	return g.stop()
}

func (h *Host) open(id uint64, initial []string) (*Group, error) {
	stable, err := h.cfg.Stable(id)
	if err != nil {
		return nil, err
	}
	step, err := storedNumber(stable, keyLeaving)
	switch {
	case err != nil:
		return nil, err
	case step == stepMarked || step == stepExpelled:
		return nil, fmt.Errorf("%w: it is being given up", errDamaged)
	case step == stepWiped:
		initial = nil
	}
	entries, err := h.cfg.Entries(id)
	if err != nil {
		return nil, err
	}
	snapshots, err := h.cfg.Snapshots(id)
	if err != nil {
		return nil, err
	}
	g := &Group{
		id: id, host: h, entries: entries, stable: stable, transport: h.cfg.Transport(id),
		logger:    h.logger.With("group", id),
		changes:   make(chan bool, 16),
		proposals: make(chan proposal, maxProposals),
		closed:    make(chan struct{}),
	}
	g.growth = newGrowth(h.cfg.SnapshotLimits, g.trail)
	g.fsm = newFSM(id, entries, g.growth, h.cfg.Applied, func(err error) { go h.Rebuild(id, err) }, func(err error) { go h.close(id, err) })
	if err := g.prepare(snapshots, initial); err != nil {
		return nil, err
	}
	g.transport.Carry(&cargo{group: g})
	g.transport.OnExpel(g.expel)
	if err := g.start(h.raftConfig(g), snapshots); err != nil {
		if c, ok := g.transport.(raft.WithClose); ok {
			c.Close()
		}
		return nil, err
	}
	g.transport.Attach(g.raft)
	g.entries.SetLive(g.fsm)
	return g, nil
}

// start starts Raft, which panics over an entry that it cannot read, and gives up
// when it can restore no snapshot.
func (g *Group) start(conf *raft.Config, snapshots raft.SnapshotStore) (err error) {
	defer func() {
		if p := recover(); p != nil {
			err = fmt.Errorf("%w: %v", errDamaged, p)
		} else if err != nil && errors.Is(g.fsm.refused, level.ErrUnknown) {
			err = g.fsm.refused // nothing is wrong with it
		} else if err != nil && g.fsm.refused != nil {
			err = fmt.Errorf("%w: %w: %w", errDamaged, err, g.fsm.refused)
		}
	}()
	g.raft, err = raft.NewRaft(conf, g.fsm, g.entries, g.stable, snapshots, g.transport)
	return err
}

// raftConfig is how Raft runs a group.
func (h *Host) raftConfig(g *Group) *raft.Config {
	conf := raft.DefaultConfig()
	conf.LocalID = raft.ServerID(h.cfg.Self)
	conf.HeartbeatTimeout = h.cfg.HeartbeatTimeout
	conf.ElectionTimeout = h.cfg.HeartbeatTimeout
	conf.LeaderLeaseTimeout = h.cfg.HeartbeatTimeout
	// A commit index travels with the next entries; when there are none, the
	// followers have time. Shorter, it would cost every idle group a message.
	conf.CommitTimeout = 2 * h.cfg.HeartbeatTimeout
	conf.MaxAppendEntries = 64 // of batches up to 256 KiB
	conf.BatchApplyCh = true
	conf.SnapshotInterval = never // the group asks for them
	conf.SnapshotThreshold = math.MaxUint64
	conf.TrailingLogs = math.MaxUint64 // until the first snapshot
	conf.ShutdownOnRemove = false      // the host stops groups
	conf.NoLegacyTelemetry = true
	conf.NotifyCh = g.changes
	conf.Logger = peer.RaftLogger(g.logger)
	return conf
}

// firstConfiguration gives a group without any state the servers it was created
// with. raft.BootstrapCluster would refuse for ever after a crash between its
// two writes: the term, then the entry.
func (g *Group) firstConfiguration(snapshots raft.SnapshotStore, initial []string) error {
	last, err := g.entries.LastIndex()
	if err != nil || last > 0 {
		return err
	}
	taken, err := snapshots.List()
	if err != nil || len(taken) > 0 {
		return err
	}
	term, err := storedNumber(g.stable, keyTerm)
	if err != nil {
		return err
	}
	if term > 1 {
		return nil // it has voted before it had a log: its leader sends the configuration
	}
	var first raft.Configuration
	for _, id := range initial {
		first.Servers = append(first.Servers, raft.Server{Suffrage: raft.Voter, ID: raft.ServerID(id), Address: raft.ServerAddress(id)})
	}
	if err := g.stable.SetUint64(keyTerm, 1); err != nil {
		return err
	}
	return g.entries.StoreLog(&raft.Log{Index: 1, Term: 1, Type: raft.LogConfiguration, Data: raft.EncodeConfiguration(first)})
}
