package leader_test

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/warrenmq/warren/broker/leader"
	"github.com/warrenmq/warren/broker/queue"
	"github.com/warrenmq/warren/broker/transient"
)

// rig is an engine over a log in memory, inside a synctest bubble.
type rig struct {
	t       *testing.T
	log     *transient.Log
	engine  *leader.Engine
	stop    context.CancelFunc
	done    chan struct{}
	session queue.Session
	seq     uint64
	unused  []queue.ID
}

const q1 queue.ID = 1

func newRig(t *testing.T, cfg leader.Config) *rig {
	t.Helper()
	r := &rig{t: t, session: queue.Session{Incarnation: 1, Epoch: 1}}
	r.log = transient.NewLog(1<<30, func(touched []queue.ID) {
		if r.engine != nil {
			r.engine.Applied(touched)
		}
	})
	r.start(cfg)
	t.Cleanup(func() { r.end() })
	if err := r.engine.Configure(t.Context(), q1, queue.Settings{VHost: "/", Name: "q1"}); err != nil {
		t.Fatal(err)
	}
	return r
}

// start lets a new engine lead over the same log.
func (r *rig) start(cfg leader.Config) {
	if slow, ok := cfg.Log.(*slowLog); ok {
		slow.Log = r.log
	} else {
		cfg.Log = r.log
	}
	cfg.Unused = func(id queue.ID) { r.unused = append(r.unused, id) }
	engine := leader.New(cfg)
	ctx, stop := context.WithCancel(context.Background())
	done := make(chan struct{})
	r.engine, r.stop, r.done = engine, stop, done
	go func() {
		defer close(done)
		if err := engine.Run(ctx); err != nil {
			r.t.Errorf("Run: %v", err)
		}
	}()
}

func (r *rig) end() {
	r.stop()
	<-r.done
}

func (r *rig) publish(bodies ...string) {
	var b queue.Builder
	for _, body := range bodies {
		b.Add([]queue.ID{q1}, &queue.Message{RoutingKey: "q1", Body: []byte(body), TTL: queue.NoTTL})
	}
	r.seq++
	r.engine.Publish(b.Seal(r.session, r.seq), func(a queue.Answer, err error) {
		if err != nil || a.Status != queue.Applied {
			r.t.Errorf("Publish: %v, %v", a.Status, err)
		}
	})
}

// recorder is an edge: it keeps what it is told.
type recorder struct {
	mu     sync.Mutex
	events []leader.Event
}

func (o *recorder) Send(ev leader.Event) {
	o.mu.Lock()
	defer o.mu.Unlock()
	o.events = append(o.events, ev)
}

// take waits until nothing moves and returns what came since, in short form.
func (o *recorder) take() []string {
	synctest.Wait()
	o.mu.Lock()
	defer o.mu.Unlock()
	var list []string
	for _, ev := range o.events {
		switch ev := ev.(type) {
		case leader.Deliveries:
			for _, d := range ev.List {
				list = append(list, fmt.Sprintf("%d:%s%s", ev.Sub, d.Message.Body, mark(d.Redelivered)))
			}
		case leader.Subscribed:
			list = append(list, fmt.Sprintf("%d:subscribed %v", ev.Sub, ev.Err))
		case leader.Cancelled:
			list = append(list, fmt.Sprintf("%d:cancelled %v", ev.Sub, ev.Err))
		case leader.Got:
			list = append(list, fmt.Sprintf("%d:got %v %s%s left %d", ev.Sub, ev.OK, ev.Delivery.Message.Body, mark(ev.Delivery.Redelivered), ev.Remaining))
		case leader.Settled:
			list = append(list, fmt.Sprintf("settled %d", ev.Number))
		}
	}
	o.events = nil
	return list
}

func mark(redelivered bool) string {
	if redelivered {
		return "*"
	}
	return ""
}

func (r *rig) attach(name string) (*leader.Attachment, *recorder) {
	o := &recorder{}
	at, err := r.engine.Attach(leader.EdgeID{Node: name, Epoch: 1}, o)
	if err != nil {
		r.t.Fatal(err)
	}
	return at, o
}

func request(t *testing.T, at *leader.Attachment, rs ...leader.Request) {
	t.Helper()
	for _, r := range rs {
		if err := at.Request(r); err != nil {
			t.Fatalf("Request(%T): %v", r, err)
		}
	}
}

func consumer(messages int) leader.Consumer {
	return leader.Consumer{Messages: messages, Bytes: 1 << 20}
}

