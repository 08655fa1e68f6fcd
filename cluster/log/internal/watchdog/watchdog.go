// Package watchdog tells that a disk does not answer, without asking the disk.
//
// Who works with the disk tells a Pulse when an operation begins and ends; who
// watches calls Stalled at every tick of a clock. It counts what it sees instead
// of reading the clock: a process that was stopped for a while has no stuck disk.
package watchdog

import (
	"sync/atomic"
	"time"
)

// ticks is how many times in a row an operation must be seen.
const ticks = 12

// Interval is the time between two ticks such that an operation of timeout is found.
func Interval(timeout time.Duration) time.Duration { return timeout / ticks }

// Pulse says what its owner is at: an odd number during an operation.
type Pulse struct{ n atomic.Uint64 }

// Begin says that an operation begins; an owner does one at a time.
func (p *Pulse) Begin() { p.n.Add(1) }

// End says that it has ended.
func (p *Pulse) End() { p.n.Add(1) }

// Each does operations one after another, up to the first that fails.
func (p *Pulse) Each(operations ...func() error) error {
	for _, do := range operations {
		p.Begin()
		err := do()
		p.End()
		if err != nil {
			return err
		}
	}
	return nil
}

// Watch sees one pulse.
type Watch struct {
	pulse *Pulse
	last  uint64
	ticks int
}

// On returns a watch on p.
func On(p *Pulse) *Watch { return &Watch{pulse: p} }

// Stalled is called at every tick and reports whether the operation under way takes too long.
func (w *Watch) Stalled() bool {
	n := w.pulse.n.Load()
	if n%2 == 0 || n != w.last {
		w.last, w.ticks = n, 0
		return false
	}
	w.ticks++
	return w.ticks >= ticks
}
