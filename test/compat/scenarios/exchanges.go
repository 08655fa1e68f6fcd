package scenarios

import (
	"fmt"
	"slices"
	"strings"

	"github.com/warrenmq/warren/broker/wire"

	. "github.com/warrenmq/warren/test/compat/diff"
)

// exchanges are section D but for what the types do: see exchangeTypes.
func exchanges() []Scenario {
	return slices.Concat(
		inequivalentExchanges(), declaredExchanges(), reservedExchanges(), exchangeFlags(), alternates(), deletedExchanges(),
		boundExchanges(), identicalBindings(),
	)
}

// declaredExchanges is D1 and D2: declares and their types.
func declaredExchanges() []Scenario {
	return []Scenario{
		{Name: "D1/a declare that equals the first", Run: func(s *S) {
			ch := s.Connect().Channel()
			x := &wire.ExchangeDeclare{Exchange: s.Name("x"), Type: "direct", Durable: true, Arguments: T{"some": "thing"}}
			ch.Do(x)
			ch.Do(x)
			s.Connect().Channel().Do(x)
		}},
		{Name: "D1/other arguments are not compared", Run: func(s *S) {
			ch := s.Connect().Channel()
			ch.Do(&wire.ExchangeDeclare{Exchange: s.Name("x"), Type: "direct", Arguments: T{"some": "thing"}})
			ch.Do(&wire.ExchangeDeclare{Exchange: s.Name("x"), Type: "direct", Arguments: T{"another": int32(1)}})
		}},
		{Name: "D1/no-wait has no answer", Run: func(s *S) {
			ch := s.Connect().Channel()
			ch.Send(&wire.ExchangeDeclare{Exchange: s.Name("x"), Type: "direct", NoWait: true})
			ch.Quiet()
			ch.Do(&wire.ExchangeDeclare{Exchange: s.Name("x"), Passive: true})
		}},
		{Name: "D1/no-wait that is refused closes the channel all the same", Upgrade: softType, Source: softTypeSource, Run: func(s *S) {
			ch := s.Connect().Channel()
			ch.Send(&wire.ExchangeDeclare{Exchange: s.Name("x"), Type: "nonsense", NoWait: true})
			ch.Expect()
		}},
		{Name: "D2/an unknown type", Upgrade: softType, Source: softTypeSource, Run: func(s *S) {
			s.Connect().Channel().Do(&wire.ExchangeDeclare{Exchange: s.Name("x"), Type: "x-nobody-has-this"})
		}},
		{Name: "D2/a word that is no type", Upgrade: softType, Source: softTypeSource, Run: func(s *S) {
			s.Connect().Channel().Do(&wire.ExchangeDeclare{Exchange: s.Name("x"), Type: "queue"})
		}},
		{Name: "D2/an empty type", Upgrade: softType, Source: softTypeSource, Run: func(s *S) {
			s.Connect().Channel().Do(&wire.ExchangeDeclare{Exchange: s.Name("x"), Type: ""})
		}},
		{Name: "D2/an unknown type of an exchange that is there", Upgrade: softType, Source: softTypeSource, Run: func(s *S) {
			ch := s.Connect().Channel()
			ch.Do(&wire.ExchangeDeclare{Exchange: s.Name("x"), Type: "fanout"})
			ch.Do(&wire.ExchangeDeclare{Exchange: s.Name("x"), Type: "x-nobody-has-this"})
		}},
	}
}

