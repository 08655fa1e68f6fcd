package scenarios

import (
	"maps"

	"github.com/warrenmq/warren/broker/wire"

	. "github.com/warrenmq/warren/test/compat/diff"
)

// differences is section Q: where Warren differs on purpose, and what rests on
// it: rows E5, E6, E13 and E15.
func differences() []Scenario {
	all := append(refusedOfQuorum(), flagsOfQuorum()...)
	all = append(append(all, ownTypes()...), transientQueues("", asTold)...)
	return append(append(all, transientQueues(", as a quorum queue", asQuorum)...), []Scenario{
		{Name: "Q4,H20/recover without requeue delivers to the same consumer", Differs: "Q4", Delta: `
			- c1 < connection.close 540 "NOT_IMPLEMENTED - requeue=false" (60,110)
			- c1 < socket closed
			- stopped: c1 is closed
			+ c1.1 < basic.recover-ok
			+ c1.1 < basic.deliver consumer-tag=tag delivery-tag=2 redelivered exchange="" routing-key=q "1"
			+ c1.1 > basic.ack delivery-tag=2
			+ c1.1 quiet`, Run: func(s *S) {
			ch := s.Connect().Channel()
			q := ch.Queue("q", nil)
			ch.Consume(q, "tag", nil)
			s.Put(q, "1")
			ch.Expect()
			ch.Do(&wire.BasicRecover{Requeue: false})
			ch.Ack(ch.Expect().Tag())
			ch.Quiet(q)
		}},
		{Name: "Q8,J9/dead letters reach every queue that they are routed to", Kinds: Everywhere(), Run: func(s *S) {
			ch := s.Connect().Channel()
			x := ch.Exchange("x", "fanout", nil)
			a, b := ch.Queue("a", nil), ch.Queue("b", nil)
			ch.Bind(a, x, "", nil)
			ch.Bind(b, x, "", nil)
			q := ch.Queue("q", T{"x-dead-letter-exchange": x, "x-max-length": int32(1)})
			s.Put(q, "1", "2", "3", "4", "5")
			ch.Await(a, 4, 0)
			ch.Await(b, 4, 0)
			ch.Await(q, 1, 0)
		}},
	}...)
}

// asTold declares a queue without a type.
func asTold(s *S, ch *Channel, m wire.QueueDeclare) (queue string) {
	return ch.Do(&m).Queue()
}

// transientQueues is Q2, of queues that are declared without a type, or as
// quorum queues on Warren.
func transientQueues(typed string, declare func(*S, *Channel, wire.QueueDeclare) string) []Scenario {
	return []Scenario{
		{Name: "Q2,E6/a queue that is neither durable nor exclusive" + typed, Run: func(s *S) {
			q := s.Name("q")
			ch := s.Connect().Channel()
			declare(s, ch, wire.QueueDeclare{Queue: q})
			s.Put(q, "1", "2")
			other := s.Connect().Channel()
			declare(s, other, wire.QueueDeclare{Queue: q})
			other.Await(q, 2, 0)
			other.Consume(q, "tag", nil)
			other.Ack(other.Expect().Tag())
			other.Ack(other.Expect().Tag())
			ch.Conn().Close()
			other.Quiet(q)
		}},
		{Name: "Q2,E6/it outlives its connection" + typed, Run: func(s *S) {
			q := s.Name("q")
			ch := s.Connect().Channel()
			declare(s, ch, wire.QueueDeclare{Queue: q})
			s.Put(q, "1")
			ch.Await(q, 1, 0)
			ch.Conn().Close()
			s.Connect().Channel().Get(q)
		}},
		{Name: "Q2,E6,E4/a reply queue as Celery's" + typed, Run: func(s *S) {
			q := s.Name("reply.celery.pidbox")
			ch := s.Connect().Channel()
			declare(s, ch, wire.QueueDeclare{Queue: q, AutoDelete: true, Arguments: T{"x-expires": int32(10000), "x-message-ttl": int32(300000)}})
			ch.Bind(q, ch.Exchange("reply", "direct", nil), q, nil)
			ch.ConsumeNoAck(q, "tag", nil)
			s.PutWith(s.Name("reply"), q, P{}, "pong")
			ch.Expect()
			ch.Do(&wire.BasicCancel{ConsumerTag: "tag"})
			ch.Do(&wire.QueueDeclare{Queue: q, Passive: true})
		}},
		{Name: "Q2,E6/redeclared as durable" + typed, Run: func(s *S) {
			ch := s.Connect().Channel()
			declare(s, ch, wire.QueueDeclare{Queue: s.Name("q")})
			declare(s, ch, wire.QueueDeclare{Queue: s.Name("q"), Durable: true})
		}},
	}
}

