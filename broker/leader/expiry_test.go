package leader_test

import (
	"fmt"
	"testing"
	"testing/synctest"
	"time"

	"github.com/warrenmq/warren/broker/leader"
	"github.com/warrenmq/warren/broker/queue"
	"github.com/warrenmq/warren/broker/transient"
)

var dying = queue.Settings{DeadLetters: true, DeadLetterExchange: "dlx"}

// A message ends at its own time, wherever it is and with nobody there.
func TestMessagesExpireAnywhere(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newRig(t, leader.Config{})
		r.configure(dying)
		r.send(plain("1"), mortal("2", 5*time.Second), mortal("3", time.Second), plain("4"), mortal("5", 3*time.Second))
		time.Sleep(900 * time.Millisecond)
		want(t, "before the first deadline", r.letters.take())
		time.Sleep(200 * time.Millisecond)
		want(t, "after it", r.letters.take(), "q1:3 expired")
		time.Sleep(2 * time.Second)
		want(t, "after the second", r.letters.take(), "q1:5 expired")
		time.Sleep(2 * time.Second)
		want(t, "after the last", r.letters.take(), "q1:2 expired")
		if c := r.counts(); c.Ready != 2 || c.DeadLetters != 0 || c.Unacked != 0 {
			t.Fatalf("Counts = %+v", c)
		}
	})
}

func TestQueueTTL(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newRig(t, leader.Config{})
		s := dying
		s.MessageTTL = limit(1000)
		r.configure(s)
		r.send(plain("1"), mortal("2", 200*time.Millisecond), mortal("3", time.Hour))
		time.Sleep(300 * time.Millisecond)
		r.publish("4")
		want(t, "its own TTL is shorter", r.letters.take(), "q1:2 expired")
		time.Sleep(800 * time.Millisecond)
		want(t, "the queue's", r.letters.take(), "q1:1 expired", "q1:3 expired")
		time.Sleep(300 * time.Millisecond)
		want(t, "the last", r.letters.take(), "q1:4 expired")
		if n := r.messages(); n != 0 {
			t.Fatalf("%d messages left", n)
		}
	})
}

// Settings that change have their effect on what is in the queue.
func TestQueueTTLChanges(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newRig(t, leader.Config{})
		r.configure(dying)
		r.send(plain("1"), mortal("2", time.Hour))
		time.Sleep(2 * time.Second)
		s := dying
		s.MessageTTL = limit(3000)
		r.configure(s)
		r.publish("3")
		want(t, "not yet", r.letters.take())
		s.MessageTTL = limit(1000)
		r.configure(s)
		want(t, "shorter: at once", r.letters.take(), "q1:1 expired", "q1:2 expired")
		s.MessageTTL = queue.Limit{}
		r.configure(s)
		r.send(mortal("4", 2*time.Second))
		time.Sleep(1500 * time.Millisecond)
		want(t, "none: 3 stays", r.letters.take())
		time.Sleep(time.Second)
		want(t, "what has its own goes", r.letters.take(), "q1:4 expired")
		if n := r.messages(); n != 1 {
			t.Fatalf("%d messages left", n)
		}
	})
}

// TTL 0 is for who waits, and not for who comes later.
func TestTTLZero(t *testing.T) {
	for name, s := range map[string]queue.Settings{"of the message": {}, "of the queue": {MessageTTL: limit(0)}} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				r := newRig(t, leader.Config{})
				r.configure(s)
				at, o := r.attach("a")
				request(t, at, leader.Resumed{})
				r.send(mortal("1", 0))
				request(t, at, leader.Get{Sub: 9, Queue: q1}, leader.Subscribe{Sub: 1, Queue: q1, Consumer: consumer(1)})
				want(t, "nobody waited for 1", o.take(), "9:got false  left 0", "1:subscribed <nil>")
				r.send(mortal("2", 0), mortal("3", 0))
				want(t, "one credit", o.take(), "1:2")
				request(t, at, leader.Credit{Sub: 1, Messages: 1})
				want(t, "3 is over", o.take())
				if c := r.counts(); c.Ready != 0 || c.Unacked != 1 {
					t.Fatalf("Counts = %+v", c)
				}
				r.send(mortal("4", 0))
				want(t, "4 is in time", o.take(), "1:4")
				request(t, at, leader.Credit{Sub: 1, Messages: 2}, settle(1, 1, leader.Requeue, 2, 2), settle(1, 2, leader.Unseen, 4, 4))
				want(t, "what comes back is over", o.take(), "settled 2")
				if n := r.messages(); n != 0 {
					t.Fatalf("%d messages left", n)
				}
			})
		})
	}
}