func want(t *testing.T, what string, got []string, want ...string) {
	t.Helper()
	if fmt.Sprint(got) != fmt.Sprint(want) {
		t.Fatalf("%s: got %q, want %q", what, got, want)
	}
}

func seqs(first, last uint64) []queue.Range { return []queue.Range{{First: first, Last: last}} }

func TestDeliversWithinCreditAndInOrder(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newRig(t, leader.Config{})
		at, o := r.attach("a")
		request(t, at, leader.Resumed{}, leader.Subscribe{Sub: 1, Queue: q1, Consumer: consumer(2)})
		r.publish("1", "2", "3", "4")
		want(t, "two credits", o.take(), "1:subscribed <nil>", "1:1", "1:2")
		request(t, at, leader.Settle{Sub: 1, Queue: q1, Number: 1, Answer: leader.Ack, Ranges: seqs(1, 1)}, leader.Credit{Sub: 1, Messages: 1})
		want(t, "one credit more", o.take(), "1:3", "settled 1")
		c, err := r.engine.Counts(t.Context(), q1)
		if err != nil || c != (leader.Counts{Ready: 1, Unacked: 2, Consumers: 1, Active: 1}) {
			t.Fatalf("Counts = %+v, %v", c, err)
		}
	})
}

func TestRoundRobinAndPriority(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newRig(t, leader.Config{})
		at, o := r.attach("a")
		high := consumer(1)
		high.Priority = 5
		request(t, at, leader.Resumed{},
			leader.Subscribe{Sub: 1, Queue: q1, Consumer: consumer(10)},
			leader.Subscribe{Sub: 2, Queue: q1, Consumer: consumer(10)},
			leader.Subscribe{Sub: 3, Queue: q1, Consumer: high})
		o.take()
		r.publish("1", "2", "3", "4", "5")
		want(t, "the high one first, then in turn", o.take(), "3:1", "1:2", "1:4", "2:3", "2:5")
	})
}

// Turns are taken by messages, also when they come one by one.
func TestRoundRobinOverPauses(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newRig(t, leader.Config{})
		at, o := r.attach("a")
		request(t, at, leader.Resumed{})
		for sub := range uint64(3) {
			request(t, at, leader.Subscribe{Sub: sub + 1, Queue: q1, Consumer: consumer(10)})
		}
		o.take()
		for i := range 9 {
			r.publish(fmt.Sprint(i))
			want(t, "in turn", o.take(), fmt.Sprintf("%d:%d", i%3+1, i))
		}
	})
}

func TestRequeueGoesBackToItsPlaceWithTheFlag(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newRig(t, leader.Config{})
		at, o := r.attach("a")
		request(t, at, leader.Resumed{}, leader.Subscribe{Sub: 1, Queue: q1, Consumer: consumer(2)})
		r.publish("1", "2", "3")
		o.take()
		request(t, at,
			leader.Settle{Sub: 1, Queue: q1, Number: 1, Answer: leader.Requeue, Ranges: seqs(1, 1)},
			leader.Settle{Sub: 1, Queue: q1, Number: 2, Answer: leader.Unseen, Ranges: seqs(2, 2)},
			leader.Subscribe{Sub: 2, Queue: q1, Consumer: consumer(3)})
		want(t, "1 was seen, 2 was not", o.take(), "2:subscribed <nil>", "settled 2", "2:1*", "2:2", "2:3")
	})
}

// What was lost on its way goes out behind what others have got since: without the
// flag a consumer would take it for published later.
func TestUnseenBehindLaterOnesHasTheFlag(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newRig(t, leader.Config{})
		at, o := r.attach("a")
		request(t, at, leader.Resumed{},
			leader.Subscribe{Sub: 1, Queue: q1, Consumer: consumer(2)},
			leader.Subscribe{Sub: 2, Queue: q1, Consumer: consumer(2)})
		r.publish("1", "2", "3", "4")
		want(t, "in turn", o.take(), "1:subscribed <nil>", "2:subscribed <nil>", "1:1", "1:3", "2:2", "2:4")
		request(t, at, leader.Settle{Sub: 1, Queue: q1, Number: 1, Answer: leader.Unseen, Ranges: seqs(1, 3)},
			leader.Credit{Sub: 2, Messages: 2})
		want(t, "1 and 3 go out after 4", o.take(), "2:1*", "2:3*", "settled 1")
	})
}

