package leader_test

import (
	"fmt"
	"strings"
	"testing"
	"testing/synctest"

	"github.com/warrenmq/warren/broker/leader"
	"github.com/warrenmq/warren/broker/queue"
)

// Whoever has heard of a confirm finds no more than the limit, and the newest.
func TestMaxLengthDropsTheHead(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newRig(t, leader.Config{})
		s := dying
		s.MaxLength = limit(3)
		r.configure(s)
		for i := range 10 {
			r.publish(fmt.Sprint(i))
			if c := r.counts(); c.Ready != min(uint64(i)+1, 3) {
				t.Fatalf("after %d messages: Counts = %+v", i+1, c)
			}
		}
		want(t, "the oldest died", r.letters.take(), "q1:0 maxlen", "q1:1 maxlen", "q1:2 maxlen", "q1:3 maxlen", "q1:4 maxlen", "q1:5 maxlen", "q1:6 maxlen")
		at, o := r.attach("a")
		request(t, at, leader.Resumed{})
		r.publish("10", "11")
		request(t, at, leader.Get{Sub: 1, Queue: q1, NoAck: true})
		want(t, "a get finds the oldest that is left", o.take(), "1:got true 9 left 2")
	})
}

// What consumers hold does not count, and who waits gets all that he can take.
func TestMaxLengthCountsWhatIsReady(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newRig(t, leader.Config{})
		s := dying
		s.MaxLength = limit(2)
		r.configure(s)
		at, o := r.attach("a")
		request(t, at, leader.Resumed{}, leader.Subscribe{Sub: 1, Queue: q1, Consumer: consumer(3)})
		o.take()
		r.publish("1", "2", "3", "4", "5", "6")
		want(t, "three credits", o.take(), "1:1", "1:2", "1:3")
		want(t, "three are left", r.letters.take(), "q1:4 maxlen")
		if c := r.counts(); c.Ready != 2 || c.Unacked != 3 {
			t.Fatalf("Counts = %+v", c)
		}
		request(t, at, settle(1, 1, leader.Requeue, 1, 2))
		want(t, "what comes back is the head", r.letters.take(), "q1:1 maxlen", "q1:2 maxlen")
		request(t, at, settle(1, 2, leader.Ack, 3, 3), leader.Credit{Sub: 1, Messages: 5})
		want(t, "the rest", o.take(), "settled 1", "1:5", "1:6", "settled 2")
	})
}

func TestMaxLengthBytes(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newRig(t, leader.Config{})
		r.publish(strings.Repeat("a", 40), strings.Repeat("b", 40))
		at, o := r.attach("a")
		request(t, at, leader.Resumed{}, leader.Subscribe{Sub: 1, Queue: q1, Consumer: consumer(1)})
		o.take()
		r.succeed(resumes, "a")
		at, _ = r.attach("a")
		request(t, at, leader.Resume{Sub: 1, Queue: q1, Consumer: consumer(0), Held: seqs(1, 1)}, leader.Resumed{})
		s := dying
		s.MaxLengthBytes = limit(100)
		r.configure(s)
		if c := r.counts(); c.Ready != 1 || c.Unacked != 1 {
			t.Fatalf("with 40 bytes held: Counts = %+v", c)
		}
		r.publish("cc", strings.Repeat("d", 58))
		if c := r.counts(); c.Ready != 3 {
			t.Fatalf("just full: Counts = %+v", c)
		}
		r.publish("e")
		want(t, "as many as must", r.letters.take(), "q1:"+strings.Repeat("b", 40)+" maxlen")
		request(t, at, settle(1, 1, leader.Unseen, 1, 1))
		want(t, "the first is back", r.letters.take(), "q1:"+strings.Repeat("a", 40)+" maxlen")
		r.publish(strings.Repeat("f", 101))
		if c := r.counts(); c.Ready != 0 {
			t.Fatalf("more than the limit by itself: Counts = %+v", c)
		}
	})
}

// Settings that change have their effect on what is in the queue.
func TestMaxLengthChanges(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newRig(t, leader.Config{})
		for range 10 {
			r.publish(make([]string, 1000)...)
		}
		r.configure(queue.Settings{MaxLength: limit(7)})
		if c := r.counts(); c.Ready != 7 {
			t.Fatalf("Counts = %+v", c)
		}
		r.configure(queue.Settings{MaxLength: limit(0)})
		if c := r.counts(); c.Ready != 0 {
			t.Fatalf("Counts = %+v", c)
		}
		if n := r.messages(); n != 0 {
			t.Fatalf("%d messages left", n)
		}
	})
}

