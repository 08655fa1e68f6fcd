package scenarios

import (
	"fmt"
	"maps"
	"net/url"
	"slices"
	"strings"
	"time"

	"github.com/warrenmq/warren/broker/wire"

	. "github.com/warrenmq/warren/test/compat/diff"
)

// handshakes are section B: connections.
func handshakes() []Scenario {
	return slices.Concat(starts(), logins(), tunes(), opens(), ends())
}

// begin goes as far as connection.start.
func begin(s *S, options ...Option) (*Conn, Item) {
	c := s.Dial(options...)
	c.Bytes("header", []byte(wire.ProtocolHeader))
	return c, c.Expect()
}

// properties is what the server says of itself.
func serverProperties(it Item) T {
	start, ok := it.Method.(*wire.ConnectionStart)
	if !ok {
		return nil
	}
	return start.ServerProperties
}

func starts() []Scenario {
	return []Scenario{
		{Name: "B1/start names version, mechanisms and locales", Run: func(s *S) {
			_, it := begin(s)
			start := it.Method.(*wire.ConnectionStart)
			for _, m := range []string{"PLAIN", "AMQPLAIN"} {
				s.Record("%s: %v", m, slices.Contains(strings.Fields(start.Mechanisms), m))
			}
			s.Record("locales %q", start.Locales)
		}},
		{Name: "B1/the server's properties and their types", Run: func(s *S) {
			_, it := begin(s)
			all := serverProperties(it)
			for _, k := range slices.Sorted(maps.Keys(all)) {
				s.Record("%s: %T", k, all[k])
			}
		}},
		{Name: "B2/the product is RabbitMQ to those who look", Run: func(s *S) {
			_, it := begin(s)
			s.Record("product %v", serverProperties(it)["product"])
		}},
		{Name: "B2/the version is one of RabbitMQ 4.x",
			Source: "RabbitMQ 4.x's own version begins with 4, at which kombu and clients of AMQP 1.0 look",
			Delta: `
			- 3 . three numbers: true
			+ 4 . three numbers: true`,
			Run: func(s *S) {
				_, it := begin(s)
				version, _ := serverProperties(it)["version"].(string)
				major, rest, _ := strings.Cut(version, ".")
				var minor, patch int
				n, _ := fmt.Sscanf(rest, "%d.%d", &minor, &patch)
				s.Record("%s . three numbers: %v", major, n == 2)
			}},
		{Name: "B3/the server's capabilities", Run: func(s *S) {
			_, it := begin(s)
			able, _ := serverProperties(it)["capabilities"].(T)
			for _, k := range slices.Sorted(maps.Keys(able)) {
				s.Record("%s: %v", k, able[k])
			}
		}},
		{Name: "B4,H12/a queue that goes cancels the consumers of those who know", Kinds: Everywhere(), Run: func(s *S) {
			able, not := s.Connect().Channel(), s.Connect(Without("consumer_cancel_notify")).Channel()
			q := able.Queue("q", nil)
			able.Consume(q, "able", nil)
			not.Consume(q, "not", nil)
			s.Connect().Channel().Do(&wire.QueueDelete{Queue: q})
			able.Expect()
			not.Quiet()
			able.Quiet()
		}},
		{Name: "B4/a client without any capability", Kinds: Everywhere(), Run: func(s *S) {
			c := s.Connect(Without("publisher_confirms", "exchange_exchange_bindings", "basic.nack", "consumer_cancel_notify",
				"connection.blocked", "authentication_failure_close"))
			ch := c.Channel()
			q := ch.Queue("q", nil)
			ch.Confirm()
			ch.Publish("", q, P{}, "a")
			ch.Confirms(1)
			ch.Nack(ch.Get(q).Tag(), true)
			ch.GetNoAck(q)
		}},
		{Name: "B4/capabilities that are no table", Run: func(s *S) {
			c, _ := begin(s)
			m := StartOk()
			m.ClientProperties["capabilities"] = "all of them"
			c.Do(m)
		}},
		{Name: "B4/a client without properties", Run: func(s *S) {
			c, _ := begin(s)
			m := StartOk()
			m.ClientProperties = nil
			c.Do(m)
		}},
		{Name: "B4/connection_name is what operators see", Limit: 20 * time.Second, Run: func(s *S) {
			name := s.Name("client")
			s.Connect(Property("connection_name", name))
			s.Eventually("a connection of that name", func() bool { return connectionOf(s, name) != "" })
		}},
	}
}

