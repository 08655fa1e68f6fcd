package scenarios

import (
	"fmt"
	"slices"

	"github.com/warrenmq/warren/broker/wire"

	. "github.com/warrenmq/warren/test/compat/diff"
)

// exchangeTypes are what the types of section D route.
func exchangeTypes() []Scenario {
	list := []Scenario{
		{Name: "D13/direct compares the whole key", Kinds: Everywhere(), Run: func(s *S) {
			routes(s, "direct", nil, []string{"a", "a.b", "", "#"}, []string{"a", "a.b", "", "#", "b", "a.*"})
		}},
		{Name: "D13/fanout does not look at the key", Run: func(s *S) {
			routes(s, "fanout", nil, []string{"", "a", "b"}, []string{"", "a", "c"})
		}},
		{Name: "D14/topic keys with one star", Run: func(s *S) {
			routes(s, "topic", nil, []string{"*", "a.*", "*.b", "*.*"}, []string{"a", "", "a.b", "a.c", "b", "a.b.c", ".", "a.", ".b"})
		}},
		{Name: "D14/topic keys with hashes", Run: func(s *S) {
			routes(s, "topic", nil, []string{"#", "a.#", "#.b", "a.#.b"}, []string{"", "a", "b", "a.b", "a.x.b", "a.x.y.b", "x", "x.a"})
		}},
		{Name: "D14/topic keys with stars and hashes", Run: func(s *S) {
			routes(s, "topic", nil, []string{"*.#", "#.*", "*.#.*", "#.a.#"}, []string{"", "a", "a.b", "x.a.y", "x.y", "."})
		}},
		{Name: "D14/a star or hash in a word is itself", Run: func(s *S) {
			routes(s, "topic", nil, []string{"a*", "#b", "a.b#", "**"}, []string{"a*", "ab", "#b", "xb", "a.b#", "a.bc", "**", "ab"})
		}},
		{Name: "D14/topic keys of the message are plain words", Run: func(s *S) {
			routes(s, "topic", nil, []string{"a.b", "*.*"}, []string{"a.*", "#", "*.b"})
		}},
		{Name: "D14/empty words count", Run: func(s *S) {
			routes(s, "topic", nil, []string{"a..b", "a.*.b", "..", "*.*.*"}, []string{"a..b", "a.b", "..", "a.x.b"})
		}},
		{Name: "D15/x-match that nobody knows", Run: func(s *S) {
			ch := s.Connect().Channel()
			ch.Bind(ch.Queue("q", nil), ch.Exchange("x", "headers", nil), "", T{"x-match": "most"})
		}},
		{Name: "D15/x-match that is no text", Run: func(s *S) {
			ch := s.Connect().Channel()
			ch.Bind(ch.Queue("q", nil), ch.Exchange("x", "headers", nil), "", T{"x-match": int32(1)})
		}},
		{Name: "D15/the key does not matter to headers", Run: func(s *S) {
			ch := s.Connect().Channel()
			x, q := ch.Exchange("x", "headers", nil), ch.Queue("q", nil)
			ch.Bind(q, x, "some key", T{"a": "1"})
			s.PutWith(x, "another key", P{Headers: T{"a": "1"}}, "hello")
			ch.Await(q, 1, 0)
		}},
		{Name: "D15/a message without headers", Run: func(s *S) {
			ch := s.Connect().Channel()
			x := ch.Exchange("x", "headers", nil)
			all, anyOf, empty := ch.Queue("all", nil), ch.Queue("any", nil), ch.Queue("empty", nil)
			ch.Bind(all, x, "", T{"a": "1"})
			ch.Bind(anyOf, x, "", T{"x-match": "any", "a": "1"})
			ch.Bind(empty, x, "", nil)
			s.PutWith(x, "", P{}, "hello")
			ch.Await(empty, 1, 0)
			count(ch, all, anyOf)
		}},
	}
	list = append(list, headerScenarios()...)
	list = append(list, pluginTypes()...)
	return append(list, delayedScenarios()...)
}

