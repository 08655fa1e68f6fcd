package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"github.com/warrenmq/warren/test/cluster"
	"github.com/warrenmq/warren/test/proof/traffic"
)

const (
	rottenMessages = 160_000 // of which several segments are full
	rottenBody     = 1 << 10
	rebuiltLimit   = 60 * time.Second
	hungLimit      = 10 * time.Second // until another leads in place of a node whose disk hangs
	hungDisk       = "1G"
)

// corruption damages what one node has stored, and lets the disk of another hang.
func corruption(ctx context.Context, r *run) error {
	return errors.Join(rotten(ctx, r), hung(ctx, r))
}

// rotten flips one bit in a segment of the leader's log: nothing wrong is
// delivered, nothing is missing, and the replica is made anew.
func rotten(ctx context.Context, r *run) error {
	return withCluster(ctx, r, cluster.Options{}, func(w *cluster.Warren) error {
		p := &pump{queue: "rotten", size: rottenBody, window: 4000, deaths: 1}
		if err := declare(ctx, w.Nodes[0], p.queue); err != nil {
			return err
		}
		if err := p.fill(ctx, w.Nodes[1], rottenMessages); err != nil {
			return err
		}
		n, err := w.QueueLeader(ctx, p.queue)
		if err != nil {
			return err
		}
		mark := n.Log.Mark()
		where, err := flip(n)
		if err != nil {
			return err
		}
		begin := time.Now()
		if err := limited(ctx, 2*rebuiltLimit, func(ctx context.Context) error { return p.drain(ctx, w.Nodes[2], rottenMessages) }); err != nil {
			return fmt.Errorf("drain past the damage: %w", err)
		}
		said, err := n.Log.Await(ctx, mark, "damaged")
		if err != nil {
			return fmt.Errorf("%s says nothing of its damage: %w", n.Name, err)
		}
		r.printf("a bit of %s on %s: all %d messages delivered as they were published, %d of them flagged", where, n.Name, rottenMessages, p.flagged)
		r.printf("    %s: %s", n.Name, said)
		if err := limited(ctx, rebuiltLimit, w.AwaitWhole); err != nil {
			return fmt.Errorf("the replica was not made anew: %w", err)
		}
		r.printf("the cluster is whole again %.1f s after the damage was done (limit %.0f s)", time.Since(begin).Seconds(), rebuiltLimit.Seconds())
		return nil
	})
}

// flip changes one bit in the middle of the oldest segment of a node's log, by
// way of the file system: the running node sees it.
func flip(n *cluster.Node) (where string, err error) {
	segments, err := filepath.Glob(filepath.Join(n.Dir, "log", "*.seg"))
	if err != nil || len(segments) < 3 {
		return "", fmt.Errorf("%s has %d segments: %w", n.Name, len(segments), err)
	}
	slices.Sort(segments)
	f, err := os.OpenFile(segments[0], os.O_RDWR, 0)
	if err != nil {
		return "", fmt.Errorf("damage a segment: %w", err)
	}
	info, err := f.Stat()
	if err == nil {
		b, at := make([]byte, 1), info.Size()/2
		if _, err = f.ReadAt(b, at); err == nil {
			b[0] ^= 0x10
			_, err = f.WriteAt(b, at)
			where = fmt.Sprintf("%s at %d", filepath.Base(segments[0]), at)
		}
	}
	if err = errors.Join(err, f.Close()); err != nil {
		return "", fmt.Errorf("damage a segment: %w", err)
	}
	return where, nil
}

// hung freezes the file system of the node that leads a queue: another leads soon.
func hung(ctx context.Context, r *run) (err error) {
	w, err := cluster.New(cluster.Options{})
	if err != nil {
		return fmt.Errorf("make the cluster: %w", err)
	}
	defer func() { err = errors.Join(err, w.Close()) }()
	n := w.Nodes[0]
	disk, err := mount(ctx, n.Dir, hungDisk)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(n.Kill(), disk.unmount(), err) }()
	err = limited(ctx, startLimit, func(ctx context.Context) error {
		return errors.Join(w.Start(ctx), w.AwaitWhole(ctx), w.AwaitHome(ctx))
	})
	if err != nil {
		return fmt.Errorf("start of the cluster: %w", err)
	}
	if err := declare(ctx, n, "hung"); err != nil { // led where it is declared
		return err
	}
	ledger := traffic.NewLedger()
	load := inBackground(ctx, traffic.NewPublisher(traffic.Publisher{
		Ledger: ledger, Addrs: []string{w.Nodes[1].AMQP}, Queue: "hung", Rate: 500, Window: 1000, Size: 512,
	}).Run, traffic.NewConsumer(traffic.Consumer{
		Ledger: ledger, Addrs: []string{w.Nodes[2].AMQP}, Queue: "hung", Prefetch: 500,
	}).Run)
	defer load.stop()
	if err := ledger.MoreConfirmed(ctx, 1000); err != nil {
		return err
	}
	ledger.Watch()
	if err := disk.freeze(ctx); err != nil {
		return err
	}
	err = limited(ctx, 3*hungLimit, func(ctx context.Context) error { return ledger.MoreConfirmed(ctx, 2000) })
	if err = errors.Join(err, disk.thaw()); err != nil {
		return fmt.Errorf("with a frozen disk: %w", err)
	}
	gap := ledger.LongestGap()
	r.printf("the disk of the leader's node hangs: longest gap between confirms %.1f s (limit %.0f s)", gap.Seconds(), hungLimit.Seconds())
	if gap > hungLimit {
		return fmt.Errorf("%.1f s without a confirm", gap.Seconds())
	}
	load.stop()
	return nil
}

// system runs one program.
func system(ctx context.Context, argv ...string) error {
	out, err := exec.CommandContext(ctx, argv[0], argv[1:]...).CombinedOutput()
	if err != nil {
		return fmt.Errorf("%s: %w: %s", strings.Join(argv, " "), err, strings.TrimSpace(string(out)))
	}
	return nil
}
