package compat

import (
	amqp "github.com/rabbitmq/amqp091-go"
)

// exchangeCases is what RabbitMQ does about exchanges and routes.
func exchangeCases() []behaviour {
	return []behaviour{
		{"declare with another type is refused", func(c *client) {
			x := c.exchange(c.here(), "direct")
			ch := c.there()
			c.refused(ch, ch.ExchangeDeclare(x, "fanout", true, false, false, false, nil), 406,
				"PRECONDITION_FAILED - inequivalent arg 'type' for exchange '"+x+"' in vhost '/': received 'fanout' but current is 'direct'")
		}},
		{"passive declare of nothing", func(c *client) {
			ch := c.here()
			c.refused(ch, ch.ExchangeDeclarePassive("nope", "direct", true, false, false, false, nil), 404, "NOT_FOUND - no exchange 'nope' in vhost '/'")
		}},
		{"an unknown type", func(c *client) {
			ch := c.here()
			err := ch.ExchangeDeclare(c.name("x"), "trapezium", true, false, false, false, nil)
			if rabbit() { // 3.10 closed the connection
				c.refused(ch, err, 503, "COMMAND_INVALID - unknown exchange type 'trapezium'")
				return
			}
			c.refused(ch, err, 406, "PRECONDITION_FAILED - unknown exchange type 'trapezium'")
		}},
		{"the default exchange is nobody's to change", func(c *client) {
			const text = "ACCESS_REFUSED - operation not permitted on the default exchange"
			ch := c.here()
			c.refused(ch, ch.ExchangeDeclare("", "direct", true, false, false, false, nil), 403, text)
			ch = c.here()
			_, err := ch.QueueDeclare("", false, true, true, false, nil)
			c.must(err)
			c.refused(ch, ch.QueueBind("", "k", "", false, nil), 403, text)
			ch = c.here()
			c.refused(ch, ch.ExchangeDelete("", false, false), 403, text)
		}},
		{"reserved names", func(c *client) {
			ch := c.here()
			c.refused(ch, ch.ExchangeDeclare("amq.mine", "direct", true, false, false, false, nil), 403,
				"ACCESS_REFUSED - exchange name 'amq.mine' contains reserved prefix 'amq.*'")
			c.must(c.here().ExchangeDeclare("amq.direct", "direct", true, false, false, false, nil))
		}},
		{"delete", func(c *client) {
			ch := c.here()
			x, q := c.exchange(ch, "fanout"), c.private(ch)
			c.must(ch.QueueBind(q, "", x, false, nil))
			there := c.there()
			c.refused(there, there.ExchangeDelete(x, true, false), 406, "PRECONDITION_FAILED - exchange '"+x+"' in vhost '/' in use")
			c.must(c.there().ExchangeDelete(x, false, false))
			c.must(c.here().ExchangeDelete(x, false, false))
		}},
		{"an auto-delete exchange goes with its last binding", func(c *client) {
			ch := c.here()
			x, q := c.name("auto"), c.private(ch)
			c.must(ch.ExchangeDeclare(x, "fanout", false, true, false, false, nil))
			c.must(ch.QueueBind(q, "", x, false, nil))
			c.must(ch.QueueUnbind(q, "", x, nil))
			there := c.there()
			c.refused(there, there.ExchangeDeclarePassive(x, "fanout", false, true, false, false, nil), 404, "NOT_FOUND - no exchange '"+x+"' in vhost '/'")
		}},
		{"publish to an unknown exchange closes the channel", func(c *client) {
			ch := c.here()
			c.closes(ch, func() error { return ch.Publish("nope", "k", false, false, amqp.Publishing{}) }, 404, "NOT_FOUND - no exchange 'nope' in vhost '/'")
		}},
		{"publish to an internal exchange", func(c *client) {
			ch := c.here()
			x := c.name("internal")
			c.must(ch.ExchangeDeclare(x, "direct", false, false, true, false, nil))
			defer c.here().ExchangeDelete(x, false, false)
			c.closes(ch, func() error { return ch.Publish(x, "k", false, false, amqp.Publishing{}) }, 403, "ACCESS_REFUSED - cannot publish to internal exchange '"+x+"' in vhost '/'")
		}},
		{"a queue bound twice gets one copy", func(c *client) {
			ch := c.here()
			x, q := c.exchange(ch, "topic"), c.private(ch)
			for _, key := range []string{"a.*", "a.#", "#", "*.b"} {
				c.must(ch.QueueBind(q, key, x, false, nil))
			}
			c.send(x, "a.b", "one")
			same(c, "messages", c.gets(ch, q, 2), "one -")
		}},
		{"an unbound key goes nowhere", func(c *client) {
			ch := c.here()
			x, q := c.exchange(ch, "direct"), c.private(ch)
			c.must(ch.QueueBind(q, "k", x, false, nil))
			c.must(ch.QueueBind(q, "l", x, false, nil))
			c.must(ch.QueueUnbind(q, "k", x, nil))
			c.send(x, "k", "no")
			c.send(x, "l", "yes")
			same(c, "messages", c.gets(ch, q, 2), "yes -")
		}},
		{"exchanges are bound to exchanges, in circles too", func(c *client) {
			ch := c.here()
			x, y, q := c.exchange(ch, "fanout"), c.exchange(ch, "topic"), c.private(ch)
			c.must(ch.ExchangeBind(y, "#", x, false, nil))
			c.must(ch.ExchangeBind(x, "#", y, false, nil))
			c.must(ch.QueueBind(q, "a.#", y, false, nil))
			c.send(x, "a.b", "through both")
			same(c, "messages", c.gets(ch, q, 2), "through both -")
			c.must(ch.ExchangeUnbind(y, "#", x, false, nil))
			c.send(x, "a.b", "no more")
			same(c, "messages", c.gets(ch, q, 1), "-")
		}},
		{"headers", func(c *client) {
			ch := c.here()
			x := c.exchange(ch, "headers")
			all, anyOf := c.private(ch), c.private(ch)
			c.must(ch.QueueBind(all, "", x, false, amqp.Table{"x-match": "all", "a": "1", "b": int32(2)}))
			c.must(ch.QueueBind(anyOf, "", x, false, amqp.Table{"x-match": "any", "a": "1", "b": int32(2)}))
			c.must(ch.Confirm(false))
			for text, h := range map[string]amqp.Table{"both": {"a": "1", "b": int32(2)}, "one": {"a": "1"}} {
				d, err := ch.PublishWithDeferredConfirm(x, "", false, false, amqp.Publishing{Headers: h, Body: []byte(text)})
				c.must(err)
				c.confirmed(d)
			}
			same(c, "all", c.gets(ch, all, 2), "both -")
			if got := c.gets(ch, anyOf, 3); got != "both one -" && got != "one both -" {
				c.Errorf("any: %s", got)
			}
		}},
		{"an alternate exchange takes what has no route", func(c *client) {
			ch := c.here()
			other, q := c.exchange(ch, "fanout"), c.private(ch)
			c.must(ch.QueueBind(q, "", other, false, nil))
			x := c.name("with-alternate")
			c.must(ch.ExchangeDeclare(x, "direct", false, false, false, false, amqp.Table{"alternate-exchange": other}))
			defer c.here().ExchangeDelete(x, false, false)
			c.send(x, "unbound", "lost and found")
			same(c, "messages", c.gets(ch, q, 1), "lost and found")
		}},
	}
}
