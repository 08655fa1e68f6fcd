package leader_test

import (
	"fmt"
	"math/rand/v2"
	"testing"
	"testing/synctest"
	"time"

	"github.com/warrenmq/warren/broker/leader"
	"github.com/warrenmq/warren/broker/queue"
)

func TestPrioritiesAreStrictAndInOrder(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newRig(t, leader.Config{})
		r.configure(queue.Settings{MaxPriority: 3})
		r.send(plain("1"), ranked("2", 1), ranked("3", 3), ranked("4", 9), ranked("5", 1))
		at, o := r.attach("a")
		request(t, at, leader.Resumed{}, leader.Subscribe{Sub: 1, Queue: q1, Consumer: consumer(3)})
		want(t, "9 counts as 3", o.take(), "1:subscribed <nil>", "1:3", "1:4", "1:2")
		r.send(ranked("6", 2), ranked("7", 3))
		o.take()
		request(t, at, settle(1, 1, leader.Requeue, 4, 4), settle(1, 2, leader.Unseen, 2, 2), leader.Credit{Sub: 1, Messages: 10})
		// 1, too, has the flag: what goes out below one that was lost on its way may be older.
		want(t, "what comes back has its priority still", o.take(), "settled 2", "1:4*", "1:7", "1:6", "1:2*", "1:5", "1:1*")
	})
}

// Overtaking is no redelivery.
func TestOvertakenMessagesAreNotFlagged(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newRig(t, leader.Config{})
		r.configure(queue.Settings{MaxPriority: 1})
		at, o := r.attach("a")
		request(t, at, leader.Resumed{}, leader.Subscribe{Sub: 1, Queue: q1, Consumer: consumer(1)})
		r.send(plain("1"), ranked("2", 1), plain("3"), ranked("4", 1))
		want(t, "first", o.take(), "1:subscribed <nil>", "1:2")
		request(t, at, settle(1, 1, leader.Ack, 2, 2), leader.Credit{Sub: 1, Messages: 10})
		want(t, "the others", o.take(), "1:4", "1:1", "1:3", "settled 1")
	})
}

// Limits drop what would be delivered next; TTLs end what is anywhere.
func TestPrioritiesWithLimitsAndTTL(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newRig(t, leader.Config{})
		s := dying
		s.MaxPriority, s.MaxLength = 2, limit(3)
		r.configure(s)
		r.send(plain("1"), ranked("2", 2), ranked("3", 1), ranked("4", 2))
		want(t, "the next to be delivered", r.letters.take(), "q1:2 maxlen")
		m := ranked("5", 1)
		m.TTL = time.Second
		r.send(m)
		want(t, "and again", r.letters.take(), "q1:4 maxlen")
		time.Sleep(1100 * time.Millisecond)
		want(t, "its time is over", r.letters.take(), "q1:5 expired")
		at, o := r.attach("a")
		request(t, at, leader.Resumed{}, leader.Subscribe{Sub: 1, Queue: q1, Consumer: consumer(9)})
		want(t, "what is left", o.take(), "1:subscribed <nil>", "1:3", "1:1")
	})
}

func TestPrioritiesAfterATakeover(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newRig(t, leader.Config{})
		r.configure(queue.Settings{MaxPriority: 5})
		at, o := r.attach("a")
		request(t, at, leader.Resumed{}, leader.Subscribe{Sub: 1, Queue: q1, Consumer: consumer(2)})
		r.send(ranked("1", 1), ranked("2", 5), ranked("3", 3), ranked("4", 4))
		want(t, "two", o.take(), "1:subscribed <nil>", "1:2", "1:4")
		r.succeed(resumes, "a")
		at, o = r.attach("a")
		request(t, at, leader.Resume{Sub: 1, Queue: q1, Consumer: consumer(0), Held: seqs(2, 2)}, leader.Resumed{})
		r.send(ranked("5", 4))
		o.take()
		bt, b := r.attach("b")
		request(t, bt, leader.Resumed{}, leader.Subscribe{Sub: 7, Queue: q1, Consumer: consumer(9)})
		want(t, "the rest, flagged as far as an earlier leader may have delivered them", b.take(), "7:subscribed <nil>", "7:4*", "7:5*", "7:3*", "7:1*")
		request(t, at, leader.Release{Sub: 1})
		want(t, "what a held", b.take(), "7:2*")
	})
}

// Against a model: whatever is published and returned, the next delivery is the
// oldest of the highest priority.
func TestPrioritiesAgainstAModel(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newRig(t, leader.Config{})
		r.configure(queue.Settings{MaxPriority: 4})
		at, o := r.attach("a")
		request(t, at, leader.Resumed{})
		rng := rand.New(rand.NewPCG(1, 2))
		type message struct {
			seq      uint64
			priority uint8
		}
		var ready, held []message
		next, number, sub := uint64(1), uint64(0), uint64(0)
		subs := make(map[uint64]uint64) // by seq
		for range 2000 {
			switch n := rng.IntN(10); {
			case n < 4:
				p := uint8(rng.IntN(6))
				r.send(ranked(fmt.Sprint(next), p))
				ready = append(ready, message{next, min(p, 4)})
				next++
			case n < 8:
				best := -1
				for i, m := range ready {
					if best < 0 || m.priority > ready[best].priority || m.priority == ready[best].priority && m.seq < ready[best].seq {
						best = i
					}
				}
				sub++
				request(t, at, leader.Get{Sub: sub, Queue: q1})
				got := o.take()
				if best < 0 {
					want(t, "empty", got, fmt.Sprintf("%d:got false  left 0", sub))
					continue
				}
				m := ready[best]
				if one := fmt.Sprintf("%d:got true %d left %d", sub, m.seq, len(ready)-1); len(got) != 1 || (got[0] != one && got[0] != fmt.Sprintf("%d:got true %d* left %d", sub, m.seq, len(ready)-1)) {
					t.Fatalf("got %q, want %q", got, one)
				}
				ready = append(ready[:best], ready[best+1:]...)
				held = append(held, m)
				subs[m.seq] = sub
			case len(held) > 0:
				i := rng.IntN(len(held))
				m := held[i]
				held = append(held[:i], held[i+1:]...)
				number++
				answer := []leader.Answer{leader.Ack, leader.Requeue, leader.Unseen, leader.Fail}[rng.IntN(4)]
				request(t, at, settle(subs[m.seq], number, answer, m.seq, m.seq))
				o.take()
				if answer != leader.Ack {
					ready = append(ready, m)
				}
			}
		}
	})
}
