package main

import (
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"slices"
	"strings"

	"github.com/warrenmq/warren/broker/wire"
)

// wrongField is something that a client must not send, and how it must end.
type wrongField struct {
	name  string
	bytes []byte   // sent after hello, or instead of it when bare
	bare  bool     // nothing is sent before
	want  []string // scopes and codes, any of them
	text  string   // part of the text; "" = any
}

// methods is frames of methods on one channel.
func methods(channel uint16, ms ...wire.Method) []byte {
	var b []byte
	for _, m := range ms {
		b = wire.AppendMethodFrame(b, channel, m)
	}
	return b
}

// login is a handshake that differs in one method.
func login(ms ...wire.Method) []byte {
	return append([]byte(wire.ProtocolHeader), methods(0, ms...)...)
}

func frame(kind uint8, channel uint16, payload ...byte) []byte {
	return wire.AppendFrame(nil, kind, channel, payload)
}

// header is a content header frame that announces a body of size bytes.
func header(channel, class uint16, size uint64) []byte {
	p := binary.BigEndian.AppendUint16(nil, class)
	p = append(p, 0, 0)
	p = binary.BigEndian.AppendUint64(p, size)
	return wire.AppendFrame(nil, wire.FrameHeader, channel, append(p, 0, 0))
}

// content is a whole message on channel 1.
func content(m wire.Method, p wire.Properties, body string) []byte {
	props, err := p.Append(nil)
	if err != nil {
		panic(err) // the properties are written in this file
	}
	return wire.AppendContent(methods(1, m), 1, 131072, 60, props, []byte(body))
}

// deepTable is a method with an argument table nested depth times, in bytes:
// the codec refuses to write it.
func deepTable(depth int) []byte {
	table := []byte{0, 0, 0, 0}
	for range depth {
		inner := append([]byte{1, 'a', 'F'}, table...)
		table = append(binary.BigEndian.AppendUint32(nil, uint32(len(inner))), inner...)
	}
	p := []byte{0, 50, 0, 10, 0, 0, 1, 'q', 0} // queue.declare, reserved, name, flags
	return frame(wire.FrameMethod, 1, append(p, table...)...)
}

var publish = &wire.BasicPublish{RoutingKey: "nowhere"}

