package scenarios

import (
	"encoding/binary"
	"slices"
	"strings"
	"time"

	"github.com/warrenmq/warren/broker/wire"

	. "github.com/warrenmq/warren/test/compat/diff"
)

// framing are section A: the error model, frames, heartbeats.
func framing() []Scenario {
	return slices.Concat(
		softErrors(), hardErrors(), errorTexts(), afterChannelClose(), afterConnectionClose(), greetings(), handshakeLimits(),
		malformedFrames(), malformedContents(), tableTypes(), undecodable(),
	)
}

// softErrors is A1: errors that close a channel.
func softErrors() []Scenario {
	return []Scenario{
		{Name: "A1,A3/not found closes the channel, not the connection", Run: func(s *S) {
			c := s.Connect()
			c.Channel().Do(&wire.QueueDeclare{Queue: s.Name("q"), Passive: true})
			c.Channel().Do(&wire.BasicGet{Queue: s.Name("q")})
			c.Channel().Do(&wire.QueuePurge{Queue: s.Name("q")})
			c.Channel().Do(&wire.BasicConsume{Queue: s.Name("q")})
			c.Channel().Do(&wire.QueueBind{Queue: s.Name("q"), Exchange: "amq.direct"})
			c.Channel().Do(&wire.ExchangeDeclare{Exchange: s.Name("x"), Type: "direct", Passive: true})
			c.Close()
		}},
		{Name: "A1,A3/access refused closes the channel", Run: func(s *S) {
			c := s.Connect()
			c.Channel().Do(&wire.QueueDeclare{Queue: "amq.mine"})
			c.Channel().Do(&wire.ExchangeDeclare{Exchange: "amq.mine", Type: "direct"})
			c.Channel().Do(&wire.ExchangeDelete{Exchange: "amq.direct"})
			c.Close()
		}},
		{Name: "A1,A3/resource locked closes the channel", Run: func(s *S) {
			q := s.Name("q")
			s.Connect().Channel().Do(&wire.QueueDeclare{Queue: q, Exclusive: true})
			c := s.Connect()
			c.Channel().Do(&wire.QueueDeclare{Queue: q, Exclusive: true})
			c.Channel().Do(&wire.QueueDelete{Queue: q})
			c.Close()
		}},
		{Name: "A1,A3/precondition failed closes the channel", Kinds: Everywhere(), Run: func(s *S) {
			c := s.Connect()
			ch := c.Channel()
			ch.Queue("q", nil)
			ch.Ack(7)
			ch.Expect()
			c.Close()
		}},
		{Name: "A1/one channel's error leaves the others alone", Kinds: Everywhere(), Run: func(s *S) {
			c := s.Connect()
			ch := c.Channel()
			q := ch.Queue("q", nil)
			ch.Consume(q, "tag", nil)
			c.Channel().Do(&wire.QueueDeclare{Queue: s.Name("none"), Passive: true})
			s.Put(q, "a")
			ch.Expect()
		}},
	}
}

// hardErrors is A2: errors that close the connection, of channels too.
func hardErrors() []Scenario {
	return []Scenario{
		{Name: "A2,G3/immediate is not implemented", Run: func(s *S) {
			ch := s.Connect().Channel()
			ch.PublishWith(&wire.BasicPublish{RoutingKey: s.Name("q"), Immediate: true}, P{}, "a")
			ch.Expect()
		}},
		{Name: "A2,H2/a consumer tag in use", Kinds: Everywhere(), Run: func(s *S) {
			ch := s.Connect().Channel()
			q := ch.Queue("q", nil)
			ch.Consume(q, "tag", nil)
			ch.Consume(q, "tag", nil)
		}},
		{Name: "A2,H14/a prefetch size", Run: func(s *S) {
			s.Connect().Channel().Do(&wire.BasicQos{PrefetchSize: 1, PrefetchCount: 1})
		}},
		{Name: "A2/a hard error ends all channels", Kinds: Everywhere(), Run: func(s *S) {
			c := s.Connect()
			ch := c.Channel()
			q := ch.Queue("q", nil)
			s.Put(q, "a")
			ch.Get(q)
			c.Channel().Do(&wire.BasicQos{PrefetchSize: 1})
			s.Queue(q, 1, 0)
		}},
		{Name: "A2/a body without a publish", Run: func(s *S) {
			ch := s.Connect().Channel()
			ch.Body("a")
			ch.Expect()
		}},
	}
}

