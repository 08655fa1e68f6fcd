package log

import (
	"context"
	"errors"
	"fmt"
	"sync/atomic"
	"time"
)

// stallTicks is how many times the watchdog must see the same operation. It counts what it sees
// instead of reading the clock: a process that was stopped for a while has not a stuck disk.
const stallTicks = 12

// pulse tells the watchdog what its owner is at: an odd number during an operation.
type pulse struct{ n atomic.Uint64 }

func (p *pulse) begin() { p.n.Add(1) }
func (p *pulse) end()   { p.n.Add(1) }

// each does operations one after another, up to the first that fails.
func (p *pulse) each(operations ...func() error) error {
	for _, do := range operations {
		p.begin()
		err := do()
		p.end()
		if err != nil {
			return err
		}
	}
	return nil
}

// watch sees one pulse.
type watch struct {
	pulse *pulse
	last  uint64
	ticks int
}

// stalled is called at every tick.
func (w *watch) stalled() bool {
	n := w.pulse.n.Load()
	if n%2 == 0 || n != w.last {
		w.last, w.ticks = n, 0
		return false
	}
	w.ticks++
	return w.ticks >= stallTicks
}

// Run writes what is appended until ctx ends, and returns nil then. Any other error means that
// nobody knows what the disk holds: every caller has it, and the process must stop. When the disk
// does not answer, Run returns ErrStalled and leaves the goroutine behind that waits for it.
func (l *Log) Run(ctx context.Context) error {
	if l.running.Swap(true) {
		return errors.New("log runs already")
	}
	err := l.run(ctx)
	l.end(ErrStopped)
	return err
}

func (l *Log) run(ctx context.Context) error {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	w := &writer{l: l, pulse: &pulse{}}
	k := &keeper{l: l, pulse: &pulse{}}
	l.start.hand(w, k)
	wrote, kept := make(chan error, 1), make(chan error, 1)
	go func() { wrote <- w.run(ctx) }()
	go func() { kept <- k.run(ctx) }()

	writing, keeping := watch{pulse: w.pulse}, watch{pulse: k.pulse}
	tick := time.NewTicker(l.cfg.StallTimeout / stallTicks)
	defer tick.Stop()
	fail := func(err error) {
		l.end(fmt.Errorf("%w: %w", ErrStopped, err))
		cancel()
	}
	var failed error
	for running := 2; running > 0; {
		select {
		case err := <-wrote:
			wrote, running = nil, running-1
			if err != nil && !errors.Is(err, ErrStopped) && failed == nil {
				failed = fmt.Errorf("write log: %w", err)
				fail(failed)
			}
		case err := <-kept:
			kept, running = nil, running-1
			if err != nil && failed == nil {
				failed = fmt.Errorf("keep log: %w", err)
				fail(failed)
			}
		case <-tick.C:
			// The keeper may take its time until the writer waits for it or the log is to stop.
			needed := w.waits.Load() || ctx.Err() != nil
			if stalled := keeping.stalled(); writing.stalled() || stalled && needed {
				err := fmt.Errorf("log did not get on for %v: %w", l.cfg.StallTimeout, ErrStalled)
				fail(err)
				return errors.Join(failed, err)
			}
		}
	}
	return failed
}
