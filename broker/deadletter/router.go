package deadletter

import (
	"context"
	"errors"
	"log/slog"
	"slices"
	"sync"
	"time"

	"github.com/warrenmq/warren/broker/leader"
	"github.com/warrenmq/warren/broker/queue"
	"github.com/warrenmq/warren/broker/routing"
)

const (
	// A dead letter that one of several targets refuses, because it is full, is published
	// there again after firstPause and then ever later up to lastPause. An engine has at most
	// 256 dead letters of a queue on their way, so that a full target costs no more than 256
	// publishes in lastPause for each queue that dead-letters into it. One that has but one
	// target goes back to the engine, which tries the first of those for a full target alone.
	firstPause = 250 * time.Millisecond
	lastPause  = 30 * time.Second
	// currentFor is how long this node counts as knowing all definitions once that
	// was found out. One that is cut off leads nothing sooner.
	currentFor = time.Second
)

// errStopped: the node stops; a new leader sends again.
var errStopped = errors.New("dead letters: stopped")

// errAvoided: the target is known to be full, and was not asked.
var errAvoided = errors.New("dead letters: the target is full")

// Routes is the routing table.
type Routes interface {
	Route(vhost, exchange, key string, also []string, m routing.Message) routing.Result
	RouteDelayed(vhost, exchange, key string, also []string, m routing.Message) routing.Result
}

// Publisher is a node's way to all queues.
type Publisher interface {
	// Publish copies m into each queue of to, and keeps the order of one caller's
	// calls. done hears once: nil when m is safe in all of them, an error when it
	// never will be. After an error of Publish itself it hears nothing. Publish
	// blocks while too much is unconfirmed, until ctx ends.
	Publish(ctx context.Context, to []queue.ID, m *queue.Message, done func(error)) error
}

// Config is what a Router needs.
type Config struct {
	Routes    Routes
	Publisher Publisher
	// Ready is closed when this node knows the definitions that there were when it
	// started; nil: it does. Before, nothing is routed.
	Ready <-chan struct{}
	// Current returns nil once this node knows all definitions that there were when it
	// was called. A dead letter that has no target is dropped only then. Nil: it does.
	Current func(ctx context.Context) error
	// Name tells the name of a queue; false when it is gone.
	Name func(queue.ID) (string, bool)
	// Settings tells what is in force now for the queue that s was of; false when
	// that is gone. A dead letter that was refused goes by it. Nil: s stays.
	Settings func(s queue.Settings) (queue.Settings, bool)
	Logger   *slog.Logger
}

// Router implements leader.Config.DeadLetter for all engines of a node.
type Router struct {
	cfg    Config
	logger *slog.Logger

	checking chan struct{} // a token: who has it may ask Current
	checked  time.Time     // when Current was asked last and said yes: with the token

	mu      sync.Mutex
	stopped bool
	lanes   map[source]*lane
	told    map[string]struct{} // what was logged once
	running sync.WaitGroup
}

// source is a queue that dead-letters.
type source struct{ vhost, name string }

// lane keeps the order of one queue's dead letters. Publishing may block, and a
// target that nobody leads must not hold up what goes elsewhere; its goroutine
// lives while there is something to publish.
type lane struct{ waiting []*job }

// job is one dead letter under way.
type job struct {
	ctx      context.Context
	settings queue.Settings
	dead     leader.Dead
	done     func(error)
	safe     []queue.ID // targets that have it
	tries    int
}

// New makes a Router; Run ends what it starts.
func New(cfg Config) *Router {
	r := &Router{
		cfg: cfg, logger: cfg.Logger, checking: make(chan struct{}, 1),
		lanes: make(map[source]*lane), told: make(map[string]struct{}),
	}
	if r.logger == nil {
		r.logger = slog.Default()
	}
	return r
}

// Run waits until ctx ends, and then for what is under way.
func (r *Router) Run(ctx context.Context) error {
	<-ctx.Done()
	r.mu.Lock()
	r.stopped = true
	r.mu.Unlock()
	r.running.Wait()
	return nil
}

// DeadLetter takes one dead letter to where s says. It does not block.
func (r *Router) DeadLetter(ctx context.Context, s queue.Settings, d leader.Dead, done func(error)) {
	r.enqueue(&job{ctx: ctx, settings: s, dead: d, done: done})
}

func (r *Router) enqueue(j *job) {
	from := source{j.settings.VHost, j.settings.Name}
	r.mu.Lock()
	if r.stopped {
		r.mu.Unlock()
		j.done(errStopped)
		return
	}
	defer r.mu.Unlock()
	l := r.lanes[from]
	if l == nil {
		l = new(lane)
		r.lanes[from] = l
		r.running.Go(func() { r.drain(from, l) })
	}
	l.waiting = append(l.waiting, j)
}

// drain publishes what waits in a lane, and ends with it.
func (r *Router) drain(from source, l *lane) {
	for {
		r.mu.Lock()
		if len(l.waiting) == 0 {
			delete(r.lanes, from)
			r.mu.Unlock()
			return
		}
		list := l.waiting
		l.waiting = nil
		r.mu.Unlock()
		for _, j := range list {
			r.send(j)
		}
	}
}