func TestReleaseRequeuesAndReportsUnused(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newRig(t, leader.Config{})
		at, o := r.attach("a")
		request(t, at, leader.Resumed{}, leader.Subscribe{Sub: 1, Queue: q1, Consumer: consumer(2)})
		r.publish("1", "2")
		o.take()
		request(t, at, leader.Release{Sub: 1})
		synctest.Wait()
		if fmt.Sprint(r.unused) != "[1]" {
			t.Fatalf("unused: %v", r.unused)
		}
		request(t, at, leader.Get{Sub: 2, Queue: q1}, leader.Get{Sub: 3, Queue: q1, NoAck: true}, leader.Get{Sub: 4, Queue: q1})
		want(t, "gets", o.take(), "2:got true 1* left 1", "4:got false  left 0", "3:got true 2* left 0")
	})
}

func TestNoAckIsSettledBeforeItIsSent(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newRig(t, leader.Config{})
		at, o := r.attach("a")
		c := leader.Consumer{NoAck: true, Messages: -1, Bytes: 1 << 20}
		request(t, at, leader.Resumed{}, leader.Subscribe{Sub: 1, Queue: q1, Consumer: c})
		r.publish("1", "2", "3")
		want(t, "all", o.take(), "1:subscribed <nil>", "1:1", "1:2", "1:3")
		r.log.Locked(func(s *queue.State) {
			if n := s.Queue(q1).Messages(); n != 0 {
				t.Errorf("%d messages left", n)
			}
		})
	})
}

func TestExclusiveConsumer(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newRig(t, leader.Config{})
		at, o := r.attach("a")
		x := consumer(1)
		x.Exclusive = true
		request(t, at, leader.Resumed{},
			leader.Subscribe{Sub: 1, Queue: q1, Consumer: x},
			leader.Subscribe{Sub: 2, Queue: q1, Consumer: consumer(1)},
			leader.Cancel{Sub: 1},
			leader.Subscribe{Sub: 3, Queue: q1, Consumer: consumer(1)},
			leader.Subscribe{Sub: 4, Queue: q1, Consumer: x})
		want(t, "exclusive", o.take(), "1:subscribed <nil>", "2:subscribed queue in exclusive use", "1:cancelled <nil>",
			"3:subscribed <nil>", "4:subscribed queue in exclusive use")
	})
}

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

func TestPurgeKeepsWhatIsOut(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newRig(t, leader.Config{})
		at, o := r.attach("a")
		request(t, at, leader.Resumed{}, leader.Subscribe{Sub: 1, Queue: q1, Consumer: consumer(1)})
		r.publish("1", "2", "3")
		o.take()
		n, err := r.engine.Purge(t.Context(), q1)
		if n != 2 || err != nil {
			t.Fatalf("Purge = %d, %v", n, err)
		}
		request(t, at, leader.Settle{Sub: 1, Queue: q1, Number: 1, Answer: leader.Requeue, Ranges: seqs(1, 1)}, leader.Credit{Sub: 1, Messages: 1})
		want(t, "the one that was out is left", o.take(), "settled 1", "1:1*")
	})
}

func TestSealRefusesAsAsked(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newRig(t, leader.Config{})
		at, o := r.attach("a")
		request(t, at, leader.Resumed{}, leader.Subscribe{Sub: 1, Queue: q1, Consumer: consumer(0)})
		r.publish("1", "2")
		o.take()
		if _, err := r.engine.Seal(t.Context(), q1, true, false); !errors.Is(err, leader.ErrInUse) {
			t.Fatalf("Seal(if-unused): %v", err)
		}
		if _, err := r.engine.Seal(t.Context(), q1, false, true); !errors.Is(err, leader.ErrNotEmpty) {
			t.Fatalf("Seal(if-empty): %v", err)
		}
		n, err := r.engine.Seal(t.Context(), q1, false, false)
		if n != 2 || err != nil {
			t.Fatalf("Seal = %d, %v", n, err)
		}
		if err := r.engine.Forget(t.Context(), q1); err != nil {
			t.Fatal(err)
		}
		want(t, "consumers hear of it", o.take(), "1:cancelled no such queue")
		if _, err := r.engine.Counts(t.Context(), q1); !errors.Is(err, leader.ErrNoQueue) {
			t.Fatalf("Counts: %v", err)
		}
	})
}

