package membership

import (
	"context"
	"errors"
	"strings"
	"sync"
	"time"

	"github.com/hashicorp/memberlist"
)

// rejoiner contacts who is missing. It belongs to one goroutine.
type rejoiner struct {
	m         *Membership
	list      *memberlist.Memberlist
	lastFull  time.Time            // when seeds were last looked up
	complete  bool                 // nobody was missing then
	contacted map[string]time.Time // addresses that answered and are no member's own
	alone     int                  // rounds after which nobody else was there, in a row
}

// run contacts the seeds, and then whoever is missing every rejoinInterval.
func (r *rejoiner) run(ctx context.Context) {
	ticker := time.NewTicker(rejoinInterval)
	defer ticker.Stop()
	for {
		r.round(ctx)
		select {
		case <-ctx.Done():
			return
		case <-ticker.C:
		}
	}
}

// round contacts every seed and every last known peer that is not a living member.
func (r *rejoiner) round(ctx context.Context) {
	lost, living := r.peers()
	if r.complete && len(lost) == 0 && time.Since(r.lastFull) < calmInterval {
		return
	}
	seeds, resolveErr := r.m.resolveSeeds(ctx)
	r.lastFull = time.Now()
	targets := make(map[string]bool)
	for _, addr := range append(seeds, lost...) {
		if !living[addr] {
			targets[addr] = true
		}
	}
	if len(lost) == 0 {
		r.skipAliases(targets)
	}
	r.complete = len(targets) == 0 && resolveErr == nil
	joinErr := r.contact(ctx, targets)
	r.alone++
	if _, living = r.peers(); len(living) > 1 {
		r.alone = 0
	}
	if ctx.Err() == nil {
		r.explain(errors.Join(resolveErr, joinErr))
	}
}

// peers returns the gossip addresses of members that were lost, and of those that
// are alive, this node's own with them.
func (r *rejoiner) peers() (lost []string, living map[string]bool) {
	living = map[string]bool{r.m.table.me().GossipAddr: true}
	for _, e := range r.m.table.others() {
		switch {
		case e.member.Alive:
			living[e.member.GossipAddr] = true
		case !e.left:
			lost = append(lost, e.member.GossipAddr)
		}
	}
	return lost, living
}

// skipAliases takes out addresses that answered lately although no member calls
// them its own: a load balancer, this node's other address.
func (r *rejoiner) skipAliases(targets map[string]bool) {
	for addr, at := range r.contacted {
		if !targets[addr] || time.Since(at) >= repeatAfter {
			delete(r.contacted, addr)
			continue
		}
		delete(targets, addr)
	}
}

// contact exchanges the full state with all targets, a few at a time.
func (r *rejoiner) contact(ctx context.Context, targets map[string]bool) error {
	var (
		mu      sync.Mutex
		errs    []error
		running sync.WaitGroup
	)
	slots := make(chan struct{}, joinsAtOnce)
	for addr := range targets {
		select {
		case slots <- struct{}{}:
		case <-ctx.Done():
		}
		if ctx.Err() != nil {
			break
		}
		running.Go(func() {
			defer func() { <-slots }()
			_, err := r.list.Join([]string{addr})
			mu.Lock()
			defer mu.Unlock()
			if err != nil {
				errs = append(errs, plain(err))
				return
			}
			r.contacted[addr] = time.Now()
		})
	}
	running.Wait()
	return errors.Join(errs...)
}

// plain takes the one error out of memberlist's list of errors, which prints on
// several lines.
func plain(err error) error {
	if list, ok := err.(interface{ WrappedErrors() []error }); ok && len(list.WrappedErrors()) == 1 {
		return list.WrappedErrors()[0]
	}
	return err
}

// explain tells an operator of a secret that differs, and why the node is alone
// unless a refusal already did.
func (r *rejoiner) explain(err error) {
	switch {
	case err == nil:
	case wrongSecret(err.Error()):
		r.m.remarks.warn("own secret", "refused: a seed does not have this node's cluster secret", "error", err)
	case r.alone < 2: // nodes that start together miss each other once
	case strings.Contains(err.Error(), refusalMark):
	default:
		r.m.remarks.warn("seeds", "no seed answers yet", "error", err)
	}
}
