package main

import (
	"bytes"
	"fmt"
	"reflect"
	"slices"
	"time"

	amqp "github.com/rabbitmq/amqp091-go"
)

// features is what the library exposes, case by case.
func features() []kase {
	return []kase{
		{"channel_errors", channelErrors},
		{"connection_errors", connectionErrors},
		{"exchange_types_and_bindings", exchangeTypes},
		{"confirms_one_by_one_and_in_batches", confirms},
		{"return_comes_before_the_ack", returns},
		{"rejected_publish_is_nacked", nacks},
		{"consume_settle_cancel", consuming},
		{"prefetch_per_consumer_and_per_channel", prefetch},
		{"headers_of_all_types", headers},
		{"priorities_ttl_and_dead_letters", lives},
		{"transactions", transactions},
		{"direct_reply_to", directReply},
		{"heartbeats", heartbeats},
		{"large_messages", large},
		{"update_secret", updateSecret},
	}
}

func channelErrors(c *client) {
	ch := c.on(0)
	closed := ch.NotifyClose(make(chan *amqp.Error, 1))
	_, err := ch.QueueDeclarePassive("nope", true, false, false, false, nil)
	c.refused(err, 404, "NOT_FOUND - no queue 'nope' in vhost '/'")
	c.refused(take(c, "the channel's end", closed), 404, "NOT_FOUND - no queue 'nope' in vhost '/'")
	ch = c.on(1)
	closed = ch.NotifyClose(make(chan *amqp.Error, 1))
	c.must(ch.Publish("nope", "k", false, false, amqp.Publishing{}))
	c.refused(take(c, "the channel's end", closed), 404, "NOT_FOUND - no exchange 'nope' in vhost '/'")
	ch = c.on(2)
	closed = ch.NotifyClose(make(chan *amqp.Error, 1))
	c.must(ch.Ack(3, false))
	c.refused(take(c, "the channel's end", closed), 406, "PRECONDITION_FAILED - unknown delivery tag 3")
	if slices.ContainsFunc(c.conns, (*amqp.Connection).IsClosed) {
		c.fatalf("an error of a channel closed its connection")
	}
}

func connectionErrors(c *client) {
	ch := c.on(0)
	closed := c.conns[0].NotifyClose(make(chan *amqp.Error, 1))
	c.refused(ch.Qos(0, 9, false), 540, "NOT_IMPLEMENTED - prefetch_size!=0 (9)")
	c.refused(take(c, "the connection's end", closed), 540, "NOT_IMPLEMENTED - prefetch_size!=0 (9)")
	ch = c.on(1)
	closed = c.conns[1].NotifyClose(make(chan *amqp.Error, 1))
	c.must(ch.Publish("", "k", false, true, amqp.Publishing{}))
	c.refused(take(c, "the connection's end", closed), 540, "NOT_IMPLEMENTED - immediate=true")
	if _, err := amqp.Dial("amqp://guest:wrong@" + c.addrs[0] + "/"); err == nil {
		c.fatalf("logged in with a wrong password")
	} else {
		c.refused(err, 403, "username or password not allowed") // the library's words for 403
	}
	if _, err := amqp.Dial(c.url(0) + "nope"); err == nil {
		c.fatalf("opened a virtual host that is not there")
	}
}

func exchangeTypes(c *client) {
	ch, out := c.on(0), c.on(1)
	for _, k := range []struct {
		kind, binding, key string
		args, headers      amqp.Table
	}{
		{"direct", "k", "k", nil, nil},
		{"fanout", "", "any", nil, nil},
		{"topic", "*.b.#", "a.b", nil, nil},
		{"headers", "", "", amqp.Table{"x-match": "any", "n": int32(1)}, amqp.Table{"n": int32(1)}},
	} {
		lost, x, second := c.unique("lost"), c.unique(k.kind), c.unique("second")
		c.must(ch.ExchangeDeclare(lost, "fanout", false, false, false, false, nil))
		c.must(ch.ExchangeDeclare(x, k.kind, true, false, false, false, amqp.Table{"alternate-exchange": lost}))
		c.must(ch.ExchangeDeclare(second, "fanout", false, true, true, false, nil))
		q, rest := c.private(ch), c.private(ch)
		c.must(ch.QueueBind(rest, "", lost, false, nil))
		c.must(ch.QueueBind(q, k.binding, x, false, k.args))
		c.send(out, x, k.key, amqp.Publishing{Headers: k.headers, Body: []byte("in")})
		same(c, k.kind, string(c.get(ch, q).Body), "in")
		c.must(ch.QueueUnbind(q, k.binding, x, k.args))
		c.send(out, x, k.key, amqp.Publishing{Headers: k.headers, Body: []byte("out")})
		same(c, k.kind+" unbound", string(c.get(ch, rest).Body), "out")
		c.must(ch.ExchangeBind(second, k.binding, x, false, k.args))
		c.must(ch.QueueBind(q, "", second, false, nil))
		c.send(out, x, k.key, amqp.Publishing{Headers: k.headers, Body: []byte("over")})
		same(c, k.kind+" over an exchange", string(c.get(ch, q).Body), "over")
		c.must(ch.ExchangeUnbind(second, k.binding, x, false, k.args))
		for _, name := range []string{x, second, lost} {
			c.must(ch.ExchangeDelete(name, false, false))
		}
	}
}

