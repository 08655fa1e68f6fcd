package main

import (
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"time"

	amqp "github.com/rabbitmq/amqp091-go"

	"github.com/warrenmq/warren/test/cluster"
	"github.com/warrenmq/warren/test/proof/traffic"
)

const (
	pumpHeartbeat = 10 * time.Second
	ackEvery      = 250 // messages
)

// markBlock is how many messages a new leader may flag as redelivered at most
// though nobody has seen them: its predecessor did not live to say how far it was.
const markBlock = 4096

// pump publishes and takes numbered messages of one queue, many of them: all is
// confirmed, and comes in order and once.
type pump struct {
	queue    string
	size     int // bytes of a body, at least 8
	window   int // messages without a confirm; and the prefetch
	next     uint64
	expected uint64
	deaths   int // of leaders
	flagged  int
}

// on opens a channel through a node.
func (p *pump) on(ctx context.Context, n *cluster.Node) (*traffic.Conn, *amqp.Channel, error) {
	c, err := traffic.DialPatient(ctx, n.AMQP, pumpHeartbeat)
	if err != nil {
		return nil, nil, err
	}
	ch, err := c.Channel()
	if err != nil {
		c.Drop()
		return nil, nil, fmt.Errorf("channel on %s: %w", n.Name, err)
	}
	return c, ch, nil
}

// fill publishes count messages through a node and waits for their confirms.
func (p *pump) fill(ctx context.Context, n *cluster.Node, count int) error {
	c, ch, err := p.on(ctx, n)
	if err != nil {
		return err
	}
	defer c.Drop()
	if err := ch.Confirm(false); err != nil {
		return fmt.Errorf("confirms: %w", err)
	}
	confirms := ch.NotifyPublish(make(chan amqp.Confirmation, p.window))
	open := 0
	await := func() error {
		select {
		case c, ok := <-confirms:
			if !ok || !c.Ack {
				return fmt.Errorf("a message to %s was not confirmed", p.queue)
			}
			open--
			return nil
		case <-ctx.Done():
			return fmt.Errorf("waiting for a confirm: %w", ctx.Err())
		}
	}
	body := make([]byte, p.size)
	for range count {
		for open >= p.window {
			if err := await(); err != nil {
				return err
			}
		}
		binary.BigEndian.PutUint64(body, p.next)
		if err := ch.PublishWithContext(ctx, "", p.queue, false, false, amqp.Publishing{Body: body, DeliveryMode: amqp.Persistent}); err != nil {
			return fmt.Errorf("publish to %s: %w", p.queue, err)
		}
		p.next++
		open++
	}
	for open > 0 {
		if err := await(); err != nil {
			return err
		}
	}
	return nil
}

// drain takes count messages through a node and acknowledges them.
func (p *pump) drain(ctx context.Context, n *cluster.Node, count int) error {
	c, ch, err := p.on(ctx, n)
	if err != nil {
		return err
	}
	defer c.Drop()
	if err := ch.Qos(p.window, 0, false); err != nil {
		return fmt.Errorf("prefetch: %w", err)
	}
	deliveries, err := ch.Consume(p.queue, "", false, false, false, false, nil)
	if err != nil {
		return fmt.Errorf("consume from %s: %w", p.queue, err)
	}
	for i := range count {
		select {
		case d, ok := <-deliveries:
			if !ok {
				return errors.New("the consumer's channel was closed")
			}
			if err := p.take(d); err != nil {
				return err
			}
			if (i+1)%ackEvery == 0 || i+1 == count {
				if err := d.Ack(true); err != nil {
					return fmt.Errorf("acknowledge: %w", err)
				}
			}
		case <-ctx.Done():
			return fmt.Errorf("after %d of %d messages: %w", i, count, ctx.Err())
		}
	}
	return ch.Close() // answered after the acknowledgements are taken
}

func (p *pump) take(d amqp.Delivery) error {
	if len(d.Body) != p.size {
		return fmt.Errorf("a delivery of %d bytes instead of message %d", len(d.Body), p.expected)
	}
	if d.Redelivered {
		if p.flagged++; p.flagged > p.deaths*markBlock {
			return fmt.Errorf("%d messages are flagged as redelivered after %d deaths of a leader", p.flagged, p.deaths)
		}
	}
	if got := binary.BigEndian.Uint64(d.Body); got != p.expected {
		return fmt.Errorf("message %d instead of %d", got, p.expected)
	}
	p.expected++
	return nil
}