func TestMarkIsReservedAheadOfDeliveries(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newRig(t, leader.Config{})
		at, o := r.attach("a")
		request(t, at, leader.Resumed{}, leader.Subscribe{Sub: 1, Queue: q1, Consumer: consumer(100_000)})
		o.take()
		for range 100 {
			var bodies []string
			for range 100 {
				bodies = append(bodies, "x")
			}
			r.publish(bodies...)
		}
		if n := len(o.take()); n != 10_000 {
			t.Fatalf("%d deliveries of 10,000", n)
		}
		r.log.Locked(func(s *queue.State) {
			if m := s.Queue(q1).Mark(); m < 10_000 {
				t.Errorf("mark %d after 10,000 deliveries", m)
			}
		})
	})
}

// slowLog is a log without a lease at times, and whose answers take long.
type slowLog struct {
	*transient.Log
	mu      sync.Mutex
	lease   func() bool // nil: held
	holding bool
	waiting []func()
}

func (l *slowLog) Leased() bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.lease == nil || l.lease()
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

// leased says from now on what Leased answers.
func (l *slowLog) leased(f func() bool) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.lease = f
}

// hold keeps answers back until it is called with false.
func (l *slowLog) hold(on bool) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.holding = on
	for _, answer := range l.waiting {
		answer()
	}
	l.waiting = nil
}

func never() bool { return false }

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

// What was settled for a no_ack consumer reaches it though it cancels meanwhile:
// RabbitMQ, too, sends before cancel-ok what it has taken off the queue.
func TestCancelComesBehindWhatNeedsNoAck(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		log := &slowLog{}
		r := newRig(t, leader.Config{Log: log})
		at, o := r.attach("a")
		c := leader.Consumer{NoAck: true, Messages: -1, Bytes: 1 << 20}
		request(t, at, leader.Resumed{}, leader.Subscribe{Sub: 1, Queue: q1, Consumer: c})
		r.publish("1", "2") // also reserves a Mark
		o.take()
		log.hold(true)
		r.publish("3", "4")
		want(t, "being settled", o.take())
		request(t, at, leader.Cancel{Sub: 1})
		want(t, "nor is it cancelled", o.take())
		log.hold(false)
		want(t, "in order", o.take(), "1:3", "1:4", "1:cancelled <nil>")
		request(t, at, leader.Cancel{Sub: 1})
		want(t, "with nothing to wait for", o.take(), "1:cancelled <nil>")
	})
}

// A requeue that an edge tells twice, as the first answer was lost with its
// stream, makes one message ready.
func TestRequeueToldTwiceComesBackOnce(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		log := &slowLog{}
		r := newRig(t, leader.Config{Log: log})
		at, o := r.attach("a")
		request(t, at, leader.Resumed{}, leader.Subscribe{Sub: 1, Queue: q1, Consumer: consumer(1)})
		r.publish("1")
		o.take()
		log.hold(true)
		requeue := leader.Settle{Sub: 1, Queue: q1, Number: 1, Answer: leader.Requeue, Ranges: seqs(1, 1)}
		request(t, at, requeue)
		synctest.Wait()
		at, o = r.attach("a")
		request(t, at, leader.Resume{Sub: 1, Queue: q1, Consumer: consumer(0), Held: seqs(1, 1)}, leader.Resumed{}, requeue,
			leader.Subscribe{Sub: 2, Queue: q1, Consumer: leader.Consumer{NoAck: true, Messages: -1, Bytes: 1 << 20}})
		synctest.Wait()
		log.hold(false)
		want(t, "once", o.take(), "2:subscribed <nil>", "settled 1", "2:1*")
	})
}

// A leader whose lease runs out while it reads the messages, on a slow disk or
// because its process is stopped, does not send them.
func TestLeaseIsAskedForRightBeforeSending(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		log := &slowLog{}
		r := newRig(t, leader.Config{Log: log})
		at, o := r.attach("a")
		request(t, at, leader.Resumed{}, leader.Subscribe{Sub: 1, Queue: q1, Consumer: consumer(2)})
		r.publish("1")
		want(t, "with a lease", o.take(), "1:subscribed <nil>", "1:1")
		asked := 0
		once := func() bool { asked++; return asked == 1 }
		log.leased(once)
		r.publish("2")
		want(t, "the lease is over", o.take())
		bt, b := r.attach("b")
		log.leased(nil)
		request(t, bt, leader.Resumed{}, leader.Subscribe{Sub: 2, Queue: q1, Consumer: consumer(2)})
		time.Sleep(time.Second)
		want(t, "with a lease again, in the order of the consumers", o.take(), "1:2")
		b.take()
		request(t, at, leader.Cancel{Sub: 1})
		asked = 0
		log.leased(once)
		r.publish("3")
		synctest.Wait()
		request(t, at, leader.Get{Sub: 3, Queue: q1})
		want(t, "the lease is over", o.take(), "1:cancelled <nil>")
		want(t, "for all", b.take())
		log.leased(nil)
		time.Sleep(time.Second)
		want(t, "gets come first", o.take(), "3:got true 3 left 0")
	})
}

