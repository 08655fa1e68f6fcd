package main

import (
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"sync"
	"sync/atomic"
	"time"

	amqp "github.com/rabbitmq/amqp091-go"

	"github.com/warrenmq/warren/test/cluster"
	"github.com/warrenmq/warren/test/proof/traffic"
)

const (
	manyQueues      = 20_000
	manyQueuesShort = 1_000
	declaresLimit   = 1_000            // a second, at least
	deliverLimit    = 5 * time.Second  // from the death of a node until every queue has delivered again
	coldLimit       = 30 * time.Second // from the start of all nodes until every queue has delivered
	manyCPULimit    = 5.0              // per cent of a core, each node, idle
	manyRSSLimit    = 1 << 30          // bytes, each node
	declarers       = 128              // channels that declare at once
	fleetHeartbeat  = 10 * time.Second
	fleetSize       = 24               // connections that consume, and as many that publish
	settleLimit     = 60 * time.Second // until leaders are where they should be
)

// queues shows that many replicated queues cost little: to declare, to fail over,
// to start and to keep.
func queues(ctx context.Context, r *run) error {
	n := manyQueues
	if r.short {
		n = manyQueuesShort
	}
	return withCluster(ctx, r, cluster.Options{}, func(w *cluster.Warren) error {
		f := newFleet(n)
		for _, part := range []func(context.Context, *run, *cluster.Warren) error{
			f.declared, f.served, f.idles, f.outlivesANode, f.startsCold,
		} {
			if err := part(ctx, r, w); err != nil {
				return err
			}
		}
		return nil
	})
}

// fleet is many queues with one consumer each.
type fleet struct {
	names []string
	seen  []atomic.Uint64 // the latest round that each queue has delivered
	round uint64
	conns []*traffic.Conn // of the consumers
	reads sync.WaitGroup
}

func newFleet(n int) *fleet {
	f := &fleet{names: make([]string, n), seen: make([]atomic.Uint64, n)}
	for i := range f.names {
		f.names[i] = fmt.Sprintf("queues.%05d", i)
	}
	return f
}

// declared declares all queues through all nodes at once.
func (f *fleet) declared(ctx context.Context, r *run, w *cluster.Warren) error {
	begin := time.Now()
	if err := f.spread(ctx, w.Addrs(), declarers, func(ctx context.Context, c *traffic.Conn, from, to int) error {
		ch, err := c.Channel()
		if err != nil {
			return fmt.Errorf("channel to declare on: %w", err)
		}
		for _, name := range f.names[from:to] {
			if _, err := ch.QueueDeclare(name, true, false, false, false, nil); err != nil {
				return fmt.Errorf("declare %s: %w", name, err)
			}
		}
		return nil
	}); err != nil {
		return err
	}
	took := time.Since(begin)
	rate := float64(len(f.names)) / took.Seconds()
	r.printf("declared %d queues in %.1f s: %.0f a second (at least %d)", len(f.names), took.Seconds(), rate, declaresLimit)
	if rate < declaresLimit && !r.short { // a rate wants a machine to itself
		return fmt.Errorf("%.0f declares a second", rate)
	}
	return nil
}

// spread gives parts of the queues to a number of connections, each with its own part.
func (f *fleet) spread(ctx context.Context, addrs []string, conns int, do func(ctx context.Context, c *traffic.Conn, from, to int) error) error {
	var all sync.WaitGroup
	errs := make([]error, conns)
	for i := range conns {
		all.Go(func() {
			c, err := traffic.DialPatient(ctx, addrs[i%len(addrs)], fleetHeartbeat)
			if err != nil {
				errs[i] = err
				return
			}
			defer c.Drop()
			errs[i] = do(ctx, c, i*len(f.names)/conns, (i+1)*len(f.names)/conns)
		})
	}
	all.Wait()
	return errors.Join(errs...)
}

// consume puts one consumer on every queue, through the nodes at addrs.
func (f *fleet) consume(ctx context.Context, addrs []string) error {
	errs := make([]error, fleetSize)
	conns := make([]*traffic.Conn, fleetSize)
	var all sync.WaitGroup
	for i := range fleetSize {
		all.Go(func() {
			c, err := f.dial(ctx, addrs[i%len(addrs)])
			if err != nil {
				errs[i] = err
				return
			}
			conns[i] = c
			errs[i] = f.consumeOn(c, i*len(f.names)/fleetSize, (i+1)*len(f.names)/fleetSize)
		})
	}
	all.Wait()
	for _, c := range conns {
		if c != nil {
			f.conns = append(f.conns, c)
		}
	}
	return errors.Join(errs...)
}

// dial tries until the node answers.
func (f *fleet) dial(ctx context.Context, addr string) (*traffic.Conn, error) {
	retry := time.NewTicker(100 * time.Millisecond)
	defer retry.Stop()
	for {
		c, err := traffic.DialPatient(ctx, addr, fleetHeartbeat)
		if err == nil {
			return c, nil
		}
		select {
		case <-retry.C:
		case <-ctx.Done():
			return nil, errors.Join(ctx.Err(), err)
		}
	}
}