// connectionOf is the broker's name of a client's connection, "" while it is
// not listed.
func connectionOf(s *S, clientName string) string {
	var found string
	s.Silently(func() {
		all, _ := s.HTTP("GET", "/api/connections", nil).JSON.([]any)
		for _, one := range all {
			conn, _ := one.(T)
			client, _ := conn["client_properties"].(T)
			if client["connection_name"] == clientName {
				found, _ = conn["name"].(string)
			}
		}
	})
	return found
}

// amqplain is the response of AMQPLAIN: a table without its length.
func amqplain(fields T) []byte {
	b, err := wire.AppendTable(nil, fields)
	if err != nil {
		panic(err)
	}
	return b[4:]
}

func logins() []Scenario {
	const slow = 12 * time.Second // brokers let a refused client wait
	with := func(options ...Option) func(*S) {
		return func(s *S) {
			c := s.Connect(options...)
			if !c.Over() {
				c.Channel().Do(&wire.QueueDeclare{Queue: s.Name("q"), Exclusive: true})
			}
		}
	}
	return []Scenario{
		{Name: "B7/PLAIN", Run: with(SASL("PLAIN", []byte("\x00guest\x00guest")))},
		{Name: "B7,B5/PLAIN with an identity to act for", Differs: "B5", Delta: `
			+ c1 < connection.close 502 "SYNTAX_ERROR - response invalid" (10,11)`, Limit: slow, Run: with(SASL("PLAIN", []byte("other\x00guest\x00guest")))},
		{Name: "B7,B5/PLAIN without separators", Differs: "B5", Delta: `
			+ c1 < connection.close 502 "SYNTAX_ERROR - response invalid" (10,11)`, Limit: slow, Run: with(SASL("PLAIN", []byte("guest")))},
		{Name: "B7,B5/PLAIN with one separator", Differs: "B5", Delta: `
			+ c1 < connection.close 502 "SYNTAX_ERROR - response invalid" (10,11)`, Limit: slow, Run: with(SASL("PLAIN", []byte("guest\x00guest")))},
		{Name: "B7,B5/PLAIN with nothing", Differs: "B5", Delta: `
			+ c1 < connection.close 502 "SYNTAX_ERROR - response invalid" (10,11)`, Limit: slow, Run: with(SASL("PLAIN", nil))},
		{Name: "B7,B5/PLAIN with an empty password", Limit: slow, Run: with(SASL("PLAIN", []byte("\x00guest\x00")))},
		{Name: "B5/a wrong password", Limit: slow, Run: with(As("guest", "wrong"))},
		{Name: "B5/an unknown user", Limit: slow, Run: with(As("nobody-there", "guest"))},
		{Name: "B5/no user", Limit: slow, Run: with(SASL("PLAIN", []byte("\x00\x00")))},
		{Name: "B5/a wrong password and no capability to hear of it", Limit: slow, Run: with(As("guest", "wrong"), Without("authentication_failure_close"))},
		{Name: "B5/an unknown mechanism", Differs: "B5", Delta: `
			+ c1 < connection.close 503 "COMMAND_INVALID - unknown authentication mechanism 'KERBEROS'" (10,11)`, Limit: slow, Run: with(SASL("KERBEROS", nil))},
		{Name: "B5/no mechanism", Differs: "B5", Delta: `
			+ c1 < connection.close 503 "COMMAND_INVALID - unknown authentication mechanism ''" (10,11)`, Limit: slow, Run: with(SASL("", nil))},
		{Name: "B5/a mechanism in lower case", Differs: "B5", Delta: `
			+ c1 < connection.close 503 "COMMAND_INVALID - unknown authentication mechanism 'plain'" (10,11)`, Limit: slow, Run: with(SASL("plain", []byte("\x00guest\x00guest")))},
		{Name: "B8/AMQPLAIN", Run: with(SASL("AMQPLAIN", amqplain(T{"LOGIN": "guest", "PASSWORD": "guest"})))},
		{Name: "B8/AMQPLAIN with more fields", Run: with(SASL("AMQPLAIN", amqplain(T{"LOGIN": "guest", "PASSWORD": "guest", "X": int32(1)})))},
		{Name: "B8,B5/AMQPLAIN with a wrong password", Limit: slow, Run: with(SASL("AMQPLAIN", amqplain(T{"LOGIN": "guest", "PASSWORD": "wrong"})))},
		{Name: "B8,B5/AMQPLAIN without a password", Differs: "B5", Delta: `
			+ c1 < connection.close 502 "SYNTAX_ERROR - AMQPLAIN auth info is missing LOGIN or PASSWORD field" (10,11)`, Limit: slow, Run: with(SASL("AMQPLAIN", amqplain(T{"LOGIN": "guest"})))},
		{Name: "B8,B5/AMQPLAIN with a number as its login", Differs: "B5", Delta: `
			+ c1 < connection.close 502 "SYNTAX_ERROR - AMQPLAIN auth info uses unsupported type for LOGIN or PASSWORD field" (10,11)`, Limit: slow, Run: with(SASL("AMQPLAIN", amqplain(T{"LOGIN": int32(1), "PASSWORD": "guest"})))},
		{Name: "B5,K13/a user of the broker's own", Run: func(s *S) {
			u := s.User("u", "", ".*", ".*", ".*")
			c := s.Connect(As(u, "secret"))
			c.Channel().Do(&wire.QueueDeclare{Queue: s.Name("q"), Exclusive: true})
		}},
		{Name: "B19/update-secret", Run: func(s *S) {
			c := s.Connect()
			c.Do(&wire.ConnectionUpdateSecret{NewSecret: "guest", Reason: "rotation"})
			c.Channel().Do(&wire.QueueDeclare{Queue: s.Name("q"), Exclusive: true})
		}},
	}
}

