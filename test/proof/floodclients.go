package main

import (
	"context"
	"errors"
	"fmt"
	"net"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	amqp "github.com/rabbitmq/amqp091-go"

	"github.com/warrenmq/warren/broker/wire"
	"github.com/warrenmq/warren/test/proof/traffic"
)

// floodAct is what a client of a flood does once its channel 1 is open, until its
// socket is closed because ctx has ended.
type floodAct interface {
	act(context.Context, *floodClient, *raw) error
}

// floodClient is a client without manners.
type floodClient struct {
	addr  string
	act   floodAct
	bytes atomic.Int64 // sent
	count atomic.Int64 // messages sent, or deliveries read
	err   error        // once run has ended: why it did before it was told to
}

// run does what the client is for until ctx ends.
func (c *floodClient) run(ctx context.Context) error {
	conn, err := rawDial(ctx, c.addr)
	if err == nil {
		defer conn.Close()
		context.AfterFunc(ctx, func() { conn.Close() })
		err = conn.open()
	}
	if err == nil {
		err = errors.Join(conn.SetDeadline(time.Time{}), c.act.act(ctx, c, conn))
	}
	if ctx.Err() == nil {
		c.err = fmt.Errorf("client of %s: %w", c.addr, err)
	}
	return nil
}

// floodPublisher publishes as fast as the socket takes it, and reads nothing.
type floodPublisher struct {
	queue               string
	confirms, mandatory bool
}

// floodChunk is how many messages it writes at once.
const floodChunk = 64

func (p floodPublisher) act(_ context.Context, c *floodClient, conn *raw) error {
	if p.confirms {
		if _, err := conn.Write(wire.AppendMethodFrame(nil, 1, &wire.ConfirmSelect{})); err != nil {
			return err
		}
		if err := conn.await(&wire.ConfirmSelectOk{}); err != nil {
			return err
		}
	}
	var chunk []byte
	for range floodChunk {
		chunk = wire.AppendMethodFrame(chunk, 1, &wire.BasicPublish{RoutingKey: p.queue, Mandatory: p.mandatory})
		chunk = wire.AppendContent(chunk, 1, 131072, wire.ClassBasic, []byte{0, 0}, make([]byte, floodBody))
	}
	for {
		n, err := conn.Write(chunk)
		c.bytes.Add(int64(n))
		if err != nil {
			return fmt.Errorf("publish: %w", err)
		}
		c.count.Add(floodChunk)
	}
}

// floodConsumer consumes without prefetch and acknowledges nothing.
type floodConsumer struct {
	queue        string
	reads, noAck bool
}

func (k floodConsumer) act(ctx context.Context, c *floodClient, conn *raw) error {
	if _, err := conn.Write(wire.AppendMethodFrame(nil, 1, &wire.BasicConsume{Queue: k.queue, NoAck: k.noAck})); err != nil {
		return err
	}
	if !k.reads {
		<-ctx.Done()
		return nil
	}
	for {
		f, err := conn.frames.ReadFrame()
		switch {
		case errors.Is(err, net.ErrClosed):
			return nil
		case err != nil:
			return fmt.Errorf("consume: %w", err)
		case f.Type == wire.FrameHeader:
			c.count.Add(1)
		}
	}
}

// neighbour publishes to a queue of its own, one message after the other, and
// measures how long each confirm takes.
type neighbour struct {
	addr, queue string

	mu   sync.Mutex
	took []time.Duration
	err  error
}

func (b *neighbour) run(ctx context.Context) error {
	err := b.publish(ctx)
	b.mu.Lock()
	defer b.mu.Unlock()
	if ctx.Err() == nil {
		b.err = err
	}
	return nil
}

func (b *neighbour) publish(ctx context.Context) error {
	c, err := traffic.Dial(ctx, b.addr)
	if err != nil {
		return err
	}
	defer c.Drop()
	ch, err := c.Channel()
	if err != nil {
		return fmt.Errorf("channel: %w", err)
	}
	if err := ch.Confirm(false); err != nil {
		return fmt.Errorf("confirm mode: %w", err)
	}
	for {
		begin := time.Now()
		d, err := ch.PublishWithDeferredConfirmWithContext(ctx, "", b.queue, false, false, amqp.Publishing{Body: []byte("x")})
		if err != nil {
			return fmt.Errorf("publish: %w", err)
		}
		ok, err := d.WaitContext(ctx)
		if err != nil && time.Since(begin) < neighbourWorst {
			return err // the flood is over
		}
		b.mu.Lock()
		b.took = append(b.took, time.Since(begin))
		b.mu.Unlock()
		if err != nil || !ok {
			return errors.Join(errors.New("no confirm"), err)
		}
	}
}

// figures are how many confirms there were, and how long they took.
func (b *neighbour) figures() (n int, median, worst time.Duration) {
	b.mu.Lock()
	defer b.mu.Unlock()
	if n = len(b.took); n == 0 {
		return 0, 0, 0
	}
	sorted := slices.Sorted(slices.Values(b.took))
	return n, sorted[n/2], sorted[n-1]
}

func (b *neighbour) String() string {
	n, median, worst := b.figures()
	return fmt.Sprintf("%d, median %.1f ms, worst %.0f ms", n, median.Seconds()*1e3, worst.Seconds()*1e3)
}

func (b *neighbour) verdict() error {
	n, median, worst := b.figures()
	switch {
	case b.err != nil:
		return fmt.Errorf("a neighbour: %w", b.err)
	case n == 0, median > neighbourMedian, worst > neighbourWorst:
		return fmt.Errorf("a neighbour waits: %s", b)
	default:
		return nil
	}
}
