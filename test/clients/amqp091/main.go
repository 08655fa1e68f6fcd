// Command amqp091 is the script of amqp091-go: the line protocol of test/script,
// like the clients in other languages.
//
// usage: amqp091 PHASE ADDR...
package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"time"

	amqp "github.com/rabbitmq/amqp091-go"
)

// waitLimit bounds every wait of a case.
const waitLimit = 10 * time.Second

// kase is a named case.
type kase struct {
	name string
	run  func(*client)
}

func main() {
	if len(os.Args) < 4 {
		fmt.Fprintln(os.Stderr, "usage: amqp091 PHASE ADDR ADDR...")
		os.Exit(2)
	}
	cases, ok := map[string][]kase{
		"features": features(),
		"blocked":  {{"connection_blocked", connectionBlocked}},
		"recovery": {{"recovers_when_its_node_is_killed", recovers}},
	}[os.Args[1]]
	if !ok {
		fmt.Fprintf(os.Stderr, "no phase %q\n", os.Args[1])
		os.Exit(2)
	}
	failed := false
	for _, k := range cases {
		if err := attempt(k, os.Args[2:]); err != nil {
			failed = true
			fmt.Printf("FAIL %s: %v\n", k.name, err)
			continue
		}
		fmt.Printf("ok %s\n", k.name)
	}
	if failed {
		os.Exit(1)
	}
}

// failure is what a case panics with: its run returns nothing.
type failure struct{ error }

func attempt(k kase, addrs []string) (err error) {
	c := &client{addrs: addrs, name: k.name}
	defer c.close()
	defer func() {
		switch e := recover().(type) {
		case nil:
		case failure:
			err = e.error
		default:
			panic(e)
		}
	}()
	k.run(c)
	return nil
}

// client is one case's connections.
type client struct {
	addrs []string
	name  string
	conns []*amqp.Connection
	named int
}

func (c *client) close() {
	for _, conn := range c.conns {
		if err := conn.Close(); err != nil && !errors.Is(err, amqp.ErrClosed) {
			fmt.Fprintf(os.Stderr, "%s: close: %v\n", c.name, err)
		}
	}
}

func (c *client) fatalf(format string, args ...any) { panic(failure{fmt.Errorf(format, args...)}) }

func (c *client) must(err error) {
	if err != nil {
		c.fatalf("%w", err)
	}
}

func (c *client) url(i int) string { return "amqp://guest:guest@" + c.addrs[i%len(c.addrs)] + "/" }

// dial connects to one of the nodes.
func (c *client) dial(i int, cfg amqp.Config) *amqp.Connection {
	conn, err := amqp.DialConfig(c.url(i), cfg)
	c.must(err)
	c.conns = append(c.conns, conn)
	return conn
}

// on is a channel of a connection of its own through node i.
func (c *client) on(i int) *amqp.Channel {
	ch, err := c.dial(i, amqp.Config{}).Channel()
	c.must(err)
	return ch
}

// unique is a name that nobody else uses.
func (c *client) unique(what string) string {
	c.named++
	return fmt.Sprintf("%s-%d-%d-%d", what, os.Getpid(), time.Now().UnixNano(), c.named)
}

// queue declares a durable queue.
func (c *client) queue(ch *amqp.Channel, args amqp.Table) string {
	q, err := ch.QueueDeclare(c.unique("go"), true, false, false, false, args)
	c.must(err)
	return q.Name
}

// private declares an exclusive queue of the broker's naming.
func (c *client) private(ch *amqp.Channel) string {
	q, err := ch.QueueDeclare("", false, false, true, false, nil)
	c.must(err)
	return q.Name
}

func (c *client) drop(ch *amqp.Channel, q string) {
	_, err := ch.QueueDelete(q, false, false, false)
	c.must(err)
}

// send publishes and waits for the confirms.
func (c *client) send(ch *amqp.Channel, exchange, key string, messages ...amqp.Publishing) {
	c.must(ch.Confirm(false))
	ctx, cancel := context.WithTimeout(context.Background(), waitLimit)
	defer cancel()
	for _, m := range messages {
		d, err := ch.PublishWithDeferredConfirmWithContext(ctx, exchange, key, false, false, m)
		c.must(err)
		if ok, err := d.WaitContext(ctx); err != nil || !ok {
			c.fatalf("publish to %q: confirmed %v, %v", key, ok, err)
		}
	}
}

// texts makes persistent messages.
func texts(bodies ...string) (messages []amqp.Publishing) {
	for _, b := range bodies {
		messages = append(messages, amqp.Publishing{DeliveryMode: amqp.Persistent, Body: []byte(b)})
	}
	return messages
}

// get is a message by basic.get, acknowledged.
func (c *client) get(ch *amqp.Channel, q string) amqp.Delivery {
	d, ok, err := ch.Get(q, true)
	c.must(err)
	if !ok {
		c.fatalf("queue %s is empty", q)
	}
	return d
}

// same compares.
func same[T comparable](c *client, what string, got, want T) {
	if got != want {
		c.fatalf("%s: got %v, want %v", what, got, want)
	}
}

// until asks again until it is so.
func (c *client) until(what string, limit time.Duration, so func() bool) {
	tick := time.NewTicker(5 * time.Millisecond)
	defer tick.Stop()
	end := time.After(limit)
	for !so() {
		select {
		case <-tick.C:
		case <-end:
			c.fatalf("never so: %s", what)
		}
	}
}

func (c *client) arrived(ch *amqp.Channel, q string, n int) {
	c.until(fmt.Sprintf("%d messages in %s", n, q), waitLimit, func() bool {
		state, err := ch.QueueDeclarePassive(q, true, false, false, false, nil)
		c.must(err)
		return state.Messages == n
	})
}

// take is what comes next out of a channel of the library.
func take[T any](c *client, what string, from <-chan T) T {
	select {
	case v, ok := <-from:
		if !ok {
			c.fatalf("%s: closed", what)
		}
		return v
	case <-time.After(waitLimit):
		c.fatalf("%s: nothing came", what)
	}
	panic("unreachable")
}

// refused wants an error of the broker.
func (c *client) refused(err error, code int, text string) {
	e, ok := errors.AsType[*amqp.Error](err)
	if !ok || e.Code != code || e.Reason != text {
		c.fatalf("got %v, want %d %q", err, code, text)
	}
}
