package cluster

import (
	"context"
	"sync"
	"time"

	"github.com/warrenmq/warren/broker/leader"
	"github.com/warrenmq/warren/broker/queue"
	"github.com/warrenmq/warren/broker/topology"
)

// Engines are the engines that run on this node now. It implements edge.Local.
type Engines struct {
	// LeaderOf tells what this node's replica of a group knows of its leader.
	LeaderOf func(group uint64) (serverID string, hosted bool)

	mu      sync.RWMutex
	running map[uint64]running
}

type running struct {
	engine     *leader.Engine
	term       uint64
	reconciler *reconciler
}

// Engine is the engine of a group that is led here.
func (e *Engines) Engine(group uint64) (*leader.Engine, uint64, bool) {
	e.mu.RLock()
	defer e.mu.RUnlock()
	r, ok := e.running[group]
	return r.engine, r.term, ok
}

// resignTime bounds how long a change of leadership waits for the engine: without its
// word the next leader flags more messages than it would have to.
const resignTime = time.Second

// Resign prepares a group's engine for the end of its leadership; stay says that it
// did not come to that.
func (e *Engines) Resign(ctx context.Context, group uint64) (stay func()) {
	engine, _, ok := e.Engine(group)
	if !ok {
		return func() {}
	}
	ctx, cancel := context.WithTimeout(ctx, resignTime)
	defer cancel()
	_ = engine.Resign(ctx) // it may have ended by itself, or lead no more
	return engine.Stay
}

// Leader tells what this node knows of a group's leader.
func (e *Engines) Leader(group uint64) (string, bool) { return e.LeaderOf(group) }

// Applied tells a group's engine, if there is one, what an entry touched.
func (e *Engines) Applied(group uint64, touched []queue.ID) {
	if engine, _, ok := e.Engine(group); ok {
		engine.Applied(touched)
	}
}

// Raised tells the groups that are led here that the cluster may have another level.
func (e *Engines) Raised() {
	e.mu.RLock()
	defer e.mu.RUnlock()
	for _, r := range e.running {
		r.reconciler.rouse()
	}
}

// Led lists the replicated groups that are led here.
func (e *Engines) Led() []uint64 {
	e.mu.RLock()
	defer e.mu.RUnlock()
	led := make([]uint64, 0, len(e.running))
	for group := range e.running {
		if group != TransientGroup {
			led = append(led, group)
		}
	}
	return led
}

// Changed follows the meta group's changes: queues go, and get new settings, where they are led.
func (e *Engines) Changed(changes []topology.Change) {
	e.mu.RLock()
	defer e.mu.RUnlock()
	for _, c := range changes {
		switch c.Kind {
		case topology.Reset:
			for _, r := range e.running {
				r.reconciler.noteAll()
			}
		case topology.QueueRemoved, topology.QueueChanged:
			if r, ok := e.running[c.Queue.Group]; ok {
				r.reconciler.note(c.Queue.ID)
			}
		}
	}
}

func (e *Engines) add(group, term uint64, engine *leader.Engine, rec *reconciler) {
	e.mu.Lock()
	defer e.mu.Unlock()
	if e.running == nil {
		e.running = make(map[uint64]running)
	}
	e.running[group] = running{engine, term, rec}
}

func (e *Engines) remove(group uint64, engine *leader.Engine) {
	e.mu.Lock()
	defer e.mu.Unlock()
	if e.running[group].engine == engine {
		delete(e.running, group)
	}
}
