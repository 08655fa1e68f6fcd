package meta

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"time"

	"github.com/hashicorp/raft"

	pb "github.com/warrenmq/warren/proto"
)

// barrierEvery is the least time between two barriers of a node: however often
// refused clients try again, they cost the leader no more than that.
const barrierEvery = 5 * time.Millisecond

// barriers let readers be sure that they see what others have seen. Those that
// come while one is under way share the next.
type barriers struct {
	wake chan struct{}

	mu   sync.Mutex
	next *barrier // not begun; nil: nobody waits for it
}

// barrier is one question to the leader.
type barrier struct {
	done chan struct{} // closed when err is set
	err  error
}

func newBarriers() *barriers { return &barriers{wake: make(chan struct{}, 1)} }

func (b *barriers) join() *barrier {
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.next == nil {
		b.next = &barrier{done: make(chan struct{})}
		select {
		case b.wake <- struct{}{}:
		default:
		}
	}
	return b.next
}

func (b *barriers) take() *barrier {
	b.mu.Lock()
	defer b.mu.Unlock()
	next := b.next
	b.next = nil
	return next
}

// run puts the questions until ctx ends.
func (b *barriers) run(ctx context.Context, pass func(context.Context) error) {
	for {
		select {
		case <-b.wake:
		case <-ctx.Done():
			return
		}
		next := b.take()
		if next == nil {
			continue
		}
		next.err = pass(ctx)
		close(next.done)
		pause(ctx, barrierEvery)
	}
}

// Current returns when this node has applied all that any node had applied when
// it was called, so that what View shows then is no news to anybody. It writes
// nothing. It fails with ErrUnavailable while the leader cannot be reached, or at
// the latest when ctx ends.
func (m *Meta) Current(ctx context.Context) error {
	b := m.barriers.join()
	select {
	case <-b.done:
		return b.err
	case <-ctx.Done():
		return fmt.Errorf("%w: %w", ErrUnavailable, ctx.Err())
	}
}

// catchUp asks the leader how far the log is committed, and waits for that.
func (m *Meta) catchUp(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, m.cfg.ApplyTimeout)
	defer cancel()
	var err error
	for ctx.Err() == nil {
		var index uint64
		if index, err = m.askIndex(ctx); err == nil {
			m.fsm.progress.await(ctx, index)
			if ctx.Err() == nil {
				return nil
			}
			break
		}
		pause(ctx, retryPause)
	}
	return fmt.Errorf("%w: %w", ErrUnavailable, errors.Join(err, ctx.Err()))
}

// askIndex finds out, wherever the leader is, how far the log is committed.
func (m *Meta) askIndex(ctx context.Context) (uint64, error) {
	ctx, cancel := context.WithTimeout(ctx, sendTimeout)
	defer cancel()
	leader := m.Leader()
	switch leader {
	case "":
		return 0, ErrNoQuorum
	case m.cfg.Self.ID:
		return m.committedIndex(ctx)
	}
	conn, err := m.cfg.Conns.Conn(leader)
	if err != nil {
		return 0, err
	}
	go m.cancelWhenDeposed(ctx, cancel, leader)
	resp, err := pb.NewMetaClient(conn).ReadIndex(ctx, &pb.MetaReadIndexRequest{})
	return resp.GetIndex(), err
}

// committedIndex is the last committed entry that changed anything, as surely as
// only a leader can tell: it has committed an entry of its term, so that it knows
// of those of all terms before, and a majority still follows it.
//
// hashicorp/raft's own VerifyLeader is of no use here: asked while Raft ends, it
// may never answer.
func (m *Meta) committedIndex(ctx context.Context) (uint64, error) {
	r, err := m.leads()
	if err != nil {
		return 0, err
	}
	term, index := r.CurrentTerm(), r.CommitIndex()
	var e raft.Log
	if err := m.cfg.Stores.Log.GetLog(index, &e); err != nil {
		return 0, fmt.Errorf("read entry %d: %w", index, err)
	}
	if e.Term != term {
		return 0, errNotLeader // not yet
	}
	if err := m.verifyTerm(ctx, r, term); err != nil {
		return 0, err
	}
	return m.lastChange(index, &e), nil
}

// verifyTerm fails unless a majority of the voters is in term. A leader of a later
// one, elected before the question, would have had the vote of one of them, which
// had come to that term by then.
func (m *Meta) verifyTerm(ctx context.Context, r *raft.Raft, term uint64) error {
	conf := r.GetConfiguration()
	if err := conf.Error(); err != nil {
		return err
	}
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	terms := make(chan uint64, len(conf.Configuration().Servers))
	voters := 0
	for _, s := range conf.Configuration().Servers {
		if s.Suffrage != raft.Voter {
			continue
		}
		voters++
		if s.ID == raft.ServerID(m.cfg.Self.ID) {
			terms <- r.CurrentTerm()
			continue
		}
		go func() { terms <- m.termOf(ctx, string(s.ID)) }()
	}
	agree := 0
	for range voters {
		select {
		case t := <-terms:
			if t == term {
				agree++
			}
		case <-ctx.Done():
			return ctx.Err()
		}
		if agree > voters/2 {
			return nil
		}
	}
	return errNotLeader
}

// termOf asks another node which term it is in; 0 when it does not say.
func (m *Meta) termOf(ctx context.Context, id string) uint64 {
	conn, err := m.cfg.Conns.Conn(id)
	if err != nil {
		return 0
	}
	resp, err := pb.NewMetaClient(conn).Term(ctx, &pb.MetaTermRequest{})
	if err != nil {
		return 0
	}
	return resp.GetTerm()
}

// lastChange is the last entry up to e, at index, that changes the definitions. Of
// others no follower is given notice, so that they would be waited for in vain.
func (m *Meta) lastChange(index uint64, e *raft.Log) uint64 {
	for applied := m.fsm.changed.Load(); index > applied; index-- {
		if err := m.cfg.Stores.Log.GetLog(index, e); err != nil {
			return applied // it is in a snapshot of this state machine
		}
		if e.Type == raft.LogCommand {
			break
		}
	}
	return index
}
