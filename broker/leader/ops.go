package leader

import (
	"context"
	"errors"
	"slices"

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
		purge := queue.Purge{Queue: id}
		for seq := range q.out {
			purge.Keep = append(purge.Keep, queue.Range{First: seq, Last: seq})
		}
		slices.SortFunc(purge.Keep, func(a, b queue.Range) int {
			if a.First < b.First {
				return -1
			}
			return 1
		})
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
	check := func() error {
		q := e.served(id)
		switch {
		case q == nil:
			return ErrNoQueue
		case ifUnused && q.consumers() > 0:
			return ErrInUse
		case ifEmpty && e.readyCount(q) > 0:
			return ErrNotEmpty
		}
		return nil
	}
	if _, err := e.ask(ctx, func() (queue.Command, error) { return queue.Seal{Queue: id}, check() }); err != nil {
		return 0, err
	}
	// Publishes that were ahead of the Seal in the log are applied now: look again.
	var ready uint64
	var err error
	doErr := e.do(ctx, func() {
		if err = check(); err == nil {
			ready = e.readyCount(e.queues[id])
		}
	})
	if errors.Is(err, ErrInUse) || errors.Is(err, ErrNotEmpty) {
		return 0, errors.Join(err, e.Unseal(ctx, id))
	}
	return ready, errors.Join(doErr, err)
}

// Unseal lets a sealed queue take publishes again.
func (e *Engine) Unseal(ctx context.Context, id queue.ID) error {
	_, err := e.ask(ctx, func() (queue.Command, error) { return queue.Unseal{Queue: id}, nil })
	return err
}