// reservedExchanges is D3 to D5: the default exchange, reserved names, passive declares.
func reservedExchanges() []Scenario {
	return []Scenario{
		{Name: "D3/declare the default exchange", Run: func(s *S) {
			s.Connect().Channel().Do(&wire.ExchangeDeclare{Exchange: "", Type: "direct", Durable: true})
		}},
		{Name: "D3/passive declare of the default exchange", Run: func(s *S) {
			s.Connect().Channel().Do(&wire.ExchangeDeclare{Exchange: "", Type: "direct", Passive: true})
		}},
		{Name: "D3/delete the default exchange", Run: func(s *S) {
			s.Connect().Channel().Do(&wire.ExchangeDelete{Exchange: ""})
		}},
		{Name: "D3/bind a queue to the default exchange", Run: func(s *S) {
			ch := s.Connect().Channel()
			ch.Bind(ch.Queue("q", nil), "", "key", nil)
		}},
		{Name: "D3/unbind a queue from the default exchange", Run: func(s *S) {
			ch := s.Connect().Channel()
			q := ch.Queue("q", nil)
			ch.Do(&wire.QueueUnbind{Queue: q, Exchange: "", RoutingKey: q})
		}},
		{Name: "D3/bind an exchange to the default exchange", Run: func(s *S) {
			ch := s.Connect().Channel()
			ch.Do(&wire.ExchangeBind{Source: "", Destination: ch.Exchange("x", "fanout", nil)})
		}},
		{Name: "D3/bind the default exchange to an exchange", Run: func(s *S) {
			ch := s.Connect().Channel()
			ch.Do(&wire.ExchangeBind{Source: ch.Exchange("x", "fanout", nil), Destination: ""})
		}},
		{Name: "D3/unbind the default exchange", Run: func(s *S) {
			ch := s.Connect().Channel()
			ch.Do(&wire.ExchangeUnbind{Source: "", Destination: ch.Exchange("x", "fanout", nil)})
		}},
		{Name: "D3/every queue is bound by its name", Kinds: Everywhere(), Run: func(s *S) {
			ch := s.Connect().Channel()
			q := ch.Queue("q", nil)
			ch.Confirm()
			ch.Publish("", q, P{}, "hello")
			ch.Confirms(1)
			ch.Get(q)
		}},
		{Name: "D4/a new exchange with a reserved name", Run: func(s *S) {
			s.Connect().Channel().Do(&wire.ExchangeDeclare{Exchange: "amq.nobody", Type: "direct"})
		}},
		{Name: "D4/redeclare a predeclared exchange", Run: func(s *S) {
			s.Connect().Channel().Do(&wire.ExchangeDeclare{Exchange: "amq.topic", Type: "topic", Durable: true})
		}},
		{Name: "D4/redeclare a predeclared exchange otherwise", Run: func(s *S) {
			s.Connect().Channel().Do(&wire.ExchangeDeclare{Exchange: "amq.topic", Type: "topic"})
		}},
		{Name: "D5/passive declare of nothing", Run: func(s *S) {
			s.Connect().Channel().Do(&wire.ExchangeDeclare{Exchange: s.Name("x"), Type: "direct", Passive: true})
		}},
		{Name: "D5/passive declare looks at the name alone", Run: func(s *S) {
			ch := s.Connect().Channel()
			x := ch.Exchange("x", "fanout", nil)
			s.Connect().Channel().Do(&wire.ExchangeDeclare{Exchange: x, Type: "topic", AutoDelete: true, Internal: true, Passive: true})
		}},
	}
}

