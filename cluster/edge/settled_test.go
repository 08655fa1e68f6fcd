package edge

import (
	"context"
	"errors"
	"testing"
	"testing/synctest"
	"time"

	"github.com/warrenmq/warren/broker/leader"
	"github.com/warrenmq/warren/broker/queue"
)

// Settled waits for the commit of what was answered before, whoever leads then.
func TestSettledWaitsForTheCommit(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newConsumerRig(t)
		s, h := r.subscribe(5)
		if err := s.Settled(t.Context()); err != nil {
			t.Fatalf("with nothing to wait for: %v", err)
		}
		r.publish("1", "2")
		got := h.take()
		r.stop()
		s.Settle(leader.Ack, one(got[0].Seq))
		short, cancel := context.WithTimeout(t.Context(), time.Second)
		defer cancel()
		if err := s.Settled(short); !errors.Is(err, leader.ErrUnavailable) {
			t.Fatalf("while nobody leads: %v", err)
		}
		done := make(chan error, 1)
		go func() { done <- s.Settled(t.Context()) }()
		r.lead()
		if err := <-done; err != nil {
			t.Fatalf("at the next leader: %v", err)
		}
		r.log.Locked(func(st *queue.State) {
			if n := st.Queue(rigQueue).Messages(); n != 1 {
				t.Errorf("%d messages once the answer is settled", n)
			}
		})
		r.stop()
		s.Settle(leader.Ack, one(got[1].Seq))
		go func() { done <- s.Settled(t.Context()) }()
		synctest.Wait()
		r.lead()
		if engine, _, ok := r.l.Engine(1); ok {
			if err := engine.Forget(t.Context(), rigQueue); err != nil {
				t.Error(err)
			}
		}
		if err := <-done; err != nil {
			t.Fatalf("the queue is gone: %v", err)
		}
	})
}