// errorTexts is A3 and A4: texts, and errors on channel 0.
func errorTexts() []Scenario {
	return []Scenario{
		{Name: "A3/a text is cut at 255 octets", Run: func(s *S) {
			c := s.Connect()
			long := s.Name(strings.Repeat("long", 55))
			c.Channel().Do(&wire.QueueDeclare{Queue: long, Passive: true})
			q := s.Name(strings.Repeat("q", 120))
			ch := c.Channel()
			ch.Do(&wire.QueueDeclare{Queue: q, Exclusive: true})
			s.Connect().Channel().Do(&wire.QueueDelete{Queue: q})
		}},
		{Name: "A3/a name of 255 octets", Run: func(s *S) {
			c := s.Connect()
			q := s.Name("q")
			q = strings.Repeat("w", 255-len(q)) + q
			c.Channel().Do(&wire.QueueDeclare{Queue: q, Exclusive: true})
			c.Channel().Do(&wire.ExchangeDeclare{Exchange: q, Type: "direct", Passive: true})
		}},

		// A4: channel 0.
		{Name: "A4/a channel's method on channel 0", Run: func(s *S) {
			c := s.Connect()
			c.Do(&wire.QueueDeclare{Queue: s.Name("q")})
		}},
		{Name: "A4/a content header on channel 0", Run: func(s *S) {
			c := s.Connect()
			c.Number(0).Header(1, P{})
			c.Expect()
		}},
		{Name: "A4/channel.open on channel 0", Run: func(s *S) {
			c := s.Connect()
			c.Do(&wire.ChannelOpen{})
		}},
		{Name: "A4/a connection's method on another channel", Run: func(s *S) {
			c := s.Connect()
			c.Channel().Do(&wire.ConnectionOpen{VirtualHost: "/"})
		}},
		{Name: "A4/connection.close on another channel", Run: func(s *S) {
			c := s.Connect()
			c.Channel().Do(&wire.ConnectionClose{ReplyCode: 200})
		}},
	}
}

// afterChannelClose is A5: what becomes of a channel that the server closes.
func afterChannelClose() []Scenario {
	return []Scenario{
		{Name: "A5/frames after channel.close are discarded until close-ok", Kinds: Everywhere(), Run: func(s *S) {
			c := s.Connect(ManualClose())
			ch := c.Channel()
			q := ch.Queue("q", nil)
			ch.Do(&wire.QueueDeclare{Queue: s.Name("none"), Passive: true})
			ch.Publish("", q, P{}, "lost")
			ch.Send(&wire.QueueDelete{Queue: q})
			ch.Send(&wire.ChannelCloseOk{})
			ch.Open()
			ch.Do(&wire.QueueDeclare{Queue: q, Passive: true})
		}},
		{Name: "A5/channel.close that crosses the server's is answered", Run: func(s *S) {
			c := s.Connect(ManualClose())
			ch := c.Channel()
			ch.Do(&wire.QueueDeclare{Queue: s.Name("none"), Passive: true})
			ch.Do(&wire.ChannelClose{ReplyCode: 200})
			ch.Send(&wire.ChannelCloseOk{})
			c.Channel().Do(&wire.QueueDeclare{Queue: s.Name("q"), Exclusive: true})
		}},
		{Name: "A5/open before close-ok", Run: func(s *S) {
			c := s.Connect(ManualClose())
			ch := c.Channel()
			ch.Do(&wire.QueueDeclare{Queue: s.Name("none"), Passive: true})
			ch.Do(&wire.ChannelOpen{}) // RabbitMQ may take a close-ok that follows before it tells of this
			c.Send(&wire.ConnectionCloseOk{})
			c.Next()
		}},
		{Name: "A5/the number is free after close-ok", Kinds: Everywhere(), Run: func(s *S) {
			ch := s.Connect().Channel()
			q := ch.Queue("q", nil)
			ch.Confirm()
			ch.Consume(q, "tag", nil)
			ch.Do(&wire.QueueDeclare{Queue: s.Name("none"), Passive: true})
			ch.Open()
			ch.Consume(q, "tag", nil)
			s.Put(q, "a")
			ch.Expect()
			ch.Do(&wire.TxSelect{})
		}},
		{Name: "A5/a close-ok that nobody asked for", Run: func(s *S) {
			ch := s.Connect().Channel()
			ch.Send(&wire.ChannelCloseOk{})
			ch.Do(&wire.QueueDeclare{Queue: s.Name("q"), Exclusive: true})
		}},
	}
}

