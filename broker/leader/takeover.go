package leader

import (
	"context"
	"sync"
	"time"

	"github.com/warrenmq/warren/broker/queue"
)

// takeOver asks every live edge what it holds, before anything is delivered:
// messages that an earlier leader may have handed out must not go to another
// consumer while the first one lives and can answer.
func (e *Engine) takeOver(ctx context.Context, asking *sync.WaitGroup) {
	e.takeUpBusy()
	for _, edge := range e.cfg.Edges() {
		e.pending[edge] = struct{}{}
		asking.Go(func() { e.askEdge(ctx, edge) })
	}
	if len(e.pending) == 0 {
		e.serving = true
		return
	}
	e.clock.at(&alarm{do: func() {
		for edge := range e.pending {
			e.logger.Warn("an edge did not say what it holds in time", "edge", edge.Node)
			e.arrived(edge)
		}
	}}, time.Now().Add(e.cfg.Grace))
}

// takeUpBusy takes up the queues that may have something to do by themselves.
func (e *Engine) takeUpBusy() {
	var list []*served
	e.cfg.Log.Locked(func(s *queue.State) {
		for id := range s.Queues() {
			if sq := s.Queue(id); e.queues[id] == nil && busy(sq) {
				list = append(list, newServed(sq))
			}
		}
	})
	for _, q := range list {
		e.takeUp(q)
	}
}

func (e *Engine) askEdge(ctx context.Context, edge EdgeID) {
	for ctx.Err() == nil {
		attached, err := e.cfg.Announce(ctx, edge)
		if err == nil && attached {
			return // it resumes by itself
		}
		if err == nil || e.cfg.EdgeGone(edge) {
			e.inbox.post(func() { e.arrived(edge) })
			return
		}
		select {
		case <-ctx.Done():
		case <-time.After(50 * time.Millisecond):
		}
	}
}

// arrived notes that edge has said what it holds, or never will.
func (e *Engine) arrived(edge EdgeID) {
	delete(e.pending, edge)
	if len(e.pending) > 0 || e.serving {
		return
	}
	e.serving = true
	for _, q := range e.queues {
		q.used = time.Now()
		e.look(q)
		e.abandoned(q)
	}
	for _, f := range e.waiting {
		f()
	}
	e.waiting = nil
	for _, at := range e.edges {
		later := at.later
		at.later = nil
		for _, list := range later {
			for _, r := range list {
				e.handle(at, r)
			}
		}
	}
}