// A message whose consumer must wait for a Mark, or the leader's lease, is in time.
func TestWhoWaitsForTheLeaseIsInTime(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		log := &slowLog{}
		r := newRig(t, leader.Config{Log: log})
		at, o := r.attach("a")
		request(t, at, leader.Resumed{}, leader.Subscribe{Sub: 1, Queue: q1, Consumer: consumer(10)})
		o.take()
		log.leased(never)
		r.send(mortal("1", 0))
		time.Sleep(500 * time.Millisecond)
		want(t, "no lease", o.take())
		log.leased(nil)
		time.Sleep(100 * time.Millisecond)
		want(t, "a lease", o.take(), "1:1")
		log.leased(never)
		r.send(mortal("2", 0))
		time.Sleep(3 * time.Second)
		if n := r.messages(); n != 1 {
			t.Fatalf("%d messages: 1 is held, and 2 has waited long enough", n)
		}
		log.leased(nil)
		time.Sleep(time.Second)
		want(t, "it is over", o.take())
	})
}

// What a consumer holds does not expire; it does when it comes back too late.
func TestHeldMessagesExpireWhenTheyComeBack(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newRig(t, leader.Config{})
		s := dying
		s.MessageTTL = limit(10_000)
		r.configure(s)
		at, o := r.attach("a")
		request(t, at, leader.Resumed{}, leader.Subscribe{Sub: 1, Queue: q1, Consumer: consumer(4)})
		r.send(mortal("1", time.Second), plain("2"), plain("3"), mortal("4", time.Second))
		want(t, "all", o.take(), "1:subscribed <nil>", "1:1", "1:2", "1:3", "1:4")
		time.Sleep(5 * time.Second)
		request(t, at, settle(1, 1, leader.Requeue, 1, 2), settle(1, 2, leader.Ack, 4, 4))
		want(t, "1 came back too late", r.letters.take(), "q1:1 expired")
		time.Sleep(10 * time.Second)
		want(t, "2 was in time, and has had its own", r.letters.take(), "q1:2 expired")
		request(t, at, leader.Release{Sub: 1})
		want(t, "3 was held for long", r.letters.take(), "q1:3 expired")
		if n := r.messages(); n != 0 {
			t.Fatalf("%d messages left", n)
		}
	})
}

// A new leader finds what has expired while there was none, before it delivers anything.
func TestExpiryGoesOnAfterATakeover(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newRig(t, leader.Config{})
		r.configure(dying)
		r.send(mortal("1", time.Second), mortal("2", 10*time.Second), plain("3"))
		want(t, "in time", r.letters.take())
		r.end()
		time.Sleep(2 * time.Second)
		r.start(leader.Config{})
		at, o := r.attach("a")
		request(t, at, leader.Resumed{}, leader.Subscribe{Sub: 1, Queue: q1, Consumer: consumer(1)})
		want(t, "2 is the first that is left", o.take(), "1:subscribed <nil>", "1:2")
		want(t, "1 was over", r.letters.take(), "q1:1 expired")
		r.succeed(resumes, "a")
		at, _ = r.attach("a")
		request(t, at, leader.Resume{Sub: 1, Queue: q1, Cancelled: true, Held: seqs(2, 2)}, leader.Resumed{})
		time.Sleep(10 * time.Second)
		want(t, "2 is held", r.letters.take())
		request(t, at, leader.Release{Sub: 1})
		want(t, "2 comes back", r.letters.take(), "q1:2 expired")
	})
}

// A backlog that ends at once is many messages for one look.
func TestABacklogExpires(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newRig(t, leader.Config{})
		s := queue.Settings{MessageTTL: limit(1000)}
		r.configure(s)
		const batches, each = 40, 1000
		for i := range batches {
			list := make([]queue.Message, each)
			for j := range list {
				list[j] = plain(fmt.Sprint(i, j))
				if j%3 == 0 {
					list[j].TTL = time.Duration(j) * time.Millisecond
				}
			}
			r.send(list...)
		}
		if c := r.counts(); c.Ready != batches*(each-1) { // each batch has one with TTL 0
			t.Fatalf("Counts = %+v", c)
		}
		time.Sleep(1100 * time.Millisecond)
		if n := r.messages(); n != 0 {
			t.Fatalf("%d messages left", n)
		}
	})
}

// A publish that is faster than Configure makes its queue. What is to become of a
// message whose time is over nobody knows until then: it may have to be passed on.
func TestNothingExpiresBeforeTheQueueIsConfigured(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := &rig{t: t, session: queue.Session{Incarnation: 1, Epoch: 1}}
		r.log = transient.NewLog(1<<30, func(touched []queue.ID) { r.engine.Applied(touched) })
		r.start(leader.Config{})
		defer func() { r.end() }()
		r.send(mortal("delayed", 10*time.Millisecond), mortal("read", 10*time.Millisecond))
		time.Sleep(5 * time.Second)
		want(t, "not configured", r.letters.take())
		if n := r.messages(); n != 2 {
			t.Fatalf("%d messages", n)
		}
		at, o := r.attach("a")
		request(t, at, leader.Resumed{}, leader.Get{Sub: 1, Queue: q1})
		want(t, "nor when somebody asks", o.take(), "1:got true delayed left 1")
		request(t, at, settle(1, 1, leader.Requeue, 1, 1))
		synctest.Wait()
		r.configure(queue.Settings{Delays: "x"})
		want(t, "configured", r.letters.take(), "q1:delayed expired", "q1:read expired")
	})
}
