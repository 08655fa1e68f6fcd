package main

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"time"

	"github.com/warrenmq/warren/test/cluster"
	"github.com/warrenmq/warren/test/proof/traffic"
)

const (
	garbageSpan   = 60 * time.Second
	garbageShort  = 5 * time.Second
	attackers     = 6
	innocentRate  = 200
	innocentPause = 5 * time.Second // longest time without a confirm beside the attackers
	silentCount   = 100
	silentLimit   = 15 * time.Second // the handshake's 10 s, and some
	sampleEvery   = 250 * time.Millisecond

	// Memory is flat when the last third of the attack stays below the first
	// third and this much: what the runtime gives back late.
	memorySlack = 48 << 20
	memoryLimit = 400 << 20
)

// garbage attacks one node with bytes of every kind, beside clients that must
// not notice, and then checks each refusal's code.
func garbage(ctx context.Context, r *run) error {
	return withCluster(ctx, r, cluster.Options{}, func(w *cluster.Warren) error {
		node := w.Nodes[0]
		if err := declare(ctx, node, "innocent"); err != nil {
			return err
		}
		ledger := traffic.NewLedger()
		innocent := inBackground(ctx,
			traffic.NewPublisher(traffic.Publisher{Ledger: ledger, Addrs: []string{node.AMQP}, Queue: "innocent", Rate: innocentRate, Window: 1000, Size: 100}).Run,
			traffic.NewConsumer(traffic.Consumer{Ledger: ledger, Addrs: []string{node.AMQP}, Queue: "innocent", Prefetch: 50}).Run)
		defer innocent.stop()
		if err := ledger.MoreConfirmed(ctx, innocentRate); err != nil {
			return err
		}
		before := ledger.Count()
		ledger.Watch()
		if err := attack(ctx, r, node); err != nil {
			return err
		}
		tried, err := tryWrongFields(ctx, node.AMQP)
		r.printf("%d wrong frames and fields, each answered with its code", tried)
		if err != nil {
			return err
		}
		return unharmed(ctx, r, w, ledger, before)
	})
}

// attack runs the attackers and watches the node's memory.
func attack(ctx context.Context, r *run, node *cluster.Node) error {
	span := garbageSpan
	if r.short {
		span = garbageShort
	}
	seed := uint64(time.Now().UnixNano())
	var all []*attacker
	var parts []func(context.Context) error
	for i := range attackers {
		a := &attacker{addr: node.AMQP, rng: rand.New(rand.NewPCG(seed, uint64(i)))}
		all = append(all, a)
		parts = append(parts, a.run)
	}
	var silent error
	if !r.short {
		parts = append(parts, func(ctx context.Context) error {
			silent = silentSockets(ctx, node.AMQP, silentCount, silentLimit)
			return nil
		})
	}
	attacking := inBackground(ctx, parts...)
	defer attacking.stop()
	samples, err := sampleMemory(ctx, node, span)
	attacking.stop()
	if err != nil {
		return fmt.Errorf("seed %d: %w", seed, err)
	}
	var conns int
	var sent int64
	for _, a := range all {
		conns += a.done
		sent += a.sent
	}
	third := len(samples) / 3
	first, last := highest(samples[:third]), highest(samples[2*third:])
	r.printf("%d connections sent %.1f MB of garbage in %.0f s (seed %d)", conns, float64(sent)/1e6, span.Seconds(), seed)
	r.printf("memory of the node: %d MB at first, at most %d MB in the first third, %d MB in the last", samples[0]>>20, first>>20, last>>20)
	if last > first+memorySlack || last > memoryLimit {
		return fmt.Errorf("memory is not flat: %d MB, then %d MB (seed %d)", first>>20, last>>20, seed)
	}
	return silent
}

// sampleMemory reads the node's memory for a while; the node must stay alive.
func sampleMemory(ctx context.Context, node *cluster.Node, span time.Duration) ([]int64, error) {
	tick := time.NewTicker(sampleEvery)
	defer tick.Stop()
	end := time.After(span)
	var samples []int64
	for {
		u, err := node.Usage()
		if err != nil {
			return nil, err
		}
		samples = append(samples, u.RSS)
		select {
		case <-tick.C:
		case <-node.Exited():
			return nil, fmt.Errorf("%s ended:\n%s", node.Name, node.Log.Tail(20))
		case <-end:
			return samples, nil
		case <-ctx.Done():
			return nil, ctx.Err()
		}
	}
}

func highest(samples []int64) (top int64) {
	for _, s := range samples {
		top = max(top, s)
	}
	return top
}

// unharmed: the clients beside the attackers noticed nothing.
func unharmed(ctx context.Context, r *run, w *cluster.Warren, ledger *traffic.Ledger, before traffic.Count) error {
	gap := ledger.LongestGap()
	if err := ledger.MoreConfirmed(ctx, innocentRate); err != nil {
		return err
	}
	if err := limited(ctx, drainLimit, ledger.AllDelivered); err != nil {
		return err
	}
	c := ledger.Count()
	r.printf("beside it: %d confirmed, %d delivered, longest gap between confirms %.2f s", c.Confirmed, c.Delivered, gap.Seconds())
	for _, n := range w.Nodes {
		if lines := n.Log.Matching(0, "panic"); len(lines) > 0 {
			return fmt.Errorf("%s: %s", n.Name, lines[0])
		}
	}
	if gap > innocentPause {
		return fmt.Errorf("other clients waited %.1f s", gap.Seconds())
	}
	return errors.Join(sentAway(before, c), ledger.Settled(), limited(ctx, wholeLimit, w.AwaitWhole))
}
