package compat

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net"
	"net/http"
	"path/filepath"
	"reflect"
	"time"

	amqp "github.com/rabbitmq/amqp091-go"
)

// graveyard declares a queue bound to an exchange of its own, for dead letters.
func (c *client) graveyard(ch *amqp.Channel) (exchange, q string) {
	c.Helper()
	exchange = c.exchange(ch, "fanout")
	q = c.name("dead")
	if _, err := ch.QueueDeclare(q, true, false, false, false, nil); err != nil {
		c.Fatalf("declare: %v", err)
	}
	c.Cleanup(func() { c.on(c.dial(c.addr)).QueueDelete(q, false, false, false) })
	c.must(ch.QueueBind(q, "", exchange, false, nil))
	return exchange, q
}

// arrives takes the next message of a queue.
func (c *client) arrives(ch *amqp.Channel, q string) (d amqp.Delivery) {
	c.Helper()
	c.eventually("a message is in "+q, func() (ok bool) {
		var err error
		d, ok, err = ch.Get(q, true)
		c.must(err)
		return ok
	})
	return d
}

// holds waits until a queue has that many ready messages.
func (c *client) holds(ch *amqp.Channel, q string, n int) {
	c.Helper()
	c.eventually(fmt.Sprintf("%s has %d messages", q, n), func() bool {
		state, err := ch.QueueDeclarePassive(q, true, false, false, false, nil)
		c.must(err)
		return state.Messages == n
	})
}

// deaths is x-death without its times, which must be about now.
func (c *client) deaths(d amqp.Delivery) []amqp.Table {
	c.Helper()
	list, ok := d.Headers["x-death"].([]any)
	if !ok {
		c.Fatalf("x-death is %T %v", d.Headers["x-death"], d.Headers["x-death"])
	}
	var deaths []amqp.Table
	for _, v := range list {
		entry, ok := v.(amqp.Table)
		if !ok {
			c.Fatalf("an entry of x-death is %T", v)
		}
		at, ok := entry["time"].(time.Time)
		if age := time.Since(at); !ok || age < -5*time.Second || age > time.Minute {
			c.Errorf("time is %T %v", entry["time"], entry["time"])
		}
		delete(entry, "time")
		deaths = append(deaths, entry)
	}
	return deaths
}

func (c *client) wantDeaths(d amqp.Delivery, want ...amqp.Table) {
	c.Helper()
	if got := c.deaths(d); !reflect.DeepEqual(got, want) {
		c.Errorf("x-death:\ngot  %v\nwant %v", got, want)
	}
}

func (c *client) wantHeaders(d amqp.Delivery, want amqp.Table) {
	c.Helper()
	for k, v := range want {
		if !reflect.DeepEqual(d.Headers[k], v) {
			c.Errorf("header %s: got %v, want %v", k, d.Headers[k], v)
		}
	}
}

// publish sends one message and wants it confirmed.
func (c *client) publish(exchange, key string, p amqp.Publishing) {
	c.Helper()
	same(c, "confirmed", c.tried(exchange, key, p), true)
}

// tried sends one message and tells whether it was taken.
func (c *client) tried(exchange, key string, p amqp.Publishing) bool {
	c.Helper()
	ch := c.here()
	c.must(ch.Confirm(false))
	d, err := ch.PublishWithDeferredConfirm(exchange, key, false, false, p)
	c.must(err)
	ctx, cancel := context.WithTimeout(c.Context(), waitLimit)
	defer cancel()
	ok, err := d.WaitContext(ctx)
	c.must(err)
	return ok
}

func (c *client) consume(ch *amqp.Channel, q string, prefetch int) <-chan amqp.Delivery {
	c.Helper()
	c.must(ch.Qos(prefetch, 0, false))
	ds, err := ch.Consume(q, "", false, false, false, false, nil)
	c.must(err)
	return ds
}