// afterConnectionClose is A6: what becomes of a connection that is closed.
func afterConnectionClose() []Scenario {
	return []Scenario{
		{Name: "A6/the socket is closed after close-ok", Run: func(s *S) {
			c := s.Connect(ManualClose())
			c.Channel().Send(&wire.BasicQos{PrefetchSize: 1})
			c.Next()
			c.Send(&wire.ConnectionCloseOk{})
			c.Next()
		}},
		{Name: "A6/frames after connection.close are discarded", Run: func(s *S) {
			c := s.Connect(ManualClose())
			q := s.Name("q")
			ch := c.Channel()
			ch.Send(&wire.BasicQos{PrefetchSize: 1})
			c.Next()
			ch.Send(&wire.QueueDeclare{Queue: q, Durable: true})
			c.Send(&wire.ConnectionCloseOk{})
			c.Next()
			s.Connect().Channel().Do(&wire.QueueDeclare{Queue: q, Passive: true})
		}},
		{Name: "A6/connection.close that crosses the server's is answered", Run: func(s *S) {
			c := s.Connect(ManualClose())
			c.Channel().Send(&wire.BasicQos{PrefetchSize: 1})
			c.Next()
			c.Send(&wire.ConnectionClose{ReplyCode: 200})
			c.Next()
			c.Send(&wire.ConnectionCloseOk{})
			c.Next()
		}},
		{Name: "A6/a client's close is answered and the socket closed", Run: func(s *S) {
			c := s.Connect()
			c.Channel()
			c.Close()
		}},
	}
}

// greetings is A7: protocol headers.
func greetings() []Scenario {
	return []Scenario{
		{Name: "A7/AMQP 0 0 9 1", Run: greeting("AMQP\x00\x00\x09\x01")},
		{Name: "A7/AMQP 1 1 0 9", Run: greeting("AMQP\x01\x01\x00\x09")},
		{Name: "A7/AMQP 1 1 8 0", Source: "rabbit_reader.erl, version_negotiation and refuse_connection (main 5b09e55)", Delta: `
			- c1 < connection.start 8-0
			+ c1 < header "AMQP" 3 1 0 0
			+ c1 < socket closed`, Run: greeting("AMQP\x01\x01\x08\x00")},
		{Name: "A7/AMQP 1 1 9 1", Source: "rabbit_reader.erl, version_negotiation and refuse_connection (main 5b09e55)", Delta: `
			- c1 < connection.start 8-0
			+ c1 < header "AMQP" 3 1 0 0
			+ c1 < socket closed`, Run: greeting("AMQP\x01\x01\x09\x01")},
		{Name: "A7/AMQP 0 0 9 0", Run: greeting("AMQP\x00\x00\x09\x00")},
		{Name: "A7/AMQP 0 0 10 0", Run: greeting("AMQP\x00\x00\x0a\x00")},
		{Name: "A7/AMQP 9 9 9 9", Source: "rabbit_reader.erl, version_negotiation and refuse_connection (main 5b09e55)", Delta: `
			- c1 < header "AMQP" 0 0 9 1
			+ c1 < header "AMQP" 3 1 0 0`, Run: greeting("AMQP\x09\x09\x09\x09")},
		{Name: "A7/HTTP", Source: "rabbit_reader.erl, handle_input(handshake, ...) (main 5b09e55)", Delta: `
			- c1 < header "AMQP" 0 0 9 1
			+ c1 < header "AMQP" 3 1 0 0`, Run: greeting("GET / HTTP/1.1\r\n\r\n")},
		{Name: "A7/TLS", Source: "rabbit_reader.erl, handle_input(handshake, ...) (main 5b09e55)", Delta: `
			- c1 < header "AMQP" 0 0 9 1
			+ c1 < header "AMQP" 3 1 0 0`, Run: greeting("\x16\x03\x01\x00\xa5\x01\x00\x00\xa1\x03\x03")},
		{Name: "A7/nothing that is known", Source: "rabbit_reader.erl, handle_input(handshake, ...) (main 5b09e55)", Delta: `
			- c1 < header "AMQP" 0 0 9 1
			+ c1 < header "AMQP" 3 1 0 0`, Run: greeting("hello, broker")},
	}
}