// exchangeFlags is D6 to D8: internal, auto-delete and transient exchanges.
func exchangeFlags() []Scenario {
	return []Scenario{
		{Name: "D6/publish to an internal exchange", Run: func(s *S) {
			ch := s.Connect().Channel()
			ch.Do(&wire.ExchangeDeclare{Exchange: s.Name("x"), Type: "fanout", Durable: true, Internal: true})
			ch.Publish(s.Name("x"), "", P{}, "hello")
			ch.Expect()
		}},
		{Name: "D6/an internal exchange behind another", Kinds: Everywhere(), Run: func(s *S) {
			ch := s.Connect().Channel()
			x := ch.Exchange("x", "fanout", nil)
			ch.Do(&wire.ExchangeDeclare{Exchange: s.Name("inner"), Type: "fanout", Durable: true, Internal: true})
			ch.Do(&wire.ExchangeBind{Source: x, Destination: s.Name("inner")})
			q := ch.Queue("q", nil)
			ch.Bind(q, s.Name("inner"), "", nil)
			s.PutWith(x, "", P{}, "hello")
			ch.Await(q, 1, 0)
			ch.Get(q)
		}},
		{Name: "D7/an auto-delete exchange goes with its last binding", Run: func(s *S) {
			ch := s.Connect().Channel()
			ch.Do(&wire.ExchangeDeclare{Exchange: s.Name("x"), Type: "direct", Durable: true, AutoDelete: true})
			q := ch.Queue("q", nil)
			ch.Bind(q, s.Name("x"), "a", nil)
			ch.Bind(q, s.Name("x"), "b", nil)
			ch.Do(&wire.QueueUnbind{Queue: q, Exchange: s.Name("x"), RoutingKey: "a"})
			ch.Do(&wire.ExchangeDeclare{Exchange: s.Name("x"), Passive: true})
			ch.Do(&wire.QueueUnbind{Queue: q, Exchange: s.Name("x"), RoutingKey: "b"})
			ch.Do(&wire.ExchangeDeclare{Exchange: s.Name("x"), Passive: true})
		}},
		{Name: "D7/an auto-delete exchange that was never bound stays", Run: func(s *S) {
			ch := s.Connect().Channel()
			ch.Do(&wire.ExchangeDeclare{Exchange: s.Name("x"), Type: "direct", AutoDelete: true})
			ch.Close()
			s.Connect().Channel().Do(&wire.ExchangeDeclare{Exchange: s.Name("x"), Passive: true})
		}},
		{Name: "D7/bindings to an auto-delete exchange do not keep it", Run: func(s *S) {
			ch := s.Connect().Channel()
			source := ch.Exchange("source", "fanout", nil)
			ch.Do(&wire.ExchangeDeclare{Exchange: s.Name("x"), Type: "fanout", AutoDelete: true})
			ch.Do(&wire.ExchangeBind{Source: source, Destination: s.Name("x")})
			q := ch.Queue("q", nil)
			ch.Bind(q, s.Name("x"), "", nil)
			ch.Do(&wire.QueueDelete{Queue: q})
			ch.Do(&wire.ExchangeDeclare{Exchange: s.Name("x"), Passive: true})
		}},
		{Name: "D7,F8/auto-delete exchanges go in a row", Run: func(s *S) {
			ch := s.Connect().Channel()
			for _, x := range []string{"first", "second"} {
				ch.Do(&wire.ExchangeDeclare{Exchange: s.Name(x), Type: "fanout", AutoDelete: true})
			}
			ch.Do(&wire.ExchangeBind{Source: s.Name("first"), Destination: s.Name("second")})
			q := ch.Queue("q", nil)
			ch.Bind(q, s.Name("second"), "", nil)
			ch.Do(&wire.QueueDelete{Queue: q})
			ch.Do(&wire.ExchangeDeclare{Exchange: s.Name("first"), Passive: true})
		}},
		{Name: "D8/a durable queue is bound to a transient exchange", Run: func(s *S) {
			ch := s.Connect().Channel()
			ch.Do(&wire.ExchangeDeclare{Exchange: s.Name("x"), Type: "direct"})
			q := ch.Queue("q", nil)
			ch.Bind(q, s.Name("x"), "key", nil)
			s.PutWith(s.Name("x"), "key", P{}, "hello")
			ch.Await(q, 1, 0)
		}},
	}
}

