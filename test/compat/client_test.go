package compat

import (
	"context"
	"testing"
	"time"

	amqp "github.com/rabbitmq/amqp091-go"

	"github.com/warrenmq/warren/test/cluster"
)

// waitLimit bounds every wait of a case.
const waitLimit = 10 * time.Second

// client is one case's connections: here through the node that the case is
// tried on, there through another one.
type client struct {
	*testing.T
	addr, other string
	node        *cluster.Node
}

func (c *client) dial(addr string) *amqp.Connection {
	c.Helper()
	conn, err := amqp.Dial("amqp://guest:guest@" + addr + "/")
	if err != nil {
		c.Fatalf("connect to %s: %v", addr, err)
	}
	c.Cleanup(func() { conn.Close() })
	return conn
}

func (c *client) on(conn *amqp.Connection) *amqp.Channel {
	c.Helper()
	ch, err := conn.Channel()
	if err != nil {
		c.Fatalf("channel: %v", err)
	}
	return ch
}

// here is a channel on a connection of its own through the node under test.
func (c *client) here() *amqp.Channel { c.Helper(); return c.on(c.dial(c.addr)) }

// there is the same through another node.
func (c *client) there() *amqp.Channel { c.Helper(); return c.on(c.dial(c.other)) }

// must ends the case on an error.
func (c *client) must(err error) {
	c.Helper()
	if err != nil {
		c.Fatal(err)
	}
}

func (c *client) confirmed(d *amqp.DeferredConfirmation) {
	c.Helper()
	ctx, cancel := context.WithTimeout(c.Context(), waitLimit)
	defer cancel()
	if ok, err := d.WaitContext(ctx); err != nil || !ok {
		c.Fatalf("publish %d: confirmed %v, %v", d.DeliveryTag, ok, err)
	}
}

// next is the next delivery.
func (c *client) next(deliveries <-chan amqp.Delivery) amqp.Delivery {
	c.Helper()
	select {
	case d, ok := <-deliveries:
		if !ok {
			c.Fatal("the consumer was cancelled")
		}
		return d
	case <-time.After(waitLimit):
		c.Fatal("no delivery")
	}
	return amqp.Delivery{}
}

// same compares.
func same[T comparable](c *client, what string, got, want T) {
	c.Helper()
	if got != want {
		c.Errorf("%s: got %v, want %v", what, got, want)
	}
}

// eventually asks again until it is so: for what the protocol does not announce.
func (c *client) eventually(what string, so func() bool) {
	c.Helper()
	tick := time.NewTicker(10 * time.Millisecond)
	defer tick.Stop()
	end := time.After(waitLimit)
	for !so() {
		select {
		case <-tick.C:
		case <-end:
			c.Fatalf("never so: %s", what)
		}
	}
}