// handshakeLimits is A8: limits of the handshake.
func handshakeLimits() []Scenario {
	return []Scenario{
		{Name: "A8/a frame above 8192 before tune", Differs: "A8", Delta: `
			+ c1 < connection.close 501 "FRAME_ERROR - type 1, all octets = <<>>: {frame_too_large,9227,8184}" (0,0)`, Run: func(s *S) {
			c := s.Dial()
			c.Bytes("header", []byte(wire.ProtocolHeader))
			c.Expect()
			m := StartOk(Property("filler", strings.Repeat("x", 9000)))
			c.Bytes("a start-ok of more than 8192 octets", wire.AppendMethodFrame(nil, 0, m))
			c.Expect()
		}},
		{Name: "A8/a frame of nearly 8192 before tune", Source: "rabbit_reader.erl:303: initial_frame_max is FRAME_MIN_SIZE, 8192 since 4.1, it was 4096", Delta: `
			- c1 < socket closed
			+ c1 < connection.tune channel-max=2047 frame-max=131072 heartbeat=60`, Run: func(s *S) {
			c := s.Dial()
			c.Bytes("header", []byte(wire.ProtocolHeader))
			c.Expect()
			c.Do(StartOk(Property("filler", strings.Repeat("x", 7500))))
		}},
		{Name: "A8/the handshake has ten seconds", Limit: 20 * time.Second, Run: func(s *S) {
			c := s.Dial()
			c.Bytes("header", []byte(wire.ProtocolHeader))
			c.Expect()
			begin := time.Now()
			c.Within(15 * time.Second)
			s.Record("after about ten seconds: %v", time.Since(begin) > 8*time.Second)
		}},
		{Name: "A8,B5/a refused login without the capability is dropped after a while", Limit: 15 * time.Second, Run: func(s *S) {
			c := s.Dial()
			c.Bytes("header", []byte(wire.ProtocolHeader))
			c.Expect()
			begin := time.Now()
			c.Send(StartOk(As("guest", "wrong"), Without("authentication_failure_close")))
			c.Within(10 * time.Second)
			s.Record("not at once: %v", time.Since(begin) > 2*time.Second)
		}},
	}
}

// malformedFrames is A9: frames that are malformed by themselves.
func malformedFrames() []Scenario {
	return []Scenario{
		{Name: "A9/a frame above frame_max", Run: func(s *S) {
			c := s.Connect(Tune(2047, 8192, 0))
			c.Channel()
			c.Bytes("a body frame of 9000 octets", wire.AppendFrame(nil, wire.FrameBody, 1, make([]byte, 9000)))
			c.Expect()
		}},
		{Name: "A9/a payload of frame_max less seven octets", Run: func(s *S) {
			c := s.Connect(Tune(2047, 8192, 0))
			c.Channel()
			c.Bytes("a body frame of 8185 octets", wire.AppendFrame(nil, wire.FrameBody, 1, make([]byte, 8185)))
			c.Expect()
		}},
		{Name: "A9/a frame header that announces 4 GiB", Run: func(s *S) {
			c := s.Connect()
			c.Bytes("a header of 4 GiB", []byte{3, 0, 1, 0xFF, 0xFF, 0xFF, 0xFF})
			c.Expect()
		}},
		{Name: "A9/a method frame that ends wrong", Run: func(s *S) {
			c := s.Connect()
			b := wire.AppendMethodFrame(nil, 1, &wire.ChannelOpen{})
			b[len(b)-1] = 0xCD
			c.Bytes("a channel.open with a wrong end", b)
			c.Expect()
		}},
		{Name: "A9/a heartbeat that ends wrong", Run: func(s *S) {
			c := s.Connect()
			c.Bytes("a heartbeat with a wrong end", []byte{8, 0, 0, 0, 0, 0, 0, 0xCD})
			c.Expect()
		}},
		{Name: "A9/an unknown frame type", Run: func(s *S) {
			c := s.Connect()
			c.Channel()
			c.Frame(9, 1, []byte("abc"))
			c.Expect()
		}},
		{Name: "A9/an unknown frame type on channel 0", Run: func(s *S) {
			c := s.Connect()
			c.Frame(9, 0, []byte("abc"))
			c.Expect()
		}},
		{Name: "A9/a heartbeat on a channel", Run: func(s *S) {
			c := s.Connect()
			c.Channel()
			c.Frame(wire.FrameHeartbeat, 1, nil)
			c.Expect()
		}},
		{Name: "A9/a heartbeat with a payload", Run: func(s *S) {
			c := s.Connect()
			c.Channel()
			c.Frame(wire.FrameHeartbeat, 0, []byte("abc"))
			c.Expect()
		}},
	}
}

