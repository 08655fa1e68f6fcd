package connection_test

import (
	"reflect"
	"strings"
	"testing"

	"github.com/warrenmq/warren/broker/connection/conntest"
	"github.com/warrenmq/warren/broker/wire"
)

// M1 to M4, G10, G11: a request's reply comes to the channel that asked, from
// another connection.
func TestM2DirectReplyTo(t *testing.T) {
	_, address := start(t)
	client, server := conntest.Open(t, address), conntest.Open(t, address)
	client.Channel(1)
	server.Channel(1)
	server.Declare(1, &wire.QueueDeclare{Queue: "requests"})
	server.Consume(1, &wire.BasicConsume{Queue: "requests", NoAck: true})
	client.Consume(1, &wire.BasicConsume{Queue: "amq.rabbitmq.reply-to", NoAck: true})
	client.Publish(1, &wire.BasicPublish{RoutingKey: "requests"}, wire.Properties{ReplyTo: "amq.rabbitmq.reply-to", CorrelationID: "7"}, "ask")
	conntest.Expect[*wire.BasicDeliver](server, 1)
	p, _ := server.Message()
	if !strings.HasPrefix(p.ReplyTo, "amq.rabbitmq.reply-to.") || p.CorrelationID != "7" {
		t.Fatalf("request has %+v", p)
	}
	if _, consumers := server.Counts(1, p.ReplyTo); consumers != 1 {
		t.Errorf("M3 %d consumers, want 1", consumers)
	}
	server.Publish(1, &wire.BasicPublish{RoutingKey: p.ReplyTo, Mandatory: true}, wire.Properties{CorrelationID: "7"}, "answer")
	if _, body := client.Delivery(1); body != "answer" {
		t.Errorf("got %q", body)
	}
	client.Send(1, &wire.ChannelClose{ReplyCode: 200})
	conntest.Expect[*wire.ChannelCloseOk](client, 1)
	client.Channel(2)
	server.Send(1, &wire.QueueDeclare{Queue: p.ReplyTo, Passive: true})
	server.ExpectChannelClose(1, 404, "NOT_FOUND - no queue '"+p.ReplyTo+"' in vhost '/'")
}

// G5: a request's headers keep their order and their octets when its reply-to changes.
func TestM2RequestsStayAsTheyWereSent(t *testing.T) {
	_, c := open(t)
	c.Declare(1, &wire.QueueDeclare{Queue: "requests", Durable: true})
	c.Consume(1, &wire.BasicConsume{Queue: "amq.rabbitmq.reply-to", NoAck: true})
	headers := []wire.Entry{{Key: "z", Value: []byte("V")}, {Key: "a", Value: []byte("s\x00\x01")}, {Key: "z", Value: []byte("t\x01")}}
	sent, err := wire.JoinTable([]byte{0x22, 0x00}, headers) // headers, reply-to
	if err != nil {
		t.Fatal(err)
	}
	sent = append(append(sent, byte(len("amq.rabbitmq.reply-to"))), "amq.rabbitmq.reply-to"...)
	b := wire.AppendMethodFrame(nil, 1, &wire.BasicPublish{RoutingKey: "requests"})
	c.Write(wire.AppendContent(b, 1, 131072, wire.ClassBasic, sent, nil))
	c.Send(1, &wire.BasicGet{Queue: "requests", NoAck: true})
	conntest.Expect[*wire.BasicGetOk](c, 1)
	f, err := c.Frame()
	if err != nil {
		t.Fatal(err)
	}
	p, err := wire.SplitProperties(f.Payload[12:])
	if err != nil {
		t.Fatal(err)
	}
	if !reflect.DeepEqual(p.Headers, headers) {
		t.Errorf("headers %q, want %q", p.Headers, headers)
	}
	if !strings.HasPrefix(string(p.ReplyTo[1:]), "amq.rabbitmq.reply-to.") {
		t.Errorf("reply-to %q", p.ReplyTo)
	}
}