// refusedOfQuorum is what RabbitMQ refuses a quorum queue, and Warren accepts.
func refusedOfQuorum() (list []Scenario) {
	for _, c := range []struct {
		rows, what, refused string
		m                   wire.QueueDeclare
	}{
		{"Q1,E5", "exclusive", `406 "PRECONDITION_FAILED - invalid property 'exclusive-owner' for queue 'q' in vhost '/'"`, wire.QueueDeclare{Durable: true, Exclusive: true}},
		{"Q1,E5", "non-durable", `406 "PRECONDITION_FAILED - invalid property 'non-durable' for queue 'q' in vhost '/'"`, wire.QueueDeclare{}},
		{"Q1,E4", "auto-delete", `406 "PRECONDITION_FAILED - invalid property 'auto-delete' for queue 'q' in vhost '/'"`, wire.QueueDeclare{Durable: true, AutoDelete: true}},
		{"Q1,E13,E22", "with priorities", `406 "PRECONDITION_FAILED - invalid arg 'x-max-priority' for queue 'q' in vhost '/' of queue type rabbit_quorum_queue"`, wire.QueueDeclare{Durable: true, Arguments: T{"x-max-priority": int32(5)}}},
		{"Q1,E13,E24", "with x-queue-mode", `406 "PRECONDITION_FAILED - invalid arg 'x-queue-mode' for queue 'q' in vhost '/' of queue type rabbit_quorum_queue"`, wire.QueueDeclare{Durable: true, Arguments: T{"x-queue-mode": "lazy"}}},
	} {
		m := c.m
		m.Arguments = T{"x-queue-type": "quorum"}
		maps.Copy(m.Arguments, c.m.Arguments)
		list = append(list, Scenario{Name: c.rows + "/a quorum queue that is " + c.what, Differs: "Q1", Delta: `
			- c1.1 < channel.close ` + c.refused + ` (50,10)
			+ c1.1 < queue.declare-ok queue=q message-count=0 consumer-count=0`, Run: func(s *S) {
			d := m
			d.Queue = s.Name("q")
			s.Connect().Channel().Do(&d)
		}})
	}
	return append(list, Scenario{Name: "Q1,E7/a quorum queue that the server names", Differs: "Q1", Delta: `
			- c1.1 < channel.close 406 "PRECONDITION_FAILED - Cannot declare a server-named queue for type rabbit_quorum_queue" (50,10)
			+ c1.1 < queue.declare-ok queue=amq.gen-<1> message-count=0 consumer-count=0`, Run: func(s *S) {
		it := s.Connect().Channel().Do(&wire.QueueDeclare{Durable: true, Arguments: T{"x-queue-type": "quorum"}})
		if q := it.Queue(); q != "" {
			s.Cleanup(func() { s.Connect().Channel().Do(&wire.QueueDelete{Queue: q}) })
		}
	}})
}

// asQuorum declares a queue that is a quorum queue by its name on Warren and
// classic on RabbitMQ: all that follows has to be the same.
func asQuorum(s *S, ch *Channel, m wire.QueueDeclare) (queue string) {
	args := T{}
	maps.Copy(args, m.Arguments)
	if s.OnWarren() {
		args["x-queue-type"] = "quorum"
	}
	what := m
	m.Arguments = args
	var it Item
	s.Silently(func() { it = ch.Do(&m) })
	s.Record("declare %q durable=%v exclusive=%v auto-delete=%v: %d", it.Queue(), what.Durable, what.Exclusive, what.AutoDelete, it.Code())
	return it.Queue()
}

