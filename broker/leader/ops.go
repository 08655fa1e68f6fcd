package leader

import (
	"context"
	"errors"
	"time"

	"github.com/warrenmq/warren/broker/queue"
)

// Counts is what queue.declare-ok and listings say of a queue.
type Counts struct {
	Ready       uint64 // messages that wait for a consumer
	Unacked     uint64 // handed out, not answered
	Consumers   int
	Active      int    // consumers that messages go to: at most one with a single active consumer
	DeadLetters uint64 // on their way to the dead-letter exchange
}

// reply is what becomes of an operation.
type reply struct {
	answer queue.Answer
	counts Counts
	err    error
}

// call runs f on the engine's goroutine and waits until it has replied, once.
// Whoever called may have left by then: f leaves nothing behind for it to mend.
func (e *Engine) call(ctx context.Context, f func(done func(reply))) reply {
	replies := make(chan reply, 1)
	if !e.inbox.post(func() { f(func(r reply) { replies <- r }) }) {
		return reply{err: ErrNotLeading}
	}
	select {
	case r := <-replies:
		return r
	case <-e.inbox.closed:
		return reply{err: ErrUnavailable}
	case <-ctx.Done():
		return reply{err: errors.Join(ErrUnavailable, ctx.Err())}
	}
}

// takenOver runs f once every edge has said which consumers it has and what
// they hold.
func (e *Engine) takenOver(f func()) {
	if e.serving {
		f()
		return
	}
	e.waiting = append(e.waiting, f)
}

// Counts counts the messages and consumers of a queue, for queue.declare: that
// the queue is used. It waits for the end of a takeover, before which nobody knows.
func (e *Engine) Counts(ctx context.Context, id queue.ID) (Counts, error) {
	r := e.call(ctx, func(done func(reply)) { e.takenOver(func() { e.count(id, true, done) }) })
	return r.counts, r.err
}

// Observe counts as Counts does, for listings: it does not count as use.
func (e *Engine) Observe(ctx context.Context, id queue.ID) (Counts, error) {
	r := e.call(ctx, func(done func(reply)) { e.takenOver(func() { e.count(id, false, done) }) })
	return r.counts, r.err
}

func (e *Engine) count(id queue.ID, use bool, done func(reply)) {
	q := e.served(id)
	if q == nil {
		done(reply{err: ErrNoQueue})
		return
	}
	e.upToDate(q)
	if use {
		q.used = time.Now()
	}
	if q.limited() && q.leaving > 0 { // only then is it known how much there is room for
		e.control.then = append(e.control.then, func() { e.countNow(id, done) })
		return
	}
	e.countNow(id, done)
}

func (e *Engine) countNow(id queue.ID, done func(reply)) {
	q := e.served(id)
	if q == nil {
		done(reply{err: ErrNoQueue})
		return
	}
	e.upToDate(q)
	c := Counts{
		Ready: e.readyCount(q), Unacked: e.unacked(q),
		Consumers: q.consumers(), DeadLetters: q.letters.pending,
	}
	c.Active = c.Consumers
	if q.settings.SingleActive {
		c.Active = min(c.Active, 1)
	}
	done(reply{counts: c})
}

// ask logs command and waits for its answer.
func (e *Engine) ask(ctx context.Context, command queue.Command) error {
	return e.call(ctx, func(done func(reply)) {
		e.control.ask(command, func(a queue.Answer) { done(reply{answer: a}) })
	}).err
}

// Configure creates the queue in this group, or changes its settings. It is
// applied when Configure returns.
func (e *Engine) Configure(ctx context.Context, id queue.ID, settings queue.Settings) error {
	return e.ask(ctx, queue.Configure{Queue: id, Settings: settings})
}

// Forget drops the queue and all its messages. When dead letters of it are still
// on their way it is gone for its consumers, and goes altogether as soon as they are
// safe, or after a while: Forget returns without waiting for that.
func (e *Engine) Forget(ctx context.Context, id queue.ID) error {
	return e.call(ctx, func(done func(reply)) {
		if e.bury != nil && e.partFrom(id) {
			done(reply{})
			return
		}
		e.control.ask(queue.Forget{Queue: id}, func(a queue.Answer) { done(reply{answer: a}) })
	}).err
}

// partFrom begins to wait for a deleted queue's dead letters; false when it has none.
func (e *Engine) partFrom(id queue.ID) bool {
	q := e.queues[id]
	switch {
	case q == nil || q.letters.pending == 0 && (q.leaving == 0 || !q.settings.DeadLetters):
		return false
	case q.parting.IsZero():
		q.parting = time.Now().Add(partingTime)
		e.dismiss(q)
		e.look(q)
	}
	return true
}

// Purge drops the ready messages and counts them; what consumers hold stays.
func (e *Engine) Purge(ctx context.Context, id queue.ID) (uint64, error) {
	r := e.call(ctx, func(done func(reply)) { e.takenOver(func() { e.purge(id, done) }) })
	return r.answer.Count, r.err
}

func (e *Engine) purge(id queue.ID, done func(reply)) {
	q := e.served(id)
	if q == nil {
		done(reply{err: ErrNoQueue})
		return
	}
	if q.stream {
		done(reply{err: ErrStream})
		return
	}
	e.upToDate(q)
	purge := queue.Purge{Queue: id, Keep: q.heldRanges()}
	e.cfg.Log.Locked(func(s *queue.State) {
		if sq := s.Queue(id); sq != nil {
			purge.Through = sq.NextSeq() - 1
		}
	})
	e.control.ask(purge, func(a queue.Answer) {
		q.settled += a.Count
		done(reply{answer: a})
	})
}

// Seal ends the queue's life: it refuses further publishes, if it is unused
// and empty as far as that is asked for. It answers how many messages were
// ready. What is left is to delete the definition and to Forget.
func (e *Engine) Seal(ctx context.Context, id queue.ID, ifUnused, ifEmpty bool) (uint64, error) {
	r := e.call(ctx, func(done func(reply)) {
		seal := func() { e.seal(id, ifUnused, ifEmpty, done) }
		if ifUnused || ifEmpty {
			e.takenOver(seal)
			return
		}
		seal()
	})
	switch {
	case r.err != nil:
		return 0, r.err
	case ifEmpty && r.answer.Count > 0:
		return 0, ErrNotEmpty
	}
	return r.answer.Count, nil
}

func (e *Engine) seal(id queue.ID, ifUnused, ifEmpty bool, done func(reply)) {
	q := e.served(id)
	if q != nil {
		e.upToDate(q)
	}
	switch {
	case q == nil:
		done(reply{err: ErrNoQueue})
		return
	case ifUnused && q.consumers() > 0:
		done(reply{err: ErrInUse})
		return
	case ifEmpty && e.readyCount(q) > 0:
		done(reply{err: ErrNotEmpty})
		return
	}
	q.sealing = ifUnused // no consumer comes in between
	// Whether it is empty is decided by the entry itself: publishes may be ahead of it.
	e.control.ask(queue.Seal{Queue: id, IfEmpty: ifEmpty, Held: q.heldRanges()}, func(a queue.Answer) {
		q.sealing = false
		done(reply{answer: a})
	})
}

// Unseal lets a sealed queue take publishes again.
func (e *Engine) Unseal(ctx context.Context, id queue.ID) error {
	return e.ask(ctx, queue.Unseal{Queue: id})
}