func confirms(c *client) {
	const total = 1000
	ch := c.on(0)
	q := c.queue(ch, amqp.Table{"x-queue-type": "quorum"})
	c.send(ch, "", q, texts("a", "b")...)
	answers := ch.NotifyPublish(make(chan amqp.Confirmation, total))
	for _, m := range texts(make([]string, total)...) {
		c.must(ch.Publish("", q, false, false, m))
	}
	for i := range total { // the library sorts them
		a := take(c, "a confirm", answers)
		if !a.Ack || a.DeliveryTag != uint64(i+3) {
			c.fatalf("confirm %d: %+v", i+3, a)
		}
	}
	n, err := c.on(1).QueuePurge(q, false)
	c.must(err)
	same(c, "messages", n, total+2)
	c.drop(ch, q)
}

func returns(c *client) {
	ch := c.on(0)
	c.must(ch.Confirm(false))
	back := ch.NotifyReturn(make(chan amqp.Return)) // unbuffered: the ack cannot overtake it
	acks := ch.NotifyPublish(make(chan amqp.Confirmation))
	key := c.unique("nowhere")
	c.must(ch.Publish("amq.topic", key, true, false, amqp.Publishing{MessageId: "7", Body: []byte("lost")}))
	select {
	case r := <-back:
		same(c, "return", fmt.Sprint(r.ReplyCode, r.ReplyText, r.Exchange, r.RoutingKey, r.MessageId, string(r.Body)), fmt.Sprint(312, "NO_ROUTE", "amq.topic", key, "7", "lost"))
	case a := <-acks:
		c.fatalf("%+v before the return", a)
	}
	same(c, "ack", take(c, "ack", acks), amqp.Confirmation{DeliveryTag: 1, Ack: true})
}

func nacks(c *client) {
	ch := c.on(0)
	q := c.queue(ch, amqp.Table{"x-max-length": int64(1), "x-overflow": "reject-publish"})
	c.send(ch, "", q, texts("one")...)
	d, err := ch.PublishWithDeferredConfirm("", q, false, false, texts("two")[0])
	c.must(err)
	same(c, "confirmed", d.Wait(), false)
	c.drop(ch, q)
}

func consuming(c *client) {
	ch, admin := c.on(0), c.on(1)
	q := c.queue(ch, nil)
	c.send(admin, "", q, texts("a", "b", "c", "d")...)
	c.must(ch.Qos(2, 0, false))
	deliveries, err := ch.Consume(q, "one", false, false, false, false, nil)
	c.must(err)
	a, b := take(c, "a", deliveries), take(c, "b", deliveries)
	same(c, "first", string(a.Body), "a")
	c.arrived(admin, q, 2)
	c.must(b.Ack(true))
	third, fourth := take(c, "c", deliveries), take(c, "d", deliveries)
	c.must(third.Reject(false))
	c.must(fourth.Nack(false, true))
	again := take(c, "d again", deliveries)
	same(c, "again", fmt.Sprint(string(again.Body), again.Redelivered, again.ConsumerTag, again.DeliveryTag), fmt.Sprint("d", true, "one", 5))
	c.must(ch.Cancel("one", false))
	c.must(ch.Recover(true)) //lint:ignore SA1019 what the library exposes is tried
	c.arrived(admin, q, 1)
	cancelled := ch.NotifyCancel(make(chan string, 1))
	deliveries, err = ch.Consume(q, "", true, true, false, false, amqp.Table{"x-priority": int32(3)})
	c.must(err)
	same(c, "left", string(take(c, "the last", deliveries).Body), "d")
	_, err = c.on(2).Consume(q, "", true, false, false, false, nil)
	c.refused(err, 403, "ACCESS_REFUSED - queue '"+q+"' in vhost '/' in exclusive use")
	c.drop(admin, q)
	take(c, "cancel by the broker", cancelled)
	if _, open := <-deliveries; open {
		c.fatalf("a delivery after the cancel")
	}
}