// lifeCases is how messages end, and what comes after, as RabbitMQ 4 has it.
func lifeCases() []behaviour {
	return []behaviour{
		{"a rejected message tells of its death", func(c *client) {
			ch := c.here()
			x, dead := c.graveyard(ch)
			q := c.durable(ch, amqp.Table{"x-dead-letter-exchange": x})
			c.must(ch.ExchangeDeclare(c.name("in"), "fanout", false, true, false, false, nil))
			c.must(ch.QueueBind(q, "", c.name("in"), false, nil))
			c.publish(c.name("in"), "key", amqp.Publishing{
				Body: []byte("m"), Expiration: "600000", MessageId: "id",
				Headers: amqp.Table{"mine": "kept", "CC": []any{"cc"}, "BCC": []any{"bcc"}, "x-death": []any{amqp.Table{"queue": q, "reason": "rejected", "count": int64(9)}}},
			})
			d := c.next(c.consume(c.there(), q, 1))
			c.must(d.Reject(false))
			got := c.arrives(ch, dead)
			c.wantDeaths(got, amqp.Table{"original-expiration": "600000", "count": int64(1), "reason": "rejected", "queue": q, "exchange": c.name("in"), "routing-keys": []any{"key", "cc"}})
			c.wantHeaders(got, amqp.Table{
				"mine": "kept", "CC": []any{"cc"}, "BCC": nil,
				"x-first-death-queue": q, "x-first-death-reason": "rejected", "x-first-death-exchange": c.name("in"),
				"x-last-death-queue": q, "x-last-death-reason": "rejected", "x-last-death-exchange": c.name("in"),
			})
			same(c, "expiration", got.Expiration, "")
			same(c, "message id", got.MessageId, "id")
			same(c, "exchange and key", got.Exchange+" "+got.RoutingKey, x+" key")
			same(c, "redelivered", got.Redelivered, false)
		}},
		{"deaths are counted as a message goes round", func(c *client) {
			ch := c.here()
			retry := c.name("retry")
			q := c.durable(ch, amqp.Table{"x-dead-letter-exchange": "", "x-dead-letter-routing-key": retry})
			_, err := ch.QueueDeclare(retry, true, false, false, false, amqp.Table{"x-message-ttl": int32(50), "x-dead-letter-exchange": "", "x-dead-letter-routing-key": q})
			c.must(err)
			c.Cleanup(func() { c.on(c.dial(c.addr)).QueueDelete(retry, false, false, false) })
			ds := c.consume(ch, q, 1)
			c.publish("", q, amqp.Publishing{Body: []byte("m"), Headers: amqp.Table{"CC": []any{"nobody"}}})
			for range 3 {
				d := c.next(ds)
				c.must(d.Nack(false, false))
			}
			d := c.next(ds)
			c.wantDeaths(d,
				amqp.Table{"count": int64(3), "reason": "expired", "queue": retry, "exchange": "", "routing-keys": []any{retry}},
				amqp.Table{"count": int64(3), "reason": "rejected", "queue": q, "exchange": "", "routing-keys": []any{q, "nobody"}})
			c.wantHeaders(d, amqp.Table{"CC": nil, "x-first-death-queue": q, "x-first-death-reason": "rejected", "x-last-death-queue": retry, "x-last-death-reason": "expired"})
			c.must(d.Ack(false))
		}},
		{"a cycle that nobody rejects in ends", func(c *client) {
			ch := c.here()
			q := c.durable(ch, amqp.Table{"x-message-ttl": int32(20), "x-dead-letter-exchange": ""})
			c.publish("", q, amqp.Publishing{Body: []byte("m")})
			c.holds(ch, q, 0)
			same(c, "left", c.gets(ch, q, 1), "-")
		}},
		{"a dead-letter exchange that is missing drops, one that comes later takes", func(c *client) {
			ch := c.here()
			x := c.name("later")
			q := c.durable(ch, amqp.Table{"x-dead-letter-exchange": x, "x-dead-letter-routing-key": "k"})
			c.send("", q, "lost", "found")
			ds := c.consume(ch, q, 1)
			first := c.next(ds)
			c.must(first.Reject(false))
			second := c.next(ds)
			c.eventually("the first is dropped", func() bool { return c.pending(q) == 0 })
			c.must(ch.ExchangeDeclare(x, "direct", false, true, false, false, nil))
			dead := c.private(ch)
			c.must(ch.QueueBind(dead, "k", x, false, nil))
			c.must(second.Reject(false))
			same(c, "body", string(c.arrives(ch, dead).Body), "found")
		}},
		{"messages expire, those behind others too", func(c *client) {
			ch := c.here()
			x, dead := c.graveyard(ch)
			q := c.durable(ch, amqp.Table{"x-dead-letter-exchange": x})
			c.send("", q, "stays")
			c.publish("", q, amqp.Publishing{Body: []byte("goes"), Expiration: "100"})
			c.send("", q, "stays too")
			d := c.arrives(ch, dead)
			same(c, "dead", string(d.Body), "goes")
			c.wantDeaths(d, amqp.Table{"original-expiration": "100", "count": int64(1), "reason": "expired", "queue": q, "exchange": "", "routing-keys": []any{q}})
			same(c, "left", c.gets(ch, q, 3), "stays stays too -")
		}},
		{"the shorter of two times to live counts", func(c *client) {
			ch := c.here()
			x, dead := c.graveyard(ch)
			q := c.durable(ch, amqp.Table{"x-dead-letter-exchange": x, "x-message-ttl": int32(200)})
			c.publish("", q, amqp.Publishing{Body: []byte("long"), Expiration: "600000"})
			c.publish("", q, amqp.Publishing{Body: []byte("none")})
			same(c, "first", string(c.arrives(ch, dead).Body), "long")
			d := c.arrives(ch, dead)
			same(c, "second", string(d.Body), "none")
			c.wantDeaths(d, amqp.Table{"count": int64(1), "reason": "expired", "queue": q, "exchange": "", "routing-keys": []any{q}})
		}},
		{"a message with no time to live reaches a consumer that waits", func(c *client) {
			ch := c.here()
			q := c.durable(ch, nil)
			ds := c.consume(ch, q, 10)
			c.publish("", q, amqp.Publishing{Body: []byte("now"), Expiration: "0"})
			d := c.next(ds)
			same(c, "body", string(d.Body), "now")
			c.must(d.Ack(false))
		}},
		{"a full queue drops its head", func(c *client) {
			ch := c.here()
			x, dead := c.graveyard(ch)
			q := c.durable(ch, amqp.Table{"x-dead-letter-exchange": x, "x-max-length": int32(2)})
			c.send("", q, "a", "b", "c", "d")
			same(c, "dropped first", string(c.arrives(ch, dead).Body), "a")
			d := c.arrives(ch, dead)
			same(c, "dropped then", string(d.Body), "b")
			c.wantDeaths(d, amqp.Table{"count": int64(1), "reason": "maxlen", "queue": q, "exchange": "", "routing-keys": []any{q}})
			same(c, "left", c.gets(ch, q, 3), "c d -")
		}},
		{"a full queue drops by bytes", func(c *client) {
			ch := c.here()
			q := c.durable(ch, amqp.Table{"x-max-length-bytes": int32(5)})
			c.send("", q, "aaa", "bb", "c")
			c.holds(ch, q, 2)
			same(c, "left", c.gets(ch, q, 3), "bb c -")
		}},
		{"a full queue refuses", func(c *client) {
			ch := c.here()
			q := c.durable(ch, amqp.Table{"x-max-length": int32(1), "x-overflow": "reject-publish"})
			same(c, "first", c.tried("", q, amqp.Publishing{Body: []byte("a")}), true)
			same(c, "second", c.tried("", q, amqp.Publishing{Body: []byte("b")}), false)
			same(c, "left", c.gets(ch, q, 2), "a -")
			same(c, "then", c.tried("", q, amqp.Publishing{Body: []byte("c")}), true)
		}},
		{"a full queue refuses and dead-letters", func(c *client) {
			ch := c.here()
			x, dead := c.graveyard(ch)
			q := c.durable(ch, amqp.Table{"x-max-length": int32(1), "x-overflow": "reject-publish-dlx", "x-dead-letter-exchange": x})
			same(c, "first", c.tried("", q, amqp.Publishing{Body: []byte("a")}), true)
			same(c, "second", c.tried("", q, amqp.Publishing{Body: []byte("b")}), false)
			d := c.arrives(ch, dead)
			same(c, "dead", string(d.Body), "b")
			c.wantDeaths(d, amqp.Table{"count": int64(1), "reason": "maxlen", "queue": q, "exchange": "", "routing-keys": []any{q}})
		}},
		{"a full target takes dead letters once there is room", func(c *client) {
			ch := c.here()
			x, dead := c.graveyard(ch)
			full := c.name("full")
			_, err := ch.QueueDeclare(full, true, false, false, false, amqp.Table{"x-max-length": int32(1), "x-overflow": "reject-publish"})
			c.must(err)
			c.Cleanup(func() { c.on(c.dial(c.addr)).QueueDelete(full, false, false, false) })
			c.must(ch.QueueBind(full, "", x, false, nil))
			c.send("", full, "in the way")
			q := c.durable(ch, amqp.Table{"x-dead-letter-exchange": x})
			c.send("", q, "m")
			d := c.next(c.consume(ch, q, 1))
			c.must(d.Reject(false))
			same(c, "the other target", string(c.arrives(ch, dead).Body), "m")
			same(c, "taken away", string(c.arrives(ch, full).Body), "in the way")
			same(c, "the full target", string(c.arrives(ch, full).Body), "m")
			same(c, "the other target has it once", c.gets(ch, dead, 1), "-")
		}},
		{"a quorum queue has a delivery limit", func(c *client) {
			ch := c.here()
			x, dead := c.graveyard(ch)
			q := c.durable(ch, amqp.Table{"x-queue-type": "quorum", "x-delivery-limit": int32(2), "x-dead-letter-exchange": x})
			c.send("", q, "m")
			ds := c.consume(ch, q, 1)
			for range 3 {
				d := c.next(ds)
				c.must(d.Reject(true))
			}
			d := c.arrives(c.there(), dead)
			c.wantDeaths(d, amqp.Table{"count": int64(1), "reason": "delivery_limit", "queue": q, "exchange": "", "routing-keys": []any{q}})
		}},
		{"priorities", func(c *client) {
			ch := c.here()
			q := c.durable(ch, amqp.Table{"x-max-priority": int32(5)})
			for i, priority := range []uint8{0, 3, 9, 1, 3, 5} { // 9 is 5 here
				c.publish("", q, amqp.Publishing{Body: []byte{byte('a' + i)}, Priority: priority})
			}
			same(c, "order", c.gets(ch, q, 7), "c f b e d a -")
		}},
		{"a queue that nobody uses goes", func(c *client) {
			ch := c.here()
			x, dead := c.graveyard(ch)
			q := c.durable(ch, amqp.Table{"x-expires": int32(500), "x-dead-letter-exchange": x})
			c.send("", q, "m")
			c.unlisted(q)
			same(c, "its messages are not dead-lettered", c.gets(ch, dead, 1), "-")
		}},
		{"a queue that is used stays", func(c *client) {
			ch := c.here()
			q := c.durable(ch, amqp.Table{"x-expires": int32(400)})
			c.consume(ch, q, 1)
			begin := time.Now()
			c.eventually("three times its life", func() bool { return time.Since(begin) > 1200*time.Millisecond })
			_, err := c.there().QueueDeclarePassive(q, true, false, false, false, nil)
			c.must(err)
			c.must(ch.Close())
			c.unlisted(q)
		}},
		{"a delayed message waits", func(c *client) {
			ch := c.here()
			x := c.name("delayed")
			c.must(ch.ExchangeDeclare(x, "x-delayed-message", true, false, false, false, amqp.Table{"x-delayed-type": "direct"}))
			c.Cleanup(func() { c.on(c.dial(c.addr)).ExchangeDelete(x, false, false) })
			q := c.durable(ch, nil)
			c.must(ch.QueueBind(q, "k", x, false, nil))
			begin := time.Now()
			c.publish(x, "k", amqp.Publishing{Body: []byte("late"), Headers: amqp.Table{"x-delay": int32(900), "mine": "kept"}})
			c.publish(x, "k", amqp.Publishing{Body: []byte("later"), Headers: amqp.Table{"x-delay": int32(1200)}, Expiration: "600000"})
			c.publish(x, "k", amqp.Publishing{Body: []byte("now")})
			same(c, "at once", string(c.arrives(ch, q).Body), "now")
			d := c.arrives(ch, q)
			if took := time.Since(begin); took < 850*time.Millisecond || took > 3*time.Second {
				c.Errorf("a delay of 900 ms took %v", took)
			}
			same(c, "later", string(d.Body), "late")
			same(c, "exchange and key", d.Exchange+" "+d.RoutingKey, x+" k")
			c.wantHeaders(d, amqp.Table{"x-delay": int32(-900), "mine": "kept", "x-death": nil, "x-first-death-queue": nil})
			d = c.arrives(ch, q)
			same(c, "latest", string(d.Body)+" "+d.Expiration, "later 600000")
		}},
		{"a policy is in force at once, and no more when it is gone", func(c *client) {
			ch := c.here()
			x, dead := c.graveyard(ch)
			q := c.durable(ch, nil)
			c.send("", q, "a", "b", "c")
			policy := "/api/policies/%2F/" + c.name("p")
			same(c, "set", c.api(http.MethodPut, policy, map[string]any{
				"pattern": "^" + q + "$", "apply-to": "queues", "priority": 1,
				"definition": map[string]any{"max-length": 1, "dead-letter-exchange": x},
			}), "201")
			same(c, "dead", string(c.arrives(ch, dead).Body)+string(c.arrives(ch, dead).Body), "ab")
			operator := "/api/operator-policies/%2F/" + c.name("o")
			same(c, "operator's", c.api(http.MethodPut, operator, map[string]any{
				"pattern": "^" + q + "$", "apply-to": "queues", "definition": map[string]any{"message-ttl": 0},
			}), "201")
			d := c.arrives(ch, dead)
			same(c, "expired", string(d.Body), "c")
			c.wantHeaders(d, amqp.Table{"x-last-death-reason": "expired"})
			same(c, "cleared", c.api(http.MethodDelete, policy, nil)+c.api(http.MethodDelete, operator, nil), "204204")
			c.eventually("nothing is dropped any more", func() bool {
				_, err := ch.QueuePurge(q, false)
				c.must(err)
				c.send("", q, "d", "e")
				return c.gets(ch, q, 2) == "d e"
			})
			same(c, "a wrong one", c.api(http.MethodPut, policy, map[string]any{"pattern": "q", "definition": map[string]any{"max-length": -1}}),
				"400 bad_request Validation failed\n\n-1 is not a valid maximum length\n")
		}},
	}
}