// malformedContents is A9: frames of a message that do not fit together, and those that do.
func malformedContents() []Scenario {
	return []Scenario{
		{Name: "A9/a body where a header is due", Run: func(s *S) {
			ch := s.Connect().Channel()
			ch.Send(&wire.BasicPublish{RoutingKey: "k"})
			ch.Body("a")
			ch.Expect()
		}},
		{Name: "A9/a method where a header is due", Run: func(s *S) {
			ch := s.Connect().Channel()
			ch.Send(&wire.BasicPublish{RoutingKey: "k"})
			ch.Do(&wire.QueueDeclare{Queue: s.Name("q")})
		}},
		{Name: "A9/a method where a body is due", Run: func(s *S) {
			ch := s.Connect().Channel()
			ch.Send(&wire.BasicPublish{RoutingKey: "k"})
			ch.Header(5, P{})
			ch.Do(&wire.QueueDeclare{Queue: s.Name("q")})
		}},
		{Name: "A9/a header where a body is due", Run: func(s *S) {
			ch := s.Connect().Channel()
			ch.Send(&wire.BasicPublish{RoutingKey: "k"})
			ch.Header(5, P{})
			ch.Header(5, P{})
			ch.Expect()
		}},
		{Name: "A9/more body than the header said", Source: "rabbit_command_assembler.erl, process/2 (main 5b09e55)", Delta: `
			- stopped: c1.1: no frame
			+ c1 < connection.close 501 "FRAME_ERROR - content body frame exceeds remaining content size" (60,40)
			+ c1 < socket closed`, Run: func(s *S) {
			ch := s.Connect().Channel()
			ch.Send(&wire.BasicPublish{RoutingKey: "k"})
			ch.Header(2, P{})
			ch.Body("abc")
			ch.Expect()
		}},
		{Name: "A9/a body size above 512 MiB", Source: "rabbit_command_assembler.erl, process/2 (main 5b09e55)", Delta: `
			- stopped: c1.1: no frame
			+ c1 < connection.close 501 "FRAME_ERROR - content body size 536870913 exceeds maximum allowed size 536870912" (60,40)
			+ c1 < socket closed`, Run: func(s *S) {
			ch := s.Connect().Channel()
			ch.Send(&wire.BasicPublish{RoutingKey: "k"})
			ch.Header(512<<20+1, P{})
			ch.Expect()
		}},
		{Name: "A9/a header of another class", Run: func(s *S) {
			c := s.Connect()
			ch := c.Channel()
			ch.Send(&wire.BasicPublish{RoutingKey: "k"})
			h := binary.BigEndian.AppendUint16(nil, wire.ClassTx)
			h = append(h, make([]byte, 12)...)
			c.Frame(wire.FrameHeader, 1, h)
			ch.Expect()
		}},
		{Name: "A9/a body in pieces, empty ones too", Kinds: Everywhere(), Run: func(s *S) {
			ch := s.Connect().Channel()
			q := ch.Queue("q", nil)
			ch.Confirm()
			ch.Send(&wire.BasicPublish{RoutingKey: q})
			ch.Header(6, P{})
			for _, piece := range []string{"ab", "", "c", "def"} {
				ch.Body(piece)
			}
			ch.Confirms(1)
			ch.GetNoAck(q)
		}},
		{Name: "A9/heartbeats and other channels between the frames of a message", Kinds: Everywhere(), Run: func(s *S) {
			c := s.Connect()
			ch, other := c.Channel(), c.Channel()
			q := ch.Queue("q", nil)
			ch.Confirm()
			ch.Send(&wire.BasicPublish{RoutingKey: q})
			c.Frame(wire.FrameHeartbeat, 0, nil)
			ch.Header(2, P{})
			other.Do(&wire.QueueDeclare{Queue: q, Passive: true})
			ch.Body("a")
			other.Do(&wire.BasicQos{PrefetchCount: 1})
			ch.Body("b")
			ch.Confirms(1)
			ch.GetNoAck(q)
		}},
	}
}

