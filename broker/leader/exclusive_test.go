package leader_test

import (
	"context"
	"errors"
	"slices"
	"testing"
	"testing/synctest"
	"time"

	"github.com/warrenmq/warren/broker/leader"
)

func TestExclusiveConsumer(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newRig(t, leader.Config{})
		at, o := r.attach("a")
		x := consumer(1)
		x.Exclusive = true
		request(t, at, leader.Resumed{},
			leader.Subscribe{Sub: 1, Queue: q1, Consumer: x},
			leader.Subscribe{Sub: 2, Queue: q1, Consumer: consumer(1)},
			leader.Cancel{Sub: 1},
			leader.Subscribe{Sub: 3, Queue: q1, Consumer: consumer(1)},
			leader.Subscribe{Sub: 4, Queue: q1, Consumer: x})
		want(t, "exclusive", o.take(), "1:subscribed <nil>", "2:subscribed queue in exclusive use", "1:cancelled <nil>",
			"3:subscribed <nil>", "4:subscribed queue in exclusive use")
	})
}

// Until every edge has spoken nobody knows which consumers there are: an
// exclusive one keeps its queue to itself, but for basic.get, and a queue in use stays.
func TestTakeoverKeepsExclusiveConsumers(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newRig(t, leader.Config{})
		r.publish("1", "2")
		synctest.Wait()
		r.end()
		r.start(leader.Config{
			Edges:    func() []leader.EdgeID { return []leader.EdgeID{{Node: "a", Epoch: 1}} },
			Announce: func(context.Context, leader.EdgeID) (bool, error) { return true, nil },
		})
		x := consumer(5)
		x.Exclusive = true
		bt, b := r.attach("b")
		request(t, bt, leader.Resumed{},
			leader.Subscribe{Sub: 1, Queue: q1, Consumer: x},
			leader.Subscribe{Sub: 2, Queue: q1, Consumer: consumer(5)},
			leader.Subscribe{Sub: 3, Queue: q1, Consumer: x}, leader.Release{Sub: 3},
			leader.Get{Sub: 4, Queue: q1})
		want(t, "before a has spoken", b.take(), "2:subscribed <nil>")
		sealed := make(chan error, 1)
		go func() {
			_, err := r.engine.Seal(t.Context(), q1, true, false)
			sealed <- err
		}()
		synctest.Wait()
		at, a := r.attach("a")
		request(t, at, leader.Resume{Sub: 7, Queue: q1, Consumer: x}, leader.Resumed{})
		got := b.take()
		want(t, "b", got[:1], "2:cancelled queue in exclusive use")
		for _, ev := range []string{"1:subscribed queue in exclusive use", "4:got true 1 left 1"} {
			if !slices.Contains(got, ev) {
				t.Errorf("b heard %q, and not %q", got, ev)
			}
		}
		want(t, "a keeps the queue", a.take(), "7:2")
		if err := <-sealed; !errors.Is(err, leader.ErrInUse) {
			t.Errorf("Seal(if-unused): %v", err)
		}
	})
}

// An exclusive consumer whose edge comes back too late has lost its place.
func TestExclusiveConsumerThatComesTooLate(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newRig(t, leader.Config{})
		x := consumer(5)
		x.Exclusive = true
		at, _ := r.attach("a")
		request(t, at, leader.Resumed{}, leader.Subscribe{Sub: 1, Queue: q1, Consumer: x})
		synctest.Wait()
		at.Detach()
		time.Sleep(6 * time.Second)
		bt, b := r.attach("b")
		request(t, bt, leader.Resumed{}, leader.Subscribe{Sub: 2, Queue: q1, Consumer: x})
		want(t, "the place is free", b.take(), "2:subscribed <nil>")
		at, a := r.attach("a")
		request(t, at, leader.Resume{Sub: 1, Queue: q1, Consumer: x}, leader.Resumed{})
		want(t, "and taken", a.take(), "1:cancelled queue in exclusive use")
		r.publish("1")
		want(t, "it is b's", b.take(), "2:1")
	})
}
