package main

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"time"

	amqp "github.com/rabbitmq/amqp091-go"
)

// connectionBlocked publishes until it is told to stop, and on when it may again.
func connectionBlocked(c *client) {
	ch := c.on(0)
	blocked := c.conns[0].NotifyBlocked(make(chan amqp.Blocking, 4))
	q := c.queue(ch, nil)
	c.send(ch, "", q, texts("before")...)
	fmt.Println("at publishing")
	trying, err := c.conns[0].Channel()
	c.must(err)
	var told amqp.Blocking
	c.until("blocked", 30*time.Second, func() bool {
		c.must(trying.Publish("", q, false, false, texts("x")[0]))
		select {
		case told = <-blocked:
			return true
		default:
			return false
		}
	})
	if !told.Active || !strings.HasPrefix(told.Reason, "low on ") {
		c.fatalf("told %+v", told)
	}
	fmt.Println("at blocked")
	select {
	case told = <-blocked:
	case <-time.After(30 * time.Second):
		c.fatalf("never unblocked")
	}
	same(c, "then", told.Active, false)
	c.send(ch, "", q, texts("after")...)
	c.drop(ch, q)
}

// life is what the recipe for reconnecting keeps over its connections.
type life struct {
	queue          string
	sent, lost     int
	confirmed, got map[string]bool
}

// total is how many messages are to be confirmed at least.
const total = 300

func (l *life) enough() bool { return l.lost > 0 && len(l.confirmed) >= total }

func (l *life) complete() bool {
	for m := range l.confirmed {
		if !l.got[m] {
			return false
		}
	}
	return l.enough()
}

// recovers is the recipe of the library's documentation: it does not reconnect
// by itself, so its users dial the next address when NotifyClose tells, declare
// and consume again, and publish again what was not confirmed.
func recovers(c *client) {
	l := &life{queue: c.unique("recovery"), confirmed: make(map[string]bool), got: make(map[string]bool)}
	end := time.Now().Add(time.Minute)
	for node := 0; !l.complete(); node++ {
		if time.Now().After(end) {
			c.fatalf("after a minute: %d sent, %d confirmed, %d connections lost", l.sent, len(l.confirmed), l.lost)
		}
		conn, err := amqp.DialConfig(c.url(node), amqp.Config{Dial: amqp.DefaultDial(3 * time.Second)})
		if err != nil {
			continue
		}
		err = l.live(conn)
		if errors.Is(err, amqp.ErrClosed) || conn.IsClosed() {
			l.lost++
		}
		conn.Close()
	}
	ch := c.on(1)
	c.drop(ch, l.queue)
}

// live publishes one after the other and consumes, until all is done or the connection is lost.
func (l *life) live(conn *amqp.Connection) error {
	ch, err := conn.Channel()
	if err != nil {
		return err
	}
	if _, err := ch.QueueDeclare(l.queue, true, false, false, false, amqp.Table{"x-queue-type": "quorum"}); err != nil {
		return err
	}
	err = errors.Join(ch.Confirm(false), ch.Qos(20, 0, false))
	if err != nil {
		return err
	}
	deliveries, err := ch.Consume(l.queue, "", false, false, false, false, nil)
	if err != nil {
		return err
	}
	pace := time.NewTicker(5 * time.Millisecond)
	defer pace.Stop()
	for !l.complete() {
		if !l.enough() {
			if err := l.publish(ch); err != nil {
				return err
			}
		}
		select {
		case d, open := <-deliveries:
			if !open {
				return amqp.ErrClosed
			}
			l.got[string(d.Body)] = true
			if err := d.Ack(false); err != nil {
				return err
			}
		case <-pace.C:
		}
	}
	return nil
}

func (l *life) publish(ch *amqp.Channel) error {
	ctx, cancel := context.WithTimeout(context.Background(), waitLimit)
	defer cancel()
	l.sent++
	m := texts(fmt.Sprint(l.sent))[0]
	d, err := ch.PublishWithDeferredConfirmWithContext(ctx, "", l.queue, false, false, m)
	if err != nil {
		return err
	}
	ok, err := d.WaitContext(ctx)
	if err != nil {
		return err
	}
	if ok {
		l.confirmed[string(m.Body)] = true
	}
	if l.sent == 50 {
		fmt.Println("at running")
	}
	return nil
}
