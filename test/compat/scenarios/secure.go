package scenarios

import (
	"crypto/tls"

	"github.com/warrenmq/warren/broker/wire"

	. "github.com/warrenmq/warren/test/compat/diff"
)

// secure is B13 and B22: TLS, and clients that are not on the loopback.
func secure() []Scenario {
	greet := func(all ...Greeting) func(*S) {
		return func(s *S) {
			for _, g := range all {
				s.Greet(g)
			}
		}
	}
	return []Scenario{
		{Name: "B22/versions of TLS", Run: greet(Greeting{}, Greeting{Version: tls.VersionTLS13}, Greeting{Version: tls.VersionTLS12})},
		{Name: "B22/versions of TLS that are too old", Source: "the versions that are on by default in the ssl application of Erlang 26, which RabbitMQ 4.x needs", Delta: `
			- TLS, TLS 1.1: TLS 1.1
			- TLS, TLS 1.0: TLS 1.0
			+ TLS, TLS 1.1: refused
			+ TLS, TLS 1.0: refused`, Run: greet(Greeting{Version: tls.VersionTLS11}, Greeting{Version: tls.VersionTLS10})},
		{Name: "B22/a client's certificate is checked if it has one", Run: greet(
			Greeting{Version: tls.VersionTLS13, Certificate: "client"}, Greeting{Version: tls.VersionTLS12, Certificate: "client"},
			Greeting{Version: tls.VersionTLS13, Certificate: "stranger"}, Greeting{Version: tls.VersionTLS12, Certificate: "stranger"})},
		{Name: "B22,A12/messages over TLS", Kinds: Everywhere(), Run: func(s *S) {
			u := s.User("u", "", ".*", ".*", ".*")
			ch := s.Connect(As(u, "secret"), Secure(), ShowFrames()).Channel()
			q := ch.Queue("q", nil)
			ch.Confirm()
			ch.Publish("", q, P{DeliveryMode: 2}, string(make([]byte, 300_000)))
			ch.Confirms(1)
			ch.Consume(q, "tag", nil)
			ch.Ack(ch.Expect().Tag())
			ch.Quiet(q)
			ch.Conn().Close()
		}},
		{Name: "B13,B5/guest from the network", Run: func(s *S) { s.Connect(Secure()) }},
		{Name: "B13,B5/guest from the network, without the capability to hear of it", Run: func(s *S) {
			s.Connect(Secure(), Without("authentication_failure_close"))
		}},
		{Name: "B13,B5/guest from the network with a wrong password", Run: func(s *S) { s.Connect(Secure(), As("guest", "wrong")) }},
		{Name: "B13/another user from the network", Run: func(s *S) {
			u := s.User("u", "administrator", ".*", ".*", ".*")
			s.Connect(Secure(), As(u, "secret")).Channel().Do(&wire.QueueDeclare{Queue: s.Name("q"), Exclusive: true})
		}},
	}
}
