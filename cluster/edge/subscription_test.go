package edge

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/warrenmq/warren/broker/leader"
	"github.com/warrenmq/warren/broker/queue"
	"github.com/warrenmq/warren/broker/transient"
)

// hold is a consumer that keeps what it gets.
type hold struct {
	mu        sync.Mutex
	got       []leader.Delivery
	cancelled error
}

func (h *hold) Deliver(ds []leader.Delivery) {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.got = append(h.got, ds...)
}

func (h *hold) Cancelled(err error) {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.cancelled = err
}

func (h *hold) take() (list []leader.Delivery) {
	synctest.Wait()
	h.mu.Lock()
	defer h.mu.Unlock()
	list, h.got = h.got, nil
	return list
}

func bodies(ds []leader.Delivery) (list []string) {
	for _, d := range ds {
		flag := ""
		if d.Redelivered {
			flag = "*"
		}
		list = append(list, string(d.Message.Body)+flag)
	}
	return list
}

func wantBodies(t *testing.T, what string, got []leader.Delivery, want ...string) {
	t.Helper()
	if fmt.Sprint(bodies(got)) != fmt.Sprint(want) {
		t.Fatalf("%s: got %v, want %v", what, bodies(got), want)
	}
}

const rigQueue queue.ID = 5

// consumerRig is one node whose group changes its leader under its consumers.
type consumerRig struct {
	t    *testing.T
	l    *local
	log  *transient.Log
	edge *Edge
	stop func()
}

func newConsumerRig(t *testing.T) *consumerRig {
	r := &consumerRig{t: t, l: &local{}}
	r.log = transient.NewLog(1<<30, func(touched []queue.ID) {
		if e, _, ok := r.l.Engine(1); ok {
			e.Applied(touched)
		}
	})
	r.edge = newEdge(t, r.l)
	r.lead()
	t.Cleanup(func() { r.stop() })
	if err := r.edge.Configure(t.Context(), rigQueue, queue.Settings{Name: "q"}); err != nil {
		t.Fatal(err)
	}
	return r
}

func (r *consumerRig) lead() {
	r.stop = r.l.lead(r.log, leader.Config{
		Edges: func() []leader.EdgeID { return []leader.EdgeID{r.edge.cfg.Self} },
		Announce: func(context.Context, leader.EdgeID) (bool, error) {
			_, term, _ := r.l.Engine(1)
			return r.edge.Announced(1, term, "self"), nil
		},
	})
}

// change lets another leader take over.
func (r *consumerRig) change() {
	r.stop()
	time.Sleep(50 * time.Millisecond)
	r.lead()
	time.Sleep(time.Second)
}

func (r *consumerRig) publish(list ...string) {
	for _, body := range list {
		m := queue.Message{Body: []byte(body), TTL: queue.NoTTL}
		if err := r.edge.Publish(r.t.Context(), []queue.ID{rigQueue}, &m, Receipt{}); err != nil {
			r.t.Fatal(err)
		}
	}
}

func (r *consumerRig) subscribe(messages int) (*Subscription, *hold) {
	h := &hold{}
	s, err := r.edge.Subscribe(r.t.Context(), rigQueue, leader.Consumer{Messages: messages, Bytes: 1 << 20}, h)
	if err != nil {
		r.t.Fatal(err)
	}
	return s, h
}

func one(seq uint64) []queue.Range { return []queue.Range{{First: seq, Last: seq}} }

// A consumer keeps what it holds over a change of leaders, gets the rest from
// the new one, and its answers count there.
func TestConsumersResumeAtTheNextLeader(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newConsumerRig(t)
		s, h := r.subscribe(2)
		r.publish("1", "2", "3", "4")
		got := h.take()
		wantBodies(t, "within the credit", got, "1", "2")
		r.stop()
		s.Settle(leader.Ack, one(got[0].Seq)) // nobody leads
		s.Credit(1, 0)
		r.lead()
		time.Sleep(time.Second)
		wantBodies(t, "at the next leader", h.take(), "3*") // within the Mark: it may have been delivered
		s.Settle(leader.Requeue, one(got[1].Seq))
		s.Credit(1, 0)
		time.Sleep(time.Second)
		wantBodies(t, "what was requeued", h.take(), "2*")
		c, err := r.edge.Counts(t.Context(), rigQueue)
		if err != nil || c != (leader.Counts{Ready: 1, Unacked: 2, Consumers: 1, Active: 1}) {
			t.Fatalf("Counts = %+v, %v", c, err)
		}
	})
}

func TestCancelAndReleaseOverAChange(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newConsumerRig(t)
		s, h := r.subscribe(1)
		r.publish("1", "2")
		wantBodies(t, "one", h.take(), "1")
		if err := s.Cancel(t.Context()); err != nil {
			t.Fatal(err)
		}
		r.change()
		_, other := r.subscribe(5)
		wantBodies(t, "1 is held though its consumer is cancelled", other.take(), "2*")
		s.Release()
		r.change()
		wantBodies(t, "released", other.take(), "1*")
		wantBodies(t, "nothing for the cancelled one", h.take())
	})
}

