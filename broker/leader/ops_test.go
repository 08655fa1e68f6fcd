package leader_test

import (
	"context"
	"errors"
	"testing"
	"testing/synctest"

	"github.com/warrenmq/warren/broker/leader"
)

func TestPurgeKeepsWhatIsOut(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newRig(t, leader.Config{})
		at, o := r.attach("a")
		request(t, at, leader.Resumed{}, leader.Subscribe{Sub: 1, Queue: q1, Consumer: consumer(1)})
		r.publish("1", "2", "3")
		o.take()
		n, err := r.engine.Purge(t.Context(), q1)
		if n != 2 || err != nil {
			t.Fatalf("Purge = %d, %v", n, err)
		}
		request(t, at, leader.Settle{Sub: 1, Queue: q1, Number: 1, Answer: leader.Requeue, Ranges: seqs(1, 1)}, leader.Credit{Sub: 1, Messages: 1})
		want(t, "the one that was out is left", o.take(), "settled 1", "1:1*")
	})
}

func TestSealRefusesAsAsked(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newRig(t, leader.Config{})
		at, o := r.attach("a")
		request(t, at, leader.Resumed{}, leader.Subscribe{Sub: 1, Queue: q1, Consumer: consumer(0)})
		r.publish("1", "2")
		o.take()
		if _, err := r.engine.Seal(t.Context(), q1, true, false); !errors.Is(err, leader.ErrInUse) {
			t.Fatalf("Seal(if-unused): %v", err)
		}
		if _, err := r.engine.Seal(t.Context(), q1, false, true); !errors.Is(err, leader.ErrNotEmpty) {
			t.Fatalf("Seal(if-empty): %v", err)
		}
		n, err := r.engine.Seal(t.Context(), q1, false, false)
		if n != 2 || err != nil {
			t.Fatalf("Seal = %d, %v", n, err)
		}
		if err := r.engine.Forget(t.Context(), q1); err != nil {
			t.Fatal(err)
		}
		want(t, "consumers hear of it", o.take(), "1:cancelled no such queue")
		if _, err := r.engine.Counts(t.Context(), q1); !errors.Is(err, leader.ErrNoQueue) {
			t.Fatalf("Counts: %v", err)
		}
	})
}

// A delete whose client gives up before the engine comes to it leaves the
// queue as it was.
func TestSealThatNobodyWaitsForLeavesTheQueueOpen(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newRig(t, leader.Config{})
		ctx, cancel := context.WithCancel(t.Context())
		cancel()
		for range 100 { // who hears first, the client's end or the answer, is chance
			if _, err := r.engine.Seal(ctx, q1, true, true); err == nil {
				continue
			} else if !errors.Is(err, leader.ErrUnavailable) {
				t.Fatalf("Seal: %v", err)
			}
			synctest.Wait()
			at, o := r.attach("a")
			request(t, at, leader.Resumed{}, leader.Subscribe{Sub: 1, Queue: q1, Consumer: consumer(1)})
			want(t, "the next consumer", o.take(), "1:subscribed <nil>")
			request(t, at, leader.Release{Sub: 1})
		}
	})
}

// A consumer that stands has what is ready, though the log must first hear how far
// deliveries go: who asks in between finds nothing that he could count or purge.
func TestWhatAConsumerIsAboutToGetIsNotReady(t *testing.T) {
	for _, c := range []struct {
		name string
		ask  func(context.Context, *leader.Engine) (uint64, error)
	}{
		{"declare", func(ctx context.Context, e *leader.Engine) (uint64, error) {
			counts, err := e.Counts(ctx, q1)
			return counts.Ready, err
		}},
		{"purge", func(ctx context.Context, e *leader.Engine) (uint64, error) { return e.Purge(ctx, q1) }},
		{"delete", func(ctx context.Context, e *leader.Engine) (uint64, error) { return e.Seal(ctx, q1, false, false) }},
		{"delete if empty", func(ctx context.Context, e *leader.Engine) (uint64, error) { return e.Seal(ctx, q1, false, true) }},
	} {
		t.Run(c.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				log := &slowLog{}
				r := newRig(t, leader.Config{Log: log})
				r.publish("1", "2")
				at, o := r.attach("a")
				log.hold(true)
				request(t, at, leader.Resumed{}, leader.Subscribe{Sub: 1, Queue: q1, Consumer: consumer(10)})
				want(t, "while the log is slow", o.take(), "1:subscribed <nil>")
				type result struct {
					n   uint64
					err error
				}
				results := make(chan result, 1)
				go func() {
					n, err := c.ask(t.Context(), r.engine)
					results <- result{n, err}
				}()
				synctest.Wait()
				log.hold(false)
				if got := <-results; got.n != 0 || got.err != nil {
					t.Errorf("%d ready, %v", got.n, got.err)
				}
				want(t, "then", o.take(), "1:1", "1:2")
			})
		})
	}
}
