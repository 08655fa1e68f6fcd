package leader_test

import (
	"context"
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
	unused  told
	expired told
	letters letterbox
}

// told are the queues that an engine has told of.
type told struct {
	mu  sync.Mutex
	ids []queue.ID
}

func (l *told) add(id queue.ID) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.ids = append(l.ids, id)
}

// list waits until nothing moves.
func (l *told) list() []queue.ID {
	synctest.Wait()
	l.mu.Lock()
	defer l.mu.Unlock()
	return slices.Clone(l.ids)
}

// letterbox is where dead letters go.
type letterbox struct {
	mu    sync.Mutex
	err   error // what it answers
	judge func(leader.Dead) error
	holds bool // it does not answer yet
	got   []string
	waits []func(error)
}

func (b *letterbox) put(_ context.Context, s queue.Settings, d leader.Dead, done func(error)) {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.got = append(b.got, fmt.Sprintf("%s:%s %s", s.Name, d.Message.Body, d.Reason))
	if b.holds {
		b.waits = append(b.waits, done)
		return
	}
	if b.judge != nil {
		done(b.judge(d))
		return
	}
	done(b.err)
}

// answer sets what is answered from now on, and answers all that waits.
func (b *letterbox) answer(err error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.err, b.holds = err, false
	for _, done := range b.waits {
		done(err)
	}
	b.waits = nil
}

// hold lets everything wait for an answer.
func (b *letterbox) hold() {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.holds = true
}

// take waits until nothing moves and returns what came since.
func (b *letterbox) take() []string {
	synctest.Wait()
	b.mu.Lock()
	defer b.mu.Unlock()
	got := b.got
	b.got = nil
	return got
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
	r.configure(queue.Settings{})
	return r
}

// configure gives the queue its settings.
func (r *rig) configure(s queue.Settings) {
	r.t.Helper()
	s.VHost, s.Name = "/", "q1"
	if err := r.engine.Configure(r.t.Context(), q1, s); err != nil {
		r.t.Fatal(err)
	}
}

// succeed lets a new leader take over from this one, whose edges are asked as announce says.
func (r *rig) succeed(announce func(leader.EdgeID) (bool, error), edges ...string) {
	r.t.Helper()
	synctest.Wait()
	r.end()
	var ids []leader.EdgeID
	for _, name := range edges {
		ids = append(ids, leader.EdgeID{Node: name, Epoch: 1})
	}
	r.start(leader.Config{
		Edges:    func() []leader.EdgeID { return ids },
		Announce: func(_ context.Context, id leader.EdgeID) (bool, error) { return announce(id) },
	})
}

func resumes(leader.EdgeID) (bool, error) { return true, nil }

// counts asks for what a passive declare answers.
func (r *rig) counts() leader.Counts {
	r.t.Helper()
	c, err := r.engine.Counts(r.t.Context(), q1)
	if err != nil {
		r.t.Fatalf("Counts: %v", err)
	}
	return c
}

// state shows the queue as it is in the log.
func (r *rig) state(f func(*queue.Queue)) {
	r.t.Helper()
	r.log.Locked(func(s *queue.State) {
		q := s.Queue(q1)
		if q == nil {
			r.t.Fatal("no queue")
		}
		f(q)
	})
}

func (r *rig) messages() (n uint64) {
	r.t.Helper()
	synctest.Wait()
	r.state(func(q *queue.Queue) { n = q.Messages() })
	return n
}

func limit(n int64) queue.Limit { return queue.Limit{Set: true, N: n} }

// plain is a message without a TTL and a priority.
func plain(body string) queue.Message {
	return queue.Message{RoutingKey: "q1", Body: []byte(body), TTL: queue.NoTTL}
}

func mortal(body string, ttl time.Duration) queue.Message {
	m := plain(body)
	m.TTL = ttl
	return m
}

func ranked(body string, priority uint8) queue.Message {
	m := plain(body)
	m.Priority = priority
	return m
}

// start lets a new engine lead over the same log.
func (r *rig) start(cfg leader.Config) {
	switch log := cfg.Log.(type) {
	case *slowLog:
		log.Log = r.log
	case *marks:
		log.Log = r.log
	default:
		cfg.Log = r.log
	}
	cfg.Unused, cfg.Expired = r.unused.add, r.expired.add
	cfg.DeadLetter = r.letters.put
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
	list := make([]queue.Message, len(bodies))
	for i, body := range bodies {
		list[i] = plain(body)
	}
	r.send(list...)
}

// send publishes in one batch and returns the ordinals that were refused, if they are known yet.
func (r *rig) send(list ...queue.Message) (refused []uint32) {
	var b queue.Builder
	for i := range list {
		b.Add([]queue.ID{q1}, &list[i])
	}
	r.seq++
	r.engine.Publish(b.Seal(r.session, r.seq), func(a queue.Answer, err error) {
		if err != nil || a.Status != queue.Applied {
			r.t.Errorf("Publish: %v, %v", a.Status, err)
		}
		refused = a.Refused
	})
	return refused
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
			waits := ""
			if !ev.Active && ev.Err == nil {
				waits = ", waits"
			}
			list = append(list, fmt.Sprintf("%d:subscribed %v%s", ev.Sub, ev.Err, waits))
		case leader.Active:
			list = append(list, fmt.Sprintf("%d:active %v", ev.Sub, ev.Active))
		case leader.Cancelled:
			list = append(list, fmt.Sprintf("%d:cancelled %v", ev.Sub, ev.Err))
		case leader.Got:
			if ev.Err != nil {
				list = append(list, fmt.Sprintf("%d:got %v", ev.Sub, ev.Err))
				continue
			}
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
