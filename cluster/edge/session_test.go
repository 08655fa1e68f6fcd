package edge

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"math/rand"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/warrenmq/warren/broker/leader"
	"github.com/warrenmq/warren/broker/queue"
	"github.com/warrenmq/warren/broker/transient"
)

var seed = flag.Int64("seed", 1, "of the faults")

// shaky is a log whose leader changes: a batch may be lost before it is
// appended, or its answer after.
type shaky struct {
	*transient.Log
	mu   sync.Mutex
	rng  *rand.Rand
	calm bool
}

var errShaken = errors.New("leadership lost")

func (l *shaky) Propose(batch []byte, done func([]queue.Answer, error)) {
	l.mu.Lock()
	defer l.mu.Unlock()
	switch n := l.rng.Intn(10); {
	case l.calm || n > 2:
		l.Log.Propose(batch, done)
	case n == 0:
		done(nil, leader.ErrNotLeading)
	case n == 1:
		done(nil, errShaken)
	default:
		l.Log.Propose(batch, func([]queue.Answer, error) {})
		done(nil, errShaken)
	}
}

// local is a node that leads group 1 now and then.
type local struct {
	mu     sync.Mutex
	engine *leader.Engine
	term   uint64
}

func (l *local) Engine(uint64) (*leader.Engine, uint64, bool) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.engine, l.term, l.engine != nil
}

func (l *local) Leader(uint64) (string, bool) { return "self", true }

func (l *local) set(e *leader.Engine) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.engine = e; e != nil {
		l.term++
	}
}

// lead runs an engine over log until the returned function is called.
func (l *local) lead(log leader.Log, cfg leader.Config) (stop func()) {
	cfg.Log = log
	e := leader.New(cfg)
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan struct{})
	go func() {
		defer close(done)
		_ = e.Run(ctx) // an engine whose log is shaken ends with its error: the next one leads
	}()
	l.set(e)
	return func() { l.set(nil); cancel(); <-done }
}

func newEdge(t *testing.T, l *local) *Edge {
	e := New(Config{
		Self:    leader.EdgeID{Node: "self", Epoch: 1},
		Session: queue.Session{Incarnation: 7, Epoch: 1},
		Local:   l,
		Locate:  func(queue.ID) (Target, bool) { return Target{Group: 1}, true },
	})
	ctx, stop := context.WithCancel(context.Background())
	done := make(chan struct{})
	go func() {
		defer close(done)
		if err := e.Run(ctx); err != nil {
			t.Errorf("Run: %v", err)
		}
	}()
	t.Cleanup(func() { stop(); <-done })
	return e
}

// tally counts confirms.
type tally struct {
	mu   sync.Mutex
	seen map[uint64]int
	err  error
}

func (c *tally) Confirmed(tags []uint64, err error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	for _, tag := range tags {
		c.seen[tag]++
	}
	c.err = errors.Join(c.err, err)
}

func (c *tally) count() int {
	c.mu.Lock()
	defer c.mu.Unlock()
	return len(c.seen)
}

// Whatever is lost on the way, each message is appended once, in order, and
// confirmed once, after it was appended.
func TestRetryAppendsOnceAndInOrder(t *testing.T) {
	for s := *seed; s < *seed+20; s++ {
		t.Run(fmt.Sprint("seed ", s), func(t *testing.T) { synctest.Test(t, func(t *testing.T) { retry(t, s) }) })
	}
}

func retry(t *testing.T, seed int64) {
	const messages = 3_000
	const q queue.ID = 5
	l := &local{}
	log := &shaky{rng: rand.New(rand.NewSource(seed)), Log: transient.NewLog(1<<30, func([]queue.ID) {})}
	defer l.lead(log, leader.Config{})()
	e := newEdge(t, l)
	confirms := &tally{seen: make(map[uint64]int)}
	pauses := rand.New(rand.NewSource(seed))
	for i := range messages {
		m := queue.Message{Body: fmt.Appendf(nil, "%d", i), TTL: queue.NoTTL}
		if err := e.Publish(t.Context(), []queue.ID{q}, &m, Receipt{Confirms: confirms, Tag: uint64(i)}); err != nil {
			t.Fatal(err)
		}
		if pauses.Intn(20) == 0 {
			time.Sleep(time.Millisecond)
		}
	}
	for confirms.count() < messages {
		time.Sleep(10 * time.Millisecond)
	}
	if confirms.err != nil {
		t.Fatal(confirms.err)
	}
	for tag, n := range confirms.seen {
		if n != 1 {
			t.Fatalf("message %d was confirmed %d times", tag, n)
		}
	}
	next := uint64(0)
	for i := range messages {
		var it queue.Item
		var ok bool
		log.Locked(func(s *queue.State) { it, ok = s.Queue(q).After(next) })
		if !ok {
			t.Fatalf("the queue ends after %d of %d messages", i, messages)
		}
		next = it.Seq
		if m, err := log.Message(it.Ref); err != nil || string(m.Body) != fmt.Sprint(i) {
			t.Fatalf("message %d in the queue is %q, %v", i, m.Body, err)
		}
	}
	log.Locked(func(s *queue.State) {
		if n := s.Queue(q).Messages(); n != messages {
			t.Errorf("%d messages in the queue, want %d", n, messages)
		}
	})
}

