package group

import (
	"context"
	"errors"
	"sync"
	"sync/atomic"
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
// ends, or before if nobody takes them: of groups that have no other replica that is well.
func (h *Host) HandOver(ctx context.Context) (left int) {
	for {
		left = 0
		var (
			handing sync.WaitGroup
			vain    atomic.Int32
		)
		for _, g := range h.Groups() {
			if g.raft.State() != raft.Leader || len(g.Status().Replicas) < 2 {
				continue
			}
			left++
			handing.Go(func() {
				err := g.handOver(ctx)
				if errors.Is(err, errNobodyToLead) {
					vain.Add(1)
				} else if err != nil {
					g.logger.Debug("leadership was not handed over", "error", err)
				}
			})
		}
		handing.Wait()
		if left == int(vain.Load()) {
			return left
		}
		select {
		case <-ctx.Done():
			return left
		case <-time.After(yieldPause):
		}
	}
}
