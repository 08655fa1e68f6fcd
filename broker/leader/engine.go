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
	// dropped); an error when it should be tried again. Nil: dead letters wait.
	DeadLetter func(ctx context.Context, s queue.Settings, d Dead, done func(error))
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
	dirty   map[queue.ID]struct{}
	pending map[EdgeID]struct{} // edges that are still to resume; no deliveries while there are any
	serving bool                // the takeover is over
	waiting []func()            // what cannot be said before
	control controlBatch
	stop    context.CancelFunc
	err     error
}

// New makes an engine; Run starts it.
func New(cfg Config) *Engine {
	cfg = cfg.withDefaults()
	return &Engine{
		cfg:     cfg,
		logger:  cfg.Logger,
		inbox:   newInbox(),
		queues:  make(map[queue.ID]*served),
		edges:   make(map[EdgeID]*attachment),
		dirty:   make(map[queue.ID]struct{}),
		pending: make(map[EdgeID]struct{}),
	}
}

// Run serves until ctx ends: leadership lost, or the node stops. The log must
// be applied up to the start of this leader's term (Raft's barrier) before. An
// error means that the engine's picture of the log may be wrong: a leader that
// still leads starts a new one.
func (e *Engine) Run(ctx context.Context) error {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	e.stop = cancel
	var asking sync.WaitGroup
	defer asking.Wait()
	defer cancel()
	defer e.inbox.close()
	e.takeOver(ctx, &asking)
	for {
		select {
		case <-ctx.Done():
			return e.err
		case <-e.inbox.ready:
		}
		posted, touched := e.inbox.take()
		for _, f := range posted {
			f()
		}
		for _, id := range touched {
			e.touched(id)
		}
		e.work()
	}
}

// work hands out what can be handed out, then sends what came of it. Handing
// out may ask for a Mark, so the control batch goes last.
func (e *Engine) work() {
	if e.serving {
		for id := range e.dirty {
			if q := e.queues[id]; q != nil {
				e.dispatch(q)
			}
		}
		clear(e.dirty)
	}
	e.flushControl()
}

// Applied tells the engine which queues an applied entry touched. It never blocks.
func (e *Engine) Applied(touched []queue.ID) { e.inbox.touch(touched) }

// touched looks at a queue that an applied entry changed.
func (e *Engine) touched(id queue.ID) {
	q := e.queues[id]
	if q == nil {
		return
	}
	gone := false
	e.cfg.Log.Locked(func(s *queue.State) {
		sq := s.Queue(id)
		if sq == nil {
			gone = true
			return
		}
		q.mark = max(q.mark, sq.Mark())
	})
	if gone {
		e.forget(q)
		return
	}
	e.dirty[id] = struct{}{}
}

// forget drops a queue that was deleted and tells its consumers.
func (e *Engine) forget(q *served) {
	delete(e.queues, q.id)
	delete(e.dirty, q.id)
	for _, s := range q.subs {
		s.at.out.Send(Cancelled{Sub: s.id, Err: ErrNoQueue})
		delete(s.at.subs, s.id)
	}
}

// served finds the volatile side of a queue, or makes it when the group holds the queue.
func (e *Engine) served(id queue.ID) *served {
	if q := e.queues[id]; q != nil {
		return q
	}
	var q *served
	e.cfg.Log.Locked(func(s *queue.State) {
		if sq := s.Queue(id); sq != nil {
			q = newServed(id, sq.Mark())
		}
	})
	if q != nil {
		e.queues[id] = q
	}
	return q
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
