package compat

import (
	"context"
	"errors"
	"fmt"
	"hash/crc32"
	"strings"
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

// name is one that no other case uses.
func (c *client) name(what string) string {
	return fmt.Sprintf("%s-%08x", what, crc32.ChecksumIEEE([]byte(c.Name()))) // short: reply texts are cut at 255 bytes
}

// durable declares a durable queue, which goes with the case.
func (c *client) durable(ch *amqp.Channel, args amqp.Table) string {
	c.Helper()
	q := c.name("q")
	if _, err := ch.QueueDeclare(q, true, false, false, false, args); err != nil {
		c.Fatalf("declare: %v", err)
	}
	c.Cleanup(func() {
		c.on(c.dial(c.addr)).QueueDelete(q, false, false, false)
	})
	return q
}

// private declares an exclusive queue of the server's naming.
func (c *client) private(ch *amqp.Channel) string {
	c.Helper()
	q, err := ch.QueueDeclare("", false, true, true, false, nil)
	if err != nil {
		c.Fatalf("declare: %v", err)
	}
	return q.Name
}

// exchange declares one that goes with the case.
func (c *client) exchange(ch *amqp.Channel, kind string) string {
	c.Helper()
	x := c.name(kind)
	if err := ch.ExchangeDeclare(x, kind, true, false, false, false, nil); err != nil {
		c.Fatalf("declare exchange: %v", err)
	}
	c.Cleanup(func() { c.on(c.dial(c.addr)).ExchangeDelete(x, false, false) })
	return x
}

// must ends the case on an error.
func (c *client) must(err error) {
	c.Helper()
	if err != nil {
		c.Fatal(err)
	}
}

// send publishes texts and waits until the broker has confirmed them.
func (c *client) send(exchange, key string, texts ...string) {
	c.Helper()
	ch := c.here()
	c.must(ch.Confirm(false))
	for _, t := range texts {
		d, err := ch.PublishWithDeferredConfirm(exchange, key, false, false, amqp.Publishing{Body: []byte(t), DeliveryMode: amqp.Persistent})
		c.must(err)
		c.confirmed(d)
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

// refused wants an error of the broker with a code and a text, and that only
// hard ones end the connection.
func (c *client) refused(ch *amqp.Channel, err error, code int, text string) {
	c.Helper()
	e, ok := errors.AsType[*amqp.Error](err)
	if !ok {
		c.Fatalf("got %v, want %d %q", err, code, text)
	}
	if e.Code != code || e.Reason != text {
		c.Errorf("got  %d %q\nwant %d %q", e.Code, e.Reason, code, text)
	}
}

// closes wants the broker to close a channel, after an asynchronous method.
func (c *client) closes(ch *amqp.Channel, do func() error, code int, text string) {
	c.Helper()
	closed := ch.NotifyClose(make(chan *amqp.Error, 1))
	c.must(do())
	select {
	case e := <-closed:
		if e == nil {
			c.Fatalf("closed in order, want %d %q", code, text)
		}
		c.refused(ch, e, code, text)
	case <-time.After(waitLimit):
		c.Fatalf("not closed, want %d %q", code, text)
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

// texts is the bodies of the next n deliveries, with ! where redelivered.
func (c *client) texts(deliveries <-chan amqp.Delivery, n int) string {
	c.Helper()
	var got []string
	for range n {
		d := c.next(deliveries)
		text := string(d.Body)
		if d.Redelivered {
			text += "!"
		}
		got = append(got, text)
	}
	return strings.Join(got, " ")
}

// gets is the bodies of n basic.gets, with ! where redelivered, - where empty.
func (c *client) gets(ch *amqp.Channel, q string, n int) string {
	c.Helper()
	var got []string
	for range n {
		d, ok, err := ch.Get(q, true)
		c.must(err)
		switch {
		case !ok:
			got = append(got, "-")
		case d.Redelivered:
			got = append(got, string(d.Body)+"!")
		default:
			got = append(got, string(d.Body))
		}
	}
	return strings.Join(got, " ")
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

// gone waits until a queue is no more, asked through another node.
func (c *client) gone(q string) {
	c.Helper()
	conn := c.dial(c.other)
	c.eventually("queue "+q+" is gone", func() bool {
		_, err := c.on(conn).QueueDeclarePassive(q, false, false, false, false, nil)
		e, ok := errors.AsType[*amqp.Error](err)
		return ok && e.Code == amqp.NotFound
	})
}

// onEveryNode runs cases through each node, with the next one as the other.
func onEveryNode(t *testing.T, s *cluster.Set, cases []behaviour) {
	for i, n := range s.Nodes {
		t.Run(fmt.Sprintf("n%d", i+1), func(t *testing.T) {
			for _, b := range cases {
				t.Run(b.name, func(t *testing.T) {
					b.run(&client{T: t, addr: n.AMQP, other: s.Nodes[(i+1)%len(s.Nodes)].AMQP, node: n})
				})
			}
		})
	}
}

// behaviour is one thing that RabbitMQ's users rely on.
type behaviour struct {
	name string
	run  func(*client)
}
