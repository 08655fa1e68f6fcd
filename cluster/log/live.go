package log

// Live tells what is still needed of a group's released entries.
type Live interface {
	// LiveEntries calls yield for each entry of [first, last] that has a live message, ascending,
	// with the live ordinals, ascending, nil for all; yield must not keep them, and ends the call with false.
	// What is not live now must never be live again, in this state or in one that has applied as
	// much. It is asked from one goroutine of the log for one group at a time and must not block
	// long; it must not call the log.
	LiveEntries(first, last uint64, yield func(index uint64, ordinals []uint32) bool)
}

// SetLive says whom to ask what is still needed of the group. Nothing of the group is reclaimed
// before. It belongs behind the restoring of the newest snapshot.
//
// A state that was restored from a snapshot counts messages as live that entries behind the
// snapshot settle. Their bodies may be gone: it must have applied what it had applied before
// until all that it counts as live can be read.
func (g *Group) SetLive(live Live) {
	g.mu.Lock()
	g.live = live
	g.mu.Unlock()
	g.log.stir()
}
