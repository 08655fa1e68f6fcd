package edge

import (
	"fmt"
	"testing"
	"testing/synctest"
	"time"

	"github.com/warrenmq/warren/broker/leader"
	"github.com/warrenmq/warren/broker/queue"
)

// A stream's consumer goes on where it was at the next leader: nothing twice, nothing
// missed, whether it has had messages before or not.
func TestReadersOverAChange(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newConsumerRig(t)
		if err := r.edge.Configure(t.Context(), rigQueue, queue.Settings{Name: "q", Stream: true}); err != nil {
			t.Fatal(err)
		}
		read := func(messages int, from leader.From) (*Subscription, *hold) {
			h := &hold{}
			s, err := r.edge.Subscribe(t.Context(), rigQueue, leader.Consumer{Messages: messages, Bytes: 1 << 20, Start: leader.Start{From: from}}, h)
			if err != nil {
				t.Fatal(err)
			}
			return s, h
		}
		r.publish("1", "2", "3", "4", "5")
		synctest.Wait()
		slow, few := read(2, leader.FromFirst)
		_, all := read(100, leader.FromFirst)
		_, late := read(100, leader.FromNext)
		synctest.Wait()
		wantBodies(t, "by credit", few.take(), "1", "2")
		wantBodies(t, "all", all.take(), "1", "2", "3", "4", "5")
		r.stop()
		r.publish("6") // confirmed by the next leader
		r.lead()
		time.Sleep(time.Second)
		wantBodies(t, "none without credit", few.take())
		wantBodies(t, "what came", all.take(), "6")
		wantBodies(t, "also for who had nothing", late.take(), "6")
		slow.Settle(leader.Requeue, one(1)) // nothing comes back
		slow.Settle(leader.Reject, one(2))
		slow.Credit(2, 0)
		time.Sleep(time.Second)
		wantBodies(t, "it goes on", few.take(), "3", "4")
		for i := range 20 {
			r.publish(fmt.Sprint(7 + i))
			slow.Credit(1, 0)
			if i%5 == 0 {
				r.change()
			}
		}
		time.Sleep(time.Second)
		var want []string
		for i := range 20 {
			want = append(want, fmt.Sprint(7+i))
		}
		wantBodies(t, "every one, in order", all.take(), want...)
		wantBodies(t, "as far as its credit goes", few.take(), append([]string{"5", "6"}, want[:18]...)...)
		if err := slow.Cancel(t.Context()); err != nil {
			t.Fatal(err)
		}
		slow.Release()
		r.change()
		if c, err := r.edge.Observe(t.Context(), rigQueue); err != nil || c.Consumers != 2 || c.Ready != 26 || c.Unacked != 0 {
			t.Errorf("%+v, %v", c, err)
		}
	})
}
