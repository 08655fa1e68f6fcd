package leader_test

import (
	"errors"
	"fmt"
	"slices"
	"testing"
	"testing/synctest"
	"time"

	"github.com/warrenmq/warren/broker/leader"
	"github.com/warrenmq/warren/broker/queue"
)

func TestDeadLettersOfAllReasons(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newRig(t, leader.Config{})
		s := dying
		s.DeliveryLimit, s.MaxLength, s.Overflow, s.Quorum = limit(1), limit(4), queue.RejectPublishDLX, true
		r.configure(s)
		at, o := r.attach("a")
		request(t, at, leader.Resumed{}, leader.Subscribe{Sub: 1, Queue: q1, Consumer: consumer(2)})
		o.take()
		r.send(plain("1"), plain("2"), plain("3"), mortal("4", time.Second), plain("5"))
		want(t, "two", o.take(), "1:1", "1:2")
		request(t, at, settle(1, 1, leader.Reject, 1, 1))
		want(t, "refused, then rejected", r.letters.take(), "q1:5 maxlen", "q1:1 rejected")
		time.Sleep(2 * time.Second)
		want(t, "its time is over", r.letters.take(), "q1:4 expired")
		request(t, at, settle(1, 2, leader.Requeue, 2, 2), leader.Credit{Sub: 1, Messages: 10})
		want(t, "a return does not count", o.take(), "settled 1", "settled 2", "1:2*", "1:3")
		request(t, at, settle(1, 3, leader.Fail, 2, 2))
		want(t, "one failure is allowed", o.take(), "settled 3", "1:2*")
		request(t, at, settle(1, 4, leader.Fail, 2, 2))
		want(t, "the second is not", r.letters.take(), "q1:2 delivery_limit")
		want(t, "nothing comes back", o.take(), "settled 4")
		if c := r.counts(); c.Ready != 0 || c.Unacked != 1 || c.DeadLetters != 0 {
			t.Fatalf("Counts = %+v", c)
		}
	})
}

// A delivery says how often it has failed.
func TestDeliveriesCountFailures(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newRig(t, leader.Config{})
		r.configure(queue.Settings{Quorum: true})
		at, o := r.attach("a")
		request(t, at, leader.Resumed{}, leader.Subscribe{Sub: 1, Queue: q1, Consumer: consumer(5)})
		r.publish("1")
		for i, answer := range []leader.Answer{leader.Requeue, leader.Fail, leader.Fail, leader.Requeue} {
			o.take()
			request(t, at, settle(1, uint64(i+1), answer, 1, 1))
		}
		synctest.Wait()
		o.mu.Lock()
		defer o.mu.Unlock()
		for _, ev := range o.events {
			if d, ok := ev.(leader.Deliveries); ok {
				if d := d.List[0]; d.Returned != 4 || d.Failed != 2 {
					t.Errorf("returned %d times, failed %d times", d.Returned, d.Failed)
				}
			}
		}
	})
}

// As RabbitMQ counted before 4.3.
func TestReturnsMayCountAsFailures(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newRig(t, leader.Config{CountReturns: true})
		s := dying
		s.DeliveryLimit, s.Quorum = limit(1), true
		r.configure(s)
		at, o := r.attach("a")
		request(t, at, leader.Resumed{}, leader.Subscribe{Sub: 1, Queue: q1, Consumer: consumer(10)})
		r.publish("1")
		o.take()
		request(t, at, settle(1, 1, leader.Requeue, 1, 1))
		want(t, "once", o.take(), "settled 1", "1:1*")
		request(t, at, leader.Release{Sub: 1})
		want(t, "twice is too often", r.letters.take(), "q1:1 delivery_limit")
	})
}

// What cannot be passed on is tried again, less and less often, and nothing is lost.
func TestDeadLettersAreTriedAgain(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newRig(t, leader.Config{})
		s := dying
		s.MaxLength = limit(0)
		r.configure(s)
		r.letters.answer(errors.New("no room"))
		r.publish("1", "2")
		want(t, "at once", r.letters.take(), "q1:1 maxlen", "q1:2 maxlen")
		time.Sleep(150 * time.Millisecond)
		want(t, "again", r.letters.take(), "q1:1 maxlen", "q1:2 maxlen")
		time.Sleep(time.Minute)
		if n := len(r.letters.take()); n < 2*10 || n > 2*20 {
			t.Fatalf("%d tries in a minute", n)
		}
		if c := r.counts(); c.DeadLetters != 2 {
			t.Fatalf("Counts = %+v", c)
		}
		r.letters.answer(nil)
		time.Sleep(6 * time.Second)
		r.letters.take()
		if c := r.counts(); c.DeadLetters != 0 {
			t.Fatalf("Counts = %+v", c)
		}
	})
}

