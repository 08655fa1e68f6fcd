package leader_test

import (
	"fmt"
	"testing"
	"testing/synctest"
	"time"

	"github.com/warrenmq/warren/broker/leader"
	"github.com/warrenmq/warren/broker/queue"
)

func (r *rig) tellsExpired(what string, n int) {
	r.t.Helper()
	synctest.Wait()
	if len(r.expired.list()) != n {
		r.t.Fatalf("%s: told %d times, want %d", what, len(r.expired.list()), n)
	}
}

func TestUnusedQueueExpires(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newRig(t, leader.Config{})
		r.configure(queue.Settings{Expires: limit(10_000)})
		at, o := r.attach("a")
		request(t, at, leader.Resumed{})
		uses := map[string]func(){
			"a declare": func() { r.counts() },
			"a get":     func() { request(t, at, leader.Get{Sub: 9, Queue: q1, NoAck: true}) },
			"a consumer": func() {
				request(t, at, leader.Subscribe{Sub: 1, Queue: q1, Consumer: consumer(1)}, leader.Release{Sub: 1})
			},
			"a setting": func() {
				r.configure(queue.Settings{Expires: limit(9_900)})
				r.configure(queue.Settings{Expires: limit(10_000)})
			},
		}
		for name, use := range uses {
			time.Sleep(9 * time.Second)
			use()
			o.take()
			r.tellsExpired(name, 0)
		}
		request(t, at, leader.Subscribe{Sub: 1, Queue: q1, Consumer: consumer(1)})
		time.Sleep(time.Minute)
		r.tellsExpired("while there is a consumer", 0)
		request(t, at, leader.Cancel{Sub: 1})
		time.Sleep(5 * time.Second)
		if _, err := r.engine.Observe(t.Context(), q1); err != nil { // is no use
			t.Fatal(err)
		}
		time.Sleep(4900 * time.Millisecond)
		r.tellsExpired("just in time", 0)
		time.Sleep(200 * time.Millisecond)
		r.tellsExpired("unused", 1)
		time.Sleep(5 * time.Second)
		r.tellsExpired("and still there", 2)
		r.counts()
		time.Sleep(9 * time.Second)
		r.tellsExpired("used again", 2)
		time.Sleep(2 * time.Second)
		r.tellsExpired("and unused again", 3)
	})
}

// A new leader cannot know when a queue was used last: its time begins anew.
func TestUnusedQueueExpiresAfterATakeover(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newRig(t, leader.Config{})
		r.configure(queue.Settings{Expires: limit(10_000)})
		time.Sleep(9 * time.Second)
		r.succeed(resumes)
		time.Sleep(9 * time.Second)
		r.tellsExpired("in time", 0)
		time.Sleep(2 * time.Second)
		r.tellsExpired("unused", 1)
	})
}

// Who has heard of a consumer tells of its end, wherever the leader has gone meanwhile.
func TestUnusedIsToldAfterATakeover(t *testing.T) {
	ends := map[string]func(*rig){
		"cancelled on the way": func(r *rig) {
			at, _ := r.attach("a")
			request(r.t, at, leader.Resume{Sub: 1, Queue: q1, Cancelled: true, Held: seqs(1, 1)}, leader.Resumed{})
		},
		"ended in the takeover": func(r *rig) {
			at, _ := r.attach("a")
			request(r.t, at, leader.Resume{Sub: 1, Queue: q1, Consumer: consumer(1)}, leader.Release{Sub: 1}, leader.Resumed{})
		},
		"its edge ended in the takeover": func(r *rig) {
			at, _ := r.attach("a")
			request(r.t, at, leader.Resume{Sub: 1, Queue: q1, Consumer: consumer(1)}, leader.Resumed{})
			at.Detach()
		},
	}
	for name, end := range ends {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				r := newRig(t, leader.Config{})
				r.publish("1")
				r.succeed(resumes, "a", "b")
				end(r)
				synctest.Wait()
				if len(r.unused.list()) > 0 {
					t.Fatalf("unused: %v, and b has not spoken", r.unused.list())
				}
				bt, _ := r.attach("b")
				request(t, bt, leader.Resumed{})
				time.Sleep(6 * time.Second)
				synctest.Wait()
				if fmt.Sprint(r.unused.list()) != "[1]" {
					t.Fatalf("unused: %v", r.unused.list())
				}
			})
		})
	}
}

// A get is no consumer, and another edge's consumer keeps the queue.
func TestUsedQueuesAreNotToldUnused(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newRig(t, leader.Config{})
		r.publish("1")
		r.succeed(resumes, "a", "b")
		at, _ := r.attach("a")
		request(t, at, leader.Resume{Sub: 1, Queue: q1, Cancelled: true, Get: true, Held: seqs(1, 1)}, leader.Resumed{})
		bt, _ := r.attach("b")
		request(t, bt, leader.Resumed{})
		synctest.Wait()
		if len(r.unused.list()) > 0 {
			t.Fatalf("unused: %v after a get", r.unused.list())
		}
		r.succeed(resumes, "a", "b")
		at, _ = r.attach("a")
		request(t, at, leader.Resume{Sub: 1, Queue: q1, Cancelled: true}, leader.Resumed{})
		bt, _ = r.attach("b")
		request(t, bt, leader.Resume{Sub: 1, Queue: q1, Consumer: consumer(1)}, leader.Resumed{})
		synctest.Wait()
		if len(r.unused.list()) > 0 {
			t.Fatalf("unused: %v beside a consumer", r.unused.list())
		}
	})
}

// Before all edges have spoken nobody knows how many consumers there are.
func TestCountsWaitForTheTakeover(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newRig(t, leader.Config{})
		r.publish("1", "2")
		r.succeed(resumes, "a")
		got := make(chan leader.Counts, 1)
		go func() { got <- r.counts() }()
		synctest.Wait()
		select {
		case c := <-got:
			t.Fatalf("Counts = %+v before the takeover is over", c)
		default:
		}
		at, _ := r.attach("a")
		request(t, at, leader.Resume{Sub: 1, Queue: q1, Consumer: consumer(0), Held: seqs(1, 1)}, leader.Resumed{})
		if c := <-got; c != (leader.Counts{Ready: 1, Unacked: 1, Consumers: 1, Active: 1}) {
			t.Fatalf("Counts = %+v", c)
		}
	})
}