// unlisted waits until a queue is gone, without a declare, which would count as use.
func (c *client) unlisted(q string) {
	c.Helper()
	c.eventually("queue "+q+" is not listed", func() bool {
		status, _ := c.request(http.MethodGet, "/api/queues/%2F/"+q, nil)
		return status == http.StatusNotFound
	})
}

// pending counts the messages of a queue that are not gone yet, as its listing has them.
func (c *client) pending(q string) int {
	c.Helper()
	_, body := c.request(http.MethodGet, "/api/queues/%2F/"+q, nil)
	var listed struct {
		DeadLetters int `json:"messages_dlx"`
	}
	c.must(json.Unmarshal(body, &listed))
	return listed.DeadLetters
}

// api makes a request of the management API and gives the status, and of an error what is told.
func (c *client) api(method, path string, body any) string {
	c.Helper()
	status, answer := c.request(method, path, body)
	if status < 400 {
		return fmt.Sprint(status)
	}
	var told struct{ Error, Reason string }
	c.must(json.Unmarshal(answer, &told))
	return fmt.Sprint(status, " ", told.Error, " ", told.Reason)
}

func (c *client) request(method, path string, body any) (status int, answer []byte) {
	c.Helper()
	socket := filepath.Join(c.node.Dir, "warren.sock")
	transport := &http.Transport{DialContext: func(ctx context.Context, _, _ string) (net.Conn, error) {
		return new(net.Dialer).DialContext(ctx, "unix", socket)
	}}
	defer transport.CloseIdleConnections()
	var in bytes.Buffer
	if body != nil {
		c.must(json.NewEncoder(&in).Encode(body))
	}
	req, err := http.NewRequestWithContext(c.Context(), method, "http://warren"+path, &in)
	c.must(err)
	req.SetBasicAuth("guest", "guest")
	resp, err := (&http.Client{Transport: transport, Timeout: waitLimit}).Do(req)
	c.must(err)
	defer resp.Body.Close()
	answer, err = io.ReadAll(resp.Body)
	c.must(err)
	return resp.StatusCode, answer
}
