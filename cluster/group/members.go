package group

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
	"time"

	"github.com/hashicorp/raft"
)

const (
	// driftEvery is how often a leader looks whether another node should lead.
	driftEvery = 3 * time.Second
	// movingPause is how soon it looks again while another group's leadership moves.
	movingPause = 100 * time.Millisecond
	// settleTime is how long a leader stays at the least.
	settleTime = 5 * time.Second
	// freshTime is how recently a follower must have answered to count as well.
	freshTime = time.Second
	// caughtUp is how many entries behind still counts as caught up.
	caughtUp = 64
	// changeTimeout bounds one change of a group's configuration.
	changeTimeout = 10 * time.Second
)

// drift gives the leadership to the preferred node once it is well and caught up.
func (g *Group) drift(ctx context.Context) {
	timer := time.NewTimer(settleTime)
	defer timer.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-g.host.ctx.Done():
			return // it hands over all that it leads
		case <-timer.C:
		}
		timer.Reset(driftEvery)
		preferred := g.host.cfg.Preferred(g.id)
		if preferred == "" || preferred == g.host.cfg.Self || !g.isVoter(preferred) || !g.follows(preferred) {
			continue
		}
		if !g.host.moving.TryLock() {
			timer.Reset(movingPause)
			continue
		}
		err := g.transfer(ctx, g.drifts(preferred)...)
		g.host.moving.Unlock()
		if err != nil && ctx.Err() == nil {
			g.logger.Debug("leadership was not handed to the preferred node", "to", preferred, "error", err)
		}
	}
}

// drifts is whom to hand the leadership to on its way to the preferred node: that
// node, or another, which can try it in a term of its own.
func (g *Group) drifts(preferred string) []string {
	term := g.raft.CurrentTerm()
	if g.transfers.mayTry(term, preferred) || g.transfers.refused(term, preferred) {
		return []string{preferred}
	}
	return slices.DeleteFunc(g.Status().Replicas, func(id string) bool { return !g.follows(id) })
}

// follows tells whether a follower answers and is caught up.
func (g *Group) follows(id string) bool {
	index, at := g.transport.LastIndex(id)
	return time.Since(at) < freshTime && index+caughtUp >= g.raft.LastIndex()
}

func (g *Group) isVoter(id string) bool {
	s := g.Status()
	return slices.Contains(s.Replicas, id)
}

// ErrMoving says that a change of replicas is not finished: ask again.
var ErrMoving = errors.New("replicas are being moved")

// learners remembers since when a leader has seen each non-voter. It belongs to who
// calls Move.
type learners struct {
	term  uint64
	since map[string]time.Time
}

// seen notes the non-voters of a term and forgets those that are none any more.
func (l *learners) seen(term uint64, now []string) {
	if l.term != term || l.since == nil {
		l.term, l.since = term, make(map[string]time.Time)
	}
	maps.DeleteFunc(l.since, func(id string, _ time.Time) bool { return !slices.Contains(now, id) })
	for _, id := range now {
		if _, known := l.since[id]; !known {
			l.since[id] = time.Now()
		}
	}
}

// learned tells whether a non-voter has caught up, by what it answered as one: what it
// said as a voter whose log is lost since does not count.
func (g *Group) learned(id string) bool {
	since, known := g.learners.since[id]
	_, at := g.transport.LastIndex(id)
	return known && at.After(since) && g.follows(id)
}

// Move brings the group, which is led here, one step nearer to the replicas target:
// those that are gone for good are removed, what is missing is added without a vote and
// gets one once it has caught up, then what is not in target is removed. It returns
// ErrMoving while there is more to do. Nobody else may call it at the same time.
func (g *Group) Move(ctx context.Context, target, gone []string) error {
	if len(target) == 0 || g.raft.State() != raft.Leader {
		return nil
	}
	s := g.Status()
	g.learners.seen(s.Term, s.Learners)
	for _, id := range slices.Concat(s.Learners, s.Replicas) {
		if slices.Contains(gone, id) && id != g.host.cfg.Self {
			return g.remove(id) // it has no vote to lose
		}
	}
	waits := false
	for _, id := range target {
		switch {
		case slices.Contains(s.Replicas, id):
		case !slices.Contains(s.Learners, id):
			return g.change("add", id, g.raft.AddNonvoter)
		case g.learned(id):
			return g.change("give a vote to", id, g.raft.AddVoter)
		default:
			waits = true
		}
	}
	if waits {
		return ErrMoving
	}
	for _, id := range slices.Concat(s.Learners, s.Replicas) {
		switch {
		case slices.Contains(target, id):
		case id == g.host.cfg.Self: // the next leader removes this node
			to := slices.DeleteFunc(slices.Clone(s.Replicas), func(id string) bool { return !slices.Contains(target, id) })
			return errors.Join(ErrMoving, g.transfer(ctx, to...))
		default:
			return g.remove(id)
		}
	}
	return nil
}

func (g *Group) remove(id string) error {
	return g.change("remove", id, func(id raft.ServerID, _ raft.ServerAddress, index uint64, d time.Duration) raft.IndexFuture {
		return g.raft.RemoveServer(id, index, d)
	})
}

// change makes one change of the group's members.
func (g *Group) change(what, id string, how func(raft.ServerID, raft.ServerAddress, uint64, time.Duration) raft.IndexFuture) error {
	g.logger.Info("changes a group's members", "change", what, "node", id)
	err := g.ask(func() raft.Future { return how(raft.ServerID(id), raft.ServerAddress(id), 0, changeTimeout) })
	if err != nil {
		return fmt.Errorf("group %d: %s %s: %w", g.id, what, id, err)
	}
	return ErrMoving
}

// Members are the group's voters, who are led here, and term and index of its log by
// which that is committed.
func (g *Group) Members() (voters []string, term, index uint64, err error) {
	s := g.Status()
	index = g.raft.LastIndex()
	// What was in the log before the barrier is committed after it.
	if err := g.ask(func() raft.Future { return g.raft.Barrier(barrierTimeout) }); err != nil {
		return nil, 0, 0, fmt.Errorf("group %d: %w", g.id, err)
	}
	slices.Sort(s.Replicas)
	return s.Replicas, s.Term, index, nil
}
