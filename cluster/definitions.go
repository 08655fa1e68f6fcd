package cluster

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"sync"
	"time"

	"github.com/warrenmq/warren/broker/leader"
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
	Logger  *slog.Logger
}

// Definitions changes the cluster's definitions as AMQP clients ask for it: it
// gives each queue its place and has it made there before the declare is answered.
type Definitions struct {
	cfg    DefinitionsConfig
	logger *slog.Logger
	chores chan func(context.Context)

	mu     sync.Mutex
	queues map[uint64]int // replicated queues by group
	groups map[queue.ID]uint64
}

// NewDefinitions makes Definitions; Run does their chores.
func NewDefinitions(cfg DefinitionsConfig) *Definitions {
	return &Definitions{
		cfg:    cfg,
		logger: orDefault(cfg.Logger),
		chores: make(chan func(context.Context), 1024),
		queues: make(map[uint64]int),
		groups: make(map[queue.ID]uint64),
	}
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
		case topology.QueueAdded:
			if c.Queue.Group != 0 {
				d.queues[c.Queue.Group]++
				d.groups[c.Queue.ID] = c.Queue.Group
			}
		case topology.QueueRemoved:
			if group, ok := d.groups[c.Queue.ID]; ok {
				d.queues[group]--
				delete(d.groups, c.Queue.ID)
			}
			d.cfg.Edge.Forget(c.Queue.ID)
		}
	}
}

// View shows the definitions as this node knows them.
func (d *Definitions) View(f func(*topology.Topology)) { d.cfg.Meta.View(f) }

// Apply changes the definitions. A new queue is ready in its group when Apply returns.
func (d *Definitions) Apply(ctx context.Context, c topology.Command) (topology.Result, error) {
	if declare, ok := c.(topology.DeclareQueue); ok {
		return d.declareQueue(ctx, declare)
	}
	return d.apply(ctx, c)
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
	if err := d.cfg.Edge.Configure(ctx, r.Queue.ID, settingsOf(r.Queue)); err != nil {
		return r, fmt.Errorf("queue %q is defined, and not ready yet: %w", r.Queue.Name, err)
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
	for tries := 0; ; tries++ {
		candidates := d.cfg.Engines.Led()
		if len(candidates) == 0 || q.Arguments["x-queue-leader-locator"] == "balanced" {
			candidates = candidates[:0]
			for _, g := range d.cfg.Meta.Groups() {
				candidates = append(candidates, g.ID)
			}
		}
		if q.Group = d.emptiest(candidates); q.Group != 0 {
			return nil
		}
		select { // a cluster that has just formed has no groups yet
		case <-ctx.Done():
			return fmt.Errorf("no queue group yet: %w", leader.ErrUnavailable)
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
	var q *topology.Queue
	d.View(func(t *topology.Topology) { q = t.QueueByID(id) })
	if q == nil {
		return c, err
	}
	if err := d.cfg.Edge.Configure(ctx, id, settingsOf(q)); err != nil {
		return c, err
	}
	return d.cfg.Edge.Counts(ctx, id)
}

// Unused hears that a queue has lost its last consumer; an auto-delete queue goes. It never blocks.
func (d *Definitions) Unused(id queue.ID) {
	d.chore(func(ctx context.Context) error {
		var q *topology.Queue
		d.View(func(t *topology.Topology) { q = t.QueueByID(id) })
		if q == nil || !q.AutoDelete {
			return nil
		}
		_, err := d.Delete(ctx, *q, true, false, q.Owner)
		if errors.Is(err, topology.ErrPreconditionFailed) {
			return nil // somebody consumes again
		}
		return err
	})
}

// chore runs f in the background, again and again until it succeeds.
func (d *Definitions) chore(f func(context.Context) error) {
	var try func(context.Context)
	try = func(ctx context.Context) {
		bounded, cancel := context.WithTimeout(ctx, metadataTimeout)
		err := f(bounded)
		cancel()
		if err == nil || ctx.Err() != nil {
			return
		}
		d.logger.Debug("a background change of definitions will be tried again", "error", err)
		time.AfterFunc(time.Second, func() { d.enqueue(try) })
	}
	d.enqueue(try)
}

func (d *Definitions) enqueue(f func(context.Context)) {
	select {
	case d.chores <- f:
	default: // full: the queue in hand is deleted later, not never
		time.AfterFunc(time.Second, func() { d.enqueue(f) })
	}
}

// Run does the chores until ctx ends.
func (d *Definitions) Run(ctx context.Context) error {
	var workers sync.WaitGroup
	defer workers.Wait()
	for range 8 {
		workers.Go(func() {
			for {
				select {
				case <-ctx.Done():
					return
				case f := <-d.chores:
					f(ctx)
				}
			}
		})
	}
	<-ctx.Done()
	return nil
}
