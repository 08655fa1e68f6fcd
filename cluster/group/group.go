package group

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"sync"
	"time"

	"github.com/hashicorp/raft"

	"github.com/warrenmq/warren/broker/leader"
	"github.com/warrenmq/warren/broker/level"
	"github.com/warrenmq/warren/broker/queue"
)

const (
	// maxProposals bounds what waits for Raft's answer; beyond it Propose blocks.
	maxProposals = 4096
	// proposeTimeout bounds the wait for Raft to take a batch in.
	proposeTimeout = 10 * time.Second
	// barrierTimeout bounds the wait of a new leader for its own log.
	barrierTimeout = 10 * time.Second
	// barrierPause is how long a leader whose barrier failed waits before another.
	barrierPause = 100 * time.Millisecond
)

// Group is this node's replica of one queue group. It implements leader.Log.
type Group struct {
	id        uint64
	host      *Host
	raft      *raft.Raft
	fsm       *fsm
	growth    *growth
	holds     holds
	entries   Entries
	stable    raft.StableStore
	transport Transport
	logger    *slog.Logger
	changes   chan bool // Raft's NotifyCh
	transfers transfers
	learners  learners
	retire    context.CancelFunc // ends run; guarded by the host's mu, nil before it runs

	proposing sync.Mutex // keeps proposals in the order of their futures
	stopping  bool       // Raft takes nothing more
	ended     bool       // nobody passes answers on any more
	proposals chan proposal
	calls     sync.WaitGroup // what Raft still owes an answer
	closed    chan struct{}
}

type proposal struct {
	future raft.ApplyFuture // nil: refused with err
	err    error
	done   func([]queue.Answer, error)
}

var errStopping = fmt.Errorf("%w: its replica here is stopping", leader.ErrNotLeading)

// ID is the group's number.
func (g *Group) ID() uint64 { return g.id }

// Leader is the ServerID of the leader as this replica sees it, or "".
func (g *Group) Leader() string {
	_, id := g.raft.LeaderWithID()
	return string(id)
}

// Propose appends a batch; see leader.Log. What cannot be decoded is refused
// here: in the log it would stop every replica.
func (g *Group) Propose(batch []byte, done func([]queue.Answer, error)) {
	p := proposal{done: done}
	if _, err := queue.Decode(batch); err != nil {
		p.err = fmt.Errorf("group %d: %w: %w", g.id, leader.ErrNotLeading, err)
	}
	if !g.enqueue(p, batch) {
		done(nil, errStopping)
	}
}

// enqueue puts a proposal in line, for Raft and for its answer; false: the group
// is closed and nobody would answer.
func (g *Group) enqueue(p proposal, batch []byte) bool {
	g.proposing.Lock()
	defer g.proposing.Unlock()
	switch {
	case g.ended:
		return false
	case p.err != nil:
	case g.stopping:
		p.err = errStopping
	default:
		g.calls.Add(1)
		p.future = g.raft.ApplyLog(raft.Log{Data: batch}, proposeTimeout)
	}
	g.proposals <- p
	return true
}

// begin says whether Raft may be asked for something now; whoever was told yes
// calls g.calls.Done once it has answered. A Raft that is shut down leaves some
// of its futures without an answer, so it is not shut down before that.
func (g *Group) begin() bool {
	g.proposing.Lock()
	defer g.proposing.Unlock()
	if !g.stopping {
		g.calls.Add(1)
	}
	return !g.stopping
}

// ask waits for what Raft answers to a request other than a proposal.
func (g *Group) ask(request func() raft.Future) error {
	if !g.begin() {
		return errStopping
	}
	defer g.calls.Done()
	return request().Error()
}

// answer passes Raft's answers on, in order, until the group is closed.
func (g *Group) answer() {
	for {
		select {
		case p := <-g.proposals:
			g.settle(p)
		case <-g.closed:
			for {
				select {
				case p := <-g.proposals:
					g.settle(p)
				default:
					return
				}
			}
		}
	}
}

func (g *Group) settle(p proposal) {
	if p.future == nil {
		p.done(nil, p.err)
		return
	}
	p.settle()
	g.calls.Done()
}

func (p proposal) settle() {
	err := p.future.Error()
	switch {
	case err == nil:
		switch r := p.future.Response().(type) {
		case []queue.Answer:
			p.done(r, nil)
		case error: // committed, and applied by others
			p.done(nil, fmt.Errorf("%w: %w", leader.ErrUnavailable, r))
		default:
			panic(fmt.Sprintf("group: the state machine answered a %T", r))
		}
	case errors.Is(err, raft.ErrNotLeader), errors.Is(err, raft.ErrLeadershipTransferInProgress):
		p.done(nil, fmt.Errorf("%w: %w", leader.ErrNotLeading, err))
	default: // leadership lost on the way, shutdown, timeout: it may be committed or not
		p.done(nil, fmt.Errorf("%w: %w", leader.ErrUnavailable, err))
	}
}

