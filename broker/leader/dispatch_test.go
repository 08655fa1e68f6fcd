package leader_test

import (
	"fmt"
	"testing"
	"testing/synctest"
	"time"

	"github.com/warrenmq/warren/broker/leader"
	"github.com/warrenmq/warren/broker/queue"
)

func TestDeliversWithinCreditAndInOrder(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newRig(t, leader.Config{})
		at, o := r.attach("a")
		request(t, at, leader.Resumed{}, leader.Subscribe{Sub: 1, Queue: q1, Consumer: consumer(2)})
		r.publish("1", "2", "3", "4")
		want(t, "two credits", o.take(), "1:subscribed <nil>", "1:1", "1:2")
		request(t, at, leader.Settle{Sub: 1, Queue: q1, Number: 1, Answer: leader.Ack, Ranges: seqs(1, 1)}, leader.Credit{Sub: 1, Messages: 1})
		want(t, "one credit more", o.take(), "1:3", "settled 1")
		c, err := r.engine.Counts(t.Context(), q1)
		if err != nil || c != (leader.Counts{Ready: 1, Unacked: 2, Consumers: 1, Active: 1}) {
			t.Fatalf("Counts = %+v, %v", c, err)
		}
	})
}

func TestRoundRobinAndPriority(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newRig(t, leader.Config{})
		at, o := r.attach("a")
		high := consumer(1)
		high.Priority = 5
		request(t, at, leader.Resumed{},
			leader.Subscribe{Sub: 1, Queue: q1, Consumer: consumer(10)},
			leader.Subscribe{Sub: 2, Queue: q1, Consumer: consumer(10)},
			leader.Subscribe{Sub: 3, Queue: q1, Consumer: high})
		o.take()
		r.publish("1", "2", "3", "4", "5")
		want(t, "the high one first, then in turn", o.take(), "3:1", "1:2", "1:4", "2:3", "2:5")
	})
}

// Turns are taken by messages, also when they come one by one.
func TestRoundRobinOverPauses(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newRig(t, leader.Config{})
		at, o := r.attach("a")
		request(t, at, leader.Resumed{})
		for sub := range uint64(3) {
			request(t, at, leader.Subscribe{Sub: sub + 1, Queue: q1, Consumer: consumer(10)})
		}
		o.take()
		for i := range 9 {
			r.publish(fmt.Sprint(i))
			want(t, "in turn", o.take(), fmt.Sprintf("%d:%d", i%3+1, i))
		}
	})
}

func TestRequeueGoesBackToItsPlaceWithTheFlag(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newRig(t, leader.Config{})
		at, o := r.attach("a")
		request(t, at, leader.Resumed{}, leader.Subscribe{Sub: 1, Queue: q1, Consumer: consumer(2)})
		r.publish("1", "2", "3")
		o.take()
		request(t, at,
			leader.Settle{Sub: 1, Queue: q1, Number: 1, Answer: leader.Requeue, Ranges: seqs(1, 1)},
			leader.Settle{Sub: 1, Queue: q1, Number: 2, Answer: leader.Unseen, Ranges: seqs(2, 2)},
			leader.Subscribe{Sub: 2, Queue: q1, Consumer: consumer(3)})
		want(t, "1 was seen, 2 was not", o.take(), "2:subscribed <nil>", "settled 2", "2:1*", "2:2", "2:3")
	})
}

// What was lost on its way goes out behind what others have got since: without the
// flag a consumer would take it for published later.
func TestUnseenBehindLaterOnesHasTheFlag(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newRig(t, leader.Config{})
		at, o := r.attach("a")
		request(t, at, leader.Resumed{},
			leader.Subscribe{Sub: 1, Queue: q1, Consumer: consumer(2)},
			leader.Subscribe{Sub: 2, Queue: q1, Consumer: consumer(2)})
		r.publish("1", "2", "3", "4")
		want(t, "in turn", o.take(), "1:subscribed <nil>", "2:subscribed <nil>", "1:1", "1:3", "2:2", "2:4")
		request(t, at, leader.Settle{Sub: 1, Queue: q1, Number: 1, Answer: leader.Unseen, Ranges: seqs(1, 3)},
			leader.Credit{Sub: 2, Messages: 2})
		want(t, "1 and 3 go out after 4", o.take(), "2:1*", "2:3*", "settled 1")
	})
}

func TestReleaseRequeuesAndReportsUnused(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newRig(t, leader.Config{})
		at, o := r.attach("a")
		request(t, at, leader.Resumed{}, leader.Subscribe{Sub: 1, Queue: q1, Consumer: consumer(2)})
		r.publish("1", "2")
		o.take()
		request(t, at, leader.Release{Sub: 1})
		synctest.Wait()
		if fmt.Sprint(r.unused.list()) != "[1]" {
			t.Fatalf("unused: %v", r.unused.list())
		}
		request(t, at, leader.Get{Sub: 2, Queue: q1}, leader.Get{Sub: 3, Queue: q1, NoAck: true}, leader.Get{Sub: 4, Queue: q1})
		want(t, "gets", o.take(), "2:got true 1* left 1", "4:got false  left 0", "3:got true 2* left 0")
	})
}

