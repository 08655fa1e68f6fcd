package compat

import (
	"context"
	"fmt"
	"net/http"
	"testing"
	"time"

	amqp "github.com/rabbitmq/amqp091-go"

	"github.com/warrenmq/warren/test/cluster"
)

// letters is how many messages die in each part of TestDeadLettersAreNotLost.
const letters = 400

// TestDeadLettersAreNotLost kills the node that leads a queue while its messages die,
// and all nodes while dead letters wait for room: each arrives at least once.
func TestDeadLettersAreNotLost(t *testing.T) {
	if rabbit() {
		t.Skip("RabbitMQ's classic queues promise nothing of the kind")
	}
	s := broker(t)
	c := &client{T: t, addr: s.Nodes[0].AMQP, other: s.Nodes[1].AMQP, node: s.Nodes[0]}
	t.Run("when their leader is killed", func(t *testing.T) { c.T = t; killedLeader(c, s) })
	t.Run("when all nodes are killed", func(t *testing.T) { c.T = t; killedWaiting(c, s) })
}

func killedLeader(c *client, s *cluster.Set) {
	here, there := c.here(), c.there() // what n1 declares it leads
	_, err := here.QueueDeclare("dying", true, false, false, false, amqp.Table{"x-dead-letter-exchange": "", "x-dead-letter-routing-key": "dead"})
	c.must(err)
	_, err = there.QueueDeclare("dead", true, false, false, false, nil)
	c.must(err)
	c.fill("dying")
	for i, d := 0, c.consume(there, "dying", 50); i < letters; i++ {
		m := c.next(d)
		c.must(m.Reject(false))
		if i == letters/2 {
			c.must(s.Nodes[0].Kill())
		}
	}
	c.all("dead", letters)
	c.must(s.Nodes[0].Start())
	ctx, cancel := context.WithTimeout(c.Context(), time.Minute)
	defer cancel()
	c.must(s.Nodes[0].AwaitReady(ctx))
}

func killedWaiting(c *client, s *cluster.Set) {
	here := c.here()
	_, err := here.QueueDeclare("waiting", true, false, false, false, amqp.Table{"x-dead-letter-exchange": "", "x-dead-letter-routing-key": "full"})
	c.must(err)
	_, err = c.there().QueueDeclare("full", true, false, false, false, nil)
	c.must(err)
	const limit = "/api/policies/%2F/limit"
	same(c, "a limit", c.api(http.MethodPut, limit, map[string]any{
		"pattern": "^full$", "apply-to": "queues", "definition": map[string]any{"max-length": 1, "overflow": "reject-publish"},
	}), "201")
	c.publish("", "full", amqp.Publishing{Body: []byte("in the way"), DeliveryMode: amqp.Persistent})
	c.eventually("it is full", func() bool { return !c.tried("", "full", amqp.Publishing{Body: []byte("in the way")}) })
	c.fill("waiting")
	for i, d := 0, c.consume(here, "waiting", 50); i < letters; i++ {
		m := c.next(d)
		c.must(m.Nack(false, false))
	}
	c.eventually("all wait", func() bool { return c.pending("waiting") == letters })
	c.must(s.Kill())
	ctx, cancel := context.WithTimeout(c.Context(), 2*time.Minute)
	defer cancel()
	c.must(s.Start(ctx))
	c.must(s.AwaitReady(ctx))
	same(c, "still waiting", c.pending("waiting"), letters)
	// A full queue lets one in at a time, and the pauses grow: with room they all go.
	same(c, "no limit", c.api(http.MethodDelete, limit, nil), "204")
	c.all("full", letters)
}

// fill publishes the numbers from 0.
func (c *client) fill(q string) {
	c.Helper()
	ch := c.there()
	c.must(ch.Confirm(false))
	var last *amqp.DeferredConfirmation
	for i := range letters {
		var err error
		last, err = ch.PublishWithDeferredConfirm("", q, false, false, amqp.Publishing{Body: fmt.Append(nil, i), DeliveryMode: amqp.Persistent})
		c.must(err)
	}
	c.confirmed(last)
}

// all takes messages until each of the numbers below n has come.
func (c *client) all(q string, n int) {
	c.Helper()
	ds := c.consume(c.there(), q, 100)
	seen := make(map[string]int)
	end := time.After(time.Minute)
	for len(seen) < n {
		select {
		case d := <-ds:
			c.must(d.Ack(false))
			if string(d.Body) != "in the way" {
				seen[string(d.Body)]++
			}
		case <-end:
			c.Fatalf("%d of %d arrived in %s", len(seen), n, q)
		}
	}
	again := 0
	for _, times := range seen {
		again += times - 1
	}
	c.Logf("%s: %d arrived, %d of them again", q, n, again)
}
