package group

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/hashicorp/raft"
)

// A replica whose log is damaged must not vote with what is left of it: it would
// have forgotten entries that it has acknowledged. So it is given up in steps, of
// which each is durable before the next: it is closed; the group's leader takes it
// out of the voters, with an entry that is committed without it; its data is made
// void. Then it is a new server, opened without a configuration, that the leader
// adds and fills as any other. In the same way a node gives up a replica that is
// no longer wanted here.
const (
	stepMarked   = 1 // it must not be opened
	stepExpelled = 2 // it is no voter, and its data is to be wiped
	stepWiped    = 3 // it has begun anew
)

// keyLeaving is where a replica keeps its step.
var keyLeaving = []byte("Leaving")

var (
	errCannotWipe = errors.New("group: this host cannot wipe replicas")
	errAlone      = errors.New("no other replica could be asked")
	errLastVoter  = errors.New("it is the only replica that votes")
)

const (
	expelTimeout  = 15 * time.Second // of one request: a change of configuration
	expelPause    = 200 * time.Millisecond
	expelPauseMax = 5 * time.Second
)

// leaving is a replica that is being given up.
type leaving struct {
	cause  error // nil: it is not wanted any more
	reopen bool
	runs   bool
}

// Rebuild gives this node's replica of a group up, whose data is damaged, and opens
// it anew once it can no longer do harm; the others fill it again. It returns when
// the replica is closed and will stay so.
func (h *Host) Rebuild(id uint64, cause error) error {
	h.logger.Error("a queue group's replica on this node is damaged: it is closed, and rebuilt from the others", "group", id, "error", cause)
	return h.give(id, &leaving{cause: cause, reopen: true})
}

// Discard gives up this node's replica of a group, which is no longer wanted here,
// if there is one. It returns soon; it may be called again at any time. An Ensure
// opens an empty replica afterwards.
func (h *Host) Discard(id uint64) error {
	h.mu.Lock()
	if l := h.leaving[id]; l != nil {
		l.reopen = false
		defer h.mu.Unlock()
		return nil
	}
	open, gone := h.groups[id] != nil, h.gone[id] || h.opening[id]
	h.mu.Unlock()
	if gone {
		return nil
	}
	if !open {
		empty, err := h.empty(id)
		if err != nil {
			return err
		}
		if empty {
			h.mu.Lock()
			defer h.mu.Unlock()
			h.gone[id] = true
			return nil
		}
	}
	return h.give(id, &leaving{})
}

// empty tells whether nothing of a group is here that could vote or be served.
func (h *Host) empty(id uint64) (bool, error) {
	stable, err := h.cfg.Stable(id)
	if err != nil {
		return false, err
	}
	step, err := storedNumber(stable, keyLeaving)
	if err != nil || step == stepMarked || step == stepExpelled {
		return false, err
	}
	entries, err := h.cfg.Entries(id)
	if err != nil {
		return false, nil
	}
	last, err := entries.LastIndex()
	if err != nil || last > 0 {
		return false, nil
	}
	snapshots, err := h.cfg.Snapshots(id)
	if err != nil {
		return false, err
	}
	taken, err := snapshots.List()
	return len(taken) == 0, err
}

// give begins to give a replica up.
func (h *Host) give(id uint64, l *leaving) error {
	h.mu.Lock()
	if known := h.leaving[id]; known != nil || h.ctx != nil && h.ctx.Err() != nil {
		if known != nil {
			known.reopen = known.reopen || l.reopen
		}
		h.mu.Unlock()
		return nil
	}
	h.leaving[id] = l
	h.mu.Unlock()
	err := h.mark(id)
	if err != nil {
		h.mu.Lock()
		delete(h.leaving, id)
		h.mu.Unlock()
	}
	err = errors.Join(err, h.Retire(id)) // it is not served, marked or not
	h.mu.Lock()
	defer h.mu.Unlock()
	if h.leaving[id] == l && h.ctx != nil && h.ctx.Err() == nil {
		h.leave(id, l)
	}
	return err
}

// mark notes that the replica must not be opened as it is.
func (h *Host) mark(id uint64) error {
	stable, err := h.cfg.Stable(id)
	if err != nil {
		return err
	}
	step, err := storedNumber(stable, keyLeaving)
	if err != nil || step == stepMarked || step == stepExpelled {
		return err
	}
	return stable.SetUint64(keyLeaving, stepMarked)
}

