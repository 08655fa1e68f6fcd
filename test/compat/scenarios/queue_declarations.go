package scenarios

import (
	"fmt"
	"slices"
	"strings"

	"github.com/warrenmq/warren/broker/wire"

	. "github.com/warrenmq/warren/test/compat/diff"
)

// queueDeclarations is section E: how queues are declared, E1 to E15 and E36 on.
func queueDeclarations() []Scenario {
	return slices.Concat(inequivalentQueues(), declaredQueues(), exclusiveQueues(), autoDeleteQueues(), queueNames(), queueTypes(), queueLimits())
}

// declaredQueues is E1 and E2: counts and equivalence.
func declaredQueues() []Scenario {
	return []Scenario{
		{Name: "E1/declare counts ready messages and consumers", Kinds: Everywhere(), Run: func(s *S) {
			ch := s.Connect().Channel()
			q := ch.Queue("q", nil)
			s.Put(q, "a", "b", "c")
			ch.Await(q, 3, 0)
			ch.Get(q)
			other := s.Connect().Channel()
			ch.Do(&wire.QueueDeclare{Queue: q, Passive: true})
			other.Qos(1)
			other.Consume(q, "tag", nil)
			other.Expect()
			ch.Do(&wire.QueueDeclare{Queue: q, Passive: true})
		}},
		{Name: "E1/redeclare tells the counts, too", Kinds: Everywhere(), Run: func(s *S) {
			ch := s.Connect().Channel()
			q := ch.Queue("q", nil)
			s.Put(q, "a", "b")
			ch.Await(q, 2, 0)
			ch.Queue("q", nil)
		}},
		{Name: "E1/no-wait has no answer", Kinds: []Kind{Classic}, Run: func(s *S) {
			ch := s.Connect().Channel()
			ch.Send(&wire.QueueDeclare{Queue: s.Name("q"), Durable: true, NoWait: true})
			ch.Quiet()
			ch.Do(&wire.QueueDeclare{Queue: s.Name("q"), Passive: true})
		}},
		{Name: "E1/no-wait that is refused closes the channel", Run: func(s *S) {
			ch := s.Connect().Channel()
			ch.Send(&wire.QueueDeclare{Queue: "amq.nobody", NoWait: true})
			ch.Expect()
		}},
		{Name: "E1/a name of 255 octets", Run: func(s *S) {
			ch := s.Connect().Channel()
			name := strings.Repeat("n", 255-8) + "12345678"
			ch.Do(&wire.QueueDeclare{Queue: name, Exclusive: true})
			ch.Do(&wire.QueueDelete{Queue: name})
		}},
		{Name: "E2/redeclare through another connection", Kinds: Everywhere(), Run: func(s *S) {
			s.Connect().Channel().Queue("q", T{"x-max-length": int32(10)})
			s.Connect().Channel().Queue("q", T{"x-max-length": int32(10)})
		}},
		{Name: "E2/integers of all widths are one type", Run: func(s *S) {
			ch := s.Connect().Channel()
			for _, n := range []any{int8(10), uint8(10), int16(10), uint16(10), int32(10), uint32(10), int64(10)} {
				ch.Queue("q", T{"x-max-length": n})
			}
		}},
		{Name: "E2/unknown arguments are not compared", Run: func(s *S) {
			ch := s.Connect().Channel()
			ch.Queue("q", T{"x-anything": "one"})
			ch.Queue("q", T{"x-anything": "two", "more": true})
			ch.Queue("q", nil)
		}},
		{Name: "E2/no x-queue-type equals classic", Run: func(s *S) {
			ch := s.Connect().Channel()
			ch.Do(&wire.QueueDeclare{Queue: s.Name("q"), Durable: true, Arguments: T{"x-queue-type": "classic"}})
			ch.Do(&wire.QueueDeclare{Queue: s.Name("q"), Durable: true})
		}},
		{Name: "E2/another x-queue-type", Run: func(s *S) {
			ch := s.Connect().Channel()
			ch.Do(&wire.QueueDeclare{Queue: s.Name("q"), Durable: true, Arguments: T{"x-queue-type": "quorum"}})
			ch.Do(&wire.QueueDeclare{Queue: s.Name("q"), Durable: true, Arguments: T{"x-queue-type": "classic"}})
		}},
		{Name: "E2/quorum where it was not said", Run: func(s *S) {
			ch := s.Connect().Channel()
			ch.Do(&wire.QueueDeclare{Queue: s.Name("q"), Durable: true})
			ch.Do(&wire.QueueDeclare{Queue: s.Name("q"), Durable: true, Arguments: T{"x-queue-type": "quorum"}})
		}},
	}
}

