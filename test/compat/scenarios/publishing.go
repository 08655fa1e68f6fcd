package scenarios

import (
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/warrenmq/warren/broker/wire"

	. "github.com/warrenmq/warren/test/compat/diff"
)

// publishing is section G: publishing, returns and properties.
func publishing() []Scenario {
	return slices.Concat(expirations(), passedThrough(), unroutable(), contents(), senders(), copies())
}

// unroutable is G1 to G3: messages that have nowhere to go.
func unroutable() []Scenario {
	return []Scenario{
		{Name: "G1,A1/publish to no exchange", Run: func(s *S) {
			ch := s.Connect().Channel()
			ch.Publish(s.Name("nobody"), "k", P{}, "hello")
			ch.Expect()
		}},
		{Name: "G1,A5/what follows a refused publish is discarded", Run: func(s *S) {
			ch := s.Connect().Channel()
			q := ch.Queue("q", nil)
			ch.Publish(s.Name("nobody"), "k", P{}, "refused")
			ch.Publish("", q, P{}, "discarded")
			ch.Expect()
			count(s.Connect().Channel(), q)
		}},
		{Name: "G1/publish to no exchange in confirm mode", Run: func(s *S) {
			ch := s.Connect().Channel()
			ch.Confirm()
			ch.Publish(s.Name("nobody"), "k", P{}, "hello")
			ch.Expect()
		}},
		{Name: "G1/publish by the default exchange to no queue", Run: func(s *S) {
			ch := s.Connect().Channel()
			ch.Confirm()
			ch.Publish("", s.Name("nobody"), P{}, "hello")
			ch.Confirms(1)
			ch.Quiet()
		}},
		{Name: "G2/a mandatory message comes back before its confirm", Run: func(s *S) {
			ch := s.Connect().Channel()
			ch.Confirm()
			ch.PublishWith(&wire.BasicPublish{RoutingKey: s.Name("nobody"), Mandatory: true}, P{ContentType: "text/plain", Headers: T{"a": int32(1)}}, "hello")
			ch.ExpectN(2)
		}},
		{Name: "G2/a mandatory message comes back without confirms", Run: func(s *S) {
			ch := s.Connect().Channel()
			ch.PublishWith(&wire.BasicPublish{Exchange: "amq.direct", RoutingKey: s.Name("nobody"), Mandatory: true}, P{}, "hello")
			ch.Expect()
			ch.Quiet()
		}},
		{Name: "G2/a mandatory message that is routed does not", Kinds: Everywhere(), Run: func(s *S) {
			ch := s.Connect().Channel()
			q := ch.Queue("q", nil)
			ch.Confirm()
			ch.PublishWith(&wire.BasicPublish{RoutingKey: q, Mandatory: true}, P{}, "hello")
			ch.Confirms(1)
			ch.Quiet(q)
		}},
		{Name: "G2,I1/returns keep the order of publishing", Run: func(s *S) {
			ch := s.Connect().Channel()
			ch.Confirm()
			for i := range 3 {
				ch.PublishWith(&wire.BasicPublish{RoutingKey: s.Name("nobody"), Mandatory: true}, P{}, fmt.Sprint(i))
			}
			var order []string
			s.Silently(func() {
				for len(order) < 3 {
					if it := ch.Expect(); it.Body != nil {
						order = append(order, string(it.Body))
					}
				}
			})
			s.Record("returned %v", order)
		}},
		{Name: "G2/an empty mandatory message comes back", Run: func(s *S) {
			ch := s.Connect().Channel()
			ch.PublishWith(&wire.BasicPublish{RoutingKey: s.Name("nobody"), Mandatory: true}, P{}, "")
			ch.Expect()
		}},
		{Name: "G2,A12/a large mandatory message comes back whole", Run: func(s *S) {
			ch := s.Connect().Channel()
			ch.PublishWith(&wire.BasicPublish{RoutingKey: s.Name("nobody"), Mandatory: true}, P{}, strings.Repeat("0123456789", 40_000))
			ch.Expect()
		}},
		{Name: "G3,A2/immediate ends the connection", Run: func(s *S) {
			c := s.Connect()
			ch := c.Channel()
			ch.PublishWith(&wire.BasicPublish{RoutingKey: ch.Queue("q", nil), Immediate: true}, P{}, "hello")
			c.Expect()
		}},
	}
}