func TestGetHoldsUntilItIsAnswered(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newConsumerRig(t)
		r.publish("1", "2")
		synctest.Wait()
		got, held, err := r.edge.Get(t.Context(), rigQueue, false)
		if err != nil || !got.OK || string(got.Delivery.Message.Body) != "1" || got.Remaining != 1 {
			t.Fatalf("Get = %+v, %v", got, err)
		}
		if again, _, err := r.edge.Get(t.Context(), rigQueue, true); err != nil || string(again.Delivery.Message.Body) != "2" {
			t.Fatalf("Get(noAck) = %+v, %v", again, err)
		}
		held.Settle(leader.Requeue, one(got.Delivery.Seq))
		synctest.Wait()
		if again, _, err := r.edge.Get(t.Context(), rigQueue, true); err != nil || !again.Delivery.Redelivered {
			t.Fatalf("Get after the requeue = %+v, %v", again, err)
		}
		if none, held, err := r.edge.Get(t.Context(), rigQueue, false); err != nil || none.OK || held != nil {
			t.Fatalf("Get of an empty queue = %+v, %v, %v", none, held, err)
		}
		synctest.Wait()
		if a, err := r.edge.attachment(Target{Group: 1}); err != nil || len(a.subs) != 0 {
			t.Fatalf("%d holders left, %v", len(a.subs), err)
		}
	})
}

func TestConsumersHearThatTheirQueueIsGone(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newConsumerRig(t)
		_, h := r.subscribe(1)
		if err := r.edge.ForgetQueue(t.Context(), rigQueue, Target{Group: 1}); err != nil {
			t.Fatal(err)
		}
		synctest.Wait()
		if !errors.Is(h.cancelled, leader.ErrNoQueue) {
			t.Fatalf("cancelled: %v", h.cancelled)
		}
	})
}

// slowLog keeps the answers to what is proposed back for a while.
type slowLog struct {
	*transient.Log
	mu      sync.Mutex
	holding bool
	waiting []func()
}

func (l *slowLog) Propose(batch []byte, done func([]queue.Answer, error)) {
	l.Log.Propose(batch, func(answers []queue.Answer, err error) {
		l.mu.Lock()
		defer l.mu.Unlock()
		if l.holding {
			l.waiting = append(l.waiting, func() { done(answers, err) })
			return
		}
		done(answers, err)
	})
}

func (l *slowLog) hold(on bool) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.holding = on
	for _, answer := range l.waiting {
		answer()
	}
	l.waiting = nil
}

// A message that went back unseen and came again is held by who has it now,
// also when the way to the leader breaks before the leader said that it took it back.
func TestWhatWentBackUnseenAndCameAgainIsHeld(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r, log := newSlowRig(t)
		s, h := r.subscribe(2)
		r.publish("1", "2")
		got := h.take()
		wantBodies(t, "within the credit", got, "1", "2")
		log.hold(true)
		s.Settle(leader.Ack, one(got[1].Seq)) // so that nothing is said to be committed
		s.Settle(leader.Unseen, one(got[0].Seq))
		s.Credit(1, 0)
		wantBodies(t, "again, behind 2", h.take(), "1*")
		_, other := r.subscribe(5)
		r.breakLink()
		time.Sleep(time.Second)
		wantBodies(t, "for nobody else", other.take())
		log.hold(false)
		time.Sleep(time.Second)
		wantBodies(t, "for nobody else", other.take())
		s.Settle(leader.Ack, one(got[0].Seq))
		time.Sleep(time.Second)
		if c, err := r.edge.Counts(t.Context(), rigQueue); err != nil || c.Ready != 0 || c.Unacked != 0 {
			t.Fatalf("Counts = %+v, %v", c, err)
		}
	})
}

// The release of a consumer does not wait for the commit of what went back unseen
// over a link that broke: it is not said again.
func TestReleaseAfterWhatWentBackUnseen(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r, log := newSlowRig(t)
		s, h := r.subscribe(2)
		r.publish("1", "2")
		got := h.take()
		log.hold(true)
		s.Settle(leader.Ack, one(got[1].Seq))
		s.Settle(leader.Unseen, one(got[0].Seq))
		if err := s.Cancel(t.Context()); err != nil { // says all that is to be said
			t.Fatal(err)
		}
		a := r.breakLink()
		time.Sleep(time.Second)
		s.Release()
		time.Sleep(time.Second)
		log.hold(false)
		time.Sleep(time.Second)
		a.mu.Lock()
		defer a.mu.Unlock()
		if len(a.subs) != 0 || len(a.unsettled) != 0 || a.releasing != 0 {
			t.Fatalf("%d subscriptions and %d settlements left", len(a.subs), len(a.unsettled))
		}
	})
}

// newSlowRig is a consumerRig with one leader, whose log is slow at times.
func newSlowRig(t *testing.T) (*consumerRig, *slowLog) {
	l := &local{}
	log := &slowLog{}
	log.Log = transient.NewLog(1<<30, func(touched []queue.ID) {
		if e, _, ok := l.Engine(1); ok {
			e.Applied(touched)
		}
	})
	r := &consumerRig{t: t, l: l, log: log.Log, edge: newEdge(t, l)}
	t.Cleanup(l.lead(log, leader.Config{}))
	if err := r.edge.Configure(t.Context(), rigQueue, queue.Settings{Name: "q"}); err != nil {
		t.Fatal(err)
	}
	return r, log
}

// breakLink breaks the way to the leader, which goes on leading.
func (r *consumerRig) breakLink() *attachment {
	a, err := r.edge.attachment(Target{Group: 1})
	if err != nil {
		r.t.Fatal(err)
	}
	a.mu.Lock()
	defer a.mu.Unlock()
	a.link.fail()
	return a
}