// However many there are, few are under way at once.
func TestDeadLettersHaveAWindow(t *testing.T) {
	for name, c := range map[string]struct {
		size int
		want int
	}{"messages": {1, 256}, "bytes": {100 << 10, 11}} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				r := newRig(t, leader.Config{})
				s := dying
				s.MaxLength = limit(0)
				r.configure(s)
				r.letters.hold()
				for range 10 {
					list := make([]string, 100)
					for i := range list {
						list[i] = fmt.Sprintf("%0*d", c.size, i)
					}
					r.publish(list...)
				}
				if n := len(r.letters.take()); n != c.want {
					t.Fatalf("%d are under way", n)
				}
				r.letters.answer(nil)
				if n := len(r.letters.take()); n != 1000-c.want {
					t.Fatalf("%d follow", n)
				}
				if c := r.counts(); c.DeadLetters != 0 {
					t.Fatalf("Counts = %+v", c)
				}
			})
		})
	}
}

// However many wait for one full target, others overtake them; it is tried now and
// then, and takes them in their order.
func TestDeadLettersOvertakeThoseForAFullTarget(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newRig(t, leader.Config{})
		s := dying
		s.MaxLength = limit(0)
		r.configure(s)
		room, tried := 0, 0
		var taken []string
		r.letters.judge = func(d leader.Dead) error {
			switch {
			case d.Message.Body[0] != 'f':
				return nil
			case slices.Contains(d.Avoid, 9):
				return &leader.Full{Target: 9, Err: errors.New("avoided")}
			}
			tried++
			if room == 0 {
				return &leader.Full{Target: 9, Err: errors.New("full")}
			}
			room--
			taken = append(taken, string(d.Message.Body))
			return nil
		}
		const n = 2000
		list := make([]string, n)
		for i := range list {
			list[i] = fmt.Sprintf("f%04d", i)
		}
		r.publish(list...)
		r.publish("other")
		r.letters.take()
		time.Sleep(time.Minute)
		r.letters.take()
		if c := r.counts(); c.DeadLetters != n {
			t.Fatalf("%d dead letters are pending beside that for another target", c.DeadLetters)
		}
		if tried > 256+30 {
			t.Errorf("a full target was asked %d times in a minute", tried)
		}
		makeRoom := func(n int) {
			r.letters.mu.Lock()
			room = n
			r.letters.mu.Unlock()
			time.Sleep(10 * time.Second)
			r.letters.take()
		}
		makeRoom(700)
		if !slices.Equal(taken, list[:700]) {
			t.Fatalf("with room for 700, %d were taken, in order: %v", len(taken), slices.IsSorted(taken))
		}
		makeRoom(n)
		if c := r.counts(); c.DeadLetters != 0 || !slices.Equal(taken, list) {
			t.Fatalf("%d are left, %d were taken, in order: %v", c.DeadLetters, len(taken), slices.IsSorted(taken))
		}
	})
}

// What the old leader did not see arrive goes again at the new one.
func TestDeadLettersGoOnAfterATakeover(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newRig(t, leader.Config{})
		s := dying
		s.MaxLength = limit(0)
		r.configure(s)
		r.publish("1")
		want(t, "arrived", r.letters.take(), "q1:1 maxlen")
		r.letters.hold()
		r.publish("2")
		want(t, "on its way", r.letters.take(), "q1:2 maxlen")
		r.succeed(resumes, "away")
		want(t, "not before the takeover is over", r.letters.take())
		r.letters.answer(nil)
		time.Sleep(6 * time.Second)
		want(t, "again", r.letters.take(), "q1:2 maxlen")
		if c := r.counts(); c.DeadLetters != 0 {
			t.Fatalf("Counts = %+v", c)
		}
	})
}

// A deleted queue goes when its dead letters are safe; for everybody else it is gone before.
func TestForgetWaitsForDeadLetters(t *testing.T) {
	for name, arrives := range map[string]bool{"until they are safe": true, "not for ever": false} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				r := newRig(t, leader.Config{})
				r.configure(dying)
				at, o := r.attach("a")
				request(t, at, leader.Resumed{}, leader.Subscribe{Sub: 1, Queue: q1, Consumer: consumer(1)})
				r.publish("1", "2")
				o.take()
				r.letters.hold()
				request(t, at, settle(1, 1, leader.Reject, 1, 1))
				want(t, "rejected", r.letters.take(), "q1:1 rejected")
				for range 2 { // as a reconciler does
					if err := r.engine.Forget(t.Context(), q1); err != nil {
						t.Fatal(err)
					}
				}
				request(t, at, leader.Subscribe{Sub: 2, Queue: q1, Consumer: consumer(1)})
				if got := o.take(); !slices.Contains(got, "1:cancelled no such queue") || !slices.Contains(got, "2:subscribed no such queue") {
					t.Fatalf("got %q", got)
				}
				if _, err := r.engine.Counts(t.Context(), q1); !errors.Is(err, leader.ErrNoQueue) {
					t.Fatalf("Counts: %v", err)
				}
				time.Sleep(20 * time.Second)
				if n := r.messages(); n != 1 {
					t.Fatalf("%d messages while a dead letter is on its way", n)
				}
				if arrives {
					r.letters.answer(nil)
				} else {
					time.Sleep(11 * time.Second)
				}
				synctest.Wait()
				r.log.Locked(func(s *queue.State) {
					if s.Queue(q1) != nil {
						t.Error("the queue is still there")
					}
				})
			})
		})
	}
}