// tableTypes is A13: types of field tables.
func tableTypes() []Scenario {
	return []Scenario{
		{Name: "A13,G5/headers of every type arrive as they were sent", Kinds: Everywhere(), Run: func(s *S) {
			ch := s.Connect().Channel()
			q := ch.Queue("q", nil)
			ch.Confirm()
			ch.PublishRaw(&wire.BasicPublish{RoutingKey: q}, headersOf(everyType), "a")
			ch.Confirms(1)
			other := s.Connect().Channel()
			other.Reject(other.Get(q).Tag(), true)
			s.Queue(q, 1, 0)
			other.GetNoAck(q)
		}},
		{Name: "A13/headers in the order in which they were sent, keys twice", Kinds: Everywhere(), Run: func(s *S) {
			ch := s.Connect().Channel()
			q := ch.Queue("q", nil)
			ch.Confirm()
			ch.PublishRaw(&wire.BasicPublish{RoutingKey: q}, headersOf("\x01zt\x01"+"\x01at\x00"+"\x01zI\x00\x00\x00\x05"), "a")
			ch.Confirms(1)
			ch.GetNoAck(q)
		}},
		{Name: "A13/headers that are empty, and empty keys", Kinds: Everywhere(), Run: func(s *S) {
			ch := s.Connect().Channel()
			q := ch.Queue("q", nil)
			ch.Confirm()
			for _, entries := range []string{"", "\x00t\x01", "\x01kS\x00\x00\x00\x00", "\x01kF\x00\x00\x00\x00", "\x01kA\x00\x00\x00\x00"} {
				ch.PublishRaw(&wire.BasicPublish{RoutingKey: q}, headersOf(entries), "a")
				ch.Confirms(1)
				ch.GetNoAck(q)
			}
		}},
		{Name: "A13,E2/widths of integers in arguments are one", Kinds: Everywhere(), Run: func(s *S) {
			ch := s.Connect().Channel()
			q := s.Name("q")
			for _, v := range []any{int32(60000), int64(60000), uint32(60000), uint16(60000)} {
				ch.Do(&wire.QueueDeclare{Queue: q, Durable: true, Arguments: T{"x-expires": v}})
			}
		}},
		{Name: "A13,D15/values of every type match in a headers exchange", Run: func(s *S) {
			ch := s.Connect().Channel()
			x, q := ch.Exchange("x", "headers", nil), ch.Queue("q", nil)
			ch.Confirm()
			for _, v := range []any{
				true, int8(-5), uint8(5), int16(-500), uint16(500), int32(-70000), uint32(70000), int64(1) << 40,
				float32(0.5), 0.25, wire.Decimal{Scale: 2, Value: 314}, time.Unix(1_000_000_000, 0).UTC(), "text", []byte("octets"),
				[]any{int32(1), "two"}, T{"k": "v"},
			} {
				args := T{"x-match": "all", "h": v}
				ch.Bind(q, x, "", args)
				ch.Publish(x, "", P{Headers: T{"h": v}}, "a")
				ch.Confirms(1)
				ch.GetNoAck(q)
				ch.Do(&wire.QueueUnbind{Queue: q, Exchange: x, Arguments: args})
			}
		}},
	}
}

