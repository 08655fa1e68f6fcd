package connection_test

import (
	"testing"

	"github.com/warrenmq/warren/broker/connection/conntest"
	"github.com/warrenmq/warren/broker/wire"
)

// Each mistake on a fresh channel 1, where queue "q" (bound to amq.topic) exists,
// closes the channel or the connection with RabbitMQ's code and text.
func TestExceptions(t *testing.T) {
	publish := func(exchange, key string, p wire.Properties) func(*conntest.Client) {
		return func(c *conntest.Client) {
			c.Publish(1, &wire.BasicPublish{Exchange: exchange, RoutingKey: key}, p, "body")
		}
	}
	send := func(methods ...wire.Method) func(*conntest.Client) {
		return func(c *conntest.Client) { c.Send(1, methods...) }
	}
	raw := func(frames ...[]byte) func(*conntest.Client) {
		return func(c *conntest.Client) {
			for _, f := range frames {
				c.Write(f)
			}
		}
	}
	publishFrame := wire.AppendMethodFrame(nil, 1, &wire.BasicPublish{RoutingKey: "q"})
	header := func(size byte) []byte {
		return wire.AppendFrame(nil, wire.FrameHeader, 1, []byte{0, 60, 0, 0, 0, 0, 0, 0, 0, 0, 0, size, 0, 0})
	}
	tests := []struct {
		name string
		do   func(*conntest.Client)
		code uint16
		text string
	}{
		{"A9 a header where none was announced", raw(header(1)), 505, "UNEXPECTED_FRAME - expected method frame, got non method frame instead"},
		{"A9 a body where a header must come", raw(publishFrame, wire.AppendFrame(nil, wire.FrameBody, 1, []byte("x"))), 505,
			"UNEXPECTED_FRAME - expected content header for class 60, got non content header frame instead"},
		{"A9 a method where a body must come", raw(publishFrame, header(1), publishFrame), 505,
			"UNEXPECTED_FRAME - expected content body, got non content body frame instead"},
		{"A9 a body longer than announced", raw(publishFrame, header(1), wire.AppendFrame(nil, wire.FrameBody, 1, []byte("xy"))), 501,
			"FRAME_ERROR - content body frame exceeds remaining content size"},
		{"A9 a header of another class", raw(publishFrame, wire.AppendFrame(nil, wire.FrameHeader, 1, []byte{0, 50, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0})), 505,
			"UNEXPECTED_FRAME - expected content header for class 60, got one for class 50 instead"},
		{"A9 a body of more than 512 MiB", raw(publishFrame, wire.AppendFrame(nil, wire.FrameHeader, 1, []byte{0, 60, 0, 0, 0, 0, 0, 0, 0x20, 0, 0, 1, 0, 0})), 501,
			"FRAME_ERROR - content body size 536870913 exceeds maximum allowed size 536870912"},
		{"A9 a content frame on channel 0", raw(wire.AppendFrame(nil, wire.FrameBody, 0, []byte("hello"))), 505,
			`UNEXPECTED_FRAME - type 3, all octets = <<"hello">>`},
		{"A9 an unknown frame type", raw(wire.AppendFrame(nil, 7, 1, nil)), 501, "FRAME_ERROR - type 7, all octets = <<>>: unknown_frame"},
		{"A9 a heartbeat on a channel", raw(wire.AppendFrame(nil, wire.FrameHeartbeat, 1, nil)), 505, "UNEXPECTED_FRAME - type 8, all octets = <<>>"},
		{"A10 a method that is not for a server", send(&wire.BasicGetEmpty{}), 503, "COMMAND_INVALID - unimplemented method"},
		{"A10 an unknown method", raw(wire.AppendFrame(nil, wire.FrameMethod, 1, []byte{0, 60, 0, 250})), 503, "COMMAND_INVALID - unknown method {60,250}"},
		{"A10 fields that cannot be decoded", raw(wire.AppendFrame(nil, wire.FrameMethod, 1, []byte{0, 60, 0, 80, 1})), 501,
			"FRAME_ERROR - cannot decode <<1>>"},
		{"B21 a connection method that may not come", func(c *conntest.Client) { c.Send(0, &wire.ConnectionTuneOk{}) }, 504,
			"CHANNEL_ERROR - unexpected method in connection state running"},
		{"A5 a channel.close-ok that nobody asked for", send(&wire.ChannelCloseOk{}), 503, "COMMAND_INVALID - unimplemented method"},
		{"G6 an unknown delivery mode", publish("", "q", wire.Properties{DeliveryMode: 3}), 406, "PRECONDITION_FAILED - invalid message: {delivery_mode_unknown,3}"},
		{"C1 channel.open twice", send(&wire.ChannelOpen{}), 504, "CHANNEL_ERROR - second 'channel.open' seen"},
		{"C1 a method before channel.open", func(c *conntest.Client) { c.Send(2, &wire.BasicQos{}) }, 504, "CHANNEL_ERROR - expected 'channel.open'"},

		{"D1 another type", send(&wire.ExchangeDeclare{Exchange: "amq.direct", Type: "fanout", Durable: true}), 406,
			"PRECONDITION_FAILED - inequivalent arg 'type' for exchange 'amq.direct' in vhost '/': received 'fanout' but current is 'direct'"},
		{"D2 an unknown type", send(&wire.ExchangeDeclare{Exchange: "x", Type: "foo"}), 406, "PRECONDITION_FAILED - unknown exchange type 'foo'"},
		{"D3 declaring the default exchange", send(&wire.ExchangeDeclare{Type: "direct"}), 403, "ACCESS_REFUSED - operation not permitted on the default exchange"},
		{"D3 deleting the default exchange", send(&wire.ExchangeDelete{}), 403, "ACCESS_REFUSED - operation not permitted on the default exchange"},
		{"D3 binding to the default exchange", send(&wire.QueueBind{Queue: "q", RoutingKey: "k"}), 403, "ACCESS_REFUSED - operation not permitted on the default exchange"},
		{"D4 a reserved exchange name", send(&wire.ExchangeDeclare{Exchange: "amq.x", Type: "direct"}), 403,
			"ACCESS_REFUSED - exchange name 'amq.x' contains reserved prefix 'amq.*'"},
		{"D5 a missing exchange, passively", send(&wire.ExchangeDeclare{Exchange: "x", Passive: true}), 404, "NOT_FOUND - no exchange 'x' in vhost '/'"},
		{"D6 an internal exchange", publish("amq.rabbitmq.trace", "k", wire.Properties{}), 403,
			"ACCESS_REFUSED - cannot publish to internal exchange 'amq.rabbitmq.trace' in vhost '/'"},
		{"D10 an exchange in use", send(&wire.ExchangeDeclare{Exchange: "x", Type: "direct", NoWait: true}, &wire.QueueBind{Queue: "q", Exchange: "x", NoWait: true},
			&wire.ExchangeDelete{Exchange: "x", IfUnused: true}), 406, "PRECONDITION_FAILED - exchange 'x' in vhost '/' in use"},
		{"D10 a system exchange", send(&wire.ExchangeDelete{Exchange: "amq.direct"}), 403, "ACCESS_REFUSED - deletion of system exchange 'amq.direct' in vhost '/' not allowed"},
		{"D11 a missing source", send(&wire.ExchangeBind{Destination: "amq.direct", Source: "x"}), 404, "NOT_FOUND - no exchange 'x' in vhost '/'"},
		{"D15 a wrong x-match", send(&wire.QueueBind{Queue: "q", Exchange: "amq.headers", Arguments: wire.Table{"x-match": "some"}}), 406,
			`PRECONDITION_FAILED - Invalid x-match field value <<"some">>; expected all, any, all-with-x, or any-with-x`},

		{"E2 not durable any more", send(&wire.QueueDeclare{Queue: "q"}), 406,
			"PRECONDITION_FAILED - inequivalent arg 'durable' for queue 'q' in vhost '/': received 'false' but current is 'true'"},
		{"E2 another argument", send(&wire.QueueDeclare{Queue: "q", Durable: true, Arguments: wire.Table{"x-max-length": int64(1)}}), 406,
			"PRECONDITION_FAILED - inequivalent arg 'x-max-length' for queue 'q' in vhost '/': received the value '1' of type 'long' but current is none"},
		{"E8 no queue declared", send(&wire.QueuePurge{}), 404, "NOT_FOUND - no previously declared queue"},
		{"E9 a reserved queue name", send(&wire.QueueDeclare{Queue: "amq.x"}), 403, "ACCESS_REFUSED - queue name 'amq.x' contains reserved prefix 'amq.*'"},
		{"E10 a missing queue, passively", send(&wire.QueueDeclare{Queue: "r", Passive: true}), 404, "NOT_FOUND - no queue 'r' in vhost '/'"},
		{"F1 binding a missing queue", send(&wire.QueueBind{Queue: "r", Exchange: "amq.direct"}), 404, "NOT_FOUND - no queue 'r' in vhost '/'"},
		{"F1 binding to a missing exchange", send(&wire.QueueBind{Queue: "q", Exchange: "x"}), 404, "NOT_FOUND - no exchange 'x' in vhost '/'"},
		{"F5 purging a missing queue", send(&wire.QueuePurge{Queue: "r"}), 404, "NOT_FOUND - no queue 'r' in vhost '/'"},
		{"F6 deleting a queue with messages, if-empty", func(c *conntest.Client) {
			publish("", "q", wire.Properties{})(c)
			c.Send(1, &wire.QueueDelete{Queue: "q", IfEmpty: true})
		}, 406, "PRECONDITION_FAILED - queue 'q' in vhost '/' not empty"},
		{"F6 deleting a queue with consumers, if-unused", send(&wire.BasicConsume{Queue: "q", NoWait: true}, &wire.QueueDelete{Queue: "q", IfUnused: true}), 406,
			"PRECONDITION_FAILED - queue 'q' in vhost '/' in use"},

		{"G1 a missing exchange", publish("x", "k", wire.Properties{}), 404, "NOT_FOUND - no exchange 'x' in vhost '/'"},
		{"G3 immediate", send(&wire.BasicPublish{RoutingKey: "q", Immediate: true}), 540, "NOT_IMPLEMENTED - immediate=true"},
		{"G7 an expiration that is no number", publish("", "q", wire.Properties{Expiration: "abc"}), 406, "PRECONDITION_FAILED - invalid expiration 'abc': no_integer"},
		{"G7 an expiration with a unit", publish("", "q", wire.Properties{Expiration: "10s"}), 406, `PRECONDITION_FAILED - invalid expiration '10s': {leftover_string,"s"}`},
		{"G7 a negative expiration", publish("", "q", wire.Properties{Expiration: "-1"}), 406, "PRECONDITION_FAILED - invalid expiration '-1': {value_negative,-1}"},
		{"G7 an expiration beyond all clocks", publish("", "q", wire.Properties{Expiration: "999999999999"}), 406, "PRECONDITION_FAILED - invalid expiration '999999999999': {value_too_large,999999999999}"},
		{"G8 another's user-id", publish("", "q", wire.Properties{UserID: "a"}), 406, "PRECONDITION_FAILED - user_id property set to 'a' but authenticated user was 'guest'"},
		{"G9 CC that is no array", publish("", "q", wire.Properties{Headers: wire.Table{"CC": "k"}}), 406,
			`PRECONDITION_FAILED - invalid message: {unacceptable_type_in_header,"CC",longstr}`},

		{"H1 consuming from a missing queue", send(&wire.BasicConsume{Queue: "r"}), 404, "NOT_FOUND - no queue 'r' in vhost '/'"},
		{"H2 a consumer tag twice", send(&wire.BasicConsume{Queue: "q", ConsumerTag: "t", NoWait: true}, &wire.BasicConsume{Queue: "q", ConsumerTag: "t"}), 530,
			"NOT_ALLOWED - attempt to reuse consumer tag 't'"},
		{"H5 an exclusive consumer beside another", send(&wire.BasicConsume{Queue: "q", NoWait: true}, &wire.BasicConsume{Queue: "q", Exclusive: true}), 403,
			"ACCESS_REFUSED - queue 'q' in vhost '/' in exclusive use"},
		{"H6 a priority that is no number", send(&wire.BasicConsume{Queue: "q", Arguments: wire.Table{"x-priority": "high"}}), 406,
			"PRECONDITION_FAILED - invalid arg 'x-priority' for queue 'q' in vhost '/': \"expected integer, got longstr\""},
		{"H7 a timeout that is negative", send(&wire.BasicConsume{Queue: "q", Arguments: wire.Table{"x-consumer-timeout": int32(-1)}}), 406,
			"PRECONDITION_FAILED - invalid arg 'x-consumer-timeout' for queue 'q' in vhost '/': {value_negative,-1}"},
		{"H16 basic.get of a quorum queue with a single active consumer", send(&wire.QueueDeclare{Queue: "sac", Durable: true, NoWait: true,
			Arguments: wire.Table{"x-queue-type": "quorum", "x-single-active-consumer": true}}, &wire.BasicGet{Queue: "sac"}), 405,
			"RESOURCE_LOCKED - cannot obtain access to locked queue 'sac' in vhost '/'. basic.get operations are not supported by quorum queues with single active consumer"},
		{"H21 an exclusive consumer of a queue with a single active one", send(&wire.QueueDeclare{Queue: "one", NoWait: true,
			Arguments: wire.Table{"x-single-active-consumer": true}}, &wire.BasicConsume{Queue: "one", Exclusive: true}), 403,
			"ACCESS_REFUSED - queue 'one' in vhost '/' in exclusive use"},
		{"H14 a prefetch in bytes", send(&wire.BasicQos{PrefetchSize: 5}), 540, "NOT_IMPLEMENTED - prefetch_size!=0 (5)"},
		{"H16 basic.get of a missing queue", send(&wire.BasicGet{Queue: "r"}), 404, "NOT_FOUND - no queue 'r' in vhost '/'"},
		{"H17 an unknown delivery tag", send(&wire.BasicAck{DeliveryTag: 7}), 406, "PRECONDITION_FAILED - unknown delivery tag 7"},
		{"H17 an unknown delivery tag with multiple", send(&wire.BasicAck{DeliveryTag: 7, Multiple: true}), 406, "PRECONDITION_FAILED - unknown delivery tag 7"},
		{"H18 rejecting an unknown delivery tag", send(&wire.BasicReject{DeliveryTag: 1}), 406, "PRECONDITION_FAILED - unknown delivery tag 1"},
		{"I5 tx after confirm", send(&wire.ConfirmSelect{NoWait: true}, &wire.TxSelect{}), 406, "PRECONDITION_FAILED - cannot switch from confirm to tx mode"},
		{"I6 commit without tx.select", send(&wire.TxCommit{}), 406, "PRECONDITION_FAILED - channel is not transactional"},
	}
	_, address := start(t)
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			c := conntest.Open(t, address)
			c.Channel(1)
			c.Channel(3)
			c.Send(3, &wire.QueueDelete{Queue: "q"}, &wire.ExchangeDelete{Exchange: "x"})
			conntest.Expect[*wire.QueueDeleteOk](c, 3)
			conntest.Expect[*wire.ExchangeDeleteOk](c, 3)
			c.Declare(3, &wire.QueueDeclare{Queue: "q", Durable: true})
			test.do(c)
			if wire.Hard(test.code) {
				c.ExpectClose(test.code, test.text)
				return
			}
			c.ExpectChannelClose(1, test.code, test.text)
			c.Counts(3, "q") // the others live on
		})
	}
}

