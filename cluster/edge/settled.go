package edge

import (
	"context"
	"errors"

	"github.com/warrenmq/warren/broker/leader"
)

// Settled returns when the answers given so far are committed and applied where
// the queue is led. When the queue is gone there is nothing left to wait for.
func (h *Subscription) Settled(ctx context.Context) error {
	s := h.s
	for {
		s.a.mu.Lock()
		if s.settled() {
			s.a.mu.Unlock()
			return nil
		}
		if s.untold() {
			s.a.queue(s, true)
		}
		progress := s.a.progressing()
		s.a.mu.Unlock()
		select {
		case <-progress:
		case <-ctx.Done():
			return errors.Join(leader.ErrUnavailable, ctx.Err())
		}
	}
}

// settled tells whether nothing that s has answered is still to be committed. The
// caller holds a.mu.
func (s *subscription) settled() bool {
	return s.state == released || !s.untold() && s.committed()
}

// untold tells whether s has answers that the leader was not told yet. The caller holds a.mu.
func (s *subscription) untold() bool {
	for answer, ranges := range s.answers {
		if len(ranges) > 0 && leader.Answer(answer) != leader.Unseen {
			return true
		}
	}
	return false
}

// progressing is closed when more is settled, or subscriptions end. The caller holds mu.
func (a *attachment) progressing() <-chan struct{} {
	if a.progress == nil {
		a.progress = make(chan struct{})
	}
	return a.progress
}

// progressed wakes those who wait for that. The caller holds mu.
func (a *attachment) progressed() {
	if a.progress != nil {
		close(a.progress)
		a.progress = nil
	}
}
