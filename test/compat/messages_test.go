package compat

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"reflect"
	"time"

	amqp "github.com/rabbitmq/amqp091-go"
)

// messageCases is what RabbitMQ does about messages on their way in and out.
func messageCases() []behaviour {
	return []behaviour{
		{"properties and bodies arrive as they were sent", func(c *client) {
			ch := c.here()
			q := c.durable(ch, nil)
			for _, size := range []int{0, 1, 131072 - 8, 131072, 1 << 20} {
				body := bytes.Repeat([]byte{0xCE, 1}, size)[:size]
				p := amqp.Publishing{
					ContentType: "text/plain", ContentEncoding: "gzip", DeliveryMode: 2, Priority: 3, CorrelationId: "c", ReplyTo: "r",
					Expiration: "600000", MessageId: "m", Timestamp: time.Unix(1700000000, 0), Type: "t", UserId: "guest", AppId: "a", Body: body,
					Headers: amqp.Table{"s": "text", "n": int32(-7), "l": int64(1 << 40), "b": true, "f": 1.5, "x": []byte{1, 2}, "v": nil,
						"t": time.Unix(1600000000, 0), "table": amqp.Table{"inner": int16(3)}, "list": []any{"a", int32(1)}},
				}
				c.must(ch.Publish("", q, false, false, p))
				var d amqp.Delivery
				c.eventually("it is there", func() (ok bool) {
					var err error
					d, ok, err = ch.Get(q, true)
					c.must(err)
					return ok
				})
				got := amqp.Publishing{
					Headers: d.Headers, ContentType: d.ContentType, ContentEncoding: d.ContentEncoding, DeliveryMode: d.DeliveryMode, Priority: d.Priority,
					CorrelationId: d.CorrelationId, ReplyTo: d.ReplyTo, Expiration: d.Expiration, MessageId: d.MessageId, Timestamp: d.Timestamp,
					Type: d.Type, UserId: d.UserId, AppId: d.AppId, Body: d.Body,
				}
				if size == 0 {
					got.Body = body
				}
				if !reflect.DeepEqual(got, p) {
					got.Body, p.Body = nil, nil
					c.Errorf("%d bytes:\ngot  %+v\nwant %+v", size, got, p)
				}
			}
		}},
		{"a message without properties has none", func(c *client) {
			ch := c.here()
			q := c.durable(ch, nil)
			c.must(ch.Publish("", q, false, false, amqp.Publishing{Body: []byte("bare")}))
			c.eventually("it is there", func() bool {
				d, ok, err := ch.Get(q, true)
				c.must(err)
				if ok && (len(d.Headers) > 0 || d.DeliveryMode != 0 || d.ContentType != "") {
					c.Errorf("headers %v, delivery mode %d, type %q", d.Headers, d.DeliveryMode, d.ContentType)
				}
				return ok
			})
		}},
		{"get tells how many are left, and nothing when empty", func(c *client) {
			ch := c.there()
			q := c.durable(c.here(), nil)
			c.send("", q, "a", "b")
			d, ok, err := ch.Get(q, false)
			c.must(err)
			same(c, "there is one", ok, true)
			same(c, "left", d.MessageCount, 1)
			same(c, "key", d.RoutingKey, q)
			c.must(d.Ack(false))
			same(c, "the others", c.gets(ch, q, 2), "b -")
		}},
		{"get from nothing", func(c *client) {
			ch := c.here()
			_, _, err := ch.Get("nope", true)
			c.refused(ch, err, 404, "NOT_FOUND - no queue 'nope' in vhost '/'")
		}},
		{"ack of several settles all before", func(c *client) {
			conn := c.dial(c.addr)
			ch := c.on(conn)
			q := c.durable(ch, nil)
			c.send("", q, "a", "b", "c", "d")
			ds, err := ch.Consume(q, "", false, false, false, false, nil)
			c.must(err)
			same(c, "deliveries", c.texts(ds, 4), "a b c d")
			c.must(ch.Ack(3, true))
			c.must(conn.Close())
			there, last := c.there(), ""
			c.eventually("the fourth comes back", func() bool { last = c.gets(there, q, 1); return last != "-" })
			same(c, "what comes back", last+" "+c.gets(there, q, 1), "d! -")
		}},
		{"ack of all with tag 0", func(c *client) {
			ch := c.here()
			q := c.durable(ch, nil)
			c.send("", q, "a", "b")
			for range 2 {
				_, _, err := ch.Get(q, false)
				c.must(err)
			}
			c.must(ch.Ack(0, true))
			c.must(ch.Close())
			same(c, "left", c.gets(c.there(), q, 1), "-")
		}},
		{"ack of an unknown tag", func(c *client) {
			ch := c.here()
			c.closes(ch, func() error { return ch.Ack(5, false) }, 406, "PRECONDITION_FAILED - unknown delivery tag 5")
		}},
		{"ack twice", func(c *client) {
			ch := c.here()
			q := c.durable(ch, nil)
			c.send("", q, "a")
			d, _, err := ch.Get(q, false)
			c.must(err)
			c.must(d.Ack(false))
			c.closes(ch, func() error { return d.Ack(false) }, 406, "PRECONDITION_FAILED - unknown delivery tag 1")
		}},
		{"nack returns to the old place, flagged", func(c *client) {
			ch := c.here()
			q := c.durable(ch, nil)
			c.send("", q, "a", "b", "c")
			for range 2 {
				_, _, err := ch.Get(q, false)
				c.must(err)
			}
			c.must(ch.Nack(2, true, true))
			var first string
			there := c.there()
			c.eventually("the first is back", func() bool {
				n, err := there.QueueDeclarePassive(q, true, false, false, false, nil)
				c.must(err)
				return n.Messages == 3
			})
			first = c.gets(there, q, 4)
			same(c, "order", first, "a! b! c -")
		}},
		{"reject without requeue drops", func(c *client) {
			ch := c.here()
			q := c.durable(ch, nil)
			c.send("", q, "a", "b")
			d, _, err := ch.Get(q, false)
			c.must(err)
			c.must(d.Reject(false))
			same(c, "left", c.gets(ch, q, 2), "b -")
		}},
		{"a closed channel returns what it held", func(c *client) {
			ch := c.here()
			q := c.durable(ch, nil)
			c.send("", q, "a", "b")
			ds, err := ch.Consume(q, "", false, false, false, false, nil)
			c.must(err)
			c.texts(ds, 2)
			c.must(ch.Close())
			there, got := c.there(), ""
			c.eventually("the first is back", func() bool { got = c.gets(there, q, 1); return got != "-" })
			same(c, "what comes back", got, "a!")
		}},
		{"recover brings all unacknowledged back", func(c *client) {
			ch := c.here()
			q := c.durable(ch, nil)
			c.send("", q, "a", "b")
			ds, err := ch.Consume(q, "", false, false, false, false, nil)
			c.must(err)
			same(c, "first", c.texts(ds, 2), "a b")
			//lint:ignore SA1019 clients still call it
			c.must(ch.Recover(true))
			same(c, "again", c.texts(ds, 2), "a! b!")
		}},
		{"recover without requeue", func(c *client) {
			ch := c.here()
			if rabbit() {
				//lint:ignore SA1019 clients still call it
				c.refused(ch, ch.Recover(false), 540, "NOT_IMPLEMENTED - requeue=false")
				return
			}
			q := c.durable(ch, nil) // Warren does it
			c.send("", q, "a")
			ds, err := ch.Consume(q, "", false, false, false, false, nil)
			c.must(err)
			same(c, "first", c.texts(ds, 1), "a")
			//lint:ignore SA1019 clients still call it
			c.must(ch.Recover(false))
			same(c, "again", c.texts(ds, 1), "a!")
		}},
		{"prefetch bounds what a consumer holds", func(c *client) {
			ch := c.here()
			q := c.durable(ch, nil)
			c.send("", q, "a", "b", "c", "d")
			c.must(ch.Qos(2, 0, false))
			ds, err := ch.Consume(q, "", false, false, false, false, nil)
			c.must(err)
			d := c.next(ds)
			c.next(ds)
			c.stays(c.there(), q, 2)
			c.must(d.Ack(false))
			same(c, "after an acknowledgement", c.texts(ds, 1), "c")
			c.stays(c.there(), q, 1)
		}},
		{"global prefetch is shared by a channel's consumers", func(c *client) {
			ch := c.here()
			q := c.durable(ch, nil)
			c.send("", q, "a", "b", "c", "d")
			c.must(ch.Qos(3, 0, true))
			one, err := ch.Consume(q, "one", false, false, false, false, nil)
			c.must(err)
			two, err := ch.Consume(q, "two", false, false, false, false, nil)
			c.must(err)
			for range 3 {
				select {
				case <-one:
				case <-two:
				case <-time.After(waitLimit):
					c.Fatal("no delivery")
				}
			}
			c.stays(c.there(), q, 1)
		}},
		{"prefetch in bytes is not implemented", func(c *client) {
			ch := c.here()
			c.refused(ch, ch.Qos(0, 10, false), 540, "NOT_IMPLEMENTED - prefetch_size!=0 (10)")
		}},
		{"what was in flight at a cancel can still be acknowledged", func(c *client) {
			ch := c.here()
			q := c.durable(ch, nil)
			c.send("", q, "a")
			ds, err := ch.Consume(q, "t", false, false, false, false, nil)
			c.must(err)
			d := c.next(ds)
			c.must(ch.Cancel("t", false))
			c.must(ch.Cancel("never was", false))
			c.must(d.Ack(false))
			c.must(ch.Close())
			same(c, "left", c.gets(c.there(), q, 1), "-")
		}},
		{"a consumer tag is used once", func(c *client) {
			ch := c.here()
			q := c.durable(ch, nil)
			_, err := ch.Consume(q, "t", true, false, false, false, nil)
			c.must(err)
			_, err = ch.Consume(q, "t", true, false, false, false, nil)
			c.refused(ch, err, 530, "NOT_ALLOWED - attempt to reuse consumer tag 't'")
		}},
		{"an exclusive consumer is alone", func(c *client) {
			ch := c.here()
			q := c.durable(ch, nil)
			_, err := ch.Consume(q, "t", true, true, false, false, nil)
			c.must(err)
			there := c.there()
			_, err = there.Consume(q, "u", true, false, false, false, nil)
			c.refused(there, err, 403, "ACCESS_REFUSED - queue '"+q+"' in vhost '/' in exclusive use")
		}},
		{"mandatory without a route comes back before its confirm", func(c *client) {
			ch := c.here()
			c.must(ch.Confirm(false))
			returns := ch.NotifyReturn(make(chan amqp.Return, 1))
			d, err := ch.PublishWithDeferredConfirm("amq.direct", "nowhere", true, false, amqp.Publishing{MessageId: "m", Body: []byte("back")})
			c.must(err)
			c.confirmed(d)
			select {
			case r := <-returns:
				same(c, "return", fmt.Sprint(r.ReplyCode, r.ReplyText, r.Exchange, r.RoutingKey, r.MessageId, string(r.Body)),
					fmt.Sprint(uint16(312), "NO_ROUTE", "amq.direct", "nowhere", "m", "back"))
			default:
				c.Error("confirmed, and not returned before")
			}
		}},
		{"immediate is not implemented", func(c *client) {
			ch := c.here()
			c.closes(ch, func() error { return ch.Publish("", "x", false, true, amqp.Publishing{}) }, 540, "NOT_IMPLEMENTED - immediate=true")
		}},
		{"confirms come for every publish", func(c *client) {
			ch := c.here()
			q := c.durable(ch, nil)
			c.must(ch.Confirm(false))
			var last []*amqp.DeferredConfirmation
			for range 500 {
				d, err := ch.PublishWithDeferredConfirm("", q, false, false, amqp.Publishing{DeliveryMode: 2, Body: make([]byte, 100)})
				c.must(err)
				last = append(last, d)
			}
			for _, d := range last {
				c.confirmed(d)
			}
			n, err := c.there().QueueDeclarePassive(q, true, false, false, false, nil)
			c.must(err)
			same(c, "messages at the other node", n.Messages, 500)
		}},
		{"a transaction is seen whole at its commit, and not after a rollback", func(c *client) {
			ch := c.here()
			q := c.durable(ch, nil)
			c.must(ch.Tx())
			c.must(ch.Publish("", q, false, false, amqp.Publishing{Body: []byte("a")}))
			c.must(ch.TxRollback())
			c.must(ch.Publish("", q, false, false, amqp.Publishing{Body: []byte("b")}))
			same(c, "before the commit", c.gets(c.there(), q, 1), "-")
			c.must(ch.TxCommit())
			same(c, "after it", c.gets(c.there(), q, 2), "b -")
		}},
		{"a channel's error leaves the others alone", func(c *client) {
			conn := c.dial(c.addr)
			bad, good := c.on(conn), c.on(conn)
			q := c.private(good)
			_, err := bad.QueueDeclarePassive("nope", false, false, false, false, nil)
			c.refused(bad, err, 404, "NOT_FOUND - no queue 'nope' in vhost '/'")
			_, err = good.QueueDeclarePassive(q, false, false, true, false, nil)
			c.must(err)
			same(c, "connection closed", conn.IsClosed(), false)
		}},
		{"a hard error closes the connection", func(c *client) {
			conn := c.dial(c.addr)
			ch := c.on(conn)
			closed := conn.NotifyClose(make(chan *amqp.Error, 1))
			ch.Qos(0, 10, false)
			select {
			case e := <-closed:
				c.refused(ch, e, 540, "NOT_IMPLEMENTED - prefetch_size!=0 (10)")
			case <-time.After(waitLimit):
				c.Error("the connection lives on")
			}
		}},
		{"a wrong password and an unknown vhost", func(c *client) {
			_, err := amqp.Dial("amqp://guest:wrong@" + c.addr + "/")
			if e, ok := errors.AsType[*amqp.Error](err); !ok || e.Code != 403 {
				c.Errorf("wrong password: %v", err)
			}
			_, err = amqp.Dial("amqp://guest:guest@" + c.addr + "/nope")
			if e, ok := errors.AsType[*amqp.Error](err); !ok || e.Code != 530 {
				c.Errorf("unknown vhost: %v", err)
			}
		}},
	}
}

// stays wants a queue to keep that many ready messages for a moment: nothing
// announces that a message is not delivered.
func (c *client) stays(ch *amqp.Channel, q string, want int) {
	c.Helper()
	ctx, cancel := context.WithTimeout(c.Context(), 100*time.Millisecond)
	defer cancel()
	for ctx.Err() == nil {
		got, err := ch.QueueDeclarePassive(q, true, false, false, false, nil)
		c.must(err)
		if got.Messages != want {
			c.Fatalf("%d ready messages, want %d", got.Messages, want)
		}
	}
}
