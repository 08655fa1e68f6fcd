package group

import (
	"errors"
	"fmt"
	"slices"

	"github.com/hashicorp/raft"

	"github.com/warrenmq/warren/cluster/log"
)

// errDamaged says that what is kept of a group cannot be used, or not all of it.
var errDamaged = errors.New("damaged replica")

// prepare makes sure that log and snapshots are such that Raft can start with
// them: it panics otherwise, or waits for entries that can never be stored.
func (g *Group) prepare(snapshots raft.SnapshotStore, initial []string) error {
	settledBy, err := storedNumber(g.stable, keySettledBy)
	if err != nil {
		return err
	}
	if slices.Contains(initial, g.host.cfg.Self) {
		if err := g.firstConfiguration(snapshots, initial); err != nil {
			return orDamaged(err)
		}
	}
	first, err := g.entries.FirstIndex()
	if err != nil {
		return orDamaged(err)
	}
	last, err := g.entries.LastIndex()
	if err != nil {
		return orDamaged(err)
	}
	g.fsm.await(max(settledBy, last)) // this replica may have applied its whole log, and reclaimed by that
	taken, err := snapshots.List()
	switch {
	case err != nil:
		return err
	case len(taken) == 0 && first > 1:
		return fmt.Errorf("%w: its log begins with entry %d, and there is no snapshot", errDamaged, first)
	case len(taken) == 0:
		return nil
	}
	newest := taken[0]
	_, content, err := snapshots.Open(newest.ID)
	if err != nil {
		return fmt.Errorf("%w: its snapshot up to entry %d: %w", errDamaged, newest.Index, err)
	}
	content.Close()
	switch {
	case last == 0:
		return nil
	case first > newest.Index+1:
		return fmt.Errorf("%w: its log begins with entry %d, its snapshot ends with %d", errDamaged, first, newest.Index)
	case last < newest.Index:
		// The process ended between a leader's snapshot and the end of the log that it replaces.
		return g.entries.DeleteRange(first, last)
	case first > newest.Index:
		return nil
	}
	var entry raft.Log
	if err := g.entries.GetLog(newest.Index, &entry); err != nil {
		return orDamaged(err)
	}
	if entry.Term != newest.Term { // likewise, and the log was not the leader's
		return g.entries.DeleteRange(first, last)
	}
	return nil
}

// orDamaged tells an error of the log that the others can repair.
func orDamaged(err error) error {
	if errors.Is(err, log.ErrCorrupt) {
		return fmt.Errorf("%w: %w", errDamaged, err)
	}
	return err
}