// routes binds one queue to each key and says which of them each published key reaches.
func routes(s *S, kind string, args T, bindings, keys []string) {
	ch := s.Connect().Channel()
	x := ch.Exchange("x", kind, args)
	queues := make([]string, len(bindings))
	for i, key := range bindings {
		queues[i] = ch.Queue(fmt.Sprintf("q%d", i), nil)
		ch.Bind(queues[i], x, key, nil)
	}
	for _, key := range keys {
		s.PutWith(x, key, P{}, "key "+key)
	}
	for i, q := range queues {
		s.Record("queue for %q", bindings[i])
		for ch.GetNoAck(q).Body != nil {
		}
	}
}

// headerScenarios try each x-match with each kind of binding argument (D15).
func headerScenarios() (list []Scenario) {
	bindings := []struct {
		what string
		args T
	}{
		{"nothing", T{}},
		{"two headers", T{"a": "1", "b": int32(2)}},
		{"a void", T{"a": nil}},
		{"an x- header", T{"x-a": "1"}},
		{"an x- header and another", T{"x-a": "1", "b": int32(2)}},
		{"a table", T{"a": T{"k": "v"}}},
		{"a truth", T{"a": true, "b": int32(2)}},
	}
	messages := []T{
		{}, {"a": "1"}, {"a": "1", "b": int32(2)}, {"b": int32(2)}, {"a": "2"}, {"a": nil}, {"x-a": "1"}, {"x-a": "2", "b": int32(2)},
		{"a": T{"k": "v"}}, {"a": true}, {"a": "1", "b": int32(2), "c": "more"},
	}
	for _, match := range []string{"", "all", "any", "all-with-x", "any-with-x"} {
		for _, b := range bindings {
			name := match
			if match == "" {
				name = "no x-match"
			}
			list = append(list, Scenario{Name: fmt.Sprintf("D15/%s with %s", name, b.what), Run: func(s *S) {
				args := T{}
				for k, v := range b.args {
					args[k] = v
				}
				if match != "" {
					args["x-match"] = match
				}
				ch := s.Connect().Channel()
				x, q := ch.Exchange("x", "headers", nil), ch.Queue("q", nil)
				ch.Bind(q, x, "", args)
				for i, h := range messages {
					s.PutWith(x, "", P{Headers: h}, fmt.Sprint("message ", i))
				}
				for ch.GetNoAck(q).Body != nil {
				}
			}})
		}
	}
	return list
}

// pluginTypes are the exchange types that RabbitMQ has in plugins of its own (D17 to D22).
func pluginTypes() []Scenario {
	return slices.Concat(consistentHash(), randomAndHistory())
}