// undecodable is A10: methods that cannot be taken.
func undecodable() []Scenario {
	return []Scenario{
		{Name: "A10/half a method", Run: func(s *S) {
			c := s.Connect()
			c.Channel()
			c.Frame(wire.FrameMethod, 1, []byte{0, 50, 0, 10, 0, 0, 5, 'a'})
			c.Expect()
		}},
		{Name: "A10/a method with octets too many", Run: func(s *S) {
			c := s.Connect()
			c.Channel()
			c.Frame(wire.FrameMethod, 1, []byte{0, 60, 0, 80, 0, 0, 0, 0, 0, 0, 0, 1, 0, 0})
			c.Expect()
		}},
		{Name: "A10/a table of an unknown type", Differs: "A10", Delta: `
			+ c1 < connection.close 501 "FRAME_ERROR - cannot decode <<0,0,1,113,0,0,0,0,3,1,107,63>>" (50,10)`, Run: func(s *S) {
			c := s.Connect()
			c.Channel()
			c.Frame(wire.FrameMethod, 1, []byte{0, 50, 0, 10, 0, 0, 1, 'q', 0, 0, 0, 0, 3, 1, 'k', '?'})
			c.Expect()
		}},
		{Name: "A10/a method without ids", Run: func(s *S) {
			c := s.Connect()
			c.Channel()
			c.Frame(wire.FrameMethod, 1, []byte{0, 50})
			c.Expect()
		}},
		{Name: "A10/a method that only servers send", Run: func(s *S) {
			s.Connect().Channel().Do(&wire.QueueDeclareOk{Queue: "q"})
		}},
		{Name: "A10/basic.deliver from a client", Run: func(s *S) {
			ch := s.Connect().Channel()
			ch.Send(&wire.BasicDeliver{ConsumerTag: "t", DeliveryTag: 1})
			ch.Header(0, P{})
			ch.Expect()
		}},
		{Name: "A10/an unknown method", Differs: "A10", Delta: `
			- c1 < connection.close 501 "FRAME_ERROR - cannot decode <<>>" (60,200)
			+ c1 < connection.close 503 "COMMAND_INVALID - unknown method {60,200}" (60,200)`, Run: func(s *S) {
			c := s.Connect()
			c.Channel()
			c.Frame(wire.FrameMethod, 1, []byte{0, 60, 0, 200})
			c.Expect()
		}},
		{Name: "A10/an unknown class", Differs: "A10", Delta: `
			+ c1 < connection.close 503 "COMMAND_INVALID - unknown method {99,10}" (99,10)`, Run: func(s *S) {
			c := s.Connect()
			c.Channel()
			c.Frame(wire.FrameMethod, 1, []byte{0, 99, 0, 10})
			c.Expect()
		}},
	}
}

// everyType is the entries of a table with a value of each type of the dialect.
const everyType = "\x01tt\x01" + "\x01bb\xfb" + "\x01BB\xfb" + "\x01ss\xff\x00" + "\x01uu\xff\x00" +
	"\x01II\xff\x00\x00\x00" + "\x01ii\xff\x00\x00\x00" + "\x01ll\xff\x00\x00\x00\x00\x00\x00\x00" +
	"\x01ff\x3f\x00\x00\x00" + "\x01dd\x3f\xe0\x00\x00\x00\x00\x00\x00" + "\x01DD\x02\x00\x00\x01\x3a" +
	"\x01TT\x00\x00\x00\x00\x3b\x9a\xca\x00" + "\x01SS\x00\x00\x00\x03abc" + "\x01xx\x00\x00\x00\x02\x00\xff" + "\x01VV" +
	"\x01AA\x00\x00\x00\x0aI\x00\x00\x00\x01t\x00VVV" + "\x01FF\x00\x00\x00\x0c\x01kS\x00\x00\x00\x01v\x01nt\x01"

// headersOf is property flags and list with these entries as headers.
func headersOf(entries string) []byte {
	b := binary.BigEndian.AppendUint16(nil, uint16(wire.HasHeaders))
	b = binary.BigEndian.AppendUint32(b, uint32(len(entries)))
	return append(b, entries...)
}

// greeting sends a protocol header and looks at the answer.
func greeting(header string) func(*S) {
	return func(s *S) {
		c := s.Dial()
		c.Bytes("header", []byte(header))
		if it := c.Expect(); it.Method == nil && !c.Over() {
			c.Expect()
		}
	}
}