// A3: the close names the method that was wrong.
func TestA3CloseNamesTheMethod(t *testing.T) {
	_, c := open(t)
	c.Send(1, &wire.QueueDeclare{Queue: "r", Passive: true})
	if m := c.ExpectChannelClose(1, 404, "NOT_FOUND - no queue 'r' in vhost '/'"); m.ClassID != 50 || m.MethodID != 10 {
		t.Errorf("class %d method %d, want 50 10", m.ClassID, m.MethodID)
	}
	c.Channel(1)
	c.Publish(1, &wire.BasicPublish{Exchange: "x"}, wire.Properties{}, "")
	if m := c.ExpectChannelClose(1, 404, "NOT_FOUND - no exchange 'x' in vhost '/'"); m.ClassID != 60 || m.MethodID != 40 {
		t.Errorf("class %d method %d, want 60 40", m.ClassID, m.MethodID)
	}
}

// A5: what comes between channel.close and close-ok is discarded; then the number is free.
func TestA5ClosingChannelDiscards(t *testing.T) {
	_, c := open(t)
	c.Channel(2)
	c.Send(1, &wire.BasicAck{DeliveryTag: 1}, &wire.QueueDeclare{Queue: "q"})
	c.Publish(1, &wire.BasicPublish{Exchange: "x"}, wire.Properties{}, "body")
	c.ExpectChannelClose(1, 406, "PRECONDITION_FAILED - unknown delivery tag 1")
	c.Channel(1)
	c.Send(1, &wire.QueueDeclare{Queue: "q", Passive: true})
	c.ExpectChannelClose(1, 404, "NOT_FOUND - no queue 'q' in vhost '/'")
}

