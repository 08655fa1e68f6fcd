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
)

// reconcileEvery is how often a leader looks at all queues of its group, besides
// those that it hears were deleted or have new settings.
const reconcileEvery = 5 * time.Second

// reconciler keeps the queues of one group, where it is led, what the
// definitions say they are: it makes those that are missing, drops those that
// were deleted, and opens those whose deletion did not come about. It also turns the
// cluster's level on in the group.
type reconciler struct {
	group  uint64
	self   leader.EdgeID
	meta   Meta
	log    leader.Log
	engine *leader.Engine
	logger *slog.Logger
	sealed map[queue.ID]time.Time // first seen sealed, though defined

	wake  chan struct{}
	mu    sync.Mutex
	noted map[queue.ID]struct{} // deleted or changed since the last pass
	all   bool                  // everything may differ
}

func newReconciler(group uint64, self leader.EdgeID, m Meta, log leader.Log, engine *leader.Engine, logger *slog.Logger) *reconciler {
	return &reconciler{
		group: group, self: self, meta: m, log: log, engine: engine, logger: logger,
		sealed: make(map[queue.ID]time.Time), wake: make(chan struct{}, 1),
		noted: make(map[queue.ID]struct{}), all: true,
	}
}

// note takes a change of the definition of one queue; it never blocks.
func (r *reconciler) note(id queue.ID) {
	r.mu.Lock()
	r.noted[id] = struct{}{}
	r.mu.Unlock()
	r.rouse()
}

// noteAll says that everything may have changed; it never blocks.
func (r *reconciler) noteAll() {
	r.mu.Lock()
	r.all = true
	r.mu.Unlock()
	r.rouse()
}

func (r *reconciler) rouse() {
	select {
	case r.wake <- struct{}{}:
	default:
	}
}

// plan is what differs.
type plan struct {
	configure map[queue.ID]queue.Settings
	forget    []queue.ID
	unseal    []queue.ID
}

// run reconciles until ctx ends.
func (r *reconciler) run(ctx context.Context) {
	ticker := time.NewTicker(reconcileEvery)
	defer ticker.Stop()
	for {
		if err := r.pass(ctx); err != nil && ctx.Err() == nil && !errors.Is(err, leader.ErrNotLeading) {
			r.logger.Warn("queues are not yet what their definitions say", "group", r.group, "error", err)
		}
		select {
		case <-ctx.Done():
			return
		case <-r.wake:
		case <-ticker.C:
			r.noteAll()
		}
	}
}

func (r *reconciler) pass(ctx context.Context) error {
	r.mu.Lock()
	noted, all := r.noted, r.all
	r.noted, r.all = make(map[queue.ID]struct{}), false
	r.mu.Unlock()
	p := r.changes(noted)
	if all {
		p = r.differences(time.Now())
	}
	errs := []error{r.raise(ctx)}
	for _, id := range p.forget {
		errs = append(errs, r.engine.Forget(ctx, id))
	}
	for id, s := range p.configure {
		errs = append(errs, r.engine.Configure(ctx, id, s))
	}
	for _, id := range p.unseal {
		errs = append(errs, r.engine.Unseal(ctx, id))
	}
	return errors.Join(errs...)
}

// raise turns on in the group what is turned on in the cluster. Every replica is on a node that
// knows the level, or will not apply it.
func (r *reconciler) raise(ctx context.Context) error {
	want, have := r.meta.Level(), uint64(0)
	r.log.Locked(func(s *queue.State) { have = s.Level() })
	if have >= want {
		return nil
	}
	done := make(chan error, 1)
	r.log.Propose(queue.EncodeCommands(queue.Level{Level: want}), func(_ []queue.Answer, err error) { done <- err })
	select {
	case err := <-done:
		if err != nil {
			return fmt.Errorf("raise the level to %d: %w", want, err)
		}
		r.logger.Info("the level of a group is raised", "group", r.group, "from", have, "to", want)
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}

// changes compares the queues that were heard of.
func (r *reconciler) changes(noted map[queue.ID]struct{}) (p plan) {
	p.configure = make(map[queue.ID]queue.Settings)
	r.meta.View(func(t *topology.Topology) {
		for id := range noted {
			if q := t.QueueByID(id); q != nil {
				p.configure[id] = t.Settings(q)
			} else {
				p.forget = append(p.forget, id)
			}
		}
	})
	r.log.Locked(func(s *queue.State) {
		for id, want := range p.configure {
			if q := s.Queue(id); q != nil && q.Settings() == want {
				delete(p.configure, id)
			}
		}
	})
	return p
}

// differences compares all. A queue of the group that is not defined was deleted
// only if its number is one that this node's definitions have already given:
// they may be behind those of the node that had it made.
func (r *reconciler) differences(now time.Time) (p plan) {
	missing, given := r.defined()
	r.log.Locked(func(s *queue.State) {
		for id := range s.Queues() {
			q := s.Queue(id)
			want, ok := missing[id]
			if !ok {
				if id <= given {
					p.forget = append(p.forget, id)
				}
				continue
			}
			if q.Settings() == want {
				delete(missing, id)
			}
			if since, seen := r.sealed[id]; !q.Sealed() {
				delete(r.sealed, id)
			} else if !seen {
				r.sealed[id] = now
			} else if now.Sub(since) > 2*metadataTimeout {
				p.unseal = append(p.unseal, id) // whoever wanted to delete it has failed
			}
		}
	})
	p.configure = missing
	return p
}

// defined lists the queues that the group should have with their settings, and the
// highest number that any queue was given so far.
func (r *reconciler) defined() (queues map[queue.ID]queue.Settings, given queue.ID) {
	queues = make(map[queue.ID]queue.Settings)
	r.meta.View(func(t *topology.Topology) {
		given = t.LastID()
		list := t.QueuesIn(r.group)
		if r.group == TransientGroup {
			list = t.QueuesAt(r.self.Node)
		}
		for _, q := range list {
			if r.group != TransientGroup || here(q, r.self) {
				queues[q.ID] = t.Settings(q)
			}
		}
	})
	return queues, given
}