// alternates is D9: alternate exchanges.
func alternates() []Scenario {
	return []Scenario{
		{Name: "D9/what is unroutable goes to the alternate exchange", Kinds: Everywhere(), Run: func(s *S) {
			ch := s.Connect().Channel()
			other := ch.Exchange("other", "fanout", nil)
			x := ch.Exchange("x", "direct", T{"alternate-exchange": other})
			q, rest := ch.Queue("q", nil), ch.Queue("rest", nil)
			ch.Bind(q, x, "key", nil)
			ch.Bind(rest, other, "", nil)
			s.PutWith(x, "key", P{}, "known")
			s.PutWith(x, "unknown", P{}, "else")
			ch.Await(q, 1, 0)
			ch.Await(rest, 1, 0)
			ch.Get(q)
			ch.Get(rest)
		}},
		{Name: "D9,G2/an alternate exchange satisfies mandatory", Run: func(s *S) {
			ch := s.Connect().Channel()
			other := ch.Exchange("other", "fanout", nil)
			x := ch.Exchange("x", "direct", T{"alternate-exchange": other})
			q := ch.Queue("q", nil)
			ch.Bind(q, other, "", nil)
			ch.Confirm()
			ch.PublishWith(&wire.BasicPublish{Exchange: x, RoutingKey: "unknown", Mandatory: true}, P{}, "hello")
			ch.Confirms(1)
			count(ch, q)
			ch.Get(q)
		}},
		{Name: "D9,G2/an alternate exchange that routes nowhere does not satisfy mandatory", Run: func(s *S) {
			ch := s.Connect().Channel()
			other := ch.Exchange("other", "fanout", nil)
			x := ch.Exchange("x", "direct", T{"alternate-exchange": other})
			ch.Confirm()
			ch.PublishWith(&wire.BasicPublish{Exchange: x, RoutingKey: "unknown", Mandatory: true}, P{}, "hello")
			ch.ExpectN(2)
		}},
		{Name: "D9/an alternate exchange that is not there", Run: func(s *S) {
			ch := s.Connect().Channel()
			x := ch.Exchange("x", "direct", T{"alternate-exchange": s.Name("nobody")})
			ch.Confirm()
			ch.PublishWith(&wire.BasicPublish{Exchange: x, RoutingKey: "unknown", Mandatory: true}, P{}, "hello")
			ch.ExpectN(2)
		}},
		{Name: "D9/an alternate exchange is made later", Run: func(s *S) {
			ch := s.Connect().Channel()
			x := ch.Exchange("x", "direct", T{"alternate-exchange": s.Name("other")})
			other := ch.Exchange("other", "fanout", nil)
			q := ch.Queue("q", nil)
			ch.Bind(q, other, "", nil)
			s.PutWith(x, "unknown", P{}, "hello")
			ch.Await(q, 1, 0)
		}},
		{Name: "D9/alternate exchanges in a circle", Run: func(s *S) {
			ch := s.Connect().Channel()
			a := ch.Exchange("a", "direct", T{"alternate-exchange": s.Name("b")})
			ch.Exchange("b", "direct", T{"alternate-exchange": a})
			ch.Confirm()
			ch.PublishWith(&wire.BasicPublish{Exchange: a, RoutingKey: "unknown", Mandatory: true}, P{}, "hello")
			ch.ExpectN(2)
		}},
		{Name: "D9/the default exchange is no alternate", Run: func(s *S) {
			ch := s.Connect().Channel()
			x := ch.Exchange("x", "direct", T{"alternate-exchange": ""})
			q := ch.Queue("q", nil)
			ch.Confirm()
			ch.PublishWith(&wire.BasicPublish{Exchange: x, RoutingKey: q, Mandatory: true}, P{}, "hello")
			ch.ExpectN(2)
			count(ch, q)
		}},
		{Name: "D9/an alternate exchange of the wrong type", Run: func(s *S) {
			s.Connect().Channel().Do(&wire.ExchangeDeclare{Exchange: s.Name("x"), Type: "direct", Arguments: T{"alternate-exchange": int64(5)}})
		}},
		{Name: "D9/another alternate exchange", Run: func(s *S) {
			ch := s.Connect().Channel()
			x := ch.Exchange("x", "direct", T{"alternate-exchange": s.Name("a")})
			ch.Do(&wire.ExchangeDeclare{Exchange: x, Type: "direct", Durable: true, Arguments: T{"alternate-exchange": s.Name("b")}})
		}},
		{Name: "D9/no alternate exchange where there was one", Run: func(s *S) {
			ch := s.Connect().Channel()
			x := ch.Exchange("x", "direct", T{"alternate-exchange": s.Name("a")})
			ch.Do(&wire.ExchangeDeclare{Exchange: x, Type: "direct", Durable: true})
		}},
		{Name: "D9/an alternate exchange where there was none", Run: func(s *S) {
			ch := s.Connect().Channel()
			x := ch.Exchange("x", "direct", nil)
			ch.Do(&wire.ExchangeDeclare{Exchange: x, Type: "direct", Durable: true, Arguments: T{"alternate-exchange": s.Name("a")}})
		}},
		{Name: "D9,K3/an alternate exchange by policy", Run: func(s *S) {
			ch := s.Connect().Channel()
			x, other := ch.Exchange("x", "direct", nil), ch.Exchange("other", "fanout", nil)
			q := ch.Queue("q", nil)
			ch.Bind(q, other, "", nil)
			s.Policy(x, "exchanges", 0, T{"alternate-exchange": other})
			s.Eventually("the policy has its effect", func() bool {
				s.PutWith(x, "unknown", P{}, "hello")
				return ch.Get(q).Tag() != 0
			})
		}},
	}
}