// exclusiveQueues is E3: exclusive queues.
func exclusiveQueues() []Scenario {
	return []Scenario{
		{Name: "E3,A1/an exclusive queue is its connection's alone", Run: func(s *S) {
			s.Connect().Channel().Do(&wire.QueueDeclare{Queue: s.Name("q"), Exclusive: true})
			for _, m := range []wire.Method{
				&wire.QueueDeclare{Queue: s.Name("q"), Exclusive: true},
				&wire.QueueDeclare{Queue: s.Name("q")},
				&wire.QueueDeclare{Queue: s.Name("q"), Passive: true},
				&wire.QueueBind{Queue: s.Name("q"), Exchange: "amq.direct", RoutingKey: "k"},
				&wire.QueueUnbind{Queue: s.Name("q"), Exchange: "amq.direct", RoutingKey: "k"},
				&wire.QueuePurge{Queue: s.Name("q")},
				&wire.QueueDelete{Queue: s.Name("q")},
				&wire.BasicGet{Queue: s.Name("q")},
				&wire.BasicConsume{Queue: s.Name("q"), ConsumerTag: "tag"},
			} {
				s.Connect().Channel().Do(m)
			}
		}},
		{Name: "E3/anybody may publish to an exclusive queue", Run: func(s *S) {
			ch := s.Connect().Channel()
			ch.Do(&wire.QueueDeclare{Queue: s.Name("q"), Exclusive: true})
			s.Put(s.Name("q"), "hello")
			ch.Await(s.Name("q"), 1, 0)
			ch.Get(s.Name("q"))
		}},
		{Name: "E3,B24/an exclusive queue goes with its connection", Run: func(s *S) {
			c := s.Connect()
			c.Channel().Do(&wire.QueueDeclare{Queue: s.Name("q"), Exclusive: true, Durable: true})
			c.Close()
			s.Gone(s.Name("q"))
		}},
		{Name: "E3,B24/an exclusive queue goes with a cut connection", Run: func(s *S) {
			c := s.Connect()
			c.Channel().Do(&wire.QueueDeclare{Queue: s.Name("q"), Exclusive: true})
			c.Cut()
			s.Gone(s.Name("q"))
		}},
		{Name: "E3/an exclusive queue outlives its channel", Run: func(s *S) {
			c := s.Connect()
			ch := c.Channel()
			ch.Do(&wire.QueueDeclare{Queue: s.Name("q"), Exclusive: true})
			ch.Close()
			c.Channel().Do(&wire.QueueDeclare{Queue: s.Name("q"), Exclusive: true})
		}},
		{Name: "E3/exclusive declared where it was not", Kinds: Everywhere(), Run: func(s *S) {
			ch := s.Connect().Channel()
			q := ch.Queue("q", nil)
			ch.Do(&wire.QueueDeclare{Queue: q, Exclusive: true, Durable: true})
		}},
	}
}