func prefetch(c *client) {
	admin := c.on(0)
	q := c.queue(admin, nil)
	c.send(admin, "", q, texts("a", "b", "c", "d", "e", "f", "g", "h")...)
	for _, shared := range []bool{false, true} {
		ch := c.on(1)
		c.must(ch.Qos(3, 0, shared))
		one, err := ch.Consume(q, "", false, false, false, false, nil)
		c.must(err)
		two, err := ch.Consume(q, "", false, false, false, false, nil)
		c.must(err)
		want := 6
		if shared {
			want = 3
		}
		for range want {
			select {
			case <-one:
			case <-two:
			case <-time.After(waitLimit):
				c.fatalf("shared %v: fewer than %d deliveries", shared, want)
			}
		}
		c.arrived(admin, q, 8-want)
		select {
		case <-one:
			c.fatalf("shared %v: more than %d deliveries", shared, want)
		case <-two:
			c.fatalf("shared %v: more than %d deliveries", shared, want)
		default:
		}
		c.must(ch.Close())
		c.arrived(admin, q, 8)
	}
	c.drop(admin, q)
}

func headers(c *client) {
	ch := c.on(0)
	q := c.queue(ch, nil)
	m := amqp.Publishing{
		Headers: amqp.Table{
			"bool": true, "int8": int8(-1), "uint8": uint8(255), "int16": int16(-300), "int32": int32(1 << 30), "int64": int64(-1 << 60),
			"float32": float32(0.5), "float64": 0.1, "decimal": amqp.Decimal{Scale: 2, Value: 314}, "string": "grüße", "empty": "",
			"bytes": []byte{0, 255}, "time": time.Unix(1_700_000_000, 0), "nil": nil, "table": amqp.Table{"deep": amqp.Table{"er": []any{true}}},
			"list": []any{int32(1), "two", []any{nil, amqp.Table{"x": false}}},
		},
		ContentType: "c", ContentEncoding: "e", DeliveryMode: 2, Priority: 3, CorrelationId: "i", ReplyTo: "r", Expiration: "99999",
		MessageId: "m", Timestamp: time.Unix(1_700_000_001, 0), Type: "t", UserId: "guest", AppId: "a", Body: []byte{0, 255},
	}
	c.send(c.on(1), "", q, m)
	d := c.get(ch, q)
	got := amqp.Publishing{
		Headers: d.Headers, ContentType: d.ContentType, ContentEncoding: d.ContentEncoding, DeliveryMode: d.DeliveryMode, Priority: d.Priority,
		CorrelationId: d.CorrelationId, ReplyTo: d.ReplyTo, Expiration: d.Expiration, MessageId: d.MessageId, Timestamp: d.Timestamp.Local(),
		Type: d.Type, UserId: d.UserId, AppId: d.AppId, Body: d.Body,
	}
	if at, ok := got.Headers["time"].(time.Time); ok {
		got.Headers["time"] = at.Local()
	}
	if !reflect.DeepEqual(got, m) {
		c.fatalf("got %#v, want %#v", got, m)
	}
	c.drop(ch, q)
}