func tunes() []Scenario {
	return slices.Concat(negotiated(), frameSizes(), heartbeats(), channelNumbers())
}

// negotiated is B14: what is negotiated.
func negotiated() []Scenario {
	tuned := func(channelMax uint16, frameMax uint32, heartbeat uint16) func(*S) {
		return func(s *S) {
			c := s.Connect(Tune(channelMax, frameMax, heartbeat))
			if !c.Over() {
				c.Channel().Do(&wire.QueueDeclare{Queue: s.Name("q"), Exclusive: true})
			}
		}
	}
	return []Scenario{
		{Name: "B14,A12/what the server offers", Run: func(s *S) {
			c, _ := begin(s)
			c.Do(StartOk())
		}},
		{Name: "B14/all as offered", Run: tuned(2047, 131072, 60)},
		{Name: "B14/less than offered", Run: tuned(5, 10000, 10)},
		{Name: "B14/channel_max without limit", Source: "rabbit_reader.erl, handle_exception in state tuning and validate_negotiated_integer_value (main 5b09e55)", Delta: `
			+ c1 < connection.close 530 "NOT_ALLOWED - negotiated channel_max = 0 (no limit) is higher than the maximum allowed value (2047)" (10,31)`, Run: tuned(0, 131072, 0)},
		{Name: "B14/channel_max above the server's", Source: "rabbit_reader.erl, handle_exception in state tuning and validate_negotiated_integer_value (main 5b09e55)", Delta: `
			+ c1 < connection.close 530 "NOT_ALLOWED - negotiated channel_max = 2048 is higher than the maximum allowed value (2047)" (10,31)`, Run: tuned(2048, 131072, 0)},
		{Name: "B14/channel_max of one", Run: tuned(1, 131072, 0)},
		{Name: "B14/frame_max without limit", Source: "rabbit_reader.erl, handle_exception in state tuning and validate_negotiated_integer_value (main 5b09e55)", Delta: `
			+ c1 < connection.close 530 "NOT_ALLOWED - negotiated frame_max = 0 is higher than the maximum allowed value (131072)" (10,31)`, Run: tuned(2047, 0, 0)},
		{Name: "B14/frame_max above the server's", Source: "rabbit_reader.erl, handle_exception in state tuning and validate_negotiated_integer_value (main 5b09e55)", Delta: `
			+ c1 < connection.close 530 "NOT_ALLOWED - negotiated frame_max = 131073 is higher than the maximum allowed value (131072)" (10,31)`, Run: tuned(2047, 131073, 0)},
		{Name: "B14,A12,Q10/frame_max of 4096", Run: tuned(2047, 4096, 0)},
		{Name: "B14,A12/frame_max below 4096", Differs: "Q10", Delta: `
			+ c1 < connection.close 530 "NOT_ALLOWED - negotiated frame_max = 4095 is lower than the minimum allowed value (4096)" (10,31)`, Run: tuned(2047, 4095, 0)},
	}
}

