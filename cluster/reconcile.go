package cluster

import (
	"context"
	"errors"
	"log/slog"
	"sync"
	"time"

	"github.com/warrenmq/warren/broker/leader"
	"github.com/warrenmq/warren/broker/queue"
	"github.com/warrenmq/warren/broker/topology"
)

// reconcileEvery is how often a leader looks at all queues of its group, besides
// those that it hears were deleted.
const reconcileEvery = 5 * time.Second

// reconciler keeps the queues of one group, where it is led, what the
// definitions say they are: it makes those that are missing, drops those that
// were deleted, and opens those whose deletion did not come about.
type reconciler struct {
	group  uint64
	self   leader.EdgeID
	meta   Meta
	log    leader.Log
	engine *leader.Engine
	logger *slog.Logger
	sealed map[queue.ID]time.Time // first seen sealed, though defined

	wake    chan struct{}
	mu      sync.Mutex
	removed []queue.ID // deleted since the last pass
	all     bool       // everything may differ
}

func newReconciler(group uint64, self leader.EdgeID, m Meta, log leader.Log, engine *leader.Engine, logger *slog.Logger) *reconciler {
	return &reconciler{
		group: group, self: self, meta: m, log: log, engine: engine, logger: logger,
		sealed: make(map[queue.ID]time.Time), wake: make(chan struct{}, 1), all: true,
	}
}

// note takes a change of the definitions; it never blocks.
func (r *reconciler) note(removed queue.ID, all bool) {
	r.mu.Lock()
	if all {
		r.all = true
	} else {
		r.removed = append(r.removed, removed)
	}
	r.mu.Unlock()
	select {
	case r.wake <- struct{}{}:
	default:
	}
}

// plan is what differs.
type plan struct {
	configure []*topology.Queue
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
			r.note(0, true)
		}
	}
}

func (r *reconciler) pass(ctx context.Context) error {
	r.mu.Lock()
	p := plan{forget: r.removed}
	all := r.all
	r.removed, r.all = nil, false
	r.mu.Unlock()
	if all {
		p = r.differences(time.Now())
	}
	var errs []error
	for _, id := range p.forget {
		errs = append(errs, r.engine.Forget(ctx, id))
	}
	for _, q := range p.configure {
		errs = append(errs, r.engine.Configure(ctx, q.ID, settingsOf(q)))
	}
	for _, id := range p.unseal {
		errs = append(errs, r.engine.Unseal(ctx, id))
	}
	return errors.Join(errs...)
}

// differences compares. A queue of the group that is not defined was deleted
// only if its number is one that this node's definitions have already given:
// they may be behind those of the node that had it made.
func (r *reconciler) differences(now time.Time) (p plan) {
	missing, given := r.defined()
	r.log.Locked(func(s *queue.State) {
		for id := range s.Queues() {
			q, d := s.Queue(id), missing[id]
			if d == nil {
				if id <= given {
					p.forget = append(p.forget, id)
				}
				continue
			}
			if q.Settings() == settingsOf(d) {
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
	for _, q := range missing {
		p.configure = append(p.configure, q)
	}
	return p
}

// defined lists the queues that the group should have, and the highest number
// that any queue was given so far.
func (r *reconciler) defined() (queues map[queue.ID]*topology.Queue, given queue.ID) {
	queues = make(map[queue.ID]*topology.Queue)
	r.meta.View(func(t *topology.Topology) {
		given = t.LastID()
		list := t.QueuesIn(r.group)
		if r.group == TransientGroup {
			list = t.QueuesAt(r.self.Node)
		}
		for _, q := range list {
			if r.group != TransientGroup || here(q, r.self) {
				queues[q.ID] = q
			}
		}
	})
	return queues, given
}