// flagsOfQuorum is Q1: what is accepted works as for a classic queue.
func flagsOfQuorum() []Scenario {
	return []Scenario{
		{Name: "Q1,E3,E5/an exclusive quorum queue is its connection's", Run: func(s *S) {
			c := s.Connect()
			ch := c.Channel()
			q := asQuorum(s, ch, wire.QueueDeclare{Queue: s.Name("q"), Durable: true, Exclusive: true})
			ch.Publish("", q, P{}, "1")
			ch.Await(q, 1, 0)
			s.Connect().Channel().Get(q)
			ch.Get(q)
			c.Close()
			s.Connect().Channel().Do(&wire.QueueDeclare{Queue: q, Passive: true})
		}},
		{Name: "Q1,E4/an auto-delete quorum queue goes with its last consumer", Run: func(s *S) {
			ch := s.Connect().Channel()
			q := asQuorum(s, ch, wire.QueueDeclare{Queue: s.Name("q"), Durable: true, AutoDelete: true})
			ch.Consume(q, "a", nil)
			ch.Consume(q, "b", nil)
			ch.Do(&wire.BasicCancel{ConsumerTag: "a"})
			ch.Do(&wire.QueueDeclare{Queue: q, Passive: true})
			ch.Do(&wire.BasicCancel{ConsumerTag: "b"})
			ch.Do(&wire.QueueDeclare{Queue: q, Passive: true})
		}},
		{Name: "Q1,E5,E6/a quorum queue that is not durable", Run: func(s *S) {
			q := asQuorum(s, s.Connect().Channel(), wire.QueueDeclare{Queue: s.Name("q")})
			s.Put(q, "1", "2")
			other := s.Connect().Channel()
			other.Await(q, 2, 0)
			other.Get(q)
			other.Do(&wire.QueueDelete{Queue: q})
		}},
		{Name: "Q1,E7/a quorum queue with a name of the server's, exclusive and auto-delete", Run: func(s *S) {
			ch := s.Connect().Channel()
			q := asQuorum(s, ch, wire.QueueDeclare{Exclusive: true, AutoDelete: true})
			ch.Consume(q, "tag", nil)
			ch.Publish("", q, P{}, "1")
			ch.Ack(ch.Expect().Tag())
			ch.Do(&wire.BasicCancel{ConsumerTag: "tag"})
			ch.Do(&wire.QueueDeclare{Queue: q, Passive: true})
		}},
		{Name: "Q1,E13,E22,J11/priorities of a quorum queue", Run: func(s *S) {
			ch := s.Connect().Channel()
			q := asQuorum(s, ch, wire.QueueDeclare{Queue: s.Name("q"), Durable: true, Arguments: T{"x-max-priority": int32(5)}})
			for i, p := range []uint8{0, 3, 9, 5, 1} {
				s.PutWith("", q, P{Priority: p}, string(rune('a'+i)))
			}
			ch.Await(q, 5, 0)
			for range 5 {
				ch.GetNoAck(q)
			}
		}},
		{Name: "Q1,E2/flags of a quorum queue are compared", Run: func(s *S) {
			ch := s.Connect().Channel()
			q := asQuorum(s, ch, wire.QueueDeclare{Queue: s.Name("q"), Durable: true, AutoDelete: true})
			asQuorum(s, ch, wire.QueueDeclare{Queue: q, Durable: true, AutoDelete: true})
			asQuorum(s, ch, wire.QueueDeclare{Queue: q, Durable: true})
		}},
		{Name: "Q1,E23,H21/a single active consumer of an exclusive quorum queue", Run: func(s *S) {
			ch := s.Connect().Channel()
			q := asQuorum(s, ch, wire.QueueDeclare{Queue: s.Name("q"), Exclusive: true, Arguments: T{"x-single-active-consumer": true}})
			ch.Qos(1)
			ch.Consume(q, "first", nil)
			ch.Consume(q, "second", nil)
			ch.Publish("", q, P{}, "1")
			ch.Expect()
			ch.Do(&wire.BasicCancel{ConsumerTag: "first"})
			ch.Publish("", q, P{}, "2")
			ch.Expect()
		}},
		{Name: "Q1,H14,Q3/a prefetch of the channel and a quorum queue", Kinds: []Kind{Quorum}, Run: func(s *S) {
			ch := s.Connect().Channel()
			q := ch.Queue("q", nil)
			s.Put(q, "1", "2", "3")
			ch.Await(q, 3, 0)
			ch.Do(&wire.BasicQos{PrefetchCount: 1, Global: true})
			ch.Consume(q, "a", nil)
			ch.Consume(q, "b", nil)
			tag := ch.Expect().Tag()
			ch.Quiet(q)
			ch.Ack(tag)
			ch.Expect()
		}},
		{Name: "Q1,F6/a quorum queue is deleted if it is unused and empty", Kinds: []Kind{Quorum}, Run: func(s *S) {
			ch := s.Connect().Channel()
			q := ch.Queue("q", nil)
			ch.Do(&wire.QueueDelete{Queue: q, IfUnused: true, IfEmpty: true})
			ch.Do(&wire.QueueDeclare{Queue: q, Passive: true})
		}},
	}
}

