package edge

import (
	"errors"
	"slices"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/warrenmq/warren/broker/leader"
	"github.com/warrenmq/warren/broker/queue"
	"github.com/warrenmq/warren/broker/transient"
)

// defined are the queues that the definitions have.
type defined struct {
	mu   sync.Mutex
	gone []queue.ID
}

func (d *defined) locate(id queue.ID) (Target, bool) {
	d.mu.Lock()
	defer d.mu.Unlock()
	return Target{Group: 1}, !slices.Contains(d.gone, id)
}

func (d *defined) delete(id queue.ID) {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.gone = append(d.gone, id)
}

// fates keeps what publishers hear.
type fates struct {
	mu   sync.Mutex
	told map[uint64]error
}

func (o *fates) Confirmed(tags []uint64, err error) {
	o.mu.Lock()
	defer o.mu.Unlock()
	for _, tag := range tags {
		o.told[tag] = err
	}
}

// of is what became of a message: "", "ack" or "nack".
func (o *fates) of(tag uint64) string {
	o.mu.Lock()
	defer o.mu.Unlock()
	switch err, ok := o.told[tag]; {
	case !ok:
		return ""
	case err == nil:
		return "ack"
	case errors.Is(err, ErrRefused):
		return "nack"
	default:
		return err.Error()
	}
}

// dyingRig is an edge with queues 1 and 2, of which 2 is sealed, and 3, which is full.
func dyingRig(t *testing.T) (*Edge, *defined, *fates) {
	l, d := &local{}, &defined{}
	log := transient.NewLog(1<<30, func([]queue.ID) {})
	t.Cleanup(l.lead(log, leader.Config{}))
	e := newEdge(t, l)
	e.cfg.Locate = d.locate
	for id := range queue.ID(3) {
		s := queue.Settings{Name: "q"}
		if id == 2 {
			s.MaxLength, s.Overflow = queue.Limit{Set: true}, queue.RejectPublish
		}
		if err := e.Configure(t.Context(), id+1, s); err != nil {
			t.Fatal(err)
		}
	}
	if _, err := e.Seal(t.Context(), 2, false, false); err != nil {
		t.Fatal(err)
	}
	o := &fates{told: make(map[uint64]error)}
	for i, to := range [][]queue.ID{{1}, {2}, {1, 2}, {2, 3}} {
		m := queue.Message{Body: []byte("m"), TTL: queue.NoTTL}
		if err := e.Publish(t.Context(), to, &m, Receipt{Confirms: o, Tag: uint64(i)}); err != nil {
			t.Fatal(err)
		}
	}
	time.Sleep(time.Second)
	wantOutcomes(t, "while the queue is being deleted", o, "ack", "", "", "nack")
	return e, d, o
}

func wantOutcomes(t *testing.T, when string, o *fates, want ...string) {
	t.Helper()
	for tag, w := range want {
		if got := o.of(uint64(tag)); got != w {
			t.Errorf("%s, message %d: %q, want %q", when, tag, got, w)
		}
	}
}

// I4: what is published to a queue that is being deleted is confirmed once it is gone.
func TestI4WhatIsPublishedToADyingQueueIsConfirmed(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		e, d, o := dyingRig(t)
		d.delete(2)
		e.Forget(2)
		synctest.Wait() // the edge's own look may be on its way with them
		wantOutcomes(t, "at its end", o, "ack", "ack", "ack", "nack")
		m := queue.Message{Body: []byte("late"), TTL: queue.NoTTL}
		e.mu.Lock()
		e.targets[2] = Target{Group: 1} // routed before, and only now on its way
		e.mu.Unlock()
		if err := e.Publish(t.Context(), []queue.ID{2}, &m, Receipt{Confirms: o, Tag: 9}); err != nil {
			t.Fatal(err)
		}
		time.Sleep(time.Second)
		if got := o.of(9); got != "ack" {
			t.Errorf("after its end: %q, want ack", got)
		}
		if n := e.dying.count + len(e.dying.queues); n != 0 {
			t.Errorf("%d things are kept", n)
		}
	})
}

// A node that was behind gets the definitions as a whole: nobody says which queues are gone.
func TestADyingQueueGoesWithoutNotice(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		_, d, o := dyingRig(t)
		d.delete(2)
		time.Sleep(2 * followEvery)
		wantOutcomes(t, "at its end", o, "ack", "ack", "ack", "nack")
	})
}

// A deletion that does not come about confirms nothing.
func TestWhatIsPublishedToAQueueThatStaysIsRefused(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		e, _, o := dyingRig(t)
		time.Sleep(dyingPatience + 2*followEvery)
		wantOutcomes(t, "when it stays", o, "ack", "nack", "nack", "nack")
		if n := e.dying.count + len(e.dying.queues); n != 0 {
			t.Errorf("%d things are kept", n)
		}
	})
}

// The messages of channels without confirms do not hide the refusals of others.
func TestRefusalsBesideMessagesWithoutConfirms(t *testing.T) {
	o := &fates{told: make(map[uint64]error)}
	complete([]Receipt{{}, {Confirms: o, Tag: 1}}, []int{0, 1}, nil)
	wantOutcomes(t, "both refused", o, "", "nack")
}
