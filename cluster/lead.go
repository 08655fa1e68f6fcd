package cluster

import (
	"context"
	"log/slog"
	"sync"
	"time"

	"github.com/warrenmq/warren/broker/leader"
	"github.com/warrenmq/warren/broker/queue"
	"github.com/warrenmq/warren/cluster/edge"
)

// Leading is what a node needs to lead groups.
type Leading struct {
	Self     leader.EdgeID
	Meta     Meta
	Edge     *edge.Edge
	Engines  *Engines
	Liveness *Liveness
	Unused   func(queue.ID)
	Expired  func(queue.ID)
	// DeadLetter takes dead letters on, as leader.Config says.
	DeadLetter func(ctx context.Context, s queue.Settings, d leader.Dead, done func(error))
	// CountReturns is leader.Config's.
	CountReturns bool
	Logger       *slog.Logger
}

// Lead serves a group in term until ctx ends. The log must be applied up to the
// start of the term. While it still leads, an engine that fails is replaced.
func (l *Leading) Lead(ctx context.Context, group, term uint64, log leader.Log) {
	for ctx.Err() == nil {
		if err := l.leadOnce(ctx, group, term, log); err == nil {
			return
		}
		select {
		case <-ctx.Done():
		case <-time.After(100 * time.Millisecond):
		}
		settled(ctx, log)
	}
}

// settled waits until all that was proposed so far is applied, or never will be: the
// next engine must not go by a state that the last one's word still changes.
func settled(ctx context.Context, log leader.Log) {
	done := make(chan struct{})
	log.Propose(queue.EncodeCommands(), func([]queue.Answer, error) { close(done) })
	select {
	case <-done:
	case <-ctx.Done():
	}
}

func (l *Leading) leadOnce(ctx context.Context, group, term uint64, log leader.Log) error {
	cfg := leader.Config{
		Log:        log,
		Term:       term,
		EdgeGone:   l.Liveness.Gone,
		Unused:     l.Unused,
		Expired:    l.Expired,
		DeadLetter: l.DeadLetter,

		CountReturns: l.CountReturns,
		Logger:       l.Logger.With("group", group),
	}
	if group == TransientGroup {
		cfg.DeadLetter = l.move
	} else {
		cfg.Edges = l.Liveness.Edges
		cfg.Announce = func(ctx context.Context, e leader.EdgeID) (bool, error) {
			ctx, cancel := context.WithTimeout(ctx, time.Second)
			defer cancel()
			return l.Edge.Announce(ctx, group, term, e)
		}
	}
	engine := leader.New(cfg)
	rec := newReconciler(group, l.Self, l.Meta, log, engine, l.Logger)
	l.Engines.add(group, term, engine, rec)
	defer l.Engines.remove(group, engine)
	ctx, cancel := context.WithCancel(ctx)
	var reconciling sync.WaitGroup
	defer reconciling.Wait()
	defer cancel()
	reconciling.Go(func() { rec.run(ctx) })
	return engine.Run(ctx)
}

// move passes on a dead letter of a transient queue.
func (l *Leading) move(ctx context.Context, s queue.Settings, d leader.Dead, done func(error)) {
	d.Moves = true
	l.DeadLetter(ctx, s, d, done)
}
