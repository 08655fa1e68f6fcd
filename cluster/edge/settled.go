package edge

import (
	"context"
	"errors"

	"github.com/warrenmq/warren/broker/leader"
)

// settleWait is somebody who waits until what s has answered is committed.
type settleWait struct {
	s    *subscription
	done chan struct{}
}

// Settled returns when all that was answered so far is committed and applied at
// the leader, or, with ErrUnavailable, when ctx ends before.
func (h *Subscription) Settled(ctx context.Context) error {
	s := h.s
	s.a.mu.Lock()
	if s.quiet() {
		s.a.mu.Unlock()
		return nil
	}
	w := settleWait{s, make(chan struct{})}
	s.a.waiting = append(s.a.waiting, w)
	s.a.queue(s, true)
	s.a.mu.Unlock()
	select {
	case <-w.done:
		return nil
	case <-ctx.Done():
		return errors.Join(leader.ErrUnavailable, ctx.Err())
	}
}

// quiet tells whether nothing that s has answered is open. The caller holds a.mu.
func (s *subscription) quiet() bool {
	if s.a.subs[s.id] != s {
		return true
	}
	for _, ranges := range s.answers {
		if len(ranges) > 0 {
			return false
		}
	}
	return s.committed()
}

// hear tells those who wait for what is committed now. The caller holds mu.
func (a *attachment) hear() {
	open := a.waiting[:0]
	for _, w := range a.waiting {
		if !w.s.quiet() {
			open = append(open, w)
			continue
		}
		close(w.done)
	}
	clear(a.waiting[len(open):])
	a.waiting = open
}