func TestNoAckIsSettledBeforeItIsSent(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newRig(t, leader.Config{})
		at, o := r.attach("a")
		c := leader.Consumer{NoAck: true, Messages: -1, Bytes: 1 << 20}
		request(t, at, leader.Resumed{}, leader.Subscribe{Sub: 1, Queue: q1, Consumer: c})
		r.publish("1", "2", "3")
		want(t, "all", o.take(), "1:subscribed <nil>", "1:1", "1:2", "1:3")
		r.log.Locked(func(s *queue.State) {
			if n := s.Queue(q1).Messages(); n != 0 {
				t.Errorf("%d messages left", n)
			}
		})
	})
}

func TestMarkIsReservedAheadOfDeliveries(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newRig(t, leader.Config{})
		at, o := r.attach("a")
		request(t, at, leader.Resumed{}, leader.Subscribe{Sub: 1, Queue: q1, Consumer: consumer(100_000)})
		o.take()
		for range 100 {
			var bodies []string
			for range 100 {
				bodies = append(bodies, "x")
			}
			r.publish(bodies...)
		}
		if n := len(o.take()); n != 10_000 {
			t.Fatalf("%d deliveries of 10,000", n)
		}
		r.log.Locked(func(s *queue.State) {
			if m := s.Queue(q1).Mark(); m < 10_000 {
				t.Errorf("mark %d after 10,000 deliveries", m)
			}
		})
	})
}

// What was settled for a no_ack consumer reaches it though it cancels meanwhile:
// RabbitMQ, too, sends before cancel-ok what it has taken off the queue.
func TestCancelComesBehindWhatNeedsNoAck(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		log := &slowLog{}
		r := newRig(t, leader.Config{Log: log})
		at, o := r.attach("a")
		c := leader.Consumer{NoAck: true, Messages: -1, Bytes: 1 << 20}
		request(t, at, leader.Resumed{}, leader.Subscribe{Sub: 1, Queue: q1, Consumer: c})
		r.publish("1", "2") // also reserves a Mark
		o.take()
		log.hold(true)
		r.publish("3", "4")
		want(t, "being settled", o.take())
		request(t, at, leader.Cancel{Sub: 1})
		want(t, "nor is it cancelled", o.take())
		log.hold(false)
		want(t, "in order", o.take(), "1:3", "1:4", "1:cancelled <nil>")
		request(t, at, leader.Cancel{Sub: 1})
		want(t, "with nothing to wait for", o.take(), "1:cancelled <nil>")
	})
}

// A requeue that an edge tells twice, as the first answer was lost with its
// stream, makes one message ready.
func TestRequeueToldTwiceComesBackOnce(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		log := &slowLog{}
		r := newRig(t, leader.Config{Log: log})
		at, o := r.attach("a")
		request(t, at, leader.Resumed{}, leader.Subscribe{Sub: 1, Queue: q1, Consumer: consumer(1)})
		r.publish("1")
		o.take()
		log.hold(true)
		requeue := leader.Settle{Sub: 1, Queue: q1, Number: 1, Answer: leader.Requeue, Ranges: seqs(1, 1)}
		request(t, at, requeue)
		synctest.Wait()
		at, o = r.attach("a")
		request(t, at, leader.Resume{Sub: 1, Queue: q1, Consumer: consumer(0), Held: seqs(1, 1)}, leader.Resumed{}, requeue,
			leader.Subscribe{Sub: 2, Queue: q1, Consumer: leader.Consumer{NoAck: true, Messages: -1, Bytes: 1 << 20}})
		synctest.Wait()
		log.hold(false)
		want(t, "once", o.take(), "2:subscribed <nil>", "settled 1", "2:1*")
	})
}

// A leader whose lease runs out while it reads the messages, on a slow disk or
// because its process is stopped, does not send them.
func TestLeaseIsAskedForRightBeforeSending(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		log := &slowLog{}
		r := newRig(t, leader.Config{Log: log})
		at, o := r.attach("a")
		request(t, at, leader.Resumed{}, leader.Subscribe{Sub: 1, Queue: q1, Consumer: consumer(2)})
		r.publish("1")
		want(t, "with a lease", o.take(), "1:subscribed <nil>", "1:1")
		asked := 0
		once := func() bool { asked++; return asked == 1 }
		log.leased(once)
		r.publish("2")
		want(t, "the lease is over", o.take())
		bt, b := r.attach("b")
		log.leased(nil)
		request(t, bt, leader.Resumed{}, leader.Subscribe{Sub: 2, Queue: q1, Consumer: consumer(2)})
		time.Sleep(time.Second)
		want(t, "with a lease again, in the order of the consumers", o.take(), "1:2")
		b.take()
		request(t, at, leader.Cancel{Sub: 1})
		asked = 0
		log.leased(once)
		r.publish("3")
		synctest.Wait()
		request(t, at, leader.Get{Sub: 3, Queue: q1})
		want(t, "the lease is over", o.take(), "1:cancelled <nil>")
		want(t, "for all", b.take())
		log.leased(nil)
		time.Sleep(time.Second)
		want(t, "gets come first", o.take(), "3:got true 3 left 0")
	})
}