// leave goes through the steps. The caller holds mu.
func (h *Host) leave(id uint64, l *leaving) {
	if l.runs {
		return
	}
	l.runs = true
	ctx := h.ctx
	h.lives.Go(func() {
		if err := h.leaveSteps(ctx, id); err != nil {
			if ctx.Err() == nil {
				h.logger.Error("a replica could not be given up; it stays closed", "group", id, "error", err)
			}
			return
		}
		h.mu.Lock()
		reopen := l.reopen
		delete(h.leaving, id)
		delete(h.unknown, id)
		h.gone[id] = !reopen
		h.mu.Unlock()
		if !reopen {
			h.logger.Info("a replica was removed from this node", "group", id)
			return
		}
		h.logger.Info("a damaged replica begins anew, to be filled by the others", "group", id)
		if err := h.Ensure(id, nil); err != nil && ctx.Err() == nil {
			h.logger.Error("a replica that begins anew cannot be opened", "group", id, "error", err)
		}
	})
}

func (h *Host) leaveSteps(ctx context.Context, id uint64) error {
	stable, err := h.cfg.Stable(id)
	if err != nil {
		return err
	}
	step, err := storedNumber(stable, keyLeaving)
	if err != nil {
		return err
	}
	if step < stepExpelled {
		if err := h.expelled(ctx, id); err != nil {
			return err
		}
		if err := stable.SetUint64(keyLeaving, stepExpelled); err != nil {
			return err
		}
	}
	if err := h.cfg.Wipe(id); err != nil {
		return fmt.Errorf("wipe: %w", err)
	}
	if err := stable.SetUint64(keySettledBy, 0); err != nil {
		return err
	}
	return stable.SetUint64(keyLeaving, stepWiped)
}

// expelled asks the others until this replica is no voter, or ctx ends.
func (h *Host) expelled(ctx context.Context, id uint64) error {
	pause, said := expelPause, ""
	for {
		err := h.askToExpel(ctx, id)
		if err == nil || ctx.Err() != nil {
			return ctx.Err()
		}
		if text := err.Error(); text != said {
			said = text
			h.logger.Warn("nobody takes this node's damaged replica out of its group yet", "group", id, "error", err)
		}
		timer := time.NewTimer(pause)
		select {
		case <-ctx.Done():
			timer.Stop()
			return ctx.Err()
		case <-timer.C:
		}
		pause = min(2*pause, expelPauseMax)
	}
}

// askToExpel asks each of the others once.
func (h *Host) askToExpel(ctx context.Context, id uint64) error {
	err := errAlone
	for _, other := range h.cfg.Replicas(id) {
		if other == h.cfg.Self {
			continue
		}
		limited, cancel := context.WithTimeout(ctx, expelTimeout)
		err = h.cfg.Expel(limited, other, id)
		cancel()
		if err == nil || ctx.Err() != nil {
			return err
		}
	}
	return err
}

// Damaged lists the replicas here that are closed because their data is damaged.
func (h *Host) Damaged() map[uint64]error {
	h.mu.Lock()
	defer h.mu.Unlock()
	list := make(map[uint64]error)
	for id, l := range h.leaving {
		if l.cause != nil {
			list[id] = l.cause
		}
	}
	return list
}

// expel takes a replica out of the group, which is led here, and returns when a
// configuration without it is committed.
func (g *Group) expel(serverID string) error {
	s := g.Status()
	switch {
	case serverID == g.host.cfg.Self:
		return errors.New("it leads the group")
	case slices.Contains(s.Replicas, serverID) && len(s.Replicas) < 2:
		return errLastVoter
	case slices.Contains(s.Replicas, serverID) || slices.Contains(s.Learners, serverID):
		err := g.ask(func() raft.Future { return g.raft.RemoveServer(raft.ServerID(serverID), 0, changeTimeout) })
		if err != nil {
			return fmt.Errorf("group %d: remove %s: %w", g.id, serverID, err)
		}
		g.logger.Warn("a damaged or discarded replica was taken out of its group", "node", serverID)
		return nil
	}
	// It may have been removed by an entry that is not committed yet.
	if err := g.ask(func() raft.Future { return g.raft.Barrier(barrierTimeout) }); err != nil {
		return fmt.Errorf("group %d: %w", g.id, err)
	}
	if s := g.Status(); slices.Contains(s.Replicas, serverID) {
		return fmt.Errorf("group %d: %s was added meanwhile", g.id, serverID)
	}
	return nil
}