// frameSizes is A12: bodies split by frame_max.
func frameSizes() []Scenario {
	return []Scenario{
		{Name: "A12/a body in frames of frame_max", Kinds: Everywhere(), Run: func(s *S) {
			body := strings.Repeat("0123456789", 2000)
			small := s.Connect(Tune(2047, 4096, 0), ShowFrames()).Channel()
			large := s.Connect(ShowFrames()).Channel()
			q := small.Queue("q", nil)
			large.Confirm()
			small.Confirm()
			large.Publish("", q, P{}, body)
			large.Confirms(1)
			small.Publish("", q, P{}, body)
			small.Confirms(1)
			for range 2 {
				s.Queue(q, 2, 0)
				it := small.Get(q)
				small.Reject(it.Tag(), true)
				s.Queue(q, 2, 0)
				it = large.Get(q)
				large.Reject(it.Tag(), true)
			}
		}},
		{Name: "A12/bodies at the edge of a frame", Kinds: Everywhere(), Run: func(s *S) {
			ch := s.Connect(Tune(2047, 4096, 0), ShowFrames()).Channel()
			q := ch.Queue("q", nil)
			ch.Confirm()
			for _, n := range []int{0, 1, 4087, 4088, 4089, 8176, 8177} {
				ch.Publish("", q, P{}, strings.Repeat("x", n))
				ch.Confirms(1)
				ch.GetNoAck(q)
			}
		}},
	}
}

// heartbeats is A11: heartbeats.
func heartbeats() []Scenario {
	return []Scenario{
		{Name: "A11/heartbeats come at half the client's interval", Run: func(s *S) {
			c := s.Connect(Tune(2047, 131072, 2))
			c.Heartbeat(3 * time.Second)
			c.Frame(wire.FrameHeartbeat, 0, nil)
			c.Heartbeat(3 * time.Second)
		}},
		{Name: "A11/no heartbeats when the client wants none", Run: func(s *S) {
			c := s.Connect(Tune(2047, 131072, 0))
			c.Heartbeat(2 * time.Second)
			c.Channel().Do(&wire.QueueDeclare{Queue: s.Name("q"), Exclusive: true})
		}},
		{Name: "A11/a client that is silent for two intervals is dropped", Run: func(s *S) {
			c := s.Connect(Tune(2047, 131072, 1))
			begin := time.Now()
			c.Within(8 * time.Second)
			took := time.Since(begin)
			s.Record("after 1.5 to 5 s: %v", took > 1500*time.Millisecond && took < 5*time.Second)
		}},
		{Name: "A11/any frame counts as a sign of life", Run: func(s *S) {
			ch := s.Connect(Tune(2047, 131072, 1)).Channel()
			for range 10 {
				s.Pause(400 * time.Millisecond)
				s.Silently(func() { ch.Do(&wire.ChannelFlow{Active: true}) })
			}
			ch.Do(&wire.ChannelFlow{Active: true})
		}},
	}
}

// channelNumbers is B17: numbers of channels.
func channelNumbers() []Scenario {
	return []Scenario{
		{Name: "B17/channels up to channel_max", Run: func(s *S) {
			c := s.Connect(Tune(2, 131072, 0))
			c.Channel()
			c.Channel().Close()
			c.Channel()
			c.Number(7).Open()
		}},
		{Name: "B17/any number within channel_max many", Run: func(s *S) {
			c := s.Connect(Tune(2, 131072, 0))
			c.Number(7).Open()
			c.Number(65535).Open()
			c.Number(9).Open()
		}},
		{Name: "B17,K8/channels of a user", Source: "rabbit_reader.erl, is_over_limits/1 (main 5b09e55)", Delta: `
			- c3 < connection.close 530 "NOT_ALLOWED - number of channels opened for user 'u' has reached the maximum allowed user limit of (1)" (0,0)
			+ c3 < connection.close 530 "NOT_ALLOWED - number of channels opened for user 'u' has reached the maximum allowed user limit of 1" (0,0)`, Run: func(s *S) {
			u := s.User("u", "", ".*", ".*", ".*")
			s.HTTP("PUT", "/api/user-limits/"+u+"/max-channels", T{"value": 1})
			s.Connect(As(u, "secret")).Channel()
			s.Eventually("the next is refused", func() bool { // RabbitMQ counts channels a little later
				c := s.Connect(As(u, "secret"))
				c.Number(1).Open()
				return c.Over()
			})
			s.Connect(As(u, "secret")).Number(1).Open()
		}},
	}
}

