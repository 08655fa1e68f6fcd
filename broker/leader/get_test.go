package leader_test

import (
	"testing"
	"testing/synctest"
	"time"

	"github.com/warrenmq/warren/broker/leader"
)

// A basic.get whose edge does not wait any more takes no message: nobody would
// ever answer for it.
func TestGetThatNobodyWaitsForTakesNothing(t *testing.T) {
	leave := map[string]func(*rig, *leader.Attachment) (*leader.Attachment, *recorder){
		"released": func(r *rig, at *leader.Attachment) (*leader.Attachment, *recorder) {
			request(r.t, at, leader.Release{Sub: 1})
			return nil, nil
		},
		"gone": func(r *rig, at *leader.Attachment) (*leader.Attachment, *recorder) {
			at.Detach()
			time.Sleep(6 * time.Second)
			return nil, nil
		},
		"asked again over a new stream": func(r *rig, _ *leader.Attachment) (*leader.Attachment, *recorder) {
			at, o := r.attach("a")
			request(r.t, at, leader.Resume{Sub: 1, Queue: q1, Cancelled: true}, leader.Resumed{}, leader.Get{Sub: 1, Queue: q1})
			return at, o
		},
	}
	for name, leave := range leave {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				log := &slowLog{}
				r := newRig(t, leader.Config{Log: log})
				at, _ := r.attach("a")
				log.leased(never)
				request(t, at, leader.Resumed{}, leader.Get{Sub: 1, Queue: q1})
				synctest.Wait()
				at2, o2 := leave(r, at)
				synctest.Wait()
				r.publish("1", "2")
				log.leased(nil)
				time.Sleep(time.Second)
				if at2 != nil {
					want(t, "the one that waits", o2.take(), "1:got true 1 left 1")
					request(t, at2, leader.Settle{Sub: 1, Queue: q1, Number: 1, Answer: leader.Requeue, Ranges: seqs(1, 1)})
					time.Sleep(time.Second)
				}
				c, err := r.engine.Counts(t.Context(), q1)
				if err != nil || c.Ready != 2 || c.Unacked != 0 {
					t.Fatalf("Counts = %+v, %v", c, err)
				}
			})
		})
	}
}

// A basic.get that waits while its queue is deleted is answered.
func TestGetHearsThatItsQueueIsGone(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		log := &slowLog{}
		r := newRig(t, leader.Config{Log: log})
		at, o := r.attach("a")
		log.leased(never)
		request(t, at, leader.Resumed{}, leader.Get{Sub: 1, Queue: q1})
		if err := r.engine.Forget(t.Context(), q1); err != nil {
			t.Fatal(err)
		}
		want(t, "an end", o.take(), "1:cancelled no such queue")
	})
}