func (f *fleet) consumeOn(c *traffic.Conn, from, to int) error {
	ch, err := c.Channel()
	if err != nil {
		return fmt.Errorf("channel to consume on: %w", err)
	}
	for i := from; i < to; i++ {
		deliveries, err := ch.Consume(f.names[i], "", false, false, false, false, nil)
		if err != nil {
			return fmt.Errorf("consume from %s: %w", f.names[i], err)
		}
		f.reads.Go(func() {
			for d := range deliveries {
				if d.Ack(false) == nil && len(d.Body) == 8 {
					f.seen[i].Store(binary.BigEndian.Uint64(d.Body))
				}
			}
		})
	}
	return nil
}

// drop ends the consumers' connections without a word.
func (f *fleet) drop() {
	for _, c := range f.conns {
		c.Drop()
	}
	f.reads.Wait()
	f.conns = nil
}

// deliverAll publishes one message to every queue and waits until each has delivered it.
func (f *fleet) deliverAll(ctx context.Context, addrs []string) error {
	f.round++
	body := binary.BigEndian.AppendUint64(nil, f.round)
	err := f.spread(ctx, addrs, fleetSize, func(ctx context.Context, c *traffic.Conn, from, to int) error {
		ch, err := c.Channel()
		if err != nil {
			return fmt.Errorf("channel to publish on: %w", err)
		}
		if err := ch.Confirm(false); err != nil {
			return fmt.Errorf("confirms: %w", err)
		}
		confirms := ch.NotifyPublish(make(chan amqp.Confirmation, to-from))
		for _, name := range f.names[from:to] {
			if err := ch.PublishWithContext(ctx, "", name, true, false, amqp.Publishing{Body: body}); err != nil {
				return fmt.Errorf("publish to %s: %w", name, err)
			}
		}
		for range to - from {
			select {
			case c, ok := <-confirms:
				if !ok || !c.Ack {
					return errors.New("a message was not confirmed")
				}
			case <-ctx.Done():
				return fmt.Errorf("waiting for confirms: %w", ctx.Err())
			}
		}
		return nil
	})
	if err != nil {
		return err
	}
	look := time.NewTicker(5 * time.Millisecond)
	defer look.Stop()
	for missing := f.missing(); missing > 0; missing = f.missing() {
		select {
		case <-look.C:
		case <-ctx.Done():
			return fmt.Errorf("%d queues have not delivered: %w", missing, ctx.Err())
		}
	}
	return nil
}

func (f *fleet) missing() (n int) {
	for i := range f.seen {
		if f.seen[i].Load() != f.round {
			n++
		}
	}
	return n
}

// served shows that every queue works.
func (f *fleet) served(ctx context.Context, r *run, w *cluster.Warren) error {
	begin := time.Now()
	addrs := w.Addrs()[:2] // the third node will be killed
	if err := f.consume(ctx, addrs); err != nil {
		return err
	}
	consuming := time.Since(begin)
	begin = time.Now()
	if err := limited(ctx, settleLimit, func(ctx context.Context) error { return f.deliverAll(ctx, addrs) }); err != nil {
		return err
	}
	r.printf("a consumer on each after %.1f s; a message through each in %.2f s", consuming.Seconds(), time.Since(begin).Seconds())
	return nil
}

// idles measures the nodes while nobody publishes.
func (f *fleet) idles(ctx context.Context, r *run, w *cluster.Warren) error {
	return measureIdle(ctx, r, w, manyCPULimit, manyRSSLimit)
}

// outlivesANode kills one of the nodes, on which no client is.
func (f *fleet) outlivesANode(ctx context.Context, r *run, w *cluster.Warren) error {
	victim := w.Nodes[2]
	begin := time.Now()
	if err := victim.Kill(); err != nil {
		return err
	}
	err := limited(ctx, settleLimit, func(ctx context.Context) error { return f.deliverAll(ctx, w.Addrs()[:2]) })
	took := time.Since(begin)
	if err != nil {
		return fmt.Errorf("after kill -9 of %s: %w", victim.Name, err)
	}
	r.printf("kill -9 of %s: every queue has delivered again after %.2f s (limit %.0f s)", victim.Name, took.Seconds(), deliverLimit.Seconds())
	if took > deliverLimit {
		return fmt.Errorf("%.2f s until every queue delivered again", took.Seconds())
	}
	if err := victim.Start(); err != nil {
		return err
	}
	return limited(ctx, settleLimit, w.AwaitWhole)
}

// startsCold kills all nodes and starts them again.
func (f *fleet) startsCold(ctx context.Context, r *run, w *cluster.Warren) error {
	if err := w.Kill(); err != nil {
		return err
	}
	f.drop()
	begin := time.Now()
	for _, n := range w.Nodes {
		if err := n.Start(); err != nil {
			return err
		}
	}
	err := limited(ctx, 2*coldLimit, func(ctx context.Context) error {
		if err := f.consume(ctx, w.Addrs()); err != nil {
			return err
		}
		return f.deliverAll(ctx, w.Addrs())
	})
	took := time.Since(begin)
	f.drop()
	if err != nil {
		return fmt.Errorf("after the start of all nodes: %w", err)
	}
	r.printf("all nodes killed and started: every queue has a consumer and has delivered after %.1f s (limit %.0f s)", took.Seconds(), coldLimit.Seconds())
	if took > coldLimit {
		return fmt.Errorf("%.1f s until every queue was served", took.Seconds())
	}
	return nil
}