// wrongFields is the table of the specification's and RabbitMQ's refusals.
func wrongFields() []wrongField {
	tune := &wire.ConnectionTuneOk{ChannelMax: 2047, FrameMax: 131072}
	noLogin := func(mechanism, response string) []byte {
		s := startOk()
		s.Mechanism, s.Response = mechanism, []byte(response)
		return login(s)
	}
	declare := func(d wire.QueueDeclare) []byte { return methods(1, &d) }
	return slices.Concat([]wrongField{
		{name: "an HTTP request", bare: true, bytes: []byte("GET / HTTP/1.1\r\nHost: x\r\n\r\n"), want: []string{"greeting"}},
		{name: "a TLS hello", bare: true, bytes: []byte("\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03"), want: []string{"greeting"}},
		{name: "protocol 0-10", bare: true, bytes: []byte("AMQP\x01\x01\x00\x0a"), want: []string{"greeting"}},
		{name: "protocol 0-8", bare: true, bytes: []byte("AMQP\x01\x01\x08\x00"), want: []string{"greeting"}},
		{name: "a frame above 8,192 bytes before tune", bare: true,
			bytes: append([]byte(wire.ProtocolHeader), frame(wire.FrameMethod, 0, make([]byte, 9000)...)...), want: []string{"connection 501", "socket"}},
		{name: "an unknown mechanism", bare: true, bytes: noLogin("SMOKE", ""), want: []string{"connection 503"}, text: "unknown authentication mechanism 'SMOKE'"},
		{name: "a PLAIN response without separators", bare: true, bytes: noLogin("PLAIN", "guest"), want: []string{"connection 502"}},
		{name: "a wrong password", bare: true, bytes: noLogin("PLAIN", "\x00guest\x00wrong"), want: []string{"connection 403"},
			text: "ACCESS_REFUSED - Login was refused using authentication mechanism PLAIN."},
		{name: "tune-ok without a channel limit", bare: true, bytes: login(startOk(), &wire.ConnectionTuneOk{FrameMax: 131072}), want: []string{"connection 530"}},
		{name: "tune-ok with frames above the limit", bare: true, bytes: login(startOk(), &wire.ConnectionTuneOk{ChannelMax: 1, FrameMax: 1 << 20}), want: []string{"connection 530"}},
		{name: "tune-ok with frames below the floor", bare: true, bytes: login(startOk(), &wire.ConnectionTuneOk{ChannelMax: 1, FrameMax: 100}), want: []string{"connection 530"}},
		{name: "an unknown vhost", bare: true, bytes: login(startOk(), tune, &wire.ConnectionOpen{VirtualHost: "nope"}), want: []string{"connection 530"}, text: "vhost"},
		{name: "connection.open before tune-ok", bare: true, bytes: login(startOk(), &wire.ConnectionOpen{VirtualHost: "/"}), want: []string{"connection 504", "connection 503", "socket"}},

		{name: "a method of channel 1 on channel 0", bytes: methods(0, publish), want: []string{"connection 504", "connection 503"}},
		{name: "a method on a channel that is not open", bytes: methods(7, publish), want: []string{"connection 504"}, text: "expected 'channel.open'"},
		{name: "channel.open twice", bytes: methods(1, &wire.ChannelOpen{}), want: []string{"connection 504"}, text: "second 'channel.open' seen"},
		{name: "a channel more than the limit", bytes: channels(2, 2048), want: []string{"connection 530"}, text: "number of channels opened"},
		{name: "connection.start-ok again", bytes: methods(0, startOk()), want: []string{"connection 504"}},

		{name: "an unknown frame type", bytes: frame(9, 1, 1, 2, 3), want: []string{"connection 501"}},
		{name: "a wrong end of frame", bytes: append(frame(wire.FrameMethod, 1, 0, 60, 0, 20)[:11], 0xCD), want: []string{"connection 501"}},
		{name: "a frame above frame_max", bytes: []byte{wire.FrameMethod, 0, 1, 0x7f, 0xff, 0xff, 0xff}, want: []string{"connection 501"}},
		{name: "a heartbeat on channel 1", bytes: frame(wire.FrameHeartbeat, 1), want: []string{"connection 505", "connection 501"}},
		{name: "a heartbeat with a payload is one byte too many", bytes: frame(wire.FrameHeartbeat, 0, 1), want: []string{"connection 501", "silence"}},
		{name: "a header without a publish", bytes: header(1, 60, 3), want: []string{"connection 505"}},
		{name: "a body without a header", bytes: frame(wire.FrameBody, 1, 1, 2, 3), want: []string{"connection 505"}},
		{name: "a method where a header is due", bytes: methods(1, publish, publish), want: []string{"connection 505"}},
		{name: "a body where a header is due", bytes: append(methods(1, publish), frame(wire.FrameBody, 1, 1)...), want: []string{"connection 505"},
			text: "expected content header for class 60, got non content header frame instead"},
		{name: "a header of another class", bytes: append(methods(1, publish), header(1, 50, 3)...), want: []string{"connection 505"}},
		{name: "a body longer than announced", bytes: slices.Concat(methods(1, publish), header(1, 60, 2), frame(wire.FrameBody, 1, 1, 2, 3)), want: []string{"connection 501"}},
		{name: "a body above the largest message", bytes: append(methods(1, publish), header(1, 60, 17<<20)...), want: []string{"channel 406"}, text: "is larger than configured max size"},
		{name: "a body of 2^63 bytes", bytes: append(methods(1, publish), header(1, 60, 1<<63)...), want: []string{"connection 501"}},

		{name: "an unknown class", bytes: frame(wire.FrameMethod, 1, 0, 99, 0, 10), want: []string{"connection 503"}},
		{name: "an unknown method", bytes: frame(wire.FrameMethod, 1, 0, 60, 0, 199), want: []string{"connection 503"}},
		{name: "a method of one byte", bytes: frame(wire.FrameMethod, 1, 0), want: []string{"connection 501"}},
		{name: "a method cut short", bytes: frame(wire.FrameMethod, 1, 0, 60, 0, 40, 0, 0, 5, 'a'), want: []string{"connection 501"}, text: "cannot decode"},
		{name: "a method that only brokers send", bytes: methods(1, &wire.BasicGetEmpty{}), want: []string{"connection 503"}, text: "unimplemented method"},
		{name: "a table nested 100 times", bytes: deepTable(100), want: []string{"connection 501", "connection 502"}},
		{name: "a table longer than its frame", bytes: frame(wire.FrameMethod, 1, 0, 50, 0, 10, 0, 0, 1, 'q', 0, 0x7f, 0xff, 0xff, 0xff), want: []string{"connection 501"}},
		{name: "a field of unknown type", bytes: frame(wire.FrameMethod, 1, 0, 50, 0, 10, 0, 0, 1, 'q', 0, 0, 0, 0, 4, 1, 'a', '?', 0), want: []string{"connection 501"}},
	}, []wrongField{
		{name: "publish to an unknown exchange", bytes: content(&wire.BasicPublish{Exchange: "nope"}, wire.Properties{}, "x"), want: []string{"channel 404"}, text: "NOT_FOUND - no exchange 'nope' in vhost '/'"},
		{name: "publish to an internal exchange", bytes: content(&wire.BasicPublish{Exchange: "amq.rabbitmq.trace"}, wire.Properties{}, "x"), want: []string{"channel 403"}, text: "cannot publish to internal exchange"},
		{name: "publish immediate", bytes: content(&wire.BasicPublish{Immediate: true}, wire.Properties{}, "x"), want: []string{"connection 540"}, text: "immediate=true"},
		{name: "an expiration that is no number", bytes: content(publish, wire.Properties{Expiration: "soon"}, "x"), want: []string{"channel 406"}, text: "invalid expiration 'soon'"},
		{name: "another user's id", bytes: content(publish, wire.Properties{UserID: "root"}, "x"), want: []string{"channel 406"}, text: "user_id property set to 'root' but authenticated user was 'guest'"},
		{name: "a CC header that is no list", bytes: content(publish, wire.Properties{Headers: wire.Table{"CC": "x"}}, "x"), want: []string{"channel 406"}, text: "unacceptable_type_in_header"},
		{name: "a queue with a reserved name", bytes: declare(wire.QueueDeclare{Queue: "amq.mine"}), want: []string{"channel 403"}, text: "queue name 'amq.mine' contains reserved prefix 'amq.*'"},
		{name: "a passive declare of nothing", bytes: declare(wire.QueueDeclare{Queue: "nope", Passive: true}), want: []string{"channel 404"}, text: "NOT_FOUND - no queue 'nope' in vhost '/'"},
		{name: "a negative length limit", bytes: declare(wire.QueueDeclare{Queue: "limited", Arguments: wire.Table{"x-max-length": int32(-5)}}), want: []string{"channel 406"}, text: "invalid arg 'x-max-length'"},
		{name: "an unknown queue type", bytes: declare(wire.QueueDeclare{Queue: "typed", Arguments: wire.Table{"x-queue-type": "heap"}}), want: []string{"channel 406", "connection 541"}},
		{name: "an exchange of unknown type", bytes: methods(1, &wire.ExchangeDeclare{Exchange: "e", Type: "square"}), want: []string{"channel 406", "connection 503"}, text: "unknown exchange type 'square'"},
		{name: "an exchange with a reserved name", bytes: methods(1, &wire.ExchangeDeclare{Exchange: "amq.mine", Type: "direct"}), want: []string{"channel 403"}},
		{name: "deleting a system exchange", bytes: methods(1, &wire.ExchangeDelete{Exchange: "amq.direct"}), want: []string{"channel 403"}},
		{name: "binding to the default exchange", bytes: append(declare(wire.QueueDeclare{Exclusive: true}), methods(1, &wire.QueueBind{RoutingKey: "k"})...), want: []string{"channel 403"}, text: "operation not permitted on the default exchange"},
		{name: "binding a queue that is not there", bytes: methods(1, &wire.QueueBind{Queue: "nope", Exchange: "amq.direct"}), want: []string{"channel 404"}},
		{name: "consuming from nothing declared before", bytes: methods(1, &wire.BasicConsume{}), want: []string{"channel 404"}},
		{name: "one consumer tag twice", bytes: append(declare(wire.QueueDeclare{Exclusive: true}), methods(1, &wire.BasicConsume{ConsumerTag: "t"}, &wire.BasicConsume{ConsumerTag: "t"})...), want: []string{"connection 530"}, text: "attempt to reuse consumer tag 't'"},
		{name: "a prefetch in bytes", bytes: methods(1, &wire.BasicQos{PrefetchSize: 10}), want: []string{"connection 540"}, text: "prefetch_size!=0 (10)"},
		{name: "an unknown delivery tag", bytes: methods(1, &wire.BasicAck{DeliveryTag: 42}), want: []string{"channel 406"}, text: "PRECONDITION_FAILED - unknown delivery tag 42"},
		{name: "an unknown delivery tag refused", bytes: methods(1, &wire.BasicNack{DeliveryTag: 42}), want: []string{"channel 406"}, text: "unknown delivery tag 42"},
		{name: "an unknown delivery tag rejected", bytes: methods(1, &wire.BasicReject{DeliveryTag: 42}), want: []string{"channel 406"}, text: "unknown delivery tag 42"},
		{name: "transactions in confirm mode", bytes: methods(1, &wire.ConfirmSelect{}, &wire.TxSelect{}), want: []string{"channel 406"}},
		{name: "commit without a transaction", bytes: methods(1, &wire.TxCommit{}), want: []string{"channel 406"}, text: "channel is not transactional"},
	})
}