// deletedExchanges is D10: exchange.delete.
func deletedExchanges() []Scenario {
	return []Scenario{
		{Name: "D10/delete", Run: func(s *S) {
			ch := s.Connect().Channel()
			x := ch.Exchange("x", "direct", nil)
			ch.Do(&wire.ExchangeDelete{Exchange: x})
			s.Connect().Channel().Do(&wire.ExchangeDeclare{Exchange: x, Passive: true})
		}},
		{Name: "D10/delete what is not there", Run: func(s *S) {
			s.Connect().Channel().Do(&wire.ExchangeDelete{Exchange: s.Name("x")})
		}},
		{Name: "D10/delete what is not there, if unused", Run: func(s *S) {
			s.Connect().Channel().Do(&wire.ExchangeDelete{Exchange: s.Name("x"), IfUnused: true})
		}},
		{Name: "D10/delete if unused what is used", Run: func(s *S) {
			ch := s.Connect().Channel()
			x := ch.Exchange("x", "direct", nil)
			ch.Bind(ch.Queue("q", nil), x, "", nil)
			ch.Do(&wire.ExchangeDelete{Exchange: x, IfUnused: true})
		}},
		{Name: "D10/delete if unused an exchange that is a destination alone", Run: func(s *S) {
			ch := s.Connect().Channel()
			x, source := ch.Exchange("x", "direct", nil), ch.Exchange("source", "direct", nil)
			ch.Do(&wire.ExchangeBind{Source: source, Destination: x})
			ch.Do(&wire.ExchangeDelete{Exchange: x, IfUnused: true})
		}},
		{Name: "D10/delete what is used", Run: func(s *S) {
			ch := s.Connect().Channel()
			x := ch.Exchange("x", "direct", nil)
			ch.Bind(ch.Queue("q", nil), x, "", nil)
			ch.Do(&wire.ExchangeDelete{Exchange: x})
			ch.Publish(x, "", P{}, "hello")
			ch.Expect()
		}},
		{Name: "D10/delete a predeclared exchange", Run: func(s *S) {
			s.Connect().Channel().Do(&wire.ExchangeDelete{Exchange: "amq.direct"})
		}},
		{Name: "D10/delete an exchange that nobody has, with a reserved name", Run: func(s *S) {
			s.Connect().Channel().Do(&wire.ExchangeDelete{Exchange: "amq.nobody"})
		}},
		{Name: "D10/no-wait has no answer", Run: func(s *S) {
			ch := s.Connect().Channel()
			ch.Send(&wire.ExchangeDelete{Exchange: ch.Exchange("x", "direct", nil), NoWait: true})
			ch.Quiet()
			ch.Do(&wire.ExchangeDeclare{Exchange: s.Name("x"), Passive: true})
		}},
	}
}