// contents is G4 to G6: sizes, properties and delivery modes.
func contents() []Scenario {
	return []Scenario{
		{Name: "G4,A1/a message above the limit", Source: "rabbit.schema max_message_size (v4.x): 16 MiB; rabbit_channel.erl check_msg_size/3; 3.10's is 128 MiB", Run: func(s *S) {
			var ch *Channel
			s.Silently(func() {
				ch = s.Connect().Channel()
				ch.Publish("", ch.Queue("q", nil), P{}, strings.Repeat("x", 16<<20+1))
			})
			ch.Expect()
		}, Want: `c1.1 < channel.close 406 "PRECONDITION_FAILED - message size 16777217 is larger than configured max size 16777216" (60,40)`},
		{Name: "G4/a message of exactly the limit", Run: func(s *S) {
			ch := s.Connect().Channel()
			q := ch.Queue("q", nil)
			s.PutWith("", q, P{}, strings.Repeat("x", 16<<20))
			ch.Await(q, 1, 0)
			ch.GetNoAck(q)
		}},
		{Name: "G5/every property arrives", Kinds: Everywhere(), Run: func(s *S) {
			ch := s.Connect().Channel()
			q := ch.Queue("q", nil)
			s.PutWith("", q, P{
				ContentType: "text/plain", ContentEncoding: "utf-8", Headers: T{"h": "v"}, DeliveryMode: 2, Priority: 5, CorrelationID: "c",
				ReplyTo: "r", MessageID: "m", Timestamp: time.Unix(1_700_000_000, 0), Type: "t", UserID: "guest", AppID: "a", ClusterID: "cl",
			}, "hello")
			ch.Await(q, 1, 0)
			ch.Get(q)
		}},
		{Name: "G5/no property arrives", Kinds: Everywhere(), Run: func(s *S) {
			ch := s.Connect().Channel()
			q := ch.Queue("q", nil)
			ch.PublishRaw(&wire.BasicPublish{RoutingKey: q}, []byte{0, 0}, "hello")
			ch.Await(q, 1, 0)
			s.Record("% x", ch.Get(q).Raw)
		}},
		{Name: "G5/properties that are there and empty", Kinds: Everywhere(), Run: func(s *S) {
			ch := s.Connect().Channel()
			q := ch.Queue("q", nil)
			ch.PublishRaw(&wire.BasicPublish{RoutingKey: q}, []byte{0xA0, 0, 0, 0, 0, 0, 0}, "hello") // content-type and an empty table of headers
			ch.Await(q, 1, 0)
			s.Record("% x", ch.Get(q).Raw)
		}},
		{Name: "G5/headers keep their order", Kinds: Everywhere(), Run: func(s *S) {
			ch := s.Connect().Channel()
			q := ch.Queue("q", nil)
			ch.PublishRaw(&wire.BasicPublish{RoutingKey: q}, []byte{0x20, 0, 0, 0, 0, 11, 1, 'z', 'I', 0, 0, 0, 1, 1, 'a', 't', 1}, "hello")
			ch.Await(q, 1, 0)
			s.Record("% x", ch.Get(q).Raw)
		}},
		{Name: "G5/an empty body", Kinds: Everywhere(), Run: func(s *S) {
			ch := s.Connect().Channel()
			q := ch.Queue("q", nil)
			s.PutWith("", q, P{ContentType: "nothing"}, "")
			ch.Await(q, 1, 0)
			ch.Get(q)
			ch.Get(q)
		}},
		{Name: "G5,A12/a body of many frames", Kinds: Everywhere(), Run: func(s *S) {
			ch := s.Connect().Channel()
			q := ch.Queue("q", nil)
			s.PutWith("", q, P{}, strings.Repeat("a body of many frames ", 100_000))
			ch.Await(q, 1, 0)
			ch.Get(q)
		}},
		{Name: "G5/a body of every octet", Kinds: Everywhere(), Run: func(s *S) {
			var all strings.Builder
			for i := range 256 {
				all.WriteByte(byte(i))
			}
			ch := s.Connect().Channel()
			q := ch.Queue("q", nil)
			s.PutWith("", q, P{}, all.String())
			ch.Await(q, 1, 0)
			ch.Get(q)
		}},
		{Name: "G6/both delivery modes are kept", Kinds: Everywhere(), Run: func(s *S) {
			ch := s.Connect().Channel()
			q := ch.Queue("q", nil)
			for _, mode := range []uint8{1, 2, 0} {
				s.PutWith("", q, P{DeliveryMode: mode}, fmt.Sprint("mode ", mode))
			}
			ch.Await(q, 3, 0)
			for range 3 {
				ch.Get(q)
			}
		}},
		{Name: "G6/a delivery mode that there is not", Run: func(s *S) {
			ch := s.Connect().Channel()
			ch.Confirm()
			ch.Publish("", ch.Queue("q", nil), P{DeliveryMode: 3}, "hello")
			ch.Expect()
		}},
	}
}

