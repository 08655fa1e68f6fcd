package group

import (
	"context"
	"errors"
	"sync"
	"time"

	"github.com/hashicorp/raft"
)

// yieldPause is how soon leaderships that could not be handed over are tried again.
const yieldPause = 200 * time.Millisecond

// Yield says whether this node refuses to be handed any leadership.
func (h *Host) Yield(yes bool) {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.yields = yes
	for _, g := range h.groups {
		g.transport.Yield(yes)
	}
}

// HandOver gives all leaderships to other nodes. It returns how many are left when ctx
// ends: of groups that have no other replica that is well.
func (h *Host) HandOver(ctx context.Context) (left int) {
	for {
		left = 0
		var handing sync.WaitGroup
		for _, g := range h.Groups() {
			if g.raft.State() != raft.Leader || len(g.Status().Replicas) < 2 {
				continue
			}
			left++
			handing.Go(func() {
				if err := g.handOver(); err != nil && !errors.Is(err, errNobodyToLead) {
					g.logger.Debug("leadership was not handed over", "error", err)
				}
			})
		}
		handing.Wait()
		if left == 0 {
			return 0
		}
		select {
		case <-ctx.Done():
			return left
		case <-time.After(yieldPause):
		}
	}
}