// consistentHash is D17: x-consistent-hash.
func consistentHash() []Scenario {
	return []Scenario{
		{Name: "D17/consistent hash spreads and loses nothing", Run: func(s *S) {
			ch := s.Connect().Channel()
			x := ch.Exchange("x", "x-consistent-hash", nil)
			a, b := ch.Queue("a", nil), ch.Queue("b", nil)
			ch.Bind(a, x, "1", nil)
			ch.Bind(b, x, "1", nil)
			spread(s, ch, x, a, b)
		}},
		{Name: "D17/consistent hash keeps a key at its queue", Run: func(s *S) {
			ch := s.Connect().Channel()
			x := ch.Exchange("x", "x-consistent-hash", nil)
			a, b := ch.Queue("a", nil), ch.Queue("b", nil)
			ch.Bind(a, x, "5", nil)
			ch.Bind(b, x, "5", nil)
			for range 10 {
				s.PutWith(x, "one key", P{}, "hello")
			}
			s.Eventually("all are in one queue", func() bool {
				return counts(ch, a, b) == 10 && (counts(ch, a) == 0 || counts(ch, b) == 0)
			})
		}},
		{Name: "D17/a weight that is no number", Run: func(s *S) {
			ch := s.Connect().Channel()
			ch.Bind(ch.Queue("q", nil), ch.Exchange("x", "x-consistent-hash", nil), "heavy", nil)
		}},
		{Name: "D17/a weight below one", Run: func(s *S) {
			ch := s.Connect().Channel()
			ch.Bind(ch.Queue("q", nil), ch.Exchange("x", "x-consistent-hash", nil), "0", nil)
		}},
		{Name: "D17/hash of a header", Run: func(s *S) {
			ch := s.Connect().Channel()
			x := ch.Exchange("x", "x-consistent-hash", T{"hash-header": "who"})
			a, b := ch.Queue("a", nil), ch.Queue("b", nil)
			ch.Bind(a, x, "5", nil)
			ch.Bind(b, x, "5", nil)
			for i := range 10 {
				s.PutWith(x, fmt.Sprint(i), P{Headers: T{"who": "same"}}, "hello")
			}
			s.Eventually("all are in one queue", func() bool {
				return counts(ch, a, b) == 10 && (counts(ch, a) == 0 || counts(ch, b) == 0)
			})
		}},
		{Name: "D17/hash of a property", Run: func(s *S) {
			ch := s.Connect().Channel()
			x := ch.Exchange("x", "x-consistent-hash", T{"hash-property": "message_id"})
			a, b := ch.Queue("a", nil), ch.Queue("b", nil)
			ch.Bind(a, x, "5", nil)
			ch.Bind(b, x, "5", nil)
			for i := range 10 {
				s.PutWith(x, fmt.Sprint(i), P{MessageID: "same"}, "hello")
			}
			s.Eventually("all are in one queue", func() bool {
				return counts(ch, a, b) == 10 && (counts(ch, a) == 0 || counts(ch, b) == 0)
			})
		}},
		{Name: "D17/hash of an unknown property", Run: func(s *S) {
			s.Connect().Channel().Do(&wire.ExchangeDeclare{Exchange: s.Name("x"), Type: "x-consistent-hash", Arguments: T{"hash-property": "colour"}})
		}},
		{Name: "D17/hash of a header and of a property", Run: func(s *S) {
			s.Connect().Channel().Do(&wire.ExchangeDeclare{Exchange: s.Name("x"), Type: "x-consistent-hash",
				Arguments: T{"hash-header": "who", "hash-property": "message_id"}})
		}},
		{Name: "D17/consistent hash without bindings", Run: func(s *S) {
			ch := s.Connect().Channel()
			x := ch.Exchange("x", "x-consistent-hash", nil)
			ch.Confirm()
			ch.PublishWith(&wire.BasicPublish{Exchange: x, RoutingKey: "k", Mandatory: true}, P{}, "hello")
			ch.ExpectN(2)
		}},
	}
}

// randomAndHistory is D19 to D22: x-random, x-local-random, x-modulus-hash and x-recent-history.
func randomAndHistory() []Scenario {
	return []Scenario{
		{Name: "D19/random reaches one queue", Run: func(s *S) {
			ch := s.Connect().Channel()
			x := ch.Exchange("x", "x-random", nil)
			a, b := ch.Queue("a", nil), ch.Queue("b", nil)
			ch.Bind(a, x, "", nil)
			ch.Bind(b, x, "", nil)
			spread(s, ch, x, a, b)
		}},
		{Name: "D20/local random reaches one local queue, and needs an empty key", Run: func(s *S) {
			var ch *Channel
			var x, q string
			s.Silently(func() {
				ch = s.Connect(Node(1)).Channel()
				x, q = ch.Exchange("x", "x-local-random", nil), ch.Queue("q", nil)
				ch.Bind(q, x, "", nil)
				ch.Publish(x, "any key", P{}, "hello")
			})
			ch.Await(q, 1, 0)
			ch.Bind(q, x, "key", nil)
		}, Want: `eventually queue q has 1 ready, 0 consumers
c1.1 > queue.bind queue=q exchange=x routing-key=key
c1.1 < channel.close 406 "PRECONDITION_FAILED - Non empty binding 'key' key not permitted" (50,20)`,
			Source: "rabbit_exchange_type_local_random.erl (v4.x); Debian's 3.10 has no such type"},
		{Name: "D21/modulus hash keeps a key at its queue", Run: func(s *S) {
			ch := s.Connect().Channel()
			x := ch.Exchange("x", "x-modulus-hash", nil)
			a, b, c := ch.Queue("a", nil), ch.Queue("b", nil), ch.Queue("c", nil)
			for _, q := range []string{a, b, c} {
				ch.Bind(q, x, "", nil)
			}
			for range 6 {
				s.PutWith(x, "one key", P{}, "hello")
			}
			s.Eventually("all are in one queue", func() bool {
				return counts(ch, a) == 6 || counts(ch, b) == 6 || counts(ch, c) == 6
			})
		}},
		{Name: "D22/recent history is replayed to a new binding", Kinds: Everywhere(), Run: func(s *S) {
			ch := s.Connect().Channel()
			x := ch.Exchange("x", "x-recent-history", T{"x-recent-history-length": int64(2)})
			for _, text := range []string{"one", "two", "three"} {
				s.PutWith(x, "key", P{}, text)
			}
			q := ch.Queue("q", nil)
			ch.Bind(q, x, "", nil)
			ch.Await(q, 2, 0)
			s.PutWith(x, "key", P{}, "four")
			ch.Await(q, 3, 0)
			got := []string{}
			s.Silently(func() {
				for range 3 {
					got = append(got, string(ch.GetNoAck(q).Body))
				}
			})
			s.Record("of the history came two, and then %q", got[2])
		}},
		{Name: "D22/recent history leaves out what asks for it", Run: func(s *S) {
			ch := s.Connect().Channel()
			x := ch.Exchange("x", "x-recent-history", nil)
			s.PutWith(x, "key", P{Headers: T{"x-recent-history-no-store": true}}, "not kept")
			s.PutWith(x, "key", P{}, "kept")
			q := ch.Queue("q", nil)
			ch.Bind(q, x, "", nil)
			ch.Await(q, 1, 0)
			ch.Get(q)
		}},
		{Name: "D22/a history of no length", Run: func(s *S) {
			s.Connect().Channel().Do(&wire.ExchangeDeclare{Exchange: s.Name("x"), Type: "x-recent-history", Arguments: T{"x-recent-history-length": int64(0)}})
		}},
	}
}