// A delete whose client gives up before the engine comes to it leaves the
// queue as it was.
func TestSealThatNobodyWaitsForLeavesTheQueueOpen(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newRig(t, leader.Config{})
		ctx, cancel := context.WithCancel(t.Context())
		cancel()
		for range 100 { // who hears first, the client's end or the answer, is chance
			if _, err := r.engine.Seal(ctx, q1, true, true); err == nil {
				continue
			} else if !errors.Is(err, leader.ErrUnavailable) {
				t.Fatalf("Seal: %v", err)
			}
			synctest.Wait()
			at, o := r.attach("a")
			request(t, at, leader.Resumed{}, leader.Subscribe{Sub: 1, Queue: q1, Consumer: consumer(1)})
			want(t, "the next consumer", o.take(), "1:subscribed <nil>")
			request(t, at, leader.Release{Sub: 1})
		}
	})
}

// Until every edge has spoken nobody knows which consumers there are: an
// exclusive one keeps its queue to itself, and a queue in use stays.
func TestTakeoverKeepsExclusiveConsumers(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newRig(t, leader.Config{})
		r.publish("1")
		synctest.Wait()
		r.end()
		r.start(leader.Config{
			Edges:    func() []leader.EdgeID { return []leader.EdgeID{{Node: "a", Epoch: 1}} },
			Announce: func(context.Context, leader.EdgeID) (bool, error) { return true, nil },
		})
		x := consumer(5)
		x.Exclusive = true
		bt, b := r.attach("b")
		request(t, bt, leader.Resumed{},
			leader.Subscribe{Sub: 1, Queue: q1, Consumer: x},
			leader.Subscribe{Sub: 2, Queue: q1, Consumer: consumer(5)},
			leader.Subscribe{Sub: 3, Queue: q1, Consumer: x}, leader.Release{Sub: 3},
			leader.Get{Sub: 4, Queue: q1})
		want(t, "before a has spoken", b.take(), "2:subscribed <nil>")
		sealed := make(chan error, 1)
		go func() {
			_, err := r.engine.Seal(t.Context(), q1, true, false)
			sealed <- err
		}()
		synctest.Wait()
		at, a := r.attach("a")
		request(t, at, leader.Resume{Sub: 7, Queue: q1, Consumer: x}, leader.Resumed{})
		got := b.take()
		want(t, "b", got[:1], "2:cancelled queue in exclusive use")
		for _, ev := range []string{"1:subscribed queue in exclusive use", "4:got false  left 0"} {
			if !slices.Contains(got, ev) {
				t.Errorf("b heard %q, and not %q", got, ev)
			}
		}
		want(t, "a keeps the queue", a.take(), "7:1")
		if err := <-sealed; !errors.Is(err, leader.ErrInUse) {
			t.Errorf("Seal(if-unused): %v", err)
		}
	})
}

// An exclusive consumer whose edge comes back too late has lost its place.
func TestExclusiveConsumerThatComesTooLate(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newRig(t, leader.Config{})
		x := consumer(5)
		x.Exclusive = true
		at, _ := r.attach("a")
		request(t, at, leader.Resumed{}, leader.Subscribe{Sub: 1, Queue: q1, Consumer: x})
		synctest.Wait()
		at.Detach()
		time.Sleep(6 * time.Second)
		bt, b := r.attach("b")
		request(t, bt, leader.Resumed{}, leader.Subscribe{Sub: 2, Queue: q1, Consumer: x})
		want(t, "the place is free", b.take(), "2:subscribed <nil>")
		at, a := r.attach("a")
		request(t, at, leader.Resume{Sub: 1, Queue: q1, Consumer: x}, leader.Resumed{})
		want(t, "and taken", a.take(), "1:cancelled queue in exclusive use")
		r.publish("1")
		want(t, "it is b's", b.take(), "2:1")
	})
}
