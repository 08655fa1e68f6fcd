package main

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/warrenmq/warren/test/cluster"
	"github.com/warrenmq/warren/test/proof/traffic"
)

const (
	restartRate  = 400              // messages a second and publisher
	servingLimit = 15 * time.Second // from the last process's start to a confirm on every queue
)

// orders is every order in which three nodes can be started.
var orders = [][3]int{{0, 1, 2}, {2, 1, 0}, {1, 2, 0}, {0, 2, 1}, {2, 0, 1}, {1, 0, 2}}

// restart kills all nodes at once under load and starts them again in every order.
func restart(ctx context.Context, r *run) error {
	return withCluster(ctx, r, cluster.Options{}, func(w *cluster.Warren) error {
		var queues []string
		ledger := traffic.NewLedger()
		for i, n := range w.Nodes {
			queues = append(queues, fmt.Sprintf("restart-%d", i+1))
			if err := declare(ctx, n, queues[i]); err != nil {
				return err
			}
		}
		todo := orders
		if r.short {
			todo = orders[1:2]
		}
		for _, order := range todo {
			before := ledger.Count()
			serving, err := restartOnce(ctx, w, ledger, queues, order)
			c := ledger.Count()
			r.printf("started again as %s: serving after %.1f s; confirmed %d, delivered %d, missing %d",
				names(w, order), serving.Seconds(), c.Confirmed-before.Confirmed, c.Delivered-before.Delivered, c.Missing)
			if err != nil {
				return fmt.Errorf("order %s: %w", names(w, order), errors.Join(err, ledger.Broken()))
			}
			if err := ledger.Settled(); err != nil {
				return fmt.Errorf("order %s: %w", names(w, order), err)
			}
		}
		return nil
	})
}

func names(w *cluster.Warren, order [3]int) string {
	return fmt.Sprintf("%s, %s, %s", w.Nodes[order[0]].Name, w.Nodes[order[1]].Name, w.Nodes[order[2]].Name)
}

// restartOnce publishes through every node, kills all, starts them in order,
// waits until every queue confirms again, and takes everything out.
func restartOnce(ctx context.Context, w *cluster.Warren, ledger *traffic.Ledger, queues []string, order [3]int) (time.Duration, error) {
	ctx, cancel := context.WithTimeout(ctx, 3*time.Minute)
	defer cancel()
	var publishers []func(context.Context) error
	for i, n := range w.Nodes {
		publishers = append(publishers, traffic.NewPublisher(traffic.Publisher{
			Ledger: ledger, Addrs: []string{n.AMQP}, Queue: queues[i], Rate: restartRate, Window: 1000, Size: 512,
		}).Run)
	}
	load := inBackground(ctx, publishers...)
	defer load.stop()
	if err := ledger.MoreConfirmed(ctx, 6*restartRate); err != nil {
		return 0, err
	}
	if err := w.Kill(); err != nil {
		return 0, err
	}
	load.stop() // what it has no answer for is unknown
	for _, i := range order {
		n := w.Nodes[i]
		mark := n.Log.Mark()
		if err := n.Start(); err != nil {
			return 0, err
		}
		if _, err := n.Log.Await(ctx, mark); err != nil { // it is at work before the next one starts
			return 0, err
		}
	}
	begin := time.Now()
	err := limited(ctx, servingLimit, func(ctx context.Context) error { return confirmEach(ctx, w, ledger, queues) })
	serving := time.Since(begin)
	if err != nil {
		return serving, fmt.Errorf("not serving after %.0f s: %w", serving.Seconds(), err)
	}
	var consumers []func(context.Context) error
	for i, n := range w.Nodes {
		consumers = append(consumers, traffic.NewConsumer(traffic.Consumer{
			Ledger: ledger, Addrs: []string{n.AMQP}, Queue: queues[(i+1)%len(queues)], Prefetch: 500,
		}).Run)
	}
	drain := inBackground(ctx, consumers...)
	defer drain.stop()
	if err := limited(ctx, drainLimit, ledger.AllDelivered); err != nil {
		return serving, err
	}
	return serving, limited(ctx, wholeLimit, w.AwaitWhole)
}

// confirmEach publishes through every node to every queue until each has confirmed.
func confirmEach(ctx context.Context, w *cluster.Warren, ledger *traffic.Ledger, queues []string) error {
	for _, n := range w.Nodes {
		for _, q := range queues {
			probe := traffic.NewPublisher(traffic.Publisher{
				Ledger: ledger, Addrs: []string{n.AMQP}, Queue: q, Rate: 100, Window: 1, Size: 64,
			})
			probing := inBackground(ctx, probe.Run)
			err := ledger.MoreConfirmed(ctx, 1)
			probing.stop()
			if err != nil {
				return fmt.Errorf("%s through %s: %w", q, n.Name, err)
			}
		}
	}
	return nil
}
