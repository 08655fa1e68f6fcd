package compat

import (
	"fmt"
	"regexp"

	amqp "github.com/rabbitmq/amqp091-go"
)

const lockedText = "RESOURCE_LOCKED - cannot obtain exclusive access to locked queue '%s' in vhost '/'. " +
	"It could be originally declared on another connection or the exclusive property value does not match that of the original declaration."

// queueCases is what RabbitMQ does about queues.
func queueCases() []behaviour {
	return []behaviour{
		{"declare tells ready messages and consumers to every node", func(c *client) {
			ch := c.here()
			q := c.durable(ch, nil)
			c.send("", q, "a", "b", "c")
			got, err := c.there().QueueDeclare(q, true, false, false, false, nil)
			c.must(err)
			same(c, "messages", got.Messages, 3)
			same(c, "consumers", got.Consumers, 0)
			c.must(ch.Qos(1, 0, false))
			ds, err := ch.Consume(q, "", false, false, false, false, nil)
			c.must(err)
			c.next(ds)
			got, err = c.there().QueueDeclarePassive(q, true, false, false, false, nil)
			c.must(err)
			same(c, "messages beside one unacknowledged", got.Messages, 2)
			same(c, "consumers", got.Consumers, 1)
		}},
		{"declare with another durable is refused", func(c *client) {
			q := c.durable(c.here(), nil)
			ch := c.there()
			_, err := ch.QueueDeclare(q, false, false, false, false, nil)
			c.refused(ch, err, 406, "PRECONDITION_FAILED - inequivalent arg 'durable' for queue '"+q+"' in vhost '/': received 'false' but current is 'true'")
		}},
		{"declare with another auto_delete is refused", func(c *client) {
			q := c.durable(c.here(), nil)
			ch := c.there()
			_, err := ch.QueueDeclare(q, true, true, false, false, nil)
			c.refused(ch, err, 406, "PRECONDITION_FAILED - inequivalent arg 'auto_delete' for queue '"+q+"' in vhost '/': received 'true' but current is 'false'")
		}},
		{"declare with another argument is refused", func(c *client) {
			q := c.durable(c.here(), nil)
			ch := c.there()
			_, err := ch.QueueDeclare(q, true, false, false, false, amqp.Table{"x-message-ttl": int64(1)})
			c.refused(ch, err, 406, "PRECONDITION_FAILED - inequivalent arg 'x-message-ttl' for queue '"+q+"' in vhost '/': received the value '1' of type 'long' but current is none")
		}},
		{"declare with a bad argument is refused", func(c *client) {
			ch := c.here()
			_, err := ch.QueueDeclare("bad", true, false, false, false, amqp.Table{"x-max-length": int32(-5)})
			c.refused(ch, err, 406, "PRECONDITION_FAILED - invalid arg 'x-max-length' for queue 'bad' in vhost '/': {value_negative,-5}")
		}},
		{"an integer argument of another width is the same", func(c *client) {
			q := c.durable(c.here(), amqp.Table{"x-max-length": int32(1000)})
			_, err := c.there().QueueDeclare(q, true, false, false, false, amqp.Table{"x-max-length": int64(1000)})
			c.must(err)
		}},
		{"passive declare of nothing", func(c *client) {
			ch := c.here()
			_, err := ch.QueueDeclarePassive("nope", false, false, false, false, nil)
			c.refused(ch, err, 404, "NOT_FOUND - no queue 'nope' in vhost '/'")
		}},
		{"a reserved name", func(c *client) {
			ch := c.here()
			_, err := ch.QueueDeclare("amq.mine", false, false, false, false, nil)
			c.refused(ch, err, 403, "ACCESS_REFUSED - queue name 'amq.mine' contains reserved prefix 'amq.*'")
		}},
		{"a name by the server, which the empty name then means", func(c *client) {
			ch := c.here()
			q, err := ch.QueueDeclare("", false, true, true, false, nil)
			c.must(err)
			if !regexp.MustCompile(`^amq\.gen-[A-Za-z0-9_-]{22}$`).MatchString(q.Name) {
				c.Errorf("name %q", q.Name)
			}
			c.must(ch.QueueBind("", "k", "amq.direct", false, nil))
			c.must(ch.Publish("amq.direct", "k", false, false, amqp.Publishing{Body: []byte("x")}))
			c.eventually("the bound message is there", func() bool { return c.gets(ch, "", 1) == "x" })
		}},
		{"the empty name means nothing before a declare", func(c *client) {
			ch := c.here()
			_, err := ch.QueuePurge("", false)
			c.refused(ch, err, 404, "NOT_FOUND - no previously declared queue")
		}},
		{"an exclusive queue is its connection's alone", func(c *client) {
			q, ch := c.name("exclusive"), c.here()
			if _, err := ch.QueueDeclare(q, false, true, true, false, nil); err != nil {
				c.Fatal(err)
			}
			locked := fmt.Sprintf(lockedText, q)
			other := c.dial(c.other)
			for what, do := range map[string]func(*amqp.Channel) error{
				"declare": func(ch *amqp.Channel) error {
					_, err := ch.QueueDeclare(q, false, true, true, false, nil)
					return err
				},
				"passive declare": func(ch *amqp.Channel) error {
					_, err := ch.QueueDeclarePassive(q, false, true, true, false, nil)
					return err
				},
				"consume": func(ch *amqp.Channel) error {
					_, err := ch.Consume(q, "", true, false, false, false, nil)
					return err
				},
				"get":    func(ch *amqp.Channel) error { _, _, err := ch.Get(q, true); return err },
				"bind":   func(ch *amqp.Channel) error { return ch.QueueBind(q, "k", "amq.direct", false, nil) },
				"purge":  func(ch *amqp.Channel) error { _, err := ch.QueuePurge(q, false); return err },
				"delete": func(ch *amqp.Channel) error { _, err := ch.QueueDelete(q, false, false, false); return err },
			} {
				ch := c.on(other)
				c.Log(what)
				c.refused(ch, do(ch), 405, locked)
			}
		}},
		{"everyone may publish to an exclusive queue", func(c *client) {
			ch := c.here()
			q := c.private(ch)
			ds, err := ch.Consume(q, "", true, false, false, false, nil)
			c.must(err)
			c.must(c.there().Publish("", q, false, false, amqp.Publishing{Body: []byte("from there")}))
			same(c, "delivery", c.texts(ds, 1), "from there")
		}},
		{"an exclusive queue goes with its connection", func(c *client) {
			conn := c.dial(c.addr)
			q := c.private(c.on(conn))
			c.must(conn.Close())
			c.gone(q)
		}},
		{"an auto-delete queue goes with its last consumer, not before it had one", func(c *client) {
			ch := c.here()
			q := c.name("auto")
			_, err := ch.QueueDeclare(q, false, true, false, false, nil)
			c.must(err)
			_, err = ch.Consume(q, "one", true, false, false, false, nil)
			c.must(err)
			there := c.there()
			_, err = there.Consume(q, "two", true, false, false, false, nil)
			c.must(err)
			c.must(ch.Cancel("one", false))
			_, err = c.there().QueueDeclarePassive(q, false, true, false, false, nil)
			c.must(err)
			c.must(there.Cancel("two", false))
			c.gone(q)
		}},
		{"purge tells how many and leaves what is unacknowledged", func(c *client) {
			ch := c.here()
			q := c.durable(ch, nil)
			c.send("", q, "a", "b", "c")
			d, _, err := ch.Get(q, false)
			c.must(err)
			n, err := c.there().QueuePurge(q, false)
			c.must(err)
			same(c, "purged", n, 2)
			c.must(d.Nack(false, true))
			same(c, "what is left", c.gets(ch, q, 2), "a! -")
		}},
		{"delete tells how many messages it took", func(c *client) {
			q := c.durable(c.here(), nil)
			c.send("", q, "a", "b")
			n, err := c.there().QueueDelete(q, false, false, false)
			c.must(err)
			same(c, "deleted", n, 2)
			n, err = c.here().QueueDelete(q, false, false, false)
			c.must(err)
			same(c, "deleted again", n, 0)
		}},
		{"delete if-empty and if-unused", func(c *client) {
			ch := c.here()
			q := c.durable(ch, nil)
			c.send("", q, "a")
			there := c.there()
			_, err := there.QueueDelete(q, false, true, false)
			c.refused(there, err, 406, "PRECONDITION_FAILED - queue '"+q+"' in vhost '/' not empty")
			_, err = ch.Consume(q, "", true, false, false, false, nil)
			c.must(err)
			there = c.there()
			_, err = there.QueueDelete(q, true, false, false)
			c.refused(there, err, 406, "PRECONDITION_FAILED - queue '"+q+"' in vhost '/' in use")
		}},
		{"a deleted queue cancels its consumers", func(c *client) {
			ch := c.here()
			q := c.durable(ch, nil)
			cancelled := ch.NotifyCancel(make(chan string, 1))
			ds, err := ch.Consume(q, "watcher", true, false, false, false, nil)
			c.must(err)
			_, err = c.there().QueueDelete(q, false, false, false)
			c.must(err)
			for range ds { // ends with the cancel
			}
			same(c, "cancelled consumer", <-cancelled, "watcher")
			if ch.IsClosed() {
				c.Error("the channel was closed")
			}
		}},
		{"unbind of nothing is ok", func(c *client) {
			ch := c.here()
			c.must(ch.QueueUnbind(c.durable(ch, nil), "never", "amq.direct", nil))
		}},
		{"bind to and of nothing", func(c *client) {
			ch := c.here()
			q := c.durable(ch, nil)
			c.refused(ch, ch.QueueBind(q, "k", "nope", false, nil), 404, "NOT_FOUND - no exchange 'nope' in vhost '/'")
			ch = c.here()
			c.refused(ch, ch.QueueBind("nope", "k", "amq.direct", false, nil), 404, "NOT_FOUND - no queue 'nope' in vhost '/'")
		}},
	}
}