// delayedScenarios are x-delayed-message (D18), which Debian's RabbitMQ does not have.
func delayedScenarios() []Scenario {
	const (
		exchange = "rabbit_exchange_type_delayed_message.erl of rabbitmq-delayed-message-exchange"
		header   = "rabbit_delayed_message_utils.erl of rabbitmq-delayed-message-exchange"
	)
	return []Scenario{
		{Name: "D18/a delayed message comes when its time has come, its delay negated", Kinds: Everywhere(), Source: header, Run: func(s *S) {
			ch, x, q := delayed(s)
			s.Silently(func() {
				s.PutWith(x, "k", P{Headers: T{"x-delay": int32(900)}}, "late")
				s.PutWith(x, "k", P{}, "at once")
			})
			ch.Await(q, 1, 0)
			ch.Get(q)
			ch.Await(q, 1, 0)
			ch.Get(q)
		}, Want: `eventually queue q has 1 ready, 0 consumers
c1.1 > basic.get queue=q
c1.1 < basic.get-ok delivery-tag=1 exchange=x routing-key=k message-count=0 "at once"
eventually queue q has 1 ready, 0 consumers
c1.1 > basic.get queue=q
c1.1 < basic.get-ok delivery-tag=2 exchange=x routing-key=k message-count=0 headers={x-delay=I:-900} "late"`},
		{Name: "D18/delayed messages come in the order of their times", Source: exchange, Run: func(s *S) {
			ch, x, q := delayed(s)
			s.Silently(func() {
				for _, ms := range []int32{1300, 700, 1000, 400} {
					s.PutWith(x, "k", P{Headers: T{"x-delay": ms}}, fmt.Sprint(ms))
				}
			})
			ch.Await(q, 4, 0)
			for range 4 {
				ch.GetNoAck(q)
			}
		}, Want: `eventually queue q has 4 ready, 0 consumers
c1.1 > basic.get queue=q no-ack
c1.1 < basic.get-ok delivery-tag=1 exchange=x routing-key=k message-count=3 headers={x-delay=I:-400} "400"
c1.1 > basic.get queue=q no-ack
c1.1 < basic.get-ok delivery-tag=2 exchange=x routing-key=k message-count=2 headers={x-delay=I:-700} "700"
c1.1 > basic.get queue=q no-ack
c1.1 < basic.get-ok delivery-tag=3 exchange=x routing-key=k message-count=1 headers={x-delay=I:-1000} "1000"
c1.1 > basic.get queue=q no-ack
c1.1 < basic.get-ok delivery-tag=4 exchange=x routing-key=k message-count=0 headers={x-delay=I:-1300} "1300"`},
		{Name: "D18/a delay of nothing, or that is no number, is none", Source: header, Run: func(s *S) {
			ch, x, q := delayed(s)
			s.Silently(func() {
				s.PutWith(x, "k", P{Headers: T{"x-delay": int32(0)}}, "zero")
				s.PutWith(x, "k", P{Headers: T{"x-delay": int32(-5)}}, "negative")
				s.PutWith(x, "k", P{Headers: T{"x-delay": true}}, "a truth")
			})
			ch.Await(q, 3, 0)
		}, Want: `eventually queue q has 3 ready, 0 consumers`},
		{Name: "D18/the bindings are those of the time when it comes", Source: exchange, Run: func(s *S) {
			ch, x, q := delayed(s)
			s.Silently(func() {
				s.PutWith(x, "later", P{Headers: T{"x-delay": int32(600)}}, "late")
				ch.Bind(q, x, "later", nil)
			})
			ch.Await(q, 1, 0)
		}, Want: `eventually queue q has 1 ready, 0 consumers`},
		{Name: "D18/a delay given as text", Source: header, Run: func(s *S) {
			ch, x, q := delayed(s)
			s.Silently(func() { s.PutWith(x, "k", P{Headers: T{"x-delay": "400"}}, "late") })
			ch.Await(q, 1, 0)
			ch.Get(q)
		}, Want: `eventually queue q has 1 ready, 0 consumers
c1.1 > basic.get queue=q
c1.1 < basic.get-ok delivery-tag=1 exchange=x routing-key=k message-count=0 headers={x-delay=I:-400} "late"`},
		{Name: "D18/a delayed exchange of no type", Source: exchange, Run: func(s *S) {
			var ch *Channel
			s.Silently(func() { ch = s.Connect().Channel() })
			ch.Do(&wire.ExchangeDeclare{Exchange: s.Name("x"), Type: "x-delayed-message"})
		}, Want: `c1.1 > exchange.declare exchange=x type=x-delayed-message
c1.1 < channel.close 406 "PRECONDITION_FAILED - Invalid argument, 'x-delayed-type' must be an existing exchange type" (40,10)`},
		{Name: "D18/a delayed exchange of an unknown type", Source: exchange, Run: func(s *S) {
			var ch *Channel
			s.Silently(func() { ch = s.Connect().Channel() })
			ch.Do(&wire.ExchangeDeclare{Exchange: s.Name("x"), Type: "x-delayed-message", Arguments: T{"x-delayed-type": "x-nobody-has-this"}})
		}, Want: `c1.1 > exchange.declare exchange=x type=x-delayed-message arguments={x-delayed-type=S:x-nobody-has-this}
c1.1 < channel.close 406 "PRECONDITION_FAILED - unknown exchange type 'x-nobody-has-this'" (40,10)`},
	}
}

// delayed makes a delayed direct exchange with a queue that is bound to it by the key k.
func delayed(s *S) (ch *Channel, x, q string) {
	s.Silently(func() {
		ch = s.Connect().Channel()
		x = ch.Exchange("x", "x-delayed-message", T{"x-delayed-type": "direct"})
		q = ch.Queue("q", nil)
		ch.Bind(q, x, "k", nil)
	})
	return ch, x, q
}

// spread publishes twenty messages and says that every one came to one queue alone.
func spread(s *S, ch *Channel, x string, queues ...string) {
	for i := range 20 {
		s.PutWith(x, fmt.Sprint("key ", i), P{}, "hello")
	}
	s.Eventually("each came once", func() bool { return counts(ch, queues...) == 20 })
}

// counts is how many ready messages queues have together.
func counts(ch *Channel, queues ...string) (n int) {
	for _, q := range queues {
		if ok, is := ch.Do(&wire.QueueDeclare{Queue: q, Passive: true}).Method.(*wire.QueueDeclareOk); is {
			n += int(ok.MessageCount)
		}
	}
	return n
}
