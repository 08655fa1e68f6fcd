package main

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/warrenmq/warren/test/cluster"
	"github.com/warrenmq/warren/test/proof/traffic"
)

const (
	elasticRate     = 2000 // messages a second, over all queues
	elasticSize     = 512
	elasticGap      = 2 * time.Second
	elasticSettle   = 3 * time.Minute  // after a node came, went or lost its disk
	homeLimit       = 60 * time.Second // after a restart, until leaders are in balance
	elasticStop     = 20 * time.Second
	elasticFounding = 3
)

// lane is the traffic through one queue.
type lane struct {
	queue      string
	rate       int
	ledger     *traffic.Ledger
	publishing *background
	consuming  *background
}

// elasticRun is a cluster under traffic whose nodes come and go.
type elasticRun struct {
	*run
	w       *cluster.Warren
	lanes   []*lane
	longest time.Duration
}

// elastic adds nodes, restarts all, replaces a disk, and takes nodes away, and the
// clients notice no more than lost connections.
func elastic(ctx context.Context, r *run) error {
	return withCluster(ctx, r, cluster.Options{}, func(w *cluster.Warren) error {
		e := &elasticRun{run: r, w: w}
		defer e.stop()
		err := e.all(ctx)
		for _, l := range e.lanes {
			if broken := l.ledger.Broken(); broken != nil {
				err = errors.Join(err, fmt.Errorf("%s: %w", l.queue, broken))
			}
		}
		return err
	})
}

func (e *elasticRun) all(ctx context.Context) error {
	shares := []int{5, 5, 5, 5}
	for i, share := range shares {
		// The last queue is not consumed before the end: what moves has contents.
		if err := e.open(ctx, e.w.Nodes[i%elasticFounding], fmt.Sprintf("elastic-%d", i+1), elasticRate*share/20, i < len(shares)-1); err != nil {
			return err
		}
	}
	if err := e.grow(ctx); err != nil {
		return err
	}
	if !e.short {
		for _, n := range slices.Clone(e.w.Nodes) {
			if err := e.phase(ctx, "restart of "+n.Name, homeLimit, func(ctx context.Context) error { return e.restart(ctx, n) }); err != nil {
				return err
			}
		}
	}
	n := e.w.Nodes[1]
	if err := e.phase(ctx, "new disk of "+n.Name, elasticSettle, func(ctx context.Context) error { return e.replace(ctx, n) }); err != nil {
		return err
	}
	for len(e.w.Nodes) > elasticFounding {
		n := e.w.Nodes[len(e.w.Nodes)-1]
		if err := e.phase(ctx, "farewell of "+n.Name, elasticSettle, func(ctx context.Context) error { return e.dismiss(ctx, n) }); err != nil {
			return err
		}
	}
	return e.settle(ctx)
}

// grow adds nodes, and a queue led by the last.
func (e *elasticRun) grow(ctx context.Context) error {
	names := []string{"n4", "n5"}
	if e.short {
		names = names[:1]
	}
	for _, name := range names {
		err := e.phase(ctx, "welcome of "+name, elasticSettle, func(ctx context.Context) error {
			_, err := e.w.Add(ctx, name)
			return err
		})
		if err != nil {
			return err
		}
	}
	last := e.w.Nodes[len(e.w.Nodes)-1]
	return e.open(ctx, last, "elastic-"+last.Name, elasticRate/20, true)
}

// open begins the traffic of one queue, which is declared through a node that leads it.
func (e *elasticRun) open(ctx context.Context, at *cluster.Node, queue string, rate int, consume bool) error {
	if err := declare(ctx, at, queue); err != nil {
		return err
	}
	l := &lane{queue: queue, rate: rate, ledger: traffic.NewLedger()}
	addrs := e.w.Addrs()[:elasticFounding]
	i := len(e.lanes) % len(addrs)
	l.publishing = inBackground(ctx, traffic.NewPublisher(traffic.Publisher{
		Ledger: l.ledger, Addrs: slices.Concat(addrs[i:], addrs[:i]), Queue: queue, Rate: rate, Window: 5 * rate, Size: elasticSize,
	}).Run)
	e.lanes = append(e.lanes, l)
	if consume {
		e.consume(ctx, l)
	}
	return limited(ctx, drainLimit, func(ctx context.Context) error { return l.ledger.MoreConfirmed(ctx, rate/4) })
}

func (e *elasticRun) consume(ctx context.Context, l *lane) {
	addrs := e.w.Addrs()[:elasticFounding]
	slices.Reverse(addrs)
	l.consuming = inBackground(ctx, traffic.NewConsumer(traffic.Consumer{Ledger: l.ledger, Addrs: addrs, Queue: l.queue, Prefetch: 200}).Run)
}

