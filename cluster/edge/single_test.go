package edge

import (
	"errors"
	"testing"
	"testing/synctest"
	"time"

	"github.com/warrenmq/warren/broker/leader"
	"github.com/warrenmq/warren/broker/queue"
)

// The one active consumer is it still at the next leader, and the oldest follows it.
func TestSingleActiveConsumerOverAChange(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newConsumerRig(t)
		if err := r.edge.Configure(t.Context(), rigQueue, queue.Settings{Name: "q", SingleActive: true, Quorum: true}); err != nil {
			t.Fatal(err)
		}
		var subs [3]*Subscription
		var holds [3]*hold
		for i := range subs {
			subs[i], holds[i] = r.subscribe(10)
			time.Sleep(time.Millisecond)
		}
		active := func(what string, want int) {
			t.Helper()
			synctest.Wait()
			for i, s := range subs {
				if s.Active() != (i == want) {
					t.Errorf("%s: consumer %d: Active = %v", what, i, s.Active())
				}
			}
		}
		active("at first", 0)
		r.publish("1")
		wantBodies(t, "the first", holds[0].take(), "1")
		subs[0].Release()
		time.Sleep(time.Second)
		subs[0], holds[0] = r.subscribe(10)
		active("when it has gone", 1)
		wantBodies(t, "the second", holds[1].take(), "1*")
		r.change()
		active("at the next leader", 1)
		r.publish("2")
		time.Sleep(time.Second)
		wantBodies(t, "and there", holds[1].take(), "2*")
		if err := subs[1].Cancel(t.Context()); err != nil {
			t.Fatal(err)
		}
		active("cancelled", 2)
		if _, _, err := r.edge.Get(t.Context(), rigQueue, true); !errors.Is(err, leader.ErrSingleActive) {
			t.Errorf("Get: %v", err)
		}
		c, err := r.edge.Observe(t.Context(), rigQueue)
		if err != nil || c.Consumers != 2 || c.Active != 1 {
			t.Errorf("Observe = %+v, %v", c, err)
		}
	})
}