// boundExchanges is D11: exchanges bound to exchanges.
func boundExchanges() []Scenario {
	return []Scenario{
		{Name: "D11/messages pass from exchange to exchange", Kinds: Everywhere(), Run: func(s *S) {
			ch := s.Connect().Channel()
			a, b := ch.Exchange("a", "topic", nil), ch.Exchange("b", "direct", nil)
			q := ch.Queue("q", nil)
			ch.Do(&wire.ExchangeBind{Source: a, Destination: b, RoutingKey: "x.#"})
			ch.Bind(q, b, "x.1", nil)
			s.PutWith(a, "x.1", P{}, "yes")
			s.PutWith(a, "x.2", P{}, "not by the second")
			s.PutWith(a, "y.1", P{}, "not by the first")
			ch.Await(q, 1, 0)
			ch.Get(q)
		}},
		{Name: "D11/exchanges in a circle", Run: func(s *S) {
			ch := s.Connect().Channel()
			a, b := ch.Exchange("a", "fanout", nil), ch.Exchange("b", "fanout", nil)
			ch.Do(&wire.ExchangeBind{Source: a, Destination: b})
			ch.Do(&wire.ExchangeBind{Source: b, Destination: a})
			q := ch.Queue("q", nil)
			ch.Bind(q, a, "", nil)
			ch.Bind(q, b, "", nil)
			s.PutWith(b, "", P{}, "once")
			ch.Await(q, 1, 0)
		}},
		{Name: "D11/an exchange bound to itself", Run: func(s *S) {
			ch := s.Connect().Channel()
			a := ch.Exchange("a", "fanout", nil)
			ch.Do(&wire.ExchangeBind{Source: a, Destination: a})
			q := ch.Queue("q", nil)
			ch.Bind(q, a, "", nil)
			s.PutWith(a, "", P{}, "once")
			ch.Await(q, 1, 0)
		}},
		{Name: "D11/bind from an exchange that is not there", Run: func(s *S) {
			ch := s.Connect().Channel()
			ch.Do(&wire.ExchangeBind{Source: s.Name("nobody"), Destination: ch.Exchange("x", "fanout", nil)})
		}},
		{Name: "D11/bind to an exchange that is not there", Run: func(s *S) {
			ch := s.Connect().Channel()
			ch.Do(&wire.ExchangeBind{Source: ch.Exchange("x", "fanout", nil), Destination: s.Name("nobody")})
		}},
		{Name: "D11/bind what is not there to what is not there", Run: func(s *S) {
			s.Connect().Channel().Do(&wire.ExchangeBind{Source: s.Name("a"), Destination: s.Name("b")})
		}},
		{Name: "D11/bind twice", Run: func(s *S) {
			ch := s.Connect().Channel()
			bind := &wire.ExchangeBind{Source: ch.Exchange("a", "fanout", nil), Destination: ch.Exchange("b", "fanout", nil)}
			ch.Do(bind)
			ch.Do(bind)
		}},
		{Name: "D11/unbind", Run: func(s *S) {
			ch := s.Connect().Channel()
			a, b := ch.Exchange("a", "fanout", nil), ch.Exchange("b", "fanout", nil)
			q := ch.Queue("q", nil)
			ch.Bind(q, b, "", nil)
			ch.Do(&wire.ExchangeBind{Source: a, Destination: b, RoutingKey: "k"})
			ch.Do(&wire.ExchangeUnbind{Source: a, Destination: b, RoutingKey: "k"})
			s.PutWith(a, "k", P{}, "lost")
			count(ch, q)
		}},
		{Name: "D11/unbind what is not bound", Run: func(s *S) {
			ch := s.Connect().Channel()
			ch.Do(&wire.ExchangeUnbind{Source: ch.Exchange("a", "fanout", nil), Destination: ch.Exchange("b", "fanout", nil)})
		}},
		{Name: "D11/unbind from an exchange that is not there", Run: func(s *S) {
			ch := s.Connect().Channel()
			ch.Do(&wire.ExchangeUnbind{Source: s.Name("nobody"), Destination: ch.Exchange("b", "fanout", nil)})
		}},
		{Name: "D11/bind and unbind without waiting", Run: func(s *S) {
			ch := s.Connect().Channel()
			a, b := ch.Exchange("a", "fanout", nil), ch.Exchange("b", "fanout", nil)
			ch.Send(&wire.ExchangeBind{Source: a, Destination: b, NoWait: true})
			ch.Quiet()
			ch.Do(&wire.ExchangeDelete{Exchange: a, IfUnused: true})
		}},
	}
}

