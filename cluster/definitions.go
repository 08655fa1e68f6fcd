package cluster

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"reflect"
	"slices"
	"sync"
	"time"

	"github.com/warrenmq/warren/broker/leader"
	"github.com/warrenmq/warren/broker/policy"
	"github.com/warrenmq/warren/broker/queue"
	"github.com/warrenmq/warren/broker/topology"
	"github.com/warrenmq/warren/cluster/edge"
	"github.com/warrenmq/warren/cluster/meta"
)

// metadataTimeout bounds what is done in the background for nobody in particular.
const metadataTimeout = 5 * time.Second

// DefinitionsConfig is what Definitions are made of.
type DefinitionsConfig struct {
	Self    leader.EdgeID
	Meta    Meta
	Edge    *edge.Edge
	Engines *Engines
	// GroupSize is how many replicas a group has that no queue asks another number for;
	// EnsureGroup makes a group of a size that prefers this node.
	GroupSize   int
	EnsureGroup func(ctx context.Context, size int) error
	// Route finds where an exchange leads a message that was kept (cluster/history.go).
	Route  func(vhost, exchange string, m *queue.Message) []queue.ID
	Logger *slog.Logger
}

// Definitions changes the cluster's definitions as AMQP clients ask for it: it
// gives each queue its place and has it made there before the declare is answered.
type Definitions struct {
	cfg    DefinitionsConfig
	logger *slog.Logger
	unused *unused

	mu     sync.Mutex
	queues map[uint64]int // replicated queues by group
	groups map[queue.ID]uint64
	here   map[queue.ID]struct{} // transient queues of this process
}

// NewDefinitions makes Definitions; Run does their chores.
func NewDefinitions(cfg DefinitionsConfig) *Definitions {
	d := &Definitions{
		cfg:    cfg,
		logger: orDefault(cfg.Logger),
		queues: make(map[uint64]int),
		groups: make(map[queue.ID]uint64),
		here:   make(map[queue.ID]struct{}),
	}
	d.unused = newUnused(d.deleteUnused, d.logger)
	return d
}

// Changed follows the meta group's changes, in order.
func (d *Definitions) Changed(changes []topology.Change) {
	d.mu.Lock()
	defer d.mu.Unlock()
	for _, c := range changes {
		switch c.Kind {
		case topology.Reset:
			clear(d.queues)
			clear(d.groups)
			clear(d.here)
		case topology.QueueAdded:
			if c.Queue.Group != 0 {
				d.queues[c.Queue.Group]++
				d.groups[c.Queue.ID] = c.Queue.Group
			} else if here(c.Queue, d.cfg.Self) {
				d.here[c.Queue.ID] = struct{}{}
			}
		case topology.QueueRemoved:
			if group, ok := d.groups[c.Queue.ID]; ok {
				d.queues[group]--
				delete(d.groups, c.Queue.ID)
			}
			delete(d.here, c.Queue.ID)
			d.cfg.Edge.Forget(c.Queue.ID)
		}
	}
}

// View shows the definitions as this node knows them.
func (d *Definitions) View(f func(*topology.Topology)) { d.cfg.Meta.View(f) }

// Current makes View show all that any node's has shown before.
func (d *Definitions) Current(ctx context.Context) error {
	if err := d.cfg.Meta.Current(ctx); err != nil {
		return fmt.Errorf("%w: %w", leader.ErrUnavailable, err)
	}
	return nil
}

// Apply changes the definitions. A new queue is ready in its group when Apply returns.
func (d *Definitions) Apply(ctx context.Context, c topology.Command) (topology.Result, error) {
	switch c := c.(type) {
	case topology.DeclareQueue:
		return d.declareQueue(ctx, c)
	case topology.DeclareExchange:
		return d.declareExchange(ctx, c)
	case topology.Bind:
		return d.bind(ctx, c)
	default:
		return d.apply(ctx, c)
	}
}

func (d *Definitions) apply(ctx context.Context, c topology.Command) (topology.Result, error) {
	r, err := d.cfg.Meta.Apply(ctx, c)
	if errors.Is(err, meta.ErrUnavailable) || errors.Is(err, context.DeadlineExceeded) {
		err = fmt.Errorf("%w: %w", leader.ErrUnavailable, err)
	}
	return r, err
}