// tryWrongFields runs the table against a node.
func tryWrongFields(ctx context.Context, addr string) (tried int, err error) {
	var errs []error
	for _, w := range wrongFields() {
		v, err := w.try(ctx, addr)
		switch {
		case err != nil:
			errs = append(errs, fmt.Errorf("%s: %w", w.name, err))
		case !slices.ContainsFunc(w.want, v.is) || !strings.Contains(v.text, w.text):
			errs = append(errs, fmt.Errorf("%s: %v, want %s %q", w.name, v, strings.Join(w.want, " or "), w.text))
		}
		tried++
	}
	return tried, errors.Join(errs...)
}

func (w wrongField) try(ctx context.Context, addr string) (verdict, error) {
	c, err := rawDial(ctx, addr)
	if err != nil {
		return verdict{}, err
	}
	defer c.Close()
	if !w.bare {
		if err := c.open(); err != nil {
			return verdict{}, err
		}
	}
	if _, err := c.Write(w.bytes); err != nil {
		return verdict{}, fmt.Errorf("send: %w", err)
	}
	if slices.Contains(w.want, "greeting") {
		return c.greeted()
	}
	return c.verdict()
}

// is says whether v is what a table calls "scope code".
func (v verdict) is(want string) bool {
	return want == v.scope || want == fmt.Sprintf("%s %d", v.scope, v.code)
}

// channels opens the channels from first to last: it is how many there are that
// counts, not their numbers.
func channels(first, last uint16) (all []byte) {
	for n := first; n <= last; n++ {
		all = append(all, methods(n, &wire.ChannelOpen{})...)
	}
	return all
}
