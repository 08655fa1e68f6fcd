package node

import (
	"context"
	"fmt"
	"log/slog"
	"time"
)

// parts are what a node runs, in the order of their start. They stop in
// reverse: clients are told first, the disk goes last.
type parts struct {
	logger  *slog.Logger
	running []*part
	failed  chan error // of the first that ended by itself
}

type part struct {
	name string
	stop context.CancelFunc
	done chan struct{}
}

func newParts(logger *slog.Logger) *parts {
	return &parts{logger: logger, failed: make(chan error, 1)}
}

// start lets run live until stopAll. Its end before that ends the node.
func (p *parts) start(name string, run func(context.Context) error) {
	ctx, stop := context.WithCancel(context.Background())
	one := &part{name: name, stop: stop, done: make(chan struct{})}
	p.running = append(p.running, one)
	go func() {
		defer close(one.done)
		err := run(ctx)
		if err == nil && ctx.Err() != nil {
			return
		}
		if err == nil {
			err = fmt.Errorf("%s ended", name)
		} else {
			err = fmt.Errorf("%s: %w", name, err)
		}
		select {
		case p.failed <- err:
		default:
			p.logger.Debug("a part ended with an error while the node was ending", "error", err)
		}
	}()
}

// stopAll stops the parts in reverse and waits for each, within the bound for
// all of them together.
func (p *parts) stopAll(within time.Duration) {
	deadline := time.NewTimer(within)
	defer deadline.Stop()
	for i := len(p.running) - 1; i >= 0; i-- {
		one := p.running[i]
		one.stop()
		select {
		case <-one.done:
		case <-deadline.C:
			p.logger.Warn("a part did not stop in time", "part", one.name)
			for _, rest := range p.running[:i] {
				rest.stop()
			}
			return
		}
	}
}

// waitFor waits for an event of the start; it fails when ctx ends or a part fails.
func (p *parts) waitFor(ctx context.Context, event <-chan struct{}) error {
	select {
	case <-event:
		return nil
	case err := <-p.failed:
		return err
	case <-ctx.Done():
		return nil
	}
}