func (d *Definitions) declareQueue(ctx context.Context, c topology.DeclareQueue) (topology.Result, error) {
	if err := d.place(ctx, &c.Queue); err != nil {
		return topology.Result{}, err
	}
	r, err := d.apply(ctx, c)
	if err != nil || !r.Created {
		return r, err
	}
	// Until this is done the queue's group knows nothing of it but what is
	// published to it; the reconciler does it if this fails.
	if err := d.cfg.Edge.Configure(ctx, r.Queue.ID, settingsOf(d.cfg.Meta, r.Queue)); err != nil {
		return r, fmt.Errorf("queue %q is defined, and not ready yet: %w", r.Queue.Name, err)
	}
	return r, nil
}

// declareExchange gives an exchange that keeps messages a place for them, as a
// queue has one.
func (d *Definitions) declareExchange(ctx context.Context, c topology.DeclareExchange) (topology.Result, error) {
	if !c.Exchange.KeepsMessages() {
		return d.apply(ctx, c)
	}
	var err error
	if c.Group, err = d.placeReplicated(ctx, "", d.cfg.GroupSize); err != nil {
		return topology.Result{}, err
	}
	r, err := d.apply(ctx, c)
	if err != nil || !r.Created {
		return r, err
	}
	var hidden *topology.Queue
	d.View(func(t *topology.Topology) { hidden = t.QueueByID(r.Exchange.DelayQueue | r.Exchange.HistoryQueue) }) // one of them is 0
	if hidden == nil {
		return r, nil // deleted again
	}
	if err := d.cfg.Edge.Configure(ctx, hidden.ID, settingsOf(d.cfg.Meta, hidden)); err != nil {
		return r, fmt.Errorf("exchange %q is defined, and what it keeps has no place yet: %w", r.Exchange.Name, err)
	}
	return r, nil
}

// place decides where a queue lives: durable ones in a replicated group, the
// emptiest that is led here; all others in this node's memory.
func (d *Definitions) place(ctx context.Context, q *topology.Queue) error {
	if !q.Durable || q.Exclusive {
		q.Home, q.HomeEpoch = d.cfg.Self.Node, d.cfg.Self.Epoch
		return nil
	}
	var err error
	q.Group, err = d.placeReplicated(ctx, d.locator(q), d.groupSize(q))
	return err
}

// groupSize is how many replicas a queue is to have. What cannot be is refused later, with
// the definition.
func (d *Definitions) groupSize(q *topology.Queue) int {
	size := reflect.ValueOf(q.Arguments["x-quorum-initial-group-size"])
	switch {
	case size.CanInt() && size.Int() > 0:
		return int(min(size.Int(), meta.MaxReplicas))
	case size.CanUint() && size.Uint() > 0:
		return int(min(size.Uint(), meta.MaxReplicas))
	}
	return d.cfg.GroupSize
}

// locator is what a queue's arguments or its policy say of where it is to be led.
func (d *Definitions) locator(q *topology.Queue) (locator string) {
	d.View(func(t *topology.Topology) {
		kind := policy.KindOf(q.Arguments)
		locator = policy.Locator(q.Arguments, policy.Match(t.Policies(q.VHost, false), kind, q.Name), nil)
	})
	return locator
}

// placeReplicated finds a group of the size for a queue: where the client is, or of all.
// Groups of the usual size come with their nodes; others are made when they are asked for,
// one for each node whose clients do.
func (d *Definitions) placeReplicated(ctx context.Context, locator string, size int) (group uint64, err error) {
	anywhere := locator != "" && locator != "client-local"
	for tries := 0; ; tries++ {
		var all, led []uint64
		own := false
		here := d.cfg.Engines.Led()
		for _, g := range d.cfg.Meta.Groups() {
			if g.Size != size {
				continue
			}
			all = append(all, g.ID)
			if slices.Contains(here, g.ID) {
				led = append(led, g.ID)
			}
			own = own || g.Preferred == d.cfg.Self.Node
		}
		if size != d.cfg.GroupSize && len(led) == 0 && (len(all) == 0 || !anywhere && !own) {
			if err := d.cfg.EnsureGroup(ctx, size); err != nil {
				return 0, fmt.Errorf("no queue group of %d replicas: %w: %w", size, leader.ErrUnavailable, err)
			}
			continue
		}
		if anywhere || len(led) == 0 {
			led = all
		}
		if group = d.emptiest(led); group != 0 {
			return group, nil
		}
		select { // a cluster that has just formed has no groups yet
		case <-ctx.Done():
			return 0, fmt.Errorf("no queue group yet: %w", leader.ErrUnavailable)
		case <-time.After(min(10*time.Millisecond<<min(tries, 4), 100*time.Millisecond)):
		}
	}
}