// senders is G8: user_id.
func senders() []Scenario {
	return []Scenario{
		{Name: "G8/user_id of the user", Kinds: Everywhere(), Run: func(s *S) {
			ch := s.Connect().Channel()
			q := ch.Queue("q", nil)
			s.PutWith("", q, P{UserID: "guest"}, "hello")
			ch.Await(q, 1, 0)
			ch.Get(q)
		}},
		{Name: "G8,A1/user_id of another", Kinds: Everywhere(), Run: func(s *S) {
			ch := s.Connect().Channel()
			ch.Publish("", ch.Queue("q", nil), P{UserID: "somebody"}, "hello")
			ch.Expect()
		}},
		{Name: "G8/an impersonator", Kinds: Everywhere(), Run: func(s *S) {
			u := s.User("u", "impersonator", ".*", ".*", ".*")
			ch := s.Connect(As(u, "secret")).Channel()
			q := ch.Queue("q", nil)
			ch.Confirm()
			ch.Publish("", q, P{UserID: "somebody"}, "hello")
			ch.Confirms(1)
			ch.Get(q)
		}},
	}
}

// copies is G9, G14 and G15: CC and BCC, x-death of a publisher, and many messages.
func copies() []Scenario {
	return []Scenario{
		{Name: "G9/CC and BCC are further keys, and BCC is not seen", Kinds: Everywhere(), Run: func(s *S) {
			ch := s.Connect().Channel()
			a, b, c := ch.Queue("a", nil), ch.Queue("b", nil), ch.Queue("c", nil)
			s.PutWith("", a, P{Headers: T{"CC": []any{b}, "BCC": []any{c}}}, "hello")
			for _, q := range []string{a, b, c} {
				ch.Await(q, 1, 0)
				ch.Get(q)
			}
		}},
		{Name: "G9/CC reaches each queue once", Run: func(s *S) {
			ch := s.Connect().Channel()
			q := ch.Queue("q", nil)
			s.PutWith("", q, P{Headers: T{"CC": []any{q, q}, "BCC": []any{q}}}, "hello")
			ch.Await(q, 1, 0)
			ch.Get(q)
		}},
		{Name: "G9,G2/CC satisfies mandatory", Run: func(s *S) {
			ch := s.Connect().Channel()
			q := ch.Queue("q", nil)
			ch.Confirm()
			ch.PublishWith(&wire.BasicPublish{RoutingKey: s.Name("nobody"), Mandatory: true}, P{Headers: T{"CC": []any{q}}}, "hello")
			ch.Confirms(1)
			ch.Quiet(q)
		}},
		{Name: "G9,A1/CC that is no array", Run: func(s *S) {
			ch := s.Connect().Channel()
			ch.Publish("", ch.Queue("q", nil), P{Headers: T{"CC": "key"}}, "hello")
			ch.Expect()
		}},
		{Name: "G9/BCC that is no array", Run: func(s *S) {
			ch := s.Connect().Channel()
			ch.Publish("", ch.Queue("q", nil), P{Headers: T{"BCC": int32(1)}}, "hello")
			ch.Expect()
		}},
		{Name: "G9/CC with what is no text", Run: func(s *S) {
			ch := s.Connect().Channel()
			q := ch.Queue("q", nil)
			ch.Confirm()
			ch.Publish("", q, P{Headers: T{"CC": []any{int32(1)}}}, "hello")
			ch.Expect()
		}},
		{Name: "G9/CC through a topic exchange", Run: func(s *S) {
			ch := s.Connect().Channel()
			x, q := ch.Exchange("x", "topic", nil), ch.Queue("q", nil)
			ch.Bind(q, x, "a.#", nil)
			s.PutWith(x, "b", P{Headers: T{"CC": []any{"a.b"}}}, "by CC")
			ch.Await(q, 1, 0)
			ch.Get(q)
		}},
		{Name: "G14/x-death of a publisher is passed on", Kinds: Everywhere(), Run: func(s *S) {
			ch := s.Connect().Channel()
			q := ch.Queue("q", nil)
			s.PutWith("", q, P{Headers: T{"x-death": []any{T{"queue": "elsewhere", "reason": "rejected", "count": int64(3)}}, "x-first-death-queue": "elsewhere"}}, "hello")
			ch.Await(q, 1, 0)
			ch.Get(q)
		}},
		{Name: "G15,C5/five hundred messages in order", Kinds: Everywhere(), Run: func(s *S) {
			ch := s.Connect().Channel()
			q := ch.Queue("q", nil)
			ch.Confirm()
			s.Silently(func() {
				for i := range 500 {
					ch.Publish("", q, P{}, fmt.Sprint(i))
				}
				ch.Confirms(500)
			})
			other := s.Connect().Channel()
			other.ConsumeNoAck(q, "tag", nil)
			inOrder := true
			s.Silently(func() {
				for i := range 500 {
					inOrder = inOrder && string(other.Expect().Body) == fmt.Sprint(i)
				}
			})
			s.Record("in order: %v", inOrder)
		}},
	}
}