// autoDeleteQueues is E4: auto-delete queues.
func autoDeleteQueues() []Scenario {
	return []Scenario{
		{Name: "E4/an auto-delete queue goes with its last consumer", Kinds: Everywhere(), Run: func(s *S) {
			ch := s.Connect().Channel()
			ch.Declare(wire.QueueDeclare{Queue: s.Name("q"), AutoDelete: true})
			ch.Consume(s.Name("q"), "a", nil)
			ch.Consume(s.Name("q"), "b", nil)
			ch.Do(&wire.BasicCancel{ConsumerTag: "a"})
			ch.Do(&wire.QueueDeclare{Queue: s.Name("q"), Passive: true})
			ch.Do(&wire.BasicCancel{ConsumerTag: "b"})
			s.Gone(s.Name("q"))
		}},
		{Name: "E4,B24/an auto-delete queue goes with its consumer's connection", Kinds: Everywhere(), Run: func(s *S) {
			s.Connect().Channel().Declare(wire.QueueDeclare{Queue: s.Name("q"), AutoDelete: true})
			c := s.Connect()
			c.Channel().Consume(s.Name("q"), "a", nil)
			c.Cut()
			s.Gone(s.Name("q"))
		}},
		{Name: "E4/an auto-delete queue that never had a consumer stays", Kinds: Everywhere(), Run: func(s *S) {
			c := s.Connect()
			ch := c.Channel()
			ch.Declare(wire.QueueDeclare{Queue: s.Name("q"), AutoDelete: true})
			s.Put(s.Name("q"), "hello")
			ch.Await(s.Name("q"), 1, 0)
			ch.Get(s.Name("q"))
			c.Close()
			s.Connect().Channel().Await(s.Name("q"), 1, 0)
		}},
		{Name: "E4/an auto-delete queue goes with the messages in it", Kinds: Everywhere(), Run: func(s *S) {
			ch := s.Connect().Channel()
			ch.Declare(wire.QueueDeclare{Queue: s.Name("q"), AutoDelete: true})
			ch.Qos(1)
			ch.Consume(s.Name("q"), "a", nil)
			s.Put(s.Name("q"), "one", "two")
			ch.Expect()
			ch.Do(&wire.BasicCancel{ConsumerTag: "a"})
			s.Gone(s.Name("q"))
		}},
	}
}

// queueNames is E7 to E9: names that the server gives or keeps, and the queue declared last.
func queueNames() []Scenario {
	return []Scenario{
		{Name: "E7/the server names a queue", Run: func(s *S) {
			ch := s.Connect().Channel()
			q := ch.Do(&wire.QueueDeclare{Exclusive: true}).Queue()
			ch.Do(&wire.QueueDeclare{Queue: q, Passive: true})
			ch.Do(&wire.QueueDeclare{Queue: q, Exclusive: true})
		}},
		{Name: "E7/each name is another", Run: func(s *S) {
			ch := s.Connect().Channel()
			a, b := ch.Do(&wire.QueueDeclare{Exclusive: true}).Queue(), ch.Do(&wire.QueueDeclare{Exclusive: true}).Queue()
			s.Record("different: %v, of %d and %d octets", a != b, len(a), len(b))
		}},
		{Name: "E7/a name that the server gave to another connection", Run: func(s *S) {
			c := s.Connect()
			q := c.Channel().Do(&wire.QueueDeclare{Exclusive: true}).Queue()
			s.Connect().Channel().Do(&wire.QueueDeclare{Queue: q, Exclusive: true})
		}},
		{Name: "E7,E8/a name that the server gave is the last one declared", Run: func(s *S) {
			ch := s.Connect().Channel()
			ch.Do(&wire.QueueDeclare{Exclusive: true})
			ch.Do(&wire.QueueBind{Exchange: "amq.direct", RoutingKey: s.Name("k")})
			s.PutWith("amq.direct", s.Name("k"), P{}, "hello")
			ch.Do(&wire.BasicGet{NoAck: true})
		}},
		{Name: "E8/an empty name is the queue declared last", Run: func(s *S) {
			ch := s.Connect().Channel()
			ch.Queue("other", nil)
			ch.Queue("q", nil)
			s.Put(s.Name("q"), "one", "two")
			ch.Await(s.Name("q"), 2, 0)
			ch.Do(&wire.BasicGet{NoAck: true})
			ch.Do(&wire.QueuePurge{})
			ch.Do(&wire.BasicConsume{ConsumerTag: "tag"})
			ch.Do(&wire.QueueDelete{})
			ch.Do(&wire.QueueDeclare{Queue: s.Name("q"), Passive: true})
		}},
		{Name: "E8/a passive declare counts as the last", Run: func(s *S) {
			s.Connect().Channel().Queue("q", nil)
			ch := s.Connect().Channel()
			ch.Do(&wire.QueueDeclare{Queue: s.Name("q"), Passive: true})
			ch.Do(&wire.BasicGet{})
		}},
		{Name: "E8/an empty name and key in a bind", Run: func(s *S) {
			ch := s.Connect().Channel()
			x := ch.Exchange("x", "direct", nil)
			q := ch.Queue("q", nil)
			ch.Do(&wire.QueueBind{Exchange: x})
			s.PutWith(x, q, P{}, "hello")
			ch.Await(q, 1, 0)
		}},
		{Name: "E8/an empty name with a key in a bind", Run: func(s *S) {
			ch := s.Connect().Channel()
			x := ch.Exchange("x", "direct", nil)
			q := ch.Queue("q", nil)
			ch.Do(&wire.QueueBind{Exchange: x, RoutingKey: "key"})
			s.PutWith(x, "key", P{}, "hello")
			ch.Await(q, 1, 0)
		}},
		{Name: "E8/a get without a queue declared before", Run: func(s *S) { s.Connect().Channel().Do(&wire.BasicGet{}) }},
		{Name: "E8/a consume without a queue declared before", Run: func(s *S) { s.Connect().Channel().Do(&wire.BasicConsume{}) }},
		{Name: "E8/a purge without a queue declared before", Run: func(s *S) { s.Connect().Channel().Do(&wire.QueuePurge{}) }},
		{Name: "E8/a delete without a queue declared before", Run: func(s *S) { s.Connect().Channel().Do(&wire.QueueDelete{}) }},
		{Name: "E8/a bind without a queue declared before", Run: func(s *S) {
			s.Connect().Channel().Do(&wire.QueueBind{Exchange: "amq.direct"})
		}},
		{Name: "E8/the last declared is each channel's own", Run: func(s *S) {
			c := s.Connect()
			c.Channel().Queue("q", nil)
			c.Channel().Do(&wire.BasicGet{})
		}},
		{Name: "E9/a reserved name", Run: func(s *S) {
			s.Connect().Channel().Do(&wire.QueueDeclare{Queue: "amq.mine"})
		}},
		{Name: "E9,E10/passive declare of a reserved name that nobody has", Run: func(s *S) {
			s.Connect().Channel().Do(&wire.QueueDeclare{Queue: "amq.mine", Passive: true})
		}},
	}
}