func (e *elasticRun) stop() {
	for _, l := range e.lanes {
		l.publishing.stop()
		if l.consuming != nil {
			l.consuming.stop()
		}
	}
}

// phase changes the nodes under traffic, waits until nothing is left of the change, and
// measures what the publishers noticed.
func (e *elasticRun) phase(ctx context.Context, what string, limit time.Duration, change func(context.Context) error) error {
	for _, l := range e.lanes {
		l.ledger.Watch()
	}
	begin := time.Now()
	err := limited(ctx, limit, change)
	if err == nil {
		err = limited(ctx, limit, e.w.AwaitSettled)
	}
	took := time.Since(begin)
	for _, l := range e.lanes {
		if err == nil {
			err = limited(ctx, drainLimit, func(ctx context.Context) error {
				return l.ledger.MoreConfirmed(ctx, l.rate/2) // it goes on
			})
		}
	}
	var gap time.Duration
	for _, l := range e.lanes {
		gap = max(gap, l.ledger.LongestGap())
	}
	e.longest = max(e.longest, gap)
	e.printf("%-17s settled after %5.1f s, longest time without a confirm on a queue %.2f s", what+":", took.Seconds(), gap.Seconds())
	switch {
	case err != nil:
		return fmt.Errorf("%s: %w", what, err)
	case gap > elasticGap:
		return fmt.Errorf("%s: %.2f s without a confirm, limit %.1f s", what, gap.Seconds(), elasticGap.Seconds())
	}
	return nil
}

// restart is SIGTERM and a start.
func (e *elasticRun) restart(ctx context.Context, n *cluster.Node) error {
	begin := time.Now()
	if err := n.Stop(ctx); err != nil {
		return err
	}
	if took := time.Since(begin); took > elasticStop {
		return fmt.Errorf("%s took %.1f s to end", n.Name, took.Seconds())
	}
	if err := n.Start(); err != nil {
		return err
	}
	return n.AwaitReady(ctx)
}

// replace gives a node an empty disk, with no word before.
func (e *elasticRun) replace(ctx context.Context, n *cluster.Node) error {
	if err := errors.Join(n.Kill(), n.Wipe()); err != nil {
		return err
	}
	if err := n.Start(); err != nil {
		return err
	}
	return n.AwaitReady(ctx)
}

// dismiss takes a node away for good.
func (e *elasticRun) dismiss(ctx context.Context, n *cluster.Node) error {
	if err := n.Drain(ctx); err != nil {
		return err
	}
	if err := n.Stop(ctx); err != nil {
		return err
	}
	e.w.Remove(n)
	tick := time.NewTicker(100 * time.Millisecond)
	defer tick.Stop()
	for {
		err := e.w.Nodes[0].Forget(ctx, n.Name)
		if err == nil {
			return nil
		}
		select { // it may still be taken for running
		case <-tick.C:
		case <-ctx.Done():
			return err
		}
	}
}

// settle: everything that was confirmed comes, and nothing else is left.
func (e *elasticRun) settle(ctx context.Context) error {
	var sum traffic.Count
	for _, l := range e.lanes {
		l.publishing.stop()
		if l.consuming == nil {
			e.consume(ctx, l)
		}
		err := limited(ctx, drainLimit, l.ledger.AllDelivered)
		if err = errors.Join(err, l.ledger.Settled()); err != nil {
			return fmt.Errorf("%s: %w", l.queue, err)
		}
		c := l.ledger.Count()
		sum.Sent, sum.Confirmed, sum.Delivered = sum.Sent+c.Sent, sum.Confirmed+c.Confirmed, sum.Delivered+c.Delivered
		sum.Unknown, sum.Redelivered, sum.Missing = sum.Unknown+c.Unknown, sum.Redelivered+c.Redelivered, sum.Missing+c.Missing
		for _, n := range e.w.Nodes {
			if left, err := ready(ctx, n, l.queue); err != nil || left > 0 {
				return errors.Join(fmt.Errorf("%d messages are left in %s as %s tells it", left, l.queue, n.Name), err)
			}
		}
	}
	e.printf("sent %d, confirmed %d, unknown and sent again %d; delivered %d, again with the flag %d, missing %d; longest gap %.2f s (limit %.1f s)",
		sum.Sent, sum.Confirmed, sum.Unknown, sum.Delivered, sum.Redelivered, sum.Missing, e.longest.Seconds(), elasticGap.Seconds())
	return nil
}
