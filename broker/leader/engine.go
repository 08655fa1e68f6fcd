package leader

import (
	"context"
	"log/slog"
	"sync"
	"time"

	"github.com/warrenmq/warren/broker/queue"
)

// markAhead is how many sequence numbers a Mark reserves (design §5).
const markAhead = 4096

// chunkBytes is about how much one Deliveries event carries.
const chunkBytes = 128 << 10

// Config is what an engine is made of.
type Config struct {
	Log Log
	// Term is that of this leadership, 0 where there is never another.
	Term uint64
	// Edges lists the live edges that may hold deliveries of this group from
	// before: each is asked by Announce. Nil where there can be none.
	Edges func() []EdgeID
	// Announce tells an edge that this node now leads. attached says whether
	// the edge will Resume subscriptions; an error means that it could not be asked.
	Announce func(ctx context.Context, edge EdgeID) (attached bool, err error)
	// EdgeGone tells whether an edge's process is known to have ended.
	EdgeGone func(EdgeID) bool
	// Unused hears that a queue has lost its last consumer. It must not block.
	Unused func(queue.ID)
	// Expired hears that a queue was unused for as long as its settings allow, and
	// hears it again while it stays so. It must not block.
	Expired func(queue.ID)
	// DeadLetter takes one dead letter to where s says. done is called once, from
	// any goroutine: nil when it is safe in every target, or has none (then it is
	// dropped); an error when it should be tried again. It must not block. Nil: dead
	// letters wait.
	DeadLetter func(ctx context.Context, s queue.Settings, d Dead, done func(error))
	// CountReturns lets every return of a message count against its queue's delivery
	// limit, as RabbitMQ did before 4.3, and not only those that failed.
	CountReturns bool
	// Grace bounds how long a live edge that cannot be reached is waited for
	// before what it holds is delivered again. Default 5 s.
	Grace  time.Duration
	Logger *slog.Logger
}

// Dead is a message that died in a queue. Its slices are immutable and may be kept.
type Dead struct {
	Reason  queue.Reason
	Died    time.Time
	Message queue.Message
	Moves   bool // it is kept in memory, and its way must not wait for memory
	// Avoid are targets that are known to be full: a message that has no other target is not
	// published there, and its error is a Full as well.
	Avoid []queue.ID
}

func (c Config) withDefaults() Config {
	if c.Grace <= 0 {
		c.Grace = 5 * time.Second
	}
	if c.Logger == nil {
		c.Logger = slog.Default()
	}
	if c.Edges == nil {
		c.Edges = func() []EdgeID { return nil }
	}
	if c.EdgeGone == nil {
		c.EdgeGone = func(EdgeID) bool { return false }
	}
	if c.Unused == nil {
		c.Unused = func(queue.ID) {}
	}
	if c.Expired == nil {
		c.Expired = func(queue.ID) {}
	}
	return c
}

// Engine serves one group while this node leads it.
type Engine struct {
	cfg    Config
	logger *slog.Logger

	inbox inbox

	// below: owned by Run
	queues  map[queue.ID]*served
	edges   map[EdgeID]*attachment
	dirty   map[queue.ID]struct{} // to be looked at
	looking map[queue.ID]struct{} // while they are looked at: an empty one for those that become dirty
	pending map[EdgeID]struct{}   // edges that are still to resume; no deliveries while there are any
	serving bool                  // the takeover is over
	resigns bool                  // the leadership is being handed over: nothing goes out
	waiting []func()              // what cannot be said before
	control controlBatch
	clock   clock
	found   search
	find    func(*queue.State)                      // found.in
	bury    func(queue.Settings, Dead, func(error)) // Config.DeadLetter; nil: there is none
	stop    context.CancelFunc
	err     error
}

// New makes an engine; Run starts it.
func New(cfg Config) *Engine {
	cfg = cfg.withDefaults()
	e := &Engine{
		cfg:     cfg,
		logger:  cfg.Logger,
		inbox:   newInbox(),
		queues:  make(map[queue.ID]*served),
		edges:   make(map[EdgeID]*attachment),
		dirty:   make(map[queue.ID]struct{}),
		looking: make(map[queue.ID]struct{}),
		pending: make(map[EdgeID]struct{}),
	}
	e.find = e.found.in
	return e
}

// Run serves until ctx ends: leadership lost, or the node stops. The log must
// be applied up to the start of this leader's term (Raft's barrier) before. An
// error means that the engine's picture of the log may be wrong: a leader that
// still leads starts a new one.
func (e *Engine) Run(ctx context.Context) error {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	e.stop = cancel
	e.clock = newClock()
	defer e.clock.timer.Stop()
	if e.cfg.DeadLetter != nil {
		e.bury = func(s queue.Settings, d Dead, done func(error)) { e.cfg.DeadLetter(ctx, s, d, done) }
	}
	var asking sync.WaitGroup
	defer asking.Wait()
	defer cancel()
	defer e.inbox.close()
	e.takeOver(ctx, &asking)
	for {
		e.work()
		e.clock.arm()
		select {
		case <-ctx.Done():
			return e.err
		case <-e.clock.timer.C:
			e.clock.ring()
		case <-e.inbox.ready:
		}
		// What entries have brought comes before what is asked: whoever heard of a
		// commit finds it looked at.
		posted, touched := e.inbox.take()
		for _, id := range touched {
			e.touched(id)
		}
		for _, f := range posted {
			f()
		}
	}
}