// queueTypes is E10, E14 and E15: passive declares and types.
func queueTypes() []Scenario {
	return []Scenario{
		{Name: "E10/passive declare of nothing", Run: func(s *S) {
			s.Connect().Channel().Do(&wire.QueueDeclare{Queue: s.Name("q"), Passive: true})
		}},
		{Name: "E10/passive declare looks at the name alone", Kinds: Everywhere(), Run: func(s *S) {
			q := s.Connect().Channel().Queue("q", nil)
			s.Connect().Channel().Do(&wire.QueueDeclare{Queue: q, Passive: true, AutoDelete: true, Arguments: T{"x-max-length": int32(5)}})
		}},
		{Name: "E10/passive declare with no-wait", Run: func(s *S) {
			ch := s.Connect().Channel()
			q := ch.Queue("q", nil)
			ch.Send(&wire.QueueDeclare{Queue: q, Passive: true, NoWait: true})
			ch.Quiet()
			ch.Send(&wire.QueueDeclare{Queue: s.Name("nobody"), Passive: true, NoWait: true})
			ch.Expect()
		}},
		{Name: "E14/a queue type that nobody has", Run: func(s *S) {
			s.Connect().Channel().Do(&wire.QueueDeclare{Queue: s.Name("q"), Durable: true, Arguments: T{"x-queue-type": "nonsense"}})
		}},
		{Name: "E14/a queue type that is no text", Run: func(s *S) {
			s.Connect().Channel().Do(&wire.QueueDeclare{Queue: s.Name("q"), Durable: true, Arguments: T{"x-queue-type": int32(1)}})
		}},
		{Name: "E15/classic by its name", Run: func(s *S) {
			ch := s.Connect().Channel()
			ch.Do(&wire.QueueDeclare{Queue: s.Name("q"), Durable: true, Arguments: T{"x-queue-type": "classic"}})
			s.Put(s.Name("q"), "hello")
			ch.Await(s.Name("q"), 1, 0)
			ch.Get(s.Name("q"))
		}},
		{Name: "E15/quorum by its name", Kinds: []Kind{RealQuorum}, Run: func(s *S) {
			ch := s.Connect().Channel()
			q := ch.Queue("q", nil)
			s.Put(q, "one", "two")
			ch.Await(q, 2, 0)
			ch.Get(q)
			ch.Get(q)
			ch.Get(q)
		}},
	}
}

