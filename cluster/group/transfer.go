package group

import (
	"context"
	"errors"
	"fmt"
	"sync"

	"github.com/hashicorp/raft"
)

// transfers remembers to whom the leadership could not be handed in this term, for
// such a follower must not be tried again. hashicorp/raft leaves the question that
// it gave up on in the follower's channel, which has one place: a second transfer
// would wait for ever to put its own there, and the leader would refuse all
// proposals until then (raft.go, leadershipTransfer).
type transfers struct {
	mu     sync.Mutex
	term   uint64
	failed map[string]struct{}
}

func (t *transfers) mayTry(term uint64, to string) bool {
	t.mu.Lock()
	defer t.mu.Unlock()
	_, failed := t.failed[to]
	return t.term != term || !failed
}

func (t *transfers) fail(term uint64, to string) {
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.term != term {
		t.term, t.failed = term, make(map[string]struct{})
	}
	t.failed[to] = struct{}{}
}

var errNobodyToLead = errors.New("nobody to hand the leadership to")

// transfer hands the leadership to one of these followers, the first that is well
// and was not tried in vain in this term. It takes an election timeout at most.
func (g *Group) transfer(ctx context.Context, candidates ...string) error {
	term := g.raft.CurrentTerm()
	for _, well := range []bool{true, false} { // rather one that follows
		for _, to := range candidates {
			if to == g.host.cfg.Self || !g.transfers.mayTry(term, to) || well && !g.follows(to) {
				continue
			}
			stay := g.host.cfg.Resign(ctx, g.id)
			err := g.ask(func() raft.Future {
				return g.raft.LeadershipTransferToServer(raft.ServerID(to), raft.ServerAddress(to))
			})
			if err != nil {
				stay()
			}
			if err != nil && !errors.Is(err, raft.ErrLeadershipTransferInProgress) {
				g.transfers.fail(term, to)
				err = fmt.Errorf("hand the leadership to %s: %w", to, err)
			}
			return err
		}
	}
	return errNobodyToLead
}