// identicalBindings is D12 and D16: what one binding is, and the exchanges that are there.
func identicalBindings() []Scenario {
	return []Scenario{
		{Name: "D12/bindings that differ in their arguments alone", Run: func(s *S) {
			ch := s.Connect().Channel()
			x, q := ch.Exchange("x", "direct", nil), ch.Queue("q", nil)
			ch.Bind(q, x, "k", nil)
			ch.Bind(q, x, "k", T{"an": "argument"})
			s.PutWith(x, "k", P{}, "one copy")
			ch.Await(q, 1, 0)
			ch.Do(&wire.QueueUnbind{Queue: q, Exchange: x, RoutingKey: "k"})
			s.PutWith(x, "k", P{}, "the other binding")
			ch.Await(q, 2, 0)
			ch.Do(&wire.QueueUnbind{Queue: q, Exchange: x, RoutingKey: "k", Arguments: T{"an": "argument"}})
			s.PutWith(x, "k", P{}, "lost")
			count(ch, q)
		}},
		{Name: "D12/one copy however many bindings match", Kinds: Everywhere(), Run: func(s *S) {
			ch := s.Connect().Channel()
			x, q := ch.Exchange("x", "topic", nil), ch.Queue("q", nil)
			for _, key := range []string{"#", "a.*", "a.b", "*.b", "a.#"} {
				ch.Bind(q, x, key, nil)
			}
			s.PutWith(x, "a.b", P{}, "once")
			ch.Await(q, 1, 0)
		}},
		{Name: "D16/what every virtual host has", Run: func(s *S) {
			ch := s.Connect(VHost(s.VHost("v"))).Channel()
			for _, x := range []struct{ name, kind string }{
				{"amq.direct", "direct"}, {"amq.fanout", "fanout"}, {"amq.topic", "topic"}, {"amq.headers", "headers"}, {"amq.match", "headers"},
			} {
				ch.Do(&wire.ExchangeDeclare{Exchange: x.name, Type: x.kind, Durable: true})
			}
			ch.Do(&wire.ExchangeDeclare{Exchange: "amq.rabbitmq.trace", Type: "topic", Durable: true, Internal: true})
		}},
		{Name: "D16/the exchange of traces is internal", Run: func(s *S) {
			ch := s.Connect().Channel()
			ch.Publish("amq.rabbitmq.trace", "key", P{}, "hello")
			ch.Expect()
		}},
	}
}

// softTypeSource is where an exchange type that is refused closes the channel alone.
const softTypeSource = "rabbit_exchange.erl check_type/1 (v4.x): precondition_failed"

// softType makes 3.10's end of the connection by an exchange type an end of the channel.
func softType(line string) string {
	if strings.HasSuffix(line, "< socket closed") {
		return ""
	}
	return strings.Replace(line, "c1 < connection.close 503 \"COMMAND_INVALID", "c1.1 < channel.close 406 \"PRECONDITION_FAILED", 1)
}

// inequivalentExchanges are redeclarations that differ in one thing (D1).
func inequivalentExchanges() (list []Scenario) {
	for _, c := range []struct {
		what   string
		change func(*wire.ExchangeDeclare)
	}{
		{"type", func(x *wire.ExchangeDeclare) { x.Type = "fanout" }},
		{"durable", func(x *wire.ExchangeDeclare) { x.Durable = true }},
		{"auto_delete", func(x *wire.ExchangeDeclare) { x.AutoDelete = true }},
		{"internal", func(x *wire.ExchangeDeclare) { x.Internal = true }},
		{"all", func(x *wire.ExchangeDeclare) { x.Type, x.Durable, x.AutoDelete, x.Internal = "topic", true, true, true }},
	} {
		list = append(list, Scenario{Name: fmt.Sprintf("D1,A1/redeclare with another %s", c.what), Run: func(s *S) {
			ch := s.Connect().Channel()
			first := wire.ExchangeDeclare{Exchange: s.Name("x"), Type: "direct"}
			ch.Do(&first)
			c.change(&first)
			ch.Do(&first)
		}})
	}
	return list
}