// A queue that refuses what it has no room for counts what is ready: what a consumer
// has makes room as soon as it has it.
func TestRejectPublishKnowsWhatIsHeld(t *testing.T) {
	for name, s := range map[string]queue.Settings{"messages": {MaxLength: limit(2)}, "bytes": {MaxLengthBytes: limit(2)}} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				r := newRig(t, leader.Config{})
				s.Overflow = queue.RejectPublish
				r.configure(s)
				at, o := r.attach("a")
				request(t, at, leader.Resumed{}, leader.Subscribe{Sub: 1, Queue: q1, Consumer: consumer(1)})
				refused := func(list ...queue.Message) string { defer synctest.Wait(); return fmt.Sprint(r.send(list...)) }
				if got := refused(plain("1"), plain("2"), plain("3")); got != "[2]" {
					t.Fatalf("refused %s: the consumer had nothing yet", got)
				}
				want(t, "1", o.take(), "1:subscribed <nil>", "1:1")
				if got := refused(plain("4"), plain("5")); got != "[1]" {
					t.Fatalf("refused %s: 1 is held", got)
				}
				request(t, at, settle(1, 1, leader.Ack, 1, 1))
				want(t, "acknowledged", o.take(), "settled 1")
				if got := refused(plain("6")); got != "[0]" {
					t.Fatalf("refused %s: 2 and 4 are ready", got)
				}
				request(t, at, leader.Credit{Sub: 1, Messages: 1})
				want(t, "2", o.take(), "1:2")
				request(t, at, settle(1, 2, leader.Requeue, 2, 2))
				o.take()
				if got := refused(plain("7")); got != "[0]" {
					t.Fatalf("refused %s: 2 is back", got)
				}
				request(t, at, leader.Get{Sub: 2, Queue: q1})
				want(t, "a get", o.take(), "2:got true 2* left 1")
				r.succeed(resumes, "a")
				at, _ = r.attach("a")
				request(t, at, leader.Resumed{}) // it has forgotten 2
				synctest.Wait()
				if got := refused(plain("8")); got != "[0]" {
					t.Fatalf("refused %s: nothing is held at the next leader", got)
				}
			})
		})
	}
}

// What a consumer has got is told to the log before it has got it.
func TestHeldIsToldFirst(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		log := &slowLog{}
		r := newRig(t, leader.Config{Log: log})
		r.configure(queue.Settings{MaxLength: limit(1), Overflow: queue.RejectPublish})
		at, o := r.attach("a")
		request(t, at, leader.Resumed{}, leader.Subscribe{Sub: 2, Queue: q1, Consumer: consumer(5)})
		r.publish("1")
		want(t, "and a Mark", o.take(), "2:subscribed <nil>", "2:1")
		log.hold(true)
		r.publish("2")
		want(t, "not before it is committed", o.take())
		log.hold(false)
		want(t, "then", o.take(), "2:2")
	})
}

// What waits for a commit, because the log must know that it is out, is not overtaken
// when a policy takes the queue's limit away meanwhile.
func TestDeliveriesKeepTheirOrderWhenTheLimitGoes(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		log := &slowLog{}
		r := newRig(t, leader.Config{Log: log})
		r.configure(queue.Settings{MaxLength: limit(10), Overflow: queue.RejectPublish})
		at, o := r.attach("a")
		request(t, at, leader.Resumed{}, leader.Subscribe{Sub: 1, Queue: q1, Consumer: consumer(5)})
		r.publish("0")
		want(t, "the numbers are reserved", o.take(), "1:subscribed <nil>", "1:0")
		log.hold(true)
		r.publish("1")
		want(t, "the log does not know yet", o.take())
		configured := make(chan error, 1)
		go func() {
			configured <- r.engine.Configure(t.Context(), q1, queue.Settings{VHost: "/", Name: "q1"})
		}()
		synctest.Wait()
		r.publish("2")
		want(t, "nor does it need to", o.take())
		log.hold(false)
		want(t, "in order", o.take(), "1:1", "1:2")
		if err := <-configured; err != nil {
			t.Fatal(err)
		}
		r.publish("3")
		want(t, "no commit is waited for", o.take(), "1:3")
	})
}