func lives(c *client) {
	ch, out := c.on(0), c.on(1)
	dead := c.queue(ch, nil)
	q := c.queue(ch, amqp.Table{"x-max-priority": int32(9), "x-dead-letter-exchange": "", "x-dead-letter-routing-key": dead, "x-max-length": int32(3)})
	for i, body := range []string{"a", "b", "c"} {
		c.send(out, "", q, amqp.Publishing{Body: []byte(body), Priority: []uint8{1, 9, 5}[i]})
	}
	order := ""
	for range 3 {
		order += string(c.get(ch, q).Body)
	}
	same(c, "order", order, "bca")
	c.send(out, "", q, amqp.Publishing{Body: []byte("short"), Expiration: "20"})
	c.arrived(out, dead, 1)
	d := c.get(ch, dead)
	deaths, _ := d.Headers["x-death"].([]any)
	if len(deaths) != 1 {
		c.fatalf("x-death: %v", d.Headers)
	}
	death := deaths[0].(amqp.Table)
	if at, ok := death["time"].(time.Time); !ok || time.Since(at).Abs() > 2*time.Minute {
		c.fatalf("time of death: %v", death["time"])
	}
	delete(death, "time")
	want := amqp.Table{"count": int64(1), "reason": "expired", "queue": q, "exchange": "", "routing-keys": []any{q}, "original-expiration": "20"}
	if !reflect.DeepEqual(death, want) || d.Expiration != "" {
		c.fatalf("x-death: got %#v, want %#v", death, want)
	}
	c.send(out, "", q, texts("1", "2", "3", "4")...)
	c.arrived(out, dead, 1)
	same(c, "over the limit", fmt.Sprint(c.get(ch, dead).Headers["x-first-death-reason"]), "maxlen")
	got, _, err := ch.Get(q, false)
	c.must(err)
	c.must(got.Reject(false))
	c.arrived(out, dead, 1)
	same(c, "rejected", fmt.Sprint(c.get(ch, dead).Headers["x-first-death-reason"]), "rejected")
	c.drop(ch, q)
	c.drop(ch, dead)
}

func transactions(c *client) {
	ch := c.on(0)
	q := c.queue(ch, nil)
	c.must(ch.Tx())
	c.must(ch.Publish("", q, false, false, texts("no")[0]))
	c.must(ch.TxRollback())
	c.must(ch.Publish("", q, false, false, texts("yes")[0]))
	c.must(ch.TxCommit())
	other := c.on(1)
	c.arrived(other, q, 1)
	same(c, "kept", string(c.get(other, q).Body), "yes")
	c.refused(ch.Confirm(false), 406, "PRECONDITION_FAILED - cannot switch from tx to confirm mode")
	c.drop(other, q)
}

func directReply(c *client) {
	server, client := c.on(0), c.on(1)
	q := c.private(server)
	requests, err := server.Consume(q, "", true, false, false, false, nil)
	c.must(err)
	replies, err := client.Consume("amq.rabbitmq.reply-to", "", true, false, false, false, nil)
	c.must(err)
	c.must(client.Publish("", q, false, false, amqp.Publishing{ReplyTo: "amq.rabbitmq.reply-to", CorrelationId: "42", Body: []byte("question")}))
	r := take(c, "the request", requests)
	c.must(server.Publish("", r.ReplyTo, false, false, amqp.Publishing{CorrelationId: r.CorrelationId, Body: append([]byte("re: "), r.Body...)}))
	d := take(c, "the reply", replies)
	same(c, "reply", d.CorrelationId+" "+string(d.Body), "42 re: question")
}

// heartbeats lets a connection idle for several intervals.
func heartbeats(c *client) {
	conn := c.dial(0, amqp.Config{Heartbeat: time.Second})
	select {
	case err := <-conn.NotifyClose(make(chan *amqp.Error, 1)):
		c.fatalf("an idle connection was closed: %v", err)
	case <-time.After(3500 * time.Millisecond):
	}
	_, err := conn.Channel()
	c.must(err)
}

func large(c *client) {
	ch := c.on(0)
	q := c.queue(ch, nil)
	body := bytes.Repeat([]byte{0, 1, 206, 255}, 2<<20)
	c.send(c.on(1), "", q, amqp.Publishing{DeliveryMode: amqp.Persistent, Body: body})
	if !bytes.Equal(c.get(ch, q).Body, body) {
		c.fatalf("the body has changed")
	}
	small, err := c.dial(2, amqp.Config{FrameSize: 4096}).Channel()
	c.must(err)
	c.send(small, "", q, amqp.Publishing{Body: body[:100_003]})
	if !bytes.Equal(c.get(small, q).Body, body[:100_003]) {
		c.fatalf("the body has changed in small frames")
	}
	c.drop(ch, q)
}

func updateSecret(c *client) {
	ch := c.on(0)
	c.must(c.conns[0].UpdateSecret("guest", "rotation"))
	c.private(ch)
}