// expirations are values of the property expiration (G7).
func expirations() (list []Scenario) {
	for _, value := range []string{"abc", "", "-1", "1.5", "12x", " 5", "315360000001", "9999999999999", "1000 "} {
		list = append(list, Scenario{Name: fmt.Sprintf("G7,A1/expiration %q is refused", value), Run: func(s *S) {
			ch := s.Connect().Channel()
			ch.Publish("", ch.Queue("q", nil), P{Expiration: value, Present: wire.HasExpiration}, "hello")
			ch.Expect()
		}})
	}
	for _, value := range []string{"60000", "+60000", "060000", "4294967296", "315360000000"} {
		list = append(list, Scenario{Name: fmt.Sprintf("G7/expiration %q is taken", value), Run: func(s *S) {
			ch := s.Connect().Channel()
			q := ch.Queue("q", nil)
			ch.Confirm()
			ch.Publish("", q, P{Expiration: value}, "hello")
			ch.Confirms(1)
			ch.Get(q)
		}})
	}
	return list
}

// passedThrough are headers of every type, as they were sent (G5, A13).
func passedThrough() (list []Scenario) {
	for _, c := range []struct {
		what  string
		value any
	}{
		{"a truth", true}, {"a signed octet", int8(-5)}, {"an octet", uint8(250)}, {"16 bits", int16(-300)}, {"16 bits without sign", uint16(60_000)},
		{"32 bits", int32(-70_000)}, {"32 bits without sign", uint32(4_000_000_000)}, {"64 bits", int64(-5_000_000_000)},
		{"a single float", float32(1.5)}, {"a double", 2.25}, {"a decimal", wire.Decimal{Scale: 2, Value: 12345}}, {"a text", "text"}, {"octets", []byte{0, 1, 255}},
		{"a time", time.Unix(1_700_000_000, 0)}, {"nothing", nil}, {"a table", T{"in": T{"deeper": int32(1)}}}, {"an array", []any{"a", int32(1), []any{true}, T{"k": "v"}}},
		{"an empty table", T{}}, {"an empty array", []any{}}, {"an empty text", ""},
	} {
		list = append(list, Scenario{Name: "G5,A13/a header of " + c.what, Run: func(s *S) {
			ch := s.Connect().Channel()
			q := ch.Queue("q", nil)
			s.PutWith("", q, P{Headers: T{"h": c.value}}, "hello")
			ch.Await(q, 1, 0)
			it := ch.Get(q)
			s.Record("% x", it.Raw)
		}})
	}
	return list
}
