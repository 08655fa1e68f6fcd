package cluster

import (
	"context"
	"errors"
	"sync"
	"time"

	"github.com/warrenmq/warren/broker/leader"
	"github.com/warrenmq/warren/broker/queue"
	"github.com/warrenmq/warren/broker/topology"
	"github.com/warrenmq/warren/cluster/edge"
)

const (
	// replayTimeout bounds a replay. A bind that was carried out is not refused for
	// what could not be replayed in time.
	replayTimeout = 5 * time.Second
	// replayAgain is the pause after which a history that another bind is reading is tried again.
	replayAgain = 10 * time.Millisecond
)

// bind adds a binding. What an x-recent-history exchange has kept goes through a new
// one before the client is answered (D22).
//
// The history is a hidden, replicated queue with a length limit, which the exchange
// leads to like to any other: whatever node a message came through, it is in the
// history if it was confirmed, and a restart of all nodes leaves it there. A replay
// reads it as a consumer that gives everything back, and publishes copies. Messages
// whose own time to live ends leave the history, too.
func (d *Definitions) bind(ctx context.Context, c topology.Bind) (topology.Result, error) {
	r, err := d.apply(ctx, c)
	if err != nil || !r.Created {
		return r, err
	}
	var history, to queue.ID
	d.View(func(t *topology.Topology) {
		if x := t.Exchange(c.Binding.VHost, c.Binding.Source); x != nil {
			history = x.HistoryQueue
		}
		if q := t.Queue(c.Binding.VHost, c.Binding.Destination); q != nil && !c.Binding.ToExchange {
			to = q.ID
		}
	})
	if history == 0 {
		return r, nil
	}
	if err := d.replay(ctx, history, to, &c.Binding); err != nil {
		d.logger.Warn("a history was not replayed to a new binding", "vhost", c.Binding.VHost,
			"exchange", c.Binding.Source, "destination", c.Binding.Destination, "error", err)
	}
	return r, nil
}

// replay publishes what is in the history to a queue, or where an exchange leads it.
func (d *Definitions) replay(ctx context.Context, history, to queue.ID, b *topology.Binding) error {
	ctx, cancel := context.WithTimeout(ctx, replayTimeout)
	defer cancel()
	kept, err := d.readHistory(ctx, history)
	if err != nil {
		return err
	}
	told := make(confirmed, len(kept)) // each is told once
	under := 0
	for i := range kept {
		queues := []queue.ID{to}
		if b.ToExchange {
			queues = d.cfg.Route(b.VHost, b.Destination, &kept[i])
		}
		if len(queues) == 0 || queues[0] == 0 {
			continue
		}
		if err := d.cfg.Edge.Publish(ctx, queues, &kept[i], edge.Receipt{Confirms: told, Tag: uint64(i)}); err != nil {
			return err
		}
		under++
	}
	for range under {
		select {
		case err := <-told:
			if err != nil && !errors.Is(err, edge.ErrRefused) { // a full queue refuses these as it does others
				return err
			}
		case <-ctx.Done():
			return ctx.Err()
		}
	}
	return nil
}

// confirmed takes what became of publishes.
type confirmed chan error

func (c confirmed) Confirmed(tags []uint64, err error) {
	for range tags {
		c <- err
	}
}

// readHistory gives the messages of a history in order, and leaves them there. Only
// one at a time reads: the messages that another holds would be missed.
func (d *Definitions) readHistory(ctx context.Context, history queue.ID) ([]queue.Message, error) {
	for {
		counts, err := d.Counts(ctx, history)
		held := counts.Unacked > 0 || counts.Consumers > 0
		if err != nil || counts.Ready == 0 && !held {
			return nil, err
		}
		if !held {
			kept, err := d.readReady(ctx, history, int(counts.Ready))
			if !errors.Is(err, leader.ErrExclusive) {
				return kept, err
			}
		}
		select {
		case <-time.After(replayAgain):
		case <-ctx.Done():
			return nil, ctx.Err()
		}
	}
}

func (d *Definitions) readReady(ctx context.Context, history queue.ID, n int) ([]queue.Message, error) {
	r := &historyReader{left: n, done: make(chan struct{})}
	s, err := d.cfg.Edge.Subscribe(ctx, history, leader.Consumer{Tag: "history", Exclusive: true, Messages: n, Bytes: 1 << 40}, r)
	if err != nil {
		return nil, err
	}
	defer s.Release() // gives back what was not settled
	select {
	case <-r.done:
	case <-ctx.Done():
		return nil, ctx.Err()
	}
	s.Settle(leader.Unseen, r.ranges)
	return r.kept, r.err
}

// historyReader gathers a history. Once done is closed it changes no more.
type historyReader struct {
	mu     sync.Mutex
	left   int
	kept   []queue.Message
	ranges []queue.Range
	err    error
	done   chan struct{}
}

func (r *historyReader) Deliver(ds []leader.Delivery) {
	r.mu.Lock()
	defer r.mu.Unlock()
	for _, one := range ds {
		if r.left == 0 {
			return // beyond what was asked for
		}
		r.kept = append(r.kept, one.Message)
		r.ranges = append(r.ranges, queue.Range{First: one.Seq, Last: one.Seq})
		if r.left--; r.left == 0 {
			close(r.done)
		}
	}
}

func (r *historyReader) Cancelled(err error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.left > 0 {
		r.left, r.err = 0, err
		close(r.done)
	}
}