// Publish blocks at the bound and goes on when there is an answer.
func TestPublishBlocksAtTheBound(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		l := &local{}
		e := newEdge(t, l)
		e.cfg.UnconfirmedBytes = 10_000
		m := queue.Message{Body: make([]byte, 1_000), TTL: queue.NoTTL}
		ctx, cancel := context.WithTimeout(t.Context(), time.Second)
		defer cancel()
		n := 0
		for ; e.Publish(ctx, []queue.ID{1}, &m, Receipt{}) == nil; n++ {
			if n > 100 {
				t.Fatal("no bound")
			}
		}
		if n < 5 || n > 10 {
			t.Fatalf("%d messages of 1,064 bytes within 10,000", n)
		}
		defer l.lead(transient.NewLog(1<<30, func([]queue.ID) {}), leader.Config{})()
		if err := e.Publish(t.Context(), []queue.ID{1}, &m, Receipt{}); err != nil {
			t.Fatal(err)
		}
	})
}

// A message as large as the bound gets its turn though smaller ones never cease.
func TestALargeMessageGetsItsTurn(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := &budget{limit: 1_000}
		ctx, cancel := context.WithCancel(t.Context())
		var streams sync.WaitGroup
		defer streams.Wait()
		defer cancel()
		for range 4 { // each has always something under way
			streams.Go(func() {
				for ctx.Err() == nil && b.acquire(ctx, 100) == nil {
					streams.Go(func() { time.Sleep(10 * time.Millisecond); b.release(100) })
					time.Sleep(7 * time.Millisecond)
				}
			})
		}
		time.Sleep(time.Second)
		bounded, stop := context.WithTimeout(ctx, time.Second)
		defer stop()
		if err := b.acquire(bounded, 1_000); err != nil {
			t.Fatalf("acquire: %v", err)
		}
		b.release(1_000)
		// Who gives up waiting leaves his turn to the next.
		if err := b.acquire(ctx, 900); err != nil {
			t.Fatal(err)
		}
		gone, leave := context.WithTimeout(ctx, 50*time.Millisecond)
		defer leave()
		if err := b.acquire(gone, 1_000); !errors.Is(err, context.DeadlineExceeded) {
			t.Fatalf("acquire: %v", err)
		}
		b.release(900)
		if err := b.acquire(bounded, 1_000); err != nil {
			t.Fatalf("acquire: %v", err)
		}
		b.release(1_000)
	})
}

// A home that is back with a new process may be told batches for the one that
// ended: those for its own queues are none the less appended.
func TestTwoProcessesOfAHomeAreTwoSessions(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		l := &local{}
		log := transient.NewLog(1<<30, func([]queue.ID) {})
		t.Cleanup(l.lead(log, leader.Config{}))
		e := newEdge(t, l)
		e.cfg.HomeAlive = func(leader.EdgeID) bool { return true }
		e.cfg.Locate = func(id queue.ID) (Target, bool) { return Target{Home: "self", Epoch: uint64(id)}, true }
		confirms := &tally{seen: make(map[uint64]int)}
		for _, q := range []queue.ID{1, 2} {
			m := queue.Message{Body: []byte("x"), TTL: queue.NoTTL}
			if err := e.Publish(t.Context(), []queue.ID{q}, &m, Receipt{Confirms: confirms, Tag: uint64(q)}); err != nil {
				t.Fatal(err)
			}
			time.Sleep(time.Second)
		}
		log.Locked(func(s *queue.State) {
			if confirms.count() != 2 || s.Queue(1) == nil || s.Queue(2) == nil {
				t.Fatalf("%d messages confirmed; queues %v and %v", confirms.count(), s.Queue(1), s.Queue(2))
			}
		})
	})
}

// A home that seemed to be gone, with no transient queue left, may get another
// queue: its publishes go on. What no process has been told of the messages before
// is that they are of a queue that is gone, for which there are confirms, too.
func TestAHomeThatWasGivenUpIsPublishedToAgain(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		l := &local{}
		t.Cleanup(l.lead(transient.NewLog(1<<30, func([]queue.ID) {}), leader.Config{}))
		e := newEdge(t, l)
		var gone atomic.Bool
		e.cfg.HomeAlive = func(leader.EdgeID) bool { return !gone.Load() }
		e.cfg.Locate = func(queue.ID) (Target, bool) { return Target{Home: "self", Epoch: 2}, true }
		confirms := &tally{seen: make(map[uint64]int)}
		for tag, dead := range []bool{true, false, false, true, false} {
			gone.Store(dead)
			m := queue.Message{Body: []byte("x"), TTL: queue.NoTTL}
			if s := e.sessions[Target{Home: "self", Epoch: 2}]; s != nil && dead {
				s.mu.Lock()
				s.link.fail()
				s.mu.Unlock()
				synctest.Wait()
			}
			if err := e.Publish(t.Context(), []queue.ID{1}, &m, Receipt{Confirms: confirms, Tag: uint64(tag)}); err != nil {
				t.Fatal(err)
			}
			time.Sleep(10 * time.Second)
			if confirms.count() != tag+1 || confirms.err != nil {
				t.Fatalf("message %d: %d messages are confirmed, error %v", tag, confirms.count(), confirms.err)
			}
		}
	})
}