// emptiest is the group with the fewest queues, the lowest of equals; 0 when there is none.
func (d *Definitions) emptiest(groups []uint64) (best uint64) {
	d.mu.Lock()
	defer d.mu.Unlock()
	for _, g := range groups {
		if best == 0 || d.queues[g] < d.queues[best] || d.queues[g] == d.queues[best] && g < best {
			best = g
		}
	}
	return best
}

// Delete deletes a queue with its definition: it is sealed where it is led
// first, so that if-unused and if-empty hold until the definition is gone.
func (d *Definitions) Delete(ctx context.Context, q topology.Queue, ifUnused, ifEmpty bool, connection string) (uint64, error) {
	ready, err := d.cfg.Edge.Seal(ctx, q.ID, ifUnused, ifEmpty)
	switch {
	case errors.Is(err, leader.ErrNoQueue): // not made yet, or its node is gone: there is nothing to keep
	case errors.Is(err, leader.ErrInUse):
		return 0, topology.QueueInUse(&q)
	case errors.Is(err, leader.ErrNotEmpty):
		return 0, topology.QueueNotEmpty(&q)
	case err != nil:
		return 0, err
	}
	_, err = d.apply(ctx, topology.DeleteQueue{VHost: q.VHost, Name: q.Name, ID: q.ID, Connection: connection})
	return ready, err
}

// Counts counts a queue's messages and consumers. A queue that is defined and
// not made yet in its group is made.
func (d *Definitions) Counts(ctx context.Context, id queue.ID) (leader.Counts, error) {
	c, err := d.cfg.Edge.Counts(ctx, id)
	if !errors.Is(err, leader.ErrNoQueue) {
		return c, err
	}
	// One that was deleted, which this node has not heard of, must not be made again.
	if err := d.Current(ctx); err != nil {
		return c, err
	}
	var q *topology.Queue
	d.View(func(t *topology.Topology) { q = t.QueueByID(id) })
	if q == nil {
		return c, err
	}
	if err := d.cfg.Edge.Configure(ctx, id, settingsOf(d.cfg.Meta, q)); err != nil {
		return c, err
	}
	return d.cfg.Edge.Counts(ctx, id)
}

// Unused hears that a queue has lost its last consumer; an auto-delete queue goes. It never blocks.
func (d *Definitions) Unused(id queue.ID) { d.unused.add(id, false) }

// Expired hears that nobody has used a queue for as long as it may live so: it goes. It never blocks.
func (d *Definitions) Expired(id queue.ID) { d.unused.add(id, true) }

// deleteUnused deletes a queue that goes when nobody uses it, if nobody does: one that
// is auto-delete with its last consumer, others when their time is over. Of these the
// engine tells again, so that one that is used meanwhile is not deleted by a late try.
func (d *Definitions) deleteUnused(ctx context.Context, id queue.ID, expired bool) error {
	var (
		q    *topology.Queue
		goes bool
	)
	d.View(func(t *topology.Topology) {
		if q = t.QueueByID(id); q != nil {
			goes = q.AutoDelete || expired && t.Settings(q).Expires.Set
		}
	})
	if !goes {
		return nil
	}
	_, err := d.Delete(ctx, *q, true, false, q.Owner)
	if errors.Is(err, topology.ErrPreconditionFailed) || !q.AutoDelete {
		return nil // somebody consumes again, or the engine tells again
	}
	return err
}

// Led tells whether a queue is led by this process, as far as it knows. It calls
// nothing that changes definitions.
func (d *Definitions) Led(id queue.ID) bool {
	d.mu.Lock()
	group, replicated := d.groups[id]
	_, transient := d.here[id]
	d.mu.Unlock()
	if !replicated {
		return transient
	}
	_, _, led := d.cfg.Engines.Engine(group)
	return led
}

// Run deletes queues that nobody uses until ctx ends.
func (d *Definitions) Run(ctx context.Context) error { return d.unused.run(ctx) }