// Message reads a message from its log entry.
func (g *Group) Message(ref queue.Ref) (queue.Message, error) {
	batch, err := g.entries.Payload(ref.Index)
	if err != nil {
		return queue.Message{}, fmt.Errorf("group %d: %w", g.id, err)
	}
	return queue.ReadMessage(batch, ref.Ordinal)
}

// Locked runs f while nothing is applied.
func (g *Group) Locked(f func(*queue.State)) { g.fsm.locked(f) }

// Leased tells whether nobody else can lead the group now.
func (g *Group) Leased() bool { return time.Now().Before(g.transport.Lease()) }

// Status is what listings show of a replica.
type Status struct {
	ID       uint64
	State    string
	Leader   string
	Term     uint64
	Last     uint64
	Applied  uint64
	Level    uint64   // that its log has turned on
	Replicas []string // voters
	Learners []string // non-voters
}

// Status reports what this replica knows.
func (g *Group) Status() Status {
	s := Status{
		ID: g.id, State: g.raft.State().String(), Leader: g.Leader(),
		Term: g.raft.CurrentTerm(), Last: g.raft.LastIndex(), Applied: g.raft.AppliedIndex(),
	}
	g.fsm.locked(func(state *queue.State) { s.Level = state.Level() })
	if conf := g.raft.GetConfiguration(); conf.Error() == nil {
		for _, srv := range conf.Configuration().Servers {
			if srv.Suffrage == raft.Voter {
				s.Replicas = append(s.Replicas, string(srv.ID))
			} else {
				s.Learners = append(s.Learners, string(srv.ID))
			}
		}
	}
	return s
}

// run follows leadership until ctx ends.
func (g *Group) run(ctx context.Context) {
	var parts sync.WaitGroup
	defer parts.Wait()
	parts.Go(g.answer)
	parts.Go(func() { g.takeSnapshots(ctx) })
	for leads := false; ; {
		if !leads {
			select {
			case <-ctx.Done():
				<-g.closed // Host.Run stops Raft, and answers go on until then
				return
			case leads = <-g.changes:
			}
			continue
		}
		leads = g.leadUntilChange(ctx)
	}
}

// leadUntilChange leads until Raft says otherwise or ctx ends; it reports
// whether a new term of leading begins.
func (g *Group) leadUntilChange(ctx context.Context) (again bool) {
	leading, stop := context.WithCancel(ctx)
	var lead sync.WaitGroup
	lead.Go(func() { g.lead(leading) })
	defer lead.Wait()
	defer stop()
	select {
	case <-ctx.Done():
		return false
	case again = <-g.changes:
		return again
	}
}

// lead serves the group as its leader until ctx ends.
func (g *Group) lead(ctx context.Context) {
	for {
		err := g.ask(func() raft.Future { return g.raft.Barrier(barrierTimeout) })
		if err == nil {
			break
		}
		if ctx.Err() != nil || g.raft.State() != raft.Leader {
			return
		}
		// A transfer of the leadership is under way, or nothing can be committed:
		// it ends in another leader, or goes on here.
		g.logger.Warn("a new leader cannot commit yet", "error", err)
		select {
		case <-ctx.Done():
			return
		case <-time.After(barrierPause):
		}
	}
	switch err := g.fsm.caughtUp(); {
	case errors.Is(err, level.ErrUnknown):
		return // it is being closed
	case err != nil:
		g.fsm.damaged(err)
		return
	}
	term := g.raft.CurrentTerm()
	g.logger.Info("leading", "term", term)
	defer g.logger.Info("leading no more", "term", term)
	var drift sync.WaitGroup
	defer drift.Wait()
	drift.Go(func() { g.drift(ctx) })
	g.host.cfg.Lead(ctx, g, term)
}

// stop hands the leadership over, if this node has it, takes a last snapshot, and
// shuts Raft down.
func (g *Group) stop() error {
	g.transport.Yield(true)
	if g.raft.State() == raft.Leader {
		if err := g.handOver(context.Background()); err != nil { // the host's has ended; what is waited for is bounded
			g.logger.Debug("leadership was not handed over", "error", err)
		}
	}
	g.host.mu.Lock()
	retire := g.retire
	g.host.mu.Unlock()
	if retire != nil {
		retire()
	}
	g.lastSnapshot()
	g.proposing.Lock()
	g.stopping = true
	g.proposing.Unlock()
	g.calls.Wait() // a leader without a majority steps down within its lease, and answers
	down := g.raft.Shutdown()
	if c, ok := g.transport.(raft.WithClose); ok {
		c.Close() // what waits for a peer ends, or Raft would wait for it
	}
	err := down.Error()
	g.proposing.Lock()
	g.ended = true
	g.proposing.Unlock()
	close(g.closed) // what is in line is still answered
	if err != nil {
		return fmt.Errorf("stop group %d: %w", g.id, err)
	}
	return nil
}

// handOver moves the leadership to another node, within a bound.
func (g *Group) handOver(ctx context.Context) error {
	voters := g.Status().Replicas
	if len(voters) < 2 {
		return nil
	}
	return g.transfer(ctx, voters...)
}
