package group

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"time"

	"github.com/hashicorp/raft"
)

// refusedPause is how long a follower that takes no leadership is not asked again.
const refusedPause = 3 * time.Second

// transfers remembers to whom the leadership could not be handed in this term. A
// follower that let the time pass must not be tried again: hashicorp/raft leaves the
// question that it gave up on in the follower's channel, which has one place, and a
// second transfer would wait for ever to put its own there, while the leader would
// refuse all proposals (raft.go, leadershipTransfer). One that refused at once may
// take it a little later.
type transfers struct {
	mu     sync.Mutex
	term   uint64
	failed map[string]time.Time // until when; the zero Time: for the term
}

func (t *transfers) mayTry(term uint64, to string) bool {
	t.mu.Lock()
	defer t.mu.Unlock()
	until, failed := t.failed[to]
	return t.term != term || !failed || !until.IsZero() && time.Now().After(until)
}

// refused tells whether a follower has refused a moment ago.
func (t *transfers) refused(term uint64, to string) bool {
	t.mu.Lock()
	defer t.mu.Unlock()
	return t.term == term && time.Now().Before(t.failed[to])
}

func (t *transfers) fail(term uint64, to string, until time.Time) {
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.term != term {
		t.term, t.failed = term, make(map[string]time.Time)
	}
	t.failed[to] = until
}

var errNobodyToLead = errors.New("nobody to hand the leadership to")

// transfer hands the leadership to one of these followers, the first that is well,
// takes leaderships and was not tried in vain. It takes an election timeout at most.
func (g *Group) transfer(ctx context.Context, candidates ...string) error {
	term := g.raft.CurrentTerm()
	for _, well := range []bool{true, false} { // rather one that follows
		for _, to := range candidates {
			if to == g.host.cfg.Self || g.host.cfg.Yields(to) || !g.transfers.mayTry(term, to) || well && !g.follows(to) {
				continue
			}
			stay := g.host.cfg.Resign(ctx, g.id)
			began := time.Now()
			err := g.ask(func() raft.Future {
				return g.raft.LeadershipTransferToServer(raft.ServerID(to), raft.ServerAddress(to))
			})
			if err != nil {
				stay()
			}
			if err != nil && !errors.Is(err, raft.ErrLeadershipTransferInProgress) {
				var until time.Time
				if time.Since(began) < g.host.cfg.HeartbeatTimeout { // Raft's election timeout, too
					until = time.Now().Add(refusedPause)
				}
				g.transfers.fail(term, to, until)
				err = fmt.Errorf("hand the leadership to %s: %w", to, err)
			}
			return err
		}
	}
	return errNobodyToLead
}