// A5: the number is not free before close-ok.
func TestA5OpenBeforeCloseOk(t *testing.T) {
	_, c := open(t)
	c.Send(1, &wire.BasicAck{DeliveryTag: 1}, &wire.ChannelOpen{})
	conntest.Expect[*wire.ChannelClose](c, 1)
	c.ExpectClose(504, "CHANNEL_ERROR - second 'channel.open' seen")
}

// A6: both sides close the connection at once: the client's close is answered, and
// the socket stays for its answer.
func TestA6CloseCrossesClose(t *testing.T) {
	_, address := start(t)
	c := conntest.Open(t, address)
	refused := conntest.Dial(t, address)
	refused.Write([]byte(wire.ProtocolHeader))
	conntest.Expect[*wire.ConnectionStart](refused, 0)
	for c, wrong := range map[*conntest.Client]wire.Method{c: &wire.ConnectionTuneOk{}, refused: &wire.ConnectionOpen{}} {
		c.Send(0, wrong)
		conntest.Expect[*wire.ConnectionClose](c, 0)
		c.Send(0, &wire.ConnectionClose{ReplyCode: 200})
		conntest.Expect[*wire.ConnectionCloseOk](c, 0)
		c.Send(1, &wire.ChannelOpen{}) // discarded
		c.Send(0, &wire.ConnectionCloseOk{})
		c.ExpectEOF()
	}
}

// A5: both sides close a channel at once.
func TestA5CloseCrossesClose(t *testing.T) {
	_, c := open(t)
	c.Send(1, &wire.BasicAck{DeliveryTag: 1}, &wire.ChannelClose{ReplyCode: 200})
	conntest.Expect[*wire.ChannelClose](c, 1)
	conntest.Expect[*wire.ChannelCloseOk](c, 1)
	c.Send(1, &wire.ChannelCloseOk{})
	c.Channel(1)
}