func opens() []Scenario {
	return []Scenario{
		{Name: "B15/an unknown virtual host", Run: func(s *S) { s.Connect(VHost(s.Name("nowhere"))) }},
		{Name: "B15/a virtual host without a name", Run: func(s *S) {
			c, _ := begin(s)
			c.Do(StartOk())
			c.Send(&wire.ConnectionTuneOk{ChannelMax: 2047, FrameMax: 131072})
			c.Do(&wire.ConnectionOpen{VirtualHost: ""})
		}},
		{Name: "B15/a slash is a name like any other", Run: func(s *S) {
			v := s.VHost("v")
			s.Connect(VHost("/" + v))
		}},
		{Name: "B15,K6/a virtual host of its own", Run: func(s *S) {
			v := s.VHost("v")
			q := s.Name("q")
			s.Connect(VHost(v)).Channel().Do(&wire.QueueDeclare{Queue: q, Durable: true})
			s.Connect().Channel().Do(&wire.QueueDeclare{Queue: q, Passive: true})
			s.Connect(VHost(v)).Channel().Do(&wire.QueueDeclare{Queue: q, Passive: true})
		}},
		{Name: "B15,K10/a virtual host without permission", Run: func(s *S) {
			u := s.User("u", "", ".*", ".*", ".*")
			v := s.VHost("v")
			s.Connect(As(u, "secret"), VHost(v))
		}},
		{Name: "B16,K7/connections of a virtual host", Run: func(s *S) {
			v := s.VHost("v")
			s.HTTP("PUT", "/api/vhost-limits/"+v+"/max-connections", T{"value": 0})
			s.Connect(VHost(v))
		}},
		{Name: "B16,K7/one connection of a virtual host", Run: func(s *S) {
			v := s.VHost("v")
			s.HTTP("PUT", "/api/vhost-limits/"+v+"/max-connections", T{"value": 1})
			first := s.Connect(VHost(v))
			s.Eventually("the next is refused", func() bool { return s.Connect(VHost(v)).Over() })
			s.Connect(VHost(v))
			first.Cut()
			s.Eventually("another may", func() bool { return !s.Connect(VHost(v)).Over() })
		}},
		{Name: "B16,K8/connections of a user", Run: func(s *S) {
			u := s.User("u", "", ".*", ".*", ".*")
			s.HTTP("PUT", "/api/user-limits/"+u+"/max-connections", T{"value": 0})
			s.Connect(As(u, "secret"))
		}},
		{Name: "B21/open before tune-ok", Differs: "B21", Delta: `
			+ c1 < connection.close 504 "CHANNEL_ERROR - unexpected method in connection state tuning" (10,40)`, Limit: 15 * time.Second, Run: func(s *S) {
			c, _ := begin(s)
			c.Do(StartOk())
			c.Do(&wire.ConnectionOpen{VirtualHost: "/"})
		}},
		{Name: "B21/tune-ok before start-ok", Differs: "B21", Delta: `
			+ c1 < connection.close 504 "CHANNEL_ERROR - unexpected method in connection state starting" (10,31)`, Limit: 15 * time.Second, Run: func(s *S) {
			c, _ := begin(s)
			c.Do(&wire.ConnectionTuneOk{ChannelMax: 2047, FrameMax: 131072})
		}},
		{Name: "B21/a channel before open", Limit: 15 * time.Second, Run: func(s *S) {
			c, _ := begin(s)
			c.Do(StartOk())
			c.Send(&wire.ConnectionTuneOk{ChannelMax: 2047, FrameMax: 131072})
			c.Number(1).Open()
		}},
		{Name: "B21/a channel before start-ok", Differs: "B21", Delta: `
			+ c1 < connection.close 505 "UNEXPECTED_FRAME - type 1, all octets = <<0,20,0,10,0>>" (0,0)`, Limit: 15 * time.Second, Run: func(s *S) {
			c, _ := begin(s)
			c.Number(1).Open()
		}},
		{Name: "B21/open twice", Run: func(s *S) { s.Connect().Do(&wire.ConnectionOpen{VirtualHost: "/"}) }},
		{Name: "B21/start-ok again", Run: func(s *S) { s.Connect().Do(StartOk()) }},
		{Name: "B21/tune-ok again", Run: func(s *S) { s.Connect().Do(&wire.ConnectionTuneOk{ChannelMax: 1, FrameMax: 4096}) }},
		{Name: "B21/secure-ok that nobody asked for", Run: func(s *S) {
			s.Connect().Do(&wire.ConnectionSecureOk{Response: []byte("x")})
		}},
		{Name: "B21/what servers send", Run: func(s *S) { s.Connect().Do(&wire.ConnectionTune{}) }},
		{Name: "B21/a close-ok that nobody asked for", Run: func(s *S) {
			c := s.Connect()
			c.Do(&wire.ConnectionCloseOk{})
		}},
		{Name: "B21/close before open", Limit: 15 * time.Second, Run: func(s *S) {
			c, _ := begin(s)
			c.Do(StartOk())
			c.Send(&wire.ConnectionTuneOk{ChannelMax: 2047, FrameMax: 131072})
			c.Do(&wire.ConnectionClose{ReplyCode: 200})
		}},
	}
}

