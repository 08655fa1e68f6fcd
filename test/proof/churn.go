package main

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"sync/atomic"
	"time"

	amqp "github.com/rabbitmq/amqp091-go"

	"github.com/warrenmq/warren/test/cluster"
)

const (
	churnBody    = 16 << 10
	churnWindow  = 1_000             // messages in flight
	churnGiB     = 100               // user bytes in all, or as many as an hour gives
	churnShort   = 2                 // GiB
	churnTime    = time.Hour         // at most
	churnChunk   = 1 << 30           // user bytes between looks at the clock
	churnSlack   = int64(256) << 20  // bytes of disk a node beside twice the live ones
	churnLook    = time.Second       // between looks at the disk
	churnSettled = 500 * churnWindow // bytes that a body's bookkeeping may add to what is live
)

// churn moves many bytes through a queue whose first message stays
// unacknowledged, and watches the disks. -n gives GiB.
func churn(ctx context.Context, r *run) error {
	gib := churnGiB
	switch {
	case r.times > 0:
		gib = r.times
	case r.short:
		gib = churnShort
	}
	return withCluster(ctx, r, cluster.Options{}, func(w *cluster.Warren) error {
		p := &pump{queue: "churn", size: churnBody, window: churnWindow}
		if err := declare(ctx, w.Nodes[0], p.queue); err != nil {
			return err
		}
		release, err := stuck(ctx, w.Nodes[0], p)
		if err != nil {
			return err
		}
		before, err := eachNode(w, (*cluster.Node).Disk)
		if err != nil {
			return err
		}
		disks := watchDisks(ctx, w, before)
		begin := time.Now()
		moved := int64(0)
		for moved < int64(gib)<<30 && time.Since(begin) < churnTime {
			if err := flow(ctx, w, p, churnChunk/churnBody); err != nil {
				disks.stop()
				return err
			}
			moved += churnChunk
		}
		took := time.Since(begin)
		if err := disks.stop(); err != nil {
			return err
		}
		live := int64(1+churnWindow)*churnBody + churnSettled
		limit := 2*live + churnSlack
		r.printf("%d GiB through the queue in %.0f s, behind one message that is not acknowledged", moved>>30, took.Seconds())
		for i, n := range w.Nodes {
			most := disks.most[i].Load()
			r.printf("%s: at most %d MB more on disk than before (limit %d MB)", n.Name, most>>20, limit>>20)
			if most > limit {
				err = errors.Join(err, fmt.Errorf("%s had %d MB more on disk", n.Name, most>>20))
			}
		}
		return errors.Join(err, release())
	})
}

// stuck publishes one message and holds it; release acknowledges it.
func stuck(ctx context.Context, n *cluster.Node, p *pump) (release func() error, err error) {
	if err := p.fill(ctx, n, 1); err != nil {
		return nil, err
	}
	c, ch, err := p.on(ctx, n)
	if err != nil {
		return nil, err
	}
	d, ok, err := ch.Get(p.queue, false)
	if err != nil || !ok {
		c.Drop()
		return nil, fmt.Errorf("get the message that stays: found %t: %w", ok, err)
	}
	if err := p.take(d); err != nil {
		c.Drop()
		return nil, err
	}
	return func() error {
		defer c.Drop()
		if err := d.Ack(false); err != nil {
			return fmt.Errorf("acknowledge the message that stayed: %w", err)
		}
		return noneLeft(ch, p.queue)
	}, nil
}

func noneLeft(ch *amqp.Channel, queue string) error {
	left, err := ch.QueueDelete(queue, false, false, false)
	if err != nil {
		return fmt.Errorf("delete %s: %w", queue, err)
	}
	if left != 0 {
		return fmt.Errorf("%d messages are left", left)
	}
	return nil
}

// flow publishes count messages through one node and takes them through another.
func flow(ctx context.Context, w *cluster.Warren, p *pump, count int) error {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	errs := make([]error, 2)
	var both sync.WaitGroup
	both.Go(func() {
		if errs[0] = p.fill(ctx, w.Nodes[1], count); errs[0] != nil {
			cancel()
		}
	})
	both.Go(func() {
		if errs[1] = p.drain(ctx, w.Nodes[2], count); errs[1] != nil {
			cancel()
		}
	})
	both.Wait()
	return errors.Join(errs...)
}

// diskWatch keeps the most that each node's disk held beyond what it began with.
type diskWatch struct {
	most   []atomic.Int64
	cancel context.CancelFunc
	ended  chan error
}

func watchDisks(ctx context.Context, w *cluster.Warren, before []int64) *diskWatch {
	ctx, cancel := context.WithCancel(ctx)
	d := &diskWatch{most: make([]atomic.Int64, len(w.Nodes)), cancel: cancel, ended: make(chan error, 1)}
	go func() { d.ended <- d.run(ctx, w, before) }()
	return d
}

func (d *diskWatch) run(ctx context.Context, w *cluster.Warren, before []int64) error {
	look := time.NewTicker(churnLook)
	defer look.Stop()
	for {
		now, err := eachNode(w, (*cluster.Node).Disk)
		if err != nil {
			return err
		}
		for i := range now {
			d.most[i].Store(max(d.most[i].Load(), now[i]-before[i]))
		}
		select {
		case <-look.C:
		case <-ctx.Done():
			return nil
		}
	}
}

// stop ends the watch.
func (d *diskWatch) stop() error {
	d.cancel()
	return <-d.ended
}