// work looks at what may have something to do, then sends what came of it.
// Handing out may ask for a Mark, so the control batch goes last.
func (e *Engine) work() {
	if e.serving {
		e.dirty, e.looking = e.looking, e.dirty
		for id := range e.looking {
			if q := e.queues[id]; q != nil {
				e.serve(q)
			}
		}
		clear(e.looking)
	}
	e.flushControl()
	if e.serving && len(e.dirty) > 0 { // more than one look should do
		e.inbox.wake()
	}
}

// look sees that q is looked at.
func (e *Engine) look(q *served) { e.dirty[q.id] = struct{}{} }

// upToDate looks at q now, so that whoever asks about it finds nothing that
// should not be there any more.
func (e *Engine) upToDate(q *served) {
	if _, ok := e.dirty[q.id]; ok && e.serving {
		delete(e.dirty, q.id)
		e.serve(q)
	}
}

// serve does what there is to do in a queue. Consumers that wait come first:
// what they get neither expires nor counts towards a limit.
func (e *Engine) serve(q *served) {
	if !q.parting.IsZero() {
		e.part(q)
		return
	}
	if q.stream {
		e.feed(q)
		e.retain(q)
		return
	}
	e.elect(q)
	e.dispatch(q)
	e.expire(q)
	e.enforce(q)
	e.sendLetters(q)
	e.lookUnused(q)
	e.tell(q)
}

// later looks at q again after d.
func (e *Engine) later(q *served, d time.Duration) { e.lookBy(q, time.Now().Add(d)) }

// lookBy looks at q at that time, or sooner.
func (e *Engine) lookBy(q *served, at time.Time) { e.clock.by(&q.look, at) }

// Applied tells the engine which queues an applied entry touched. It never blocks.
func (e *Engine) Applied(touched []queue.ID) { e.inbox.touch(touched) }

// touched looks at a queue that an applied entry changed. One that nobody asked
// about is taken up only if it has something to do by itself.
func (e *Engine) touched(id queue.ID) {
	q := e.queues[id]
	if q == nil {
		e.cfg.Log.Locked(func(s *queue.State) {
			if sq := s.Queue(id); sq != nil && busy(sq) {
				q = newServed(sq)
			}
		})
		if q != nil {
			e.takeUp(q)
		}
		return
	}
	if !e.refresh(q) {
		e.forget(q)
		return
	}
	e.look(q)
}

// busy tells whether a queue may have something to do without consumers.
func busy(sq *queue.Queue) bool {
	s := sq.Settings()
	return sq.PendingDeadLetters() > 0 || sq.Timed() ||
		s.MessageTTL.Set || s.Expires.Set || s.MaxLength.Set || s.MaxLengthBytes.Set || s.MaxAge.Set
}

// refresh takes over what has been applied; false when the queue is gone.
func (e *Engine) refresh(q *served) bool {
	var before queue.Settings
	there, changed := false, false
	e.cfg.Log.Locked(func(s *queue.State) {
		sq := s.Queue(q.id)
		if sq == nil {
			return
		}
		there = true
		q.note(sq)
		if now := sq.Settings(); now != q.settings {
			before, changed = q.settings, true
			q.settings = now
			q.stream = q.stream || now.Stream
			q.rank(sq, before)
		}
	})
	if changed {
		e.configured(q, before)
	}
	return there
}

// configured lets new settings have their effect on what is there.
func (e *Engine) configured(q *served, before queue.Settings) {
	if before.MessageTTL != q.settings.MessageTTL || before.Name != q.settings.Name {
		q.ends.restart()
	}
	if before.Expires != q.settings.Expires {
		q.used = time.Now()
	}
	if !before.MaxLengthBytes.Set && q.settings.MaxLengthBytes.Set {
		e.weigh(q)
	}
	q.told.known = false
	q.head = head{trimming: q.head.trimming}
}

// forget drops a queue that was deleted and tells its consumers.
func (e *Engine) forget(q *served) {
	delete(e.queues, q.id)
	delete(e.dirty, q.id)
	e.clock.stop(&q.look)
	e.dismiss(q)
}

// dismiss tells the consumers of a queue that it is gone.
func (e *Engine) dismiss(q *served) {
	for _, s := range q.subs {
		s.at.out.Send(Cancelled{Sub: s.id, Err: ErrNoQueue})
		delete(s.at.subs, s.id)
		s.active = false
	}
	q.subs, q.gets, q.sole = nil, nil, nil
}

// served finds the volatile side of a queue, or makes it when the group holds the queue.
func (e *Engine) served(id queue.ID) *served {
	if q := e.queues[id]; q != nil {
		if !q.parting.IsZero() {
			return nil
		}
		return q
	}
	var q *served
	e.cfg.Log.Locked(func(s *queue.State) {
		if sq := s.Queue(id); sq != nil {
			q = newServed(sq)
		}
	})
	if q != nil {
		e.takeUp(q)
	}
	return q
}

// takeUp serves a queue from now on.
func (e *Engine) takeUp(q *served) {
	q.look.do = func() { e.look(q) }
	e.queues[q.id] = q
	e.look(q)
}

// Publish appends a publish batch. done is called once, in the order of the
// calls, with the batch's answer; an error says that the outcome is not known.
func (e *Engine) Publish(batch []byte, done func(queue.Answer, error)) {
	e.cfg.Log.Propose(batch, func(answers []queue.Answer, err error) {
		if err != nil {
			done(queue.Answer{}, err)
			return
		}
		done(answers[0], nil)
	})
}

// Ended is closed when Run has returned.
func (e *Engine) Ended() <-chan struct{} { return e.inbox.closed }
