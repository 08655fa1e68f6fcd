package leader_test

import (
	"context"
	"errors"
	"testing"
	"testing/synctest"
	"time"

	"github.com/warrenmq/warren/broker/leader"
)

// A new leader gives nothing that a living edge holds to anybody else, and
// flags what an earlier leader may have delivered.
func TestTakeoverWaitsForEdges(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newRig(t, leader.Config{})
		at, o := r.attach("a")
		request(t, at, leader.Resumed{}, leader.Subscribe{Sub: 1, Queue: q1, Consumer: consumer(3)})
		r.publish("1", "2", "3", "4")
		want(t, "before", o.take(), "1:subscribed <nil>", "1:1", "1:2", "1:3")
		r.end()

		edges := []leader.EdgeID{{Node: "a", Epoch: 1}, {Node: "dead", Epoch: 1}, {Node: "idle", Epoch: 1}}
		r.start(leader.Config{
			Edges: func() []leader.EdgeID { return edges },
			Announce: func(_ context.Context, e leader.EdgeID) (bool, error) {
				switch e.Node {
				case "dead":
					return false, errors.New("refused")
				case "idle":
					return false, nil
				}
				return true, nil
			},
			EdgeGone: func(e leader.EdgeID) bool { return e.Node == "dead" },
		})
		bt, b := r.attach("b")
		request(t, bt, leader.Resumed{}, leader.Subscribe{Sub: 7, Queue: q1, Consumer: consumer(10)})
		want(t, "nothing before a has spoken", b.take(), "7:subscribed <nil>")

		// a holds 1 and 3, has acknowledged 2 towards the old leader, and nobody knows whether that was committed.
		at, o = r.attach("a")
		request(t, at,
			leader.Resume{Sub: 1, Queue: q1, Consumer: consumer(0), Held: seqs(1, 3)},
			leader.Resumed{},
			leader.Settle{Sub: 1, Queue: q1, Number: 9, Answer: leader.Ack, Ranges: seqs(2, 2)})
		want(t, "what a does not hold goes to b", b.take(), "7:4*")
		want(t, "a hears", o.take(), "settled 9")
		request(t, at, leader.Release{Sub: 1})
		want(t, "what a held comes back", b.take(), "7:1*", "7:3*")
	})
}

// An edge that cannot be reached is waited for, but not for ever.
func TestTakeoverGrace(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newRig(t, leader.Config{})
		r.publish("1")
		synctest.Wait()
		r.end()
		r.start(leader.Config{
			Edges:    func() []leader.EdgeID { return []leader.EdgeID{{Node: "lost", Epoch: 1}} },
			Announce: func(context.Context, leader.EdgeID) (bool, error) { return false, errors.New("timeout") },
			Grace:    5 * time.Second,
		})
		bt, b := r.attach("b")
		request(t, bt, leader.Resumed{}, leader.Subscribe{Sub: 7, Queue: q1, Consumer: consumer(10)})
		want(t, "at once", b.take(), "7:subscribed <nil>")
		time.Sleep(4900 * time.Millisecond)
		want(t, "within the grace", b.take())
		time.Sleep(200 * time.Millisecond)
		want(t, "after it", b.take(), "7:1")
	})
}

// A stream that breaks under a living leader loses nothing: what was on its
// way and never arrived is delivered again, without the flag.
func TestReattachToTheSameLeader(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newRig(t, leader.Config{})
		at, o := r.attach("a")
		request(t, at, leader.Resumed{}, leader.Subscribe{Sub: 1, Queue: q1, Consumer: consumer(3)})
		r.publish("1", "2", "3", "4")
		o.take()
		at.Detach()
		at, o = r.attach("a")
		request(t, at, leader.Resume{Sub: 1, Queue: q1, Consumer: consumer(2), Held: seqs(1, 1)}, leader.Resumed{})
		want(t, "2 and 3 were lost on the way", o.take(), "1:2", "1:3")
	})
}

func TestEdgeThatStaysAwayIsReleased(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newRig(t, leader.Config{})
		at, o := r.attach("a")
		request(t, at, leader.Resumed{}, leader.Subscribe{Sub: 1, Queue: q1, Consumer: consumer(3)})
		r.publish("1")
		o.take()
		at.Detach()
		bt, b := r.attach("b")
		request(t, bt, leader.Resumed{}, leader.Subscribe{Sub: 2, Queue: q1, Consumer: consumer(3)})
		want(t, "held by a", b.take(), "2:subscribed <nil>")
		time.Sleep(6 * time.Second)
		want(t, "a is given up", b.take(), "2:1*")
	})
}

// While an edge is away its consumers get nothing: what needs no acknowledgement
// would be lost, and other consumers could have the rest.
func TestNothingIsHandedToAnEdgeThatIsAway(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newRig(t, leader.Config{})
		at, o := r.attach("a")
		c := leader.Consumer{NoAck: true, Messages: -1, Bytes: 1 << 20}
		request(t, at, leader.Resumed{}, leader.Subscribe{Sub: 1, Queue: q1, Consumer: c})
		o.take()
		at.Detach()
		r.publish("1", "2")
		synctest.Wait()
		at, o = r.attach("a")
		request(t, at, leader.Resume{Sub: 1, Queue: q1, Consumer: c}, leader.Resumed{})
		want(t, "what came meanwhile", o.take(), "1:1", "1:2")
	})
}
