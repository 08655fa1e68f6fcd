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
	failoverRate   = 1000 // messages a second
	failoverWindow = 5000
	failoverSize   = 256

	killGapLimit = 1500 * time.Millisecond // a killed process is seen at once
	stopGapLimit = 6 * time.Second         // a silent one by its heartbeats
	returnLimit  = 15 * time.Second        // a killed node serves again
	wholeLimit   = 30 * time.Second        // and nothing is left of the fault
	drainLimit   = 60 * time.Second
)

// role is what a node is for the traffic when it is struck.
type role int

const (
	publishersNode role = iota
	leadersNode
	consumersNode
)

func (r role) String() string {
	return [...]string{"the publisher's node", "the leader's node", "the consumer's node"}[r]
}

// failoverRun is the traffic through three nodes and what was measured.
type failoverRun struct {
	*run
	w         *cluster.Warren
	queue     string
	ledger    *traffic.Ledger
	publisher *traffic.Publisher
	consumer  *traffic.Consumer
	slowest   time.Duration // of a node's return
}

// failover publishes through one node to a queue led by the second, with the
// consumer on the third, kills and stops each in turn, and holds the broker to
// its promises about every single message.
func failover(ctx context.Context, r *run) error {
	return withCluster(ctx, r, cluster.Options{}, func(w *cluster.Warren) error {
		f := &failoverRun{run: r, w: w, queue: "failover", ledger: traffic.NewLedger()}
		if err := declare(ctx, w.Nodes[1], f.queue); err != nil {
			return err
		}
		f.publisher = traffic.NewPublisher(traffic.Publisher{
			Ledger: f.ledger, Addrs: w.Addrs(), Queue: f.queue,
			Rate: failoverRate, Window: failoverWindow, Size: failoverSize,
		})
		f.consumer = traffic.NewConsumer(traffic.Consumer{
			Ledger: f.ledger, Addrs: slices.Concat(w.Addrs()[2:], w.Addrs()[:2]), Queue: f.queue, Prefetch: 200,
		})
		publishing := inBackground(ctx, f.publisher.Run)
		defer publishing.stop()
		consuming := inBackground(ctx, f.consumer.Run)
		defer consuming.stop()
		if err := f.strikeAll(ctx); err != nil {
			return errors.Join(err, f.ledger.Broken())
		}
		publishing.stop()
		return f.settle(ctx)
	})
}

func (f *failoverRun) strikeAll(ctx context.Context) error {
	kills, stops := f.repeat(10), min(3, f.repeat(3))
	stopRoles := []role{publishersNode, leadersNode, consumersNode}
	if f.short {
		stopRoles = stopRoles[1:2]
	}
	err := f.rounds(ctx, "kill -9", kills, []role{publishersNode, leadersNode, consumersNode}, killGapLimit, f.kill)
	if err != nil {
		return err
	}
	f.printf("slowest return of a killed node until the cluster was whole: %.1f s", f.slowest.Seconds())
	return f.rounds(ctx, "SIGSTOP", stops, stopRoles, stopGapLimit, f.pause)
}

// rounds strikes the node of each role in turn, times times, and prints the gaps.
func (f *failoverRun) rounds(ctx context.Context, how string, times int, roles []role, limit time.Duration, strike func(context.Context, *cluster.Node) error) error {
	gaps := make(map[role][]time.Duration)
	for i := range times {
		for _, which := range roles {
			gap, err := f.once(ctx, which, strike)
			if err == nil && gap > limit {
				err = fmt.Errorf("%.2f s without a confirm, limit %.1f s", gap.Seconds(), limit.Seconds())
			}
			if err == nil {
				err = f.ledger.Broken()
			}
			if err != nil {
				return fmt.Errorf("%s of %s, round %d: %w", how, which, i+1, err)
			}
			gaps[which] = append(gaps[which], gap)
		}
	}
	for _, which := range roles {
		slices.Sort(gaps[which])
		g := gaps[which]
		f.printf("%-7s of %-20s %2d times: longest gap between confirms %.2f s, median %.2f s (limit %.1f s)",
			how, which, times, g[len(g)-1].Seconds(), g[len(g)/2].Seconds(), limit.Seconds())
	}
	return nil
}

// once puts the traffic in its places, strikes, and waits until all is whole again.
func (f *failoverRun) once(ctx context.Context, which role, strike func(context.Context, *cluster.Node) error) (time.Duration, error) {
	ctx, cancel := context.WithTimeout(ctx, 2*time.Minute)
	defer cancel()
	leader, err := f.w.QueueLeader(ctx, f.queue)
	if err != nil {
		return 0, err
	}
	rest := others(f.w.Nodes, leader)
	if err := f.publisher.Move(ctx, rest[0].AMQP); err != nil {
		return 0, err
	}
	if err := f.consumer.Move(ctx, rest[1].AMQP); err != nil {
		return 0, err
	}
	if err := f.ledger.MoreConfirmed(ctx, failoverRate/2); err != nil {
		return 0, err
	}
	struck := map[role]*cluster.Node{publishersNode: rest[0], leadersNode: leader, consumersNode: rest[1]}[which]
	f.ledger.Watch()
	if err := strike(ctx, struck); err != nil {
		return 0, err
	}
	err = limited(ctx, wholeLimit, f.w.AwaitWhole)
	if err == nil {
		err = f.ledger.MoreConfirmed(ctx, failoverRate/2)
	}
	return f.ledger.LongestGap(), err
}

// kill ends a node without a word, lets the others go on and starts it again.
func (f *failoverRun) kill(ctx context.Context, n *cluster.Node) error {
	if err := n.Kill(); err != nil {
		return err
	}
	if err := f.ledger.MoreConfirmed(ctx, failoverRate); err != nil {
		return fmt.Errorf("the two others: %w", err)
	}
	begin := time.Now()
	if err := n.Start(); err != nil {
		return err
	}
	if err := limited(ctx, returnLimit, n.AwaitReady); err != nil {
		return err
	}
	err := limited(ctx, wholeLimit, f.w.AwaitWhole)
	f.slowest = max(f.slowest, time.Since(begin))
	return err
}

// pause stops a node for at least eight seconds of the others' traffic.
func (f *failoverRun) pause(ctx context.Context, n *cluster.Node) error {
	if err := n.Pause(); err != nil {
		return err
	}
	err := f.ledger.MoreConfirmed(ctx, 8*failoverRate)
	return errors.Join(err, n.Resume())
}

// settle: everything that was confirmed comes, and nothing else is left.
func (f *failoverRun) settle(ctx context.Context) error {
	if err := limited(ctx, drainLimit, f.ledger.AllDelivered); err != nil {
		return errors.Join(err, f.ledger.Settled())
	}
	c := f.ledger.Count()
	f.printf("sent %d, confirmed %d, refused %d, unknown and sent again %d", c.Sent, c.Confirmed, c.Refused, c.Unknown)
	f.printf("delivered %d, again with the flag %d, first seen late after a lost connection %d, missing %d", c.Delivered, c.Redelivered, c.Late, c.Missing)
	if c.Cancelled > 0 {
		return fmt.Errorf("%d consumers were cancelled by the broker", c.Cancelled)
	}
	if err := f.ledger.Settled(); err != nil {
		return err
	}
	for _, n := range f.w.Nodes {
		if left, err := ready(ctx, n, f.queue); err != nil || left > 0 {
			return errors.Join(fmt.Errorf("%d messages are left in the drained queue as %s tells it", left, n.Name), err)
		}
	}
	return f.ledger.Settled()
}