// queueLimits is E36: limits of queues.
func queueLimits() []Scenario {
	return []Scenario{
		{Name: "E36/a limit of queues in a virtual host", Kinds: Everywhere(), Run: func(s *S) {
			v := s.VHost("v")
			ch := s.Connect(VHost(v)).Channel()
			s.HTTP("PUT", "/api/vhost-limits/"+v+"/max-queues", T{"value": 1})
			ch.Declare(wire.QueueDeclare{Queue: "one"})
			ch.Declare(wire.QueueDeclare{Queue: "one"})
			ch.Declare(wire.QueueDeclare{Queue: "two"})
		}},
		{Name: "E36/no queue at all in a virtual host", Kinds: Everywhere(), Run: func(s *S) {
			v := s.VHost("v")
			ch := s.Connect(VHost(v)).Channel()
			s.HTTP("PUT", "/api/vhost-limits/"+v+"/max-queues", T{"value": 0})
			ch.Declare(wire.QueueDeclare{Queue: "one"})
		}},
		{Name: "E36/a limit of queues is taken away", Kinds: Everywhere(), Run: func(s *S) {
			v := s.VHost("v")
			ch := s.Connect(VHost(v)).Channel()
			s.HTTP("PUT", "/api/vhost-limits/"+v+"/max-queues", T{"value": 0})
			s.HTTP("DELETE", "/api/vhost-limits/"+v+"/max-queues", nil)
			ch.Declare(wire.QueueDeclare{Queue: "one"})
		}},
	}
}

// inequivalentQueues are redeclarations that differ in one thing (E2).
func inequivalentQueues() (list []Scenario) {
	for _, c := range []struct {
		what  string
		first T
		again T
	}{
		{"an x-message-ttl where there was none", nil, T{"x-message-ttl": int32(1000)}},
		{"no x-message-ttl where there was one", T{"x-message-ttl": int32(1000)}, nil},
		{"another x-message-ttl", T{"x-message-ttl": int32(1000)}, T{"x-message-ttl": int64(2000)}},
		{"another x-expires", T{"x-expires": int32(100000)}, T{"x-expires": int32(200000)}},
		{"another x-max-length", T{"x-max-length": int32(10)}, T{"x-max-length": int32(20)}},
		{"another x-max-length-bytes", T{"x-max-length-bytes": int32(10)}, T{"x-max-length-bytes": int32(20)}},
		{"another x-overflow", T{"x-overflow": "drop-head"}, T{"x-overflow": "reject-publish"}},
		{"x-overflow where there was none", nil, T{"x-overflow": "drop-head"}},
		{"another x-dead-letter-exchange", T{"x-dead-letter-exchange": "a"}, T{"x-dead-letter-exchange": "b"}},
		{"no x-dead-letter-routing-key", T{"x-dead-letter-exchange": "a", "x-dead-letter-routing-key": "k"}, T{"x-dead-letter-exchange": "a"}},
		{"another x-max-priority", T{"x-max-priority": int32(5)}, T{"x-max-priority": int32(10)}},
		{"another x-single-active-consumer", T{"x-single-active-consumer": true}, T{"x-single-active-consumer": false}},
		{"x-single-active-consumer where there was none", nil, T{"x-single-active-consumer": true}},
		{"an argument of another type", T{"x-max-length": int32(10)}, T{"x-max-length": "10"}},
	} {
		list = append(list, Scenario{Name: "E2/redeclare with " + c.what, Run: func(s *S) {
			ch := s.Connect().Channel()
			ch.Queue("q", c.first)
			ch.Queue("q", c.again)
		}})
	}
	for _, c := range []struct {
		what   string
		change func(*wire.QueueDeclare)
	}{
		{"durable", func(q *wire.QueueDeclare) { q.Durable = false }},
		{"auto_delete", func(q *wire.QueueDeclare) { q.AutoDelete = true }},
		{"both", func(q *wire.QueueDeclare) { q.Durable, q.AutoDelete = false, true }},
	} {
		list = append(list, Scenario{Name: fmt.Sprintf("E2,A1/redeclare with another %s", c.what), Run: func(s *S) {
			ch := s.Connect().Channel()
			declare := &wire.QueueDeclare{Queue: s.Name("q"), Durable: true}
			ch.Do(declare)
			c.change(declare)
			ch.Do(declare)
		}})
	}
	return list
}