// wanted tells whether dead letters of a queue with these settings go anywhere: the
// policy that named their exchange may have gone since they died.
func wanted(s *queue.Settings) bool { return s.DeadLetters || s.Delays != "" }

// send publishes a dead letter to the targets that do not have it yet.
func (r *Router) send(j *job) {
	if !wanted(&j.settings) { // else the default exchange would take it
		j.done(nil)
		return
	}
	if err := r.ready(j.ctx); err != nil {
		j.done(err)
		return
	}
	m, now, later, delay, err := r.route(j)
	if err == nil && len(now)+len(later) == 0 {
		if err := r.current(j.ctx); err != nil {
			r.again(j, err)
			return
		}
		m, now, later, delay, err = r.route(j)
	}
	if err != nil {
		r.logger.Error("a dead letter cannot be written and is dropped", "vhost", j.settings.VHost, "queue", j.settings.Name, "error", err)
		j.done(nil)
		return
	}
	now, later = j.missing(now), j.missing(later)
	m.Moves = j.dead.Moves
	if len(now)+len(later) == 0 {
		j.done(nil)
		return
	}
	only := single(now, later)
	if only != 0 && slices.Contains(j.dead.Avoid, only) {
		j.done(&leader.Full{Target: only, Err: errAvoided})
		return
	}
	// Each target by itself: of several in one publish nobody says which refused.
	wait := &outcome{router: r, job: j, only: only, left: len(now) + len(later)}
	for _, id := range now {
		r.publish(wait, id, m)
	}
	if len(later) > 0 {
		m.TTL = delay
	}
	for _, id := range later {
		r.publish(wait, id, m)
	}
}

// single is the target of a dead letter that has one; 0 when there are several.
func single(now, later []queue.ID) queue.ID {
	switch {
	case len(now)+len(later) > 1:
		return 0
	case len(now) == 1:
		return now[0]
	default:
		return later[0]
	}
}

// ready waits until the node can route at all.
func (r *Router) ready(ctx context.Context) error {
	if r.cfg.Ready != nil {
		select {
		case <-r.cfg.Ready:
		case <-ctx.Done():
		}
	}
	return ctx.Err()
}

// current makes sure that the routing table is not behind: a message must not be
// dropped because its dead-letter exchange is not known here yet.
func (r *Router) current(ctx context.Context) error {
	if r.cfg.Current == nil {
		return nil
	}
	select {
	case r.checking <- struct{}{}:
	case <-ctx.Done():
		return ctx.Err()
	}
	defer func() { <-r.checking }()
	if time.Since(r.checked) < currentFor {
		return nil
	}
	begin := time.Now()
	if err := r.cfg.Current(ctx); err != nil {
		return err
	}
	r.checked = begin
	return nil
}

func (j *job) missing(to []queue.ID) []queue.ID {
	return slices.DeleteFunc(slices.Clone(to), func(id queue.ID) bool { return slices.Contains(j.safe, id) })
}

func (r *Router) publish(wait *outcome, id queue.ID, m *queue.Message) {
	err := r.cfg.Publisher.Publish(wait.job.ctx, []queue.ID{id}, m, func(err error) { wait.heard(id, err) })
	if err != nil {
		wait.heard(id, err)
	}
}

// outcome gathers what became of a dead letter in its targets.
type outcome struct {
	router *Router
	job    *job
	only   queue.ID // the target, if there is but one

	mu   sync.Mutex
	left int
	safe []queue.ID
	err  error
}

func (o *outcome) heard(id queue.ID, err error) {
	o.mu.Lock()
	if err == nil {
		o.safe = append(o.safe, id)
	} else {
		o.err = err
	}
	o.left--
	last, failed := o.left == 0, o.err
	o.mu.Unlock()
	if !last {
		return
	}
	j := o.job
	j.safe = append(j.safe, o.safe...)
	switch {
	case failed == nil:
		j.done(nil)
	case j.ctx.Err() != nil:
		j.done(failed)
	case o.only != 0 && len(j.safe) == 0: // its queue asks again, and others of it need not wait
		j.done(&leader.Full{Target: o.only, Err: failed})
	default:
		o.router.again(j, failed)
	}
}

// again tries a dead letter later, by what is in force then.
func (r *Router) again(j *job, cause error) {
	pause := min(firstPause<<min(j.tries, 10), lastPause)
	if j.tries++; j.tries == 1 {
		m := &j.dead.Message // its batch is many times as large, and this may take hours
		m.Properties, m.Body = slices.Clone(m.Properties), slices.Clone(m.Body)
		r.logger.Debug("a target does not take a dead letter, which will be tried again", "vhost", j.settings.VHost, "queue", j.settings.Name, "error", cause)
	}
	time.AfterFunc(pause, func() {
		if r.cfg.Settings != nil {
			s, ok := r.cfg.Settings(j.settings)
			if !ok {
				j.done(nil) // nobody wants it any more
				return
			}
			j.settings = s
		}
		r.enqueue(j)
	})
}