func TestM1ReplyConsumerMistakes(t *testing.T) {
	_, c := open(t)
	c.Declare(1, &wire.QueueDeclare{Queue: "amq.rabbitmq.reply-to", Passive: true})
	c.Send(1, &wire.BasicConsume{Queue: "amq.rabbitmq.reply-to"})
	c.ExpectChannelClose(1, 406, "PRECONDITION_FAILED - reply consumer cannot acknowledge")
	c.Channel(1)
	c.Publish(1, &wire.BasicPublish{RoutingKey: "k"}, wire.Properties{ReplyTo: "amq.rabbitmq.reply-to"}, "")
	c.ExpectChannelClose(1, 406, "PRECONDITION_FAILED - fast reply consumer does not exist") // G10
	c.Channel(1)
	tag := c.Consume(1, &wire.BasicConsume{Queue: "amq.rabbitmq.reply-to", NoAck: true})
	c.Send(1, &wire.BasicCancel{ConsumerTag: tag})
	conntest.Expect[*wire.BasicCancelOk](c, 1)
	c.Consume(1, &wire.BasicConsume{Queue: "amq.rabbitmq.reply-to", NoAck: true})
	c.Send(1, &wire.BasicConsume{Queue: "amq.rabbitmq.reply-to", NoAck: true})
	c.ExpectChannelClose(1, 406, "PRECONDITION_FAILED - reply consumer already set")
	c.Channel(1)
	c.Send(1, &wire.QueueBind{Queue: "amq.rabbitmq.reply-to.x", Exchange: "amq.direct"}) // F3
	c.ExpectChannelClose(1, 403, "ACCESS_REFUSED - cannot bind or unbind to a volatile (direct reply-to) queue")
	c.Channel(1)
	c.Send(1, &wire.BasicGet{Queue: "amq.rabbitmq.reply-to"})
	c.ExpectChannelClose(1, 404, "NOT_FOUND - no queue 'amq.rabbitmq.reply-to' in vhost '/'")
	c.Channel(1)
	c.Send(1, &wire.BasicGet{Queue: "amq.rabbitmq.reply-to.x"}) // M5
	c.ExpectClose(540, "NOT_IMPLEMENTED - basic.get not supported by volatile queue 'amq.rabbitmq.reply-to.x' in vhost '/'")
}

// G13: a redelivered message of a queue that was declared as quorum says how often it
// came, and how often it failed: with reject, not with nack (H18, Q9).
func TestG13AcquiredCount(t *testing.T) {
	_, c := open(t)
	c.Declare(1, &wire.QueueDeclare{Queue: "q", Durable: true, Arguments: wire.Table{"x-queue-type": "quorum"}})
	fill(c, 1, "q", 0, 1)
	c.Consume(1, &wire.BasicConsume{Queue: "q"})
	counts := func() (tag uint64, acquired, failed any) {
		d := conntest.Expect[*wire.BasicDeliver](c, 1)
		p, _ := c.Message()
		return d.DeliveryTag, p.Headers["x-acquired-count"], p.Headers["x-delivery-count"]
	}
	expect := func(wantAcquired, wantFailed any) uint64 {
		t.Helper()
		tag, acquired, failed := counts()
		if acquired != wantAcquired || failed != wantFailed {
			t.Errorf("acquired %v, failed %v; want %v, %v", acquired, failed, wantAcquired, wantFailed)
		}
		return tag
	}
	c.Send(1, &wire.BasicNack{DeliveryTag: expect(nil, nil), Requeue: true})
	c.Send(1, &wire.BasicReject{DeliveryTag: expect(int64(1), nil), Requeue: true})
	expect(int64(2), int64(1))
	c.Send(1, &wire.BasicRecover{Requeue: true})
	conntest.Expect[*wire.BasicRecoverOk](c, 1)
	expect(int64(3), int64(1))
}

func TestG13DeliveryCount(t *testing.T) {
	_, c := open(t)
	c.Declare(1, &wire.QueueDeclare{Queue: "q", Durable: true, Arguments: wire.Table{"x-queue-type": "quorum"}})
	c.Publish(1, &wire.BasicPublish{RoutingKey: "q"}, wire.Properties{Headers: wire.Table{"own": "kept"}}, "m")
	c.Consume(1, &wire.BasicConsume{Queue: "q"})
	for count := range int64(3) {
		d := conntest.Expect[*wire.BasicDeliver](c, 1)
		p, _ := c.Message()
		if got, ok := p.Headers["x-delivery-count"]; ok != (count > 0) || ok && got != count || p.Headers["own"] != "kept" {
			t.Errorf("headers of delivery %d: %v", count, p.Headers)
		}
		c.Send(1, &wire.BasicReject{DeliveryTag: d.DeliveryTag, Requeue: true})
	}
}

// M4, G11: a reply to somebody who is gone counts as routed, mandatory or not.
func TestM4RepliesCountAsRouted(t *testing.T) {
	_, c := open(t)
	c.Send(1, &wire.ConfirmSelect{})
	conntest.Expect[*wire.ConfirmSelectOk](c, 1)
	c.Publish(1, &wire.BasicPublish{RoutingKey: "amq.rabbitmq.reply-to.gone", Mandatory: true}, wire.Properties{}, "late")
	conntest.Expect[*wire.BasicAck](c, 1)
	c.Send(1, &wire.QueueDeclare{Queue: "amq.rabbitmq.reply-to.gone", Passive: true}) // M3
	c.ExpectChannelClose(1, 404, "NOT_FOUND - no queue 'amq.rabbitmq.reply-to.gone' in vhost '/'")
}
