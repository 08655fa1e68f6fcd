package log

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/warrenmq/warren/cluster/log/internal/watchdog"
)

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
	w := &writer{l: l, pulse: &watchdog.Pulse{}}
	k := &keeper{l: l, pulse: &watchdog.Pulse{}}
	c := &reclaimer{l: l, pulse: &watchdog.Pulse{}}
	l.start.hand(w, k)
	wrote, kept, reclaimed := make(chan error, 1), make(chan error, 1), make(chan error, 1)
	go func() { wrote <- w.run(ctx) }()
	go func() { kept <- k.run(ctx) }()
	go func() { reclaimed <- c.run(ctx) }()

	writing, keeping, reclaiming := watchdog.On(w.pulse), watchdog.On(k.pulse), watchdog.On(c.pulse)
	tick := time.NewTicker(watchdog.Interval(l.cfg.StallTimeout))
	defer tick.Stop()
	fail := func(err error) {
		l.end(fmt.Errorf("%w: %w", ErrStopped, err))
		cancel()
	}
	var failed error
	for running := 3; running > 0; {
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
		case err := <-reclaimed:
			reclaimed, running = nil, running-1
			if err != nil && failed == nil {
				failed = fmt.Errorf("reclaim space of the log: %w", err)
				fail(failed)
			}
		case <-tick.C:
			// The keeper may take its time until the writer waits for it, the reclaimer always, until
			// the log is to stop.
			stopping := ctx.Err() != nil
			kept, reclaimed := keeping.Stalled(), reclaiming.Stalled()
			if writing.Stalled() || kept && (w.waits.Load() || stopping) || reclaimed && stopping {
				err := fmt.Errorf("log did not get on for %v: %w", l.cfg.StallTimeout, ErrStalled)
				fail(err)
				return errors.Join(failed, err)
			}
		}
	}
	return failed
}
