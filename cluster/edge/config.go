package edge

import (
	"context"
	"errors"
	"log/slog"
	"sync"
	"time"

	"google.golang.org/grpc"

	"github.com/warrenmq/warren/broker/leader"
	"github.com/warrenmq/warren/broker/queue"
)

// Target is where a queue is served: a replicated group, wherever it is led,
// or the transient queues of one node.
type Target struct {
	Group uint64 // 0: transient
	Home  string // ServerID of a transient queue's node
	Epoch uint64 // boot count of the home's process that the queue lives in
	Moves bool   // of publishing alone: the way of dead letters from one node's memory to another's
}

// Local is what this node serves itself.
type Local interface {
	// Engine is the engine of a group that is led here, with the term it leads
	// in; group 0 are this node's transient queues.
	Engine(group uint64) (e *leader.Engine, term uint64, ok bool)
	// Leader tells what this node knows of a group's leader; hosted is false
	// when it has no replica.
	Leader(group uint64) (serverID string, hosted bool)
}

// Conns are the connections to other nodes.
type Conns interface {
	Conn(serverID string) (*grpc.ClientConn, error)
}

// Config is what an Edge is made of.
type Config struct {
	Self    leader.EdgeID
	Session queue.Session // of this process
	Local   Local
	Conns   Conns
	// Locate finds where a queue is served; false when no such queue is known.
	Locate func(queue.ID) (Target, bool)
	// Replicas lists the ServerIDs of a group's replicas.
	Replicas func(group uint64) []string
	// HomeAlive tells whether a process with transient queues still counts as
	// running: false once the meta group has dropped its queues.
	HomeAlive func(home leader.EdgeID) bool
	// Caller finds who sent an RPC.
	Caller func(context.Context) (leader.EdgeID, bool)
	// UnconfirmedBytes bounds what one group's session keeps unanswered:
	// beyond it Publish blocks. Default 16 MiB.
	UnconfirmedBytes int
	Logger           *slog.Logger
}

func (c Config) withDefaults() Config {
	if c.UnconfirmedBytes <= 0 {
		c.UnconfirmedBytes = 16 << 20
	}
	if c.Logger == nil {
		c.Logger = slog.Default()
	}
	return c
}

// Edge is this node's way to all queues. Run must be running.
type Edge struct {
	cfg    Config
	logger *slog.Logger

	mu          sync.RWMutex
	targets     map[queue.ID]Target
	sessions    map[Target]*session
	attachments map[Target]*attachment
	ctx         context.Context // of Run; nil before
	running     sync.WaitGroup
	ended       bool
	subs        uint64 // last subscription number given
	dying       dying
}

// New makes an edge.
func New(cfg Config) *Edge {
	cfg = cfg.withDefaults()
	return &Edge{
		cfg:         cfg,
		logger:      cfg.Logger,
		targets:     make(map[queue.ID]Target),
		sessions:    make(map[Target]*session),
		attachments: make(map[Target]*attachment),
		ctx:         nil,
	}
}

// Run lets sessions and attachments live until ctx ends.
func (e *Edge) Run(ctx context.Context) error {
	e.mu.Lock()
	e.ctx = ctx
	for _, s := range e.sessions {
		e.running.Go(func() { s.run(ctx) })
	}
	for _, a := range e.attachments {
		e.running.Go(func() { a.run(ctx) })
	}
	e.mu.Unlock()
	e.follow(ctx)
	e.mu.Lock()
	e.ended = true
	e.mu.Unlock()
	e.running.Wait()
	return nil
}

// followEvery is how often links are held against what this node's replicas
// know of their leaders.
const followEvery = 500 * time.Millisecond

// follow gives up links to nodes that lead no more, until ctx ends. A node that
// died silently breaks no connection, and a new leader's announcement can be lost.
func (e *Edge) follow(ctx context.Context) {
	ticker := time.NewTicker(followEvery)
	defer ticker.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-ticker.C:
		}
		e.attendDying()
		e.mu.RLock()
		for t, s := range e.sessions {
			if id, hosted := e.cfg.Local.Leader(t.Group); t.Group != 0 && hosted && id != "" {
				s.moved(id)
			}
		}
		for t, a := range e.attachments {
			if id, hosted := e.cfg.Local.Leader(t.Group); t.Group != 0 && hosted && id != "" {
				a.announced(id, 0)
			}
		}
		e.mu.RUnlock()
	}
}

// Forget drops what is remembered of a deleted queue, and confirms what was
// published to it while it was being deleted.
func (e *Edge) Forget(id queue.ID) {
	e.mu.Lock()
	delete(e.targets, id)
	e.mu.Unlock()
	e.dying.gone(id)
}

// target finds where a queue is served. It never changes in a queue's life, so it is remembered.
func (e *Edge) target(id queue.ID) (Target, bool) {
	e.mu.RLock()
	t, ok := e.targets[id]
	e.mu.RUnlock()
	if ok {
		return t, true
	}
	if t, ok = e.cfg.Locate(id); !ok {
		return t, false
	}
	e.mu.Lock()
	e.targets[id] = t
	e.mu.Unlock()
	return t, true
}

var errEnded = errors.New("the node is stopping")

// session finds or starts the publishing session of a target.
func (e *Edge) session(t Target) (*session, error) {
	e.mu.RLock()
	s := e.sessions[t]
	e.mu.RUnlock()
	if s != nil {
		return s, nil
	}
	e.mu.Lock()
	defer e.mu.Unlock()
	if s = e.sessions[t]; s != nil {
		return s, nil
	}
	if e.ended {
		return nil, errEnded
	}
	s = newSession(e, t)
	e.sessions[t] = s
	if ctx := e.ctx; ctx != nil {
		e.running.Go(func() { s.run(ctx) })
	}
	return s, nil
}

// attachment finds or starts the consuming attachment of a target.
func (e *Edge) attachment(t Target) (*attachment, error) {
	e.mu.Lock()
	defer e.mu.Unlock()
	if a := e.attachments[t]; a != nil {
		return a, nil
	}
	if e.ended {
		return nil, errEnded
	}
	a := newAttachment(e, t)
	e.attachments[t] = a
	if ctx := e.ctx; ctx != nil {
		e.running.Go(func() { a.run(ctx) })
	}
	return a, nil
}

// leaderOf finds the node that serves t now, as far as anybody knows.
func (e *Edge) leaderOf(ctx context.Context, t Target) (string, error) {
	if t.Group == 0 {
		if home := (leader.EdgeID{Node: t.Home, Epoch: t.Epoch}); home != e.cfg.Self && !e.cfg.HomeAlive(home) {
			return t.Home, errHomeGone
		}
		return t.Home, nil
	}
	id, hosted := e.cfg.Local.Leader(t.Group)
	if hosted {
		if id == "" {
			return "", leader.ErrUnavailable
		}
		return id, nil
	}
	return e.askReplicas(ctx, t.Group)
}

// errHomeGone: a transient queue's node has ended, and the queue with it.
var errHomeGone = errors.New("the queue's home node is gone")

// pause waits a moment before another try; false when ctx has ended.
func pause(ctx context.Context, tries int) bool {
	d := min(10*time.Millisecond<<min(tries, 5), 200*time.Millisecond)
	select {
	case <-ctx.Done():
		return false
	case <-time.After(d):
		return true
	}
}
