package leader_test

import (
	"errors"
	"testing"
	"testing/synctest"
	"time"

	"github.com/warrenmq/warren/broker/leader"
	"github.com/warrenmq/warren/broker/queue"
)

func settle(sub, number uint64, a leader.Answer, first, last uint64) leader.Settle {
	return leader.Settle{Sub: sub, Queue: q1, Number: number, Answer: a, Ranges: seqs(first, last)}
}

func TestSingleActiveConsumer(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newRig(t, leader.Config{})
		r.configure(queue.Settings{SingleActive: true})
		at, o := r.attach("a")
		x := consumer(10)
		x.Exclusive = true
		high := consumer(10)
		high.Priority = 1
		request(t, at, leader.Resumed{},
			leader.Subscribe{Sub: 1, Queue: q1, Consumer: consumer(10)},
			leader.Subscribe{Sub: 2, Queue: q1, Consumer: consumer(10)},
			leader.Subscribe{Sub: 3, Queue: q1, Consumer: consumer(10)},
			leader.Subscribe{Sub: 4, Queue: q1, Consumer: high},
			leader.Subscribe{Sub: 5, Queue: q1, Consumer: x})
		want(t, "the first is it, and none can be exclusive", o.take(), "1:subscribed <nil>",
			"2:subscribed <nil>, waits", "3:subscribed <nil>, waits", "4:subscribed <nil>, waits", "5:subscribed queue in exclusive use")
		r.publish("1", "2")
		want(t, "all go to it", o.take(), "1:1", "1:2")
		if c := r.counts(); c.Consumers != 4 || c.Active != 1 {
			t.Fatalf("Counts = %+v", c)
		}
		request(t, at, leader.Cancel{Sub: 1})
		want(t, "the highest priority follows", o.take(), "1:cancelled <nil>", "4:active true")
		r.publish("3")
		want(t, "it gets what comes next", o.take(), "4:3")
		request(t, at, settle(1, 1, leader.Requeue, 1, 1))
		want(t, "and what comes back", o.take(), "settled 1", "4:1*")
		request(t, at, leader.Release{Sub: 4})
		want(t, "then the oldest", o.take(), "2:active true", "2:1*", "2:3*")
		request(t, at, leader.Get{Sub: 9, Queue: q1})
		want(t, "basic.get may take what is there", o.take(), "9:got false  left 0")
	})
}

// As in RabbitMQ, where quorum queues refuse it.
func TestGetOfASingleActiveQuorumQueue(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newRig(t, leader.Config{})
		r.configure(queue.Settings{SingleActive: true, Quorum: true})
		at, o := r.attach("a")
		request(t, at, leader.Resumed{}, leader.Get{Sub: 1, Queue: q1})
		want(t, "refused", o.take(), "1:got "+leader.ErrSingleActive.Error())
	})
}

// A better consumer of a quorum queue takes over once the present one has answered.
func TestSingleActiveYieldsToAHigherPriority(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newRig(t, leader.Config{})
		r.configure(queue.Settings{SingleActive: true, Quorum: true})
		at, o := r.attach("a")
		high := consumer(10)
		high.Priority = 1
		request(t, at, leader.Resumed{}, leader.Subscribe{Sub: 1, Queue: q1, Consumer: consumer(10)})
		r.publish("1")
		o.take()
		request(t, at, leader.Subscribe{Sub: 2, Queue: q1, Consumer: high})
		want(t, "it waits", o.take(), "2:subscribed <nil>, waits")
		r.publish("2")
		want(t, "the present one gets no more", o.take())
		request(t, at, settle(1, 1, leader.Ack, 1, 1))
		want(t, "and yields", o.take(), "1:active false", "2:active true", "2:2", "settled 1")
	})
}

// The active consumer stays it at the next leader, whoever speaks first; the others keep their order.
func TestSingleActiveSurvivesATakeover(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newRig(t, leader.Config{})
		r.configure(queue.Settings{SingleActive: true})
		r.succeed(resumes, "a", "b")
		now := time.Now()
		old, middle, young := consumer(10), consumer(10), consumer(10)
		old.Since, middle.Since, young.Since = now.Add(-3*time.Second), now.Add(-2*time.Second), now.Add(-time.Second)
		bt, b := r.attach("b")
		request(t, bt, leader.Resume{Sub: 1, Queue: q1, Consumer: young}, leader.Resume{Sub: 2, Queue: q1, Consumer: old}, leader.Resumed{},
			leader.Subscribe{Sub: 3, Queue: q1, Consumer: consumer(10)})
		at, a := r.attach("a")
		r.publish("1")
		want(t, "nothing before all have spoken", b.take(), "3:subscribed <nil>, waits")
		request(t, at, leader.Resume{Sub: 1, Queue: q1, Consumer: middle, Active: true}, leader.Resumed{})
		want(t, "a's consumer was it", a.take(), "1:1")
		want(t, "b's wait", b.take())
		request(t, at, leader.Release{Sub: 1})
		want(t, "the oldest follows", b.take(), "2:active true", "2:1*")
	})
}

// Nobody claims to be it: its edge has died with the leader.
func TestSingleActiveIsElectedAfterATakeover(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newRig(t, leader.Config{})
		r.configure(queue.Settings{SingleActive: true})
		r.publish("1")
		r.succeed(func(id leader.EdgeID) (bool, error) {
			if id.Node == "dead" {
				return false, errors.New("refused")
			}
			return true, nil
		}, "dead", "b")
		bt, b := r.attach("b")
		request(t, bt, leader.Resume{Sub: 1, Queue: q1, Consumer: consumer(10)}, leader.Resume{Sub: 2, Queue: q1, Consumer: consumer(10)}, leader.Resumed{})
		want(t, "within the grace", b.take())
		time.Sleep(6 * time.Second)
		want(t, "then", b.take(), "1:active true", "1:1")
	})
}

// A stream that breaks under a living leader changes nothing.
func TestSingleActiveOverANewStream(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newRig(t, leader.Config{})
		r.configure(queue.Settings{SingleActive: true})
		at, o := r.attach("a")
		request(t, at, leader.Resumed{}, leader.Subscribe{Sub: 1, Queue: q1, Consumer: consumer(10)}, leader.Subscribe{Sub: 2, Queue: q1, Consumer: consumer(10)})
		o.take()
		at.Detach()
		r.publish("1")
		at, o = r.attach("a")
		request(t, at, leader.Resume{Sub: 2, Queue: q1, Consumer: consumer(10), Active: true}, leader.Resume{Sub: 1, Queue: q1, Consumer: consumer(10), Active: true}, leader.Resumed{})
		want(t, "the same", o.take(), "2:active false", "1:1")
		request(t, at, leader.Cancel{Sub: 1})
		at, o = r.attach("a")
		request(t, at, leader.Resume{Sub: 1, Queue: q1, Consumer: consumer(10), Cancelled: true, Held: seqs(1, 1)},
			leader.Resume{Sub: 2, Queue: q1, Consumer: consumer(10)}, leader.Resumed{})
		r.publish("2")
		want(t, "a cancelled one is it no more", o.take(), "2:active true", "2:2")
	})
}
