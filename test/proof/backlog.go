package main

import (
	"context"
	"fmt"
	"slices"
	"time"

	"github.com/warrenmq/warren/test/cluster"
)

const (
	backlogMessages = 10_000_000
	backlogShort    = 300_000
	backlogBody     = 1 << 10
	backlogSmall    = 30_000    // what a queue without backlog holds at most
	backlogRSS      = 300 << 20 // bytes above idle, each node
	backlogDisk     = 1.2       // times the user bytes, each node
	backlogSlack    = 256 << 20 // bytes of preallocated segments, each node
	backlogDrain    = 0.8       // of the rate without backlog
	backlogStart    = 10 * time.Second
)

// backlog fills one queue that nobody consumes from, then drains it in order.
// -n gives millions of messages.
func backlog(ctx context.Context, r *run) error {
	count := backlogMessages
	switch {
	case r.times > 0:
		count = r.times * 1_000_000
	case r.short:
		count = backlogShort
	}
	return withCluster(ctx, r, cluster.Options{}, func(w *cluster.Warren) error {
		b := &deep{pump: pump{queue: "backlog", size: backlogBody, window: 4000}, w: w}
		if err := declare(ctx, w.Nodes[0], b.queue); err != nil {
			return err
		}
		without, err := b.small(ctx)
		if err != nil {
			return err
		}
		idle, err := b.memory()
		if err != nil {
			return err
		}
		disk, err := b.disk()
		if err != nil {
			return err
		}
		begin := time.Now()
		if err := b.fill(ctx, w.Nodes[1], count); err != nil {
			return err
		}
		r.printf("%d messages of %d bytes confirmed: %.0f a second", count, backlogBody, float64(count)/time.Since(begin).Seconds())
		if err := b.holds(r, idle, disk, count); err != nil {
			return err
		}
		if err := b.restarts(ctx, r); err != nil {
			return err
		}
		begin = time.Now()
		if err := b.drain(ctx, w.Nodes[2], count); err != nil {
			return err
		}
		rate := float64(count) / time.Since(begin).Seconds()
		r.printf("drained in order: %.0f a second, %.0f without backlog (at least %.0f %%)", rate, without, 100*backlogDrain)
		if rate < backlogDrain*without {
			return fmt.Errorf("drained at %.0f %% of the rate without backlog", 100*rate/without)
		}
		return nil
	})
}

// deep is a queue with a backlog.
type deep struct {
	pump
	w *cluster.Warren
}

// small is how fast a queue is drained that holds little: the median of five.
func (b *deep) small(ctx context.Context) (rate float64, err error) {
	var rates []float64
	for range 5 {
		if err := b.fill(ctx, b.w.Nodes[1], backlogSmall); err != nil {
			return 0, err
		}
		begin := time.Now()
		if err := b.drain(ctx, b.w.Nodes[2], backlogSmall); err != nil {
			return 0, err
		}
		rates = append(rates, backlogSmall/time.Since(begin).Seconds())
	}
	slices.Sort(rates)
	return rates[len(rates)/2], nil
}

func (b *deep) memory() ([]int64, error) {
	return eachNode(b.w, func(n *cluster.Node) (int64, error) {
		u, err := n.Usage()
		return u.RSS, err
	})
}

func (b *deep) disk() ([]int64, error) { return eachNode(b.w, (*cluster.Node).Disk) }

func eachNode(w *cluster.Warren, measure func(*cluster.Node) (int64, error)) ([]int64, error) {
	all := make([]int64, len(w.Nodes))
	for i, n := range w.Nodes {
		var err error
		if all[i], err = measure(n); err != nil {
			return nil, err
		}
	}
	return all, nil
}

// holds judges what the backlog costs each node.
func (b *deep) holds(r *run, idle, before []int64, count int) error {
	memory, err := b.memory()
	if err != nil {
		return err
	}
	disk, err := b.disk()
	if err != nil {
		return err
	}
	user := int64(count) * backlogBody
	for i, n := range b.w.Nodes {
		grown, stored := memory[i]-idle[i], disk[i]-before[i]
		r.printf("%s: %d MB above idle (limit %d), %d MB on disk, %.2f times the user bytes (limit %.1f and %d MB)",
			n.Name, grown>>20, int64(backlogRSS)>>20, stored>>20, float64(stored)/float64(user), backlogDisk, int64(backlogSlack)>>20)
		if grown > backlogRSS || float64(stored) > backlogDisk*float64(user)+backlogSlack {
			return fmt.Errorf("%s: the backlog costs %d MB of memory and %d MB of disk", n.Name, grown>>20, stored>>20)
		}
	}
	return nil
}

// restarts kills the queue's leader and starts it again: it serves soon.
func (b *deep) restarts(ctx context.Context, r *run) error {
	n, err := b.w.QueueLeader(ctx, b.queue)
	if err != nil {
		return err
	}
	b.deaths++
	if err := n.Kill(); err != nil {
		return err
	}
	begin := time.Now()
	if err := n.Start(); err != nil {
		return err
	}
	err = limited(ctx, 6*backlogStart, n.AwaitReady)
	took := time.Since(begin)
	if err != nil {
		return fmt.Errorf("start of %s: %w", n.Name, err)
	}
	r.printf("kill -9 of %s: it serves %.1f s after its start (limit %.0f s)", n.Name, took.Seconds(), backlogStart.Seconds())
	if took > backlogStart {
		return fmt.Errorf("%s took %.1f s to start", n.Name, took.Seconds())
	}
	return limited(ctx, settleLimit, b.w.AwaitWhole)
}
