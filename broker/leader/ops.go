package leader

import (
	"context"
	"errors"

	"github.com/warrenmq/warren/broker/queue"
)

// Counts is what queue.declare-ok and listings say of a queue.
type Counts struct {
	Ready     uint64 // messages that wait for a consumer
	Unacked   uint64 // handed out, not answered
	Consumers int
}

// Counts counts the messages and consumers of a queue.
func (e *Engine) Counts(ctx context.Context, id queue.ID) (c Counts, err error) {
	doErr := e.do(ctx, func() {
		q := e.served(id)
		if q == nil {
			err = ErrNoQueue
			return
		}
		c = Counts{Ready: e.readyCount(q), Unacked: uint64(len(q.out) + q.leaving), Consumers: q.consumers()}
	})
	return c, errors.Join(doErr, err)
}

// ask logs command and waits for its answer.
func (e *Engine) ask(ctx context.Context, prepare func() (queue.Command, error)) (queue.Answer, error) {
	answers := make(chan queue.Answer, 1)
	var err error
	doErr := e.do(ctx, func() {
		var command queue.Command
		if command, err = prepare(); err == nil {
			e.control.ask(command, func(a queue.Answer) { answers <- a })
		}
	})
	if err := errors.Join(doErr, err); err != nil {
		return queue.Answer{}, err
	}
	select {
	case a := <-answers:
		return a, nil
	case <-e.inbox.closed:
		return queue.Answer{}, ErrUnavailable
	case <-ctx.Done():
		return queue.Answer{}, errors.Join(ErrUnavailable, ctx.Err())
	}
}

// Configure creates the queue in this group, or changes its settings. It is
// applied when Configure returns.
func (e *Engine) Configure(ctx context.Context, id queue.ID, settings queue.Settings) error {
	_, err := e.ask(ctx, func() (queue.Command, error) {
		return queue.Configure{Queue: id, Settings: settings}, nil
	})
	return err
}

// Forget drops the queue and all its messages.
func (e *Engine) Forget(ctx context.Context, id queue.ID) error {
	_, err := e.ask(ctx, func() (queue.Command, error) { return queue.Forget{Queue: id}, nil })
	return err
}

// Purge drops the ready messages and counts them; what consumers hold stays.
func (e *Engine) Purge(ctx context.Context, id queue.ID) (uint64, error) {
	a, err := e.ask(ctx, func() (queue.Command, error) {
		q := e.served(id)
		if q == nil {
			return nil, ErrNoQueue
		}
		purge := queue.Purge{Queue: id, Keep: q.heldRanges()}
		e.cfg.Log.Locked(func(s *queue.State) {
			if sq := s.Queue(id); sq != nil {
				purge.Through = sq.NextSeq() - 1
			}
		})
		return purge, nil
	})
	return a.Count, err
}

// Seal ends the queue's life: it refuses further publishes, if it is unused
// and empty as far as that is asked for. It answers how many messages were
// ready. What is left is to delete the definition and to Forget.
func (e *Engine) Seal(ctx context.Context, id queue.ID, ifUnused, ifEmpty bool) (uint64, error) {
	var sealing *served
	a, err := e.ask(ctx, func() (queue.Command, error) {
		q := e.served(id)
		switch {
		case q == nil:
			return nil, ErrNoQueue
		case ifUnused && q.consumers() > 0:
			return nil, ErrInUse
		case ifEmpty && e.readyCount(q) > 0:
			return nil, ErrNotEmpty
		}
		sealing, q.sealing = q, ifUnused // no consumer comes in between
		// Whether it is empty is decided by the entry itself: publishes may be ahead of it.
		return queue.Seal{Queue: id, IfEmpty: ifEmpty, Held: q.heldRanges()}, nil
	})
	if sealing != nil {
		if doErr := e.do(ctx, func() { sealing.sealing = false }); err == nil {
			err = doErr
		}
	}
	switch {
	case err != nil:
		return 0, err
	case ifEmpty && a.Count > 0:
		return 0, ErrNotEmpty
	}
	return a.Count, nil
}

// Unseal lets a sealed queue take publishes again.
func (e *Engine) Unseal(ctx context.Context, id queue.ID) error {
	_, err := e.ask(ctx, func() (queue.Command, error) { return queue.Unseal{Queue: id}, nil })
	return err
}