func ends() []Scenario {
	return []Scenario{
		{Name: "B20/an operator closes a connection", Limit: 20 * time.Second, Run: func(s *S) {
			name := s.Name("client")
			c := s.Connect(Property("connection_name", name))
			var conn string
			s.Eventually("it is listed", func() bool { conn = connectionOf(s, name); return conn != "" })
			s.Silently(func() { s.HTTP("DELETE", "/api/connections/"+url.PathEscape(conn), nil) })
			c.Expect()
		}},
		{Name: "B24,E3/exclusive queues go with their connection", Run: func(s *S) {
			c := s.Connect()
			q := s.Name("q")
			c.Channel().Do(&wire.QueueDeclare{Queue: q, Exclusive: true})
			c.Cut()
			s.Gone(q)
			s.Connect().Channel().Do(&wire.QueueDeclare{Queue: q, Exclusive: true})
		}},
		{Name: "B24,E3/exclusive queues are gone at close-ok", Run: func(s *S) {
			c := s.Connect()
			q := s.Name("q")
			c.Channel().Do(&wire.QueueDeclare{Queue: q, Exclusive: true})
			c.Close()
			s.Connect().Channel().Do(&wire.QueueDeclare{Queue: q, Passive: true})
		}},
		{Name: "B24,H19/unacknowledged messages go back to their places", Kinds: Everywhere(), Run: func(s *S) {
			c := s.Connect()
			ch := c.Channel()
			q := ch.Queue("q", nil)
			s.Put(q, "a", "b", "c", "d")
			ch.Qos(3)
			ch.Consume(q, "tag", nil)
			tags := ch.ExpectN(3)
			ch.Ack(tags[1].Tag())
			ch.Expect()
			ch.Quiet(q)
			c.Cut()
			s.Queue(q, 3, 0)
			other := s.Connect().Channel()
			for range 4 {
				other.GetNoAck(q)
			}
		}},
		{Name: "B24,E4/auto-delete queues go with their last consumer's connection", Kinds: Everywhere(), Run: func(s *S) {
			c := s.Connect()
			ch := c.Channel()
			q := s.Name("q")
			ch.Declare(wire.QueueDeclare{Queue: q, AutoDelete: true})
			ch.Consume(q, "tag", nil)
			c.Cut()
			s.Gone(q)
		}},
		{Name: "B24/what was published before the cut is there", Kinds: Everywhere(), Run: func(s *S) {
			c := s.Connect()
			ch := c.Channel()
			q := ch.Queue("q", nil)
			for i := range 20 {
				ch.Publish("", q, P{}, fmt.Sprint(i))
			}
			c.Close()
			s.Queue(q, 20, 0)
		}},
		{Name: "B24/half a message before the cut is not", Kinds: Everywhere(), Run: func(s *S) {
			c := s.Connect()
			ch := c.Channel()
			q := ch.Queue("q", nil)
			ch.Publish("", q, P{}, "whole")
			ch.Send(&wire.BasicPublish{RoutingKey: q})
			ch.Header(10, P{})
			ch.Body("half")
			c.Cut()
			s.Queue(q, 1, 0)
		}},
	}
}