// defaultType is where a virtual host's type of queues is from.
const defaultType = "rabbit_vhost.erl and rabbit_channel.erl, augment_declare_args/5 (main 5b09e55)"

// ownTypes is E13, E15, E26, E27 and E33: types of queues and their arguments.
func ownTypes() (list []Scenario) {
	for _, c := range []struct {
		rows, name string
		value      any
	}{
		{"E33", "x-max-in-memory-length", int32(10)},
		{"E33", "x-max-in-memory-bytes", int32(1000)},
		{"E27", "x-quorum-initial-group-size", int32(3)},
		{"E26", "x-queue-leader-locator", "client-local"},
		{"E26", "x-queue-leader-locator", "balanced"},
		{"E30,E13", "x-delivery-limit", int32(5)},
	} {
		name := c.name
		if v, ok := c.value.(string); ok {
			name += " " + v
		}
		list = append(list, Scenario{Name: c.rows + "/a quorum queue with " + name, Kinds: []Kind{RealQuorum}, Run: func(s *S) {
			ch := s.Connect().Channel()
			q := ch.Queue("q", T{c.name: c.value})
			ch.Queue("q", T{c.name: c.value})
			s.Put(q, "1", "2")
			ch.Await(q, 2, 0)
			ch.GetNoAck(q)
		}})
	}
	for _, c := range []struct {
		name  string
		value any
	}{
		{"x-delivery-limit", int32(5)}, {"x-dead-letter-strategy", "at-most-once"}, {"x-quorum-initial-group-size", int32(3)}, {"x-max-in-memory-length", int32(5)},
	} {
		list = append(list, Scenario{Name: "E13/a queue that is no quorum queue with " + c.name, Kinds: []Kind{Classic, Transient}, Differs: "E13", Delta: `
		- c1.1 < channel.close 406 "PRECONDITION_FAILED - invalid arg '` + c.name + `' for queue 'q' in vhost '/' of queue type rabbit_classic_queue" (50,10)
		+ c1.1 < queue.declare-ok queue=q message-count=0 consumer-count=0`, Run: func(s *S) {
			s.Connect().Channel().Queue("q", T{c.name: c.value})
		}})
	}
	return append(list, Scenario{Name: "E15,K6/a virtual host's type of queues", Source: defaultType, Want: `
		virtual host v
		PUT /api/vhosts/v -> 204
		c1 connects vhost=v
		c1.1 > queue.declare queue=q durable
		c1.1 < queue.declare-ok queue=q message-count=0 consumer-count=0
		c1.1 > queue.declare queue=q durable
		c1.1 < queue.declare-ok queue=q message-count=0 consumer-count=0
		c1.1 > queue.declare queue=q durable arguments={x-queue-type=S:quorum}
		c1.1 < queue.declare-ok queue=q message-count=0 consumer-count=0
		c1.1 > queue.declare queue=q durable arguments={x-queue-type=S:classic}
		c1.1 < channel.close 406 "PRECONDITION_FAILED - inequivalent arg 'x-queue-type' for queue 'q' in vhost 'v': received 'classic' but current is 'quorum'" (50,10)`, Run: func(s *S) {
		v := s.VHost("v")
		s.HTTP("PUT", "/api/vhosts/"+v, T{"default_queue_type": "quorum"})
		ch := s.Connect(VHost(v)).Channel()
		for _, args := range []T{nil, nil, {"x-queue-type": "quorum"}, {"x-queue-type": "classic"}} {
			ch.Do(&wire.QueueDeclare{Queue: s.Name("q"), Durable: true, Arguments: args})
		}
	}}, Scenario{Name: "E15,K6/flags that its type of queues cannot have", Source: defaultType, Want: `
		virtual host v
		PUT /api/vhosts/v -> 204
		c1 connects vhost=v
		c1.1 > queue.declare queue=q exclusive
		c1.1 < queue.declare-ok queue=q message-count=0 consumer-count=0
		c1.1 > queue.declare queue=q exclusive arguments={x-queue-type=S:classic}
		c1.1 < queue.declare-ok queue=q message-count=0 consumer-count=0`, Run: func(s *S) {
		v := s.VHost("v")
		s.HTTP("PUT", "/api/vhosts/"+v, T{"default_queue_type": "quorum"})
		ch := s.Connect(VHost(v)).Channel()
		ch.Do(&wire.QueueDeclare{Queue: s.Name("q"), Exclusive: true})
		ch.Do(&wire.QueueDeclare{Queue: s.Name("q"), Exclusive: true, Arguments: T{"x-queue-type": "classic"}})
	}})
}
