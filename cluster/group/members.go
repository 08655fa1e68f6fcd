package group

import (
	"context"
	"errors"
	"fmt"
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
	if g.transfers.mayTry(g.raft.CurrentTerm(), preferred) {
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

// Move brings the group, which is led here, one step nearer to the replicas
// target: what is missing is added without a vote and gets one once it has
// caught up, then what is not in target is removed. It returns the replicas
// the group has, and ErrMoving while there is more to do.
func (g *Group) Move(ctx context.Context, target []string) ([]string, error) {
	if len(target) == 0 || g.raft.State() != raft.Leader {
		return nil, nil
	}
	s := g.Status()
	for _, id := range target {
		if slices.Contains(s.Replicas, id) {
			continue
		}
		var change func(raft.ServerID, raft.ServerAddress, uint64, time.Duration) raft.IndexFuture
		switch {
		case !slices.Contains(s.Learners, id):
			change = g.raft.AddNonvoter
		case g.follows(id):
			change = g.raft.AddVoter
		default:
			return s.Replicas, ErrMoving
		}
		err := g.ask(func() raft.Future { return change(raft.ServerID(id), raft.ServerAddress(id), 0, changeTimeout) })
		if err != nil {
			return s.Replicas, fmt.Errorf("group %d: add %s: %w", g.id, id, err)
		}
		return g.Status().Replicas, ErrMoving
	}
	for _, id := range slices.Concat(s.Replicas, s.Learners) {
		if slices.Contains(target, id) {
			continue
		}
		if id == g.host.cfg.Self {
			return s.Replicas, errors.Join(ErrMoving, g.handOver(ctx)) // the next leader removes this node
		}
		err := g.ask(func() raft.Future { return g.raft.RemoveServer(raft.ServerID(id), 0, changeTimeout) })
		if err != nil {
			return s.Replicas, fmt.Errorf("group %d: remove %s: %w", g.id, id, err)
		}
		return g.Status().Replicas, ErrMoving
	}
	return s.Replicas, nil
}
