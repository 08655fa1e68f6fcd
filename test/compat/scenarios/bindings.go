package scenarios

import (
	"slices"

	"github.com/warrenmq/warren/broker/wire"

	. "github.com/warrenmq/warren/test/compat/diff"
)

// bindings is section F: bindings of queues, purge and delete.
func bindings() []Scenario {
	return slices.Concat(queueBindings(), purgesAndDeletes(), deletedQueues())
}

// queueBindings is F1 to F4: queue.bind and unbind.
func queueBindings() []Scenario {
	return []Scenario{
		{Name: "F1/bind to an exchange that is not there", Run: func(s *S) {
			ch := s.Connect().Channel()
			ch.Bind(ch.Queue("q", nil), s.Name("nobody"), "k", nil)
		}},
		{Name: "F1/bind a queue that is not there", Run: func(s *S) {
			ch := s.Connect().Channel()
			ch.Bind(s.Name("nobody"), ch.Exchange("x", "direct", nil), "k", nil)
		}},
		{Name: "F1/bind nothing to nothing", Run: func(s *S) {
			s.Connect().Channel().Bind(s.Name("q"), s.Name("x"), "k", nil)
		}},
		{Name: "F1/bind twice", Kinds: Everywhere(), Run: func(s *S) {
			ch := s.Connect().Channel()
			x, q := ch.Exchange("x", "direct", nil), ch.Queue("q", nil)
			ch.Bind(q, x, "k", nil)
			ch.Bind(q, x, "k", nil)
			s.PutWith(x, "k", P{}, "once")
			ch.Await(q, 1, 0)
			ch.Do(&wire.QueueUnbind{Queue: q, Exchange: x, RoutingKey: "k"})
			s.PutWith(x, "k", P{}, "lost")
			count(ch, q)
		}},
		{Name: "F1/bind without waiting", Run: func(s *S) {
			ch := s.Connect().Channel()
			x, q := ch.Exchange("x", "direct", nil), ch.Queue("q", nil)
			ch.Send(&wire.QueueBind{Queue: q, Exchange: x, RoutingKey: "k", NoWait: true})
			ch.Quiet()
			s.PutWith(x, "k", P{}, "hello")
			ch.Await(q, 1, 0)
		}},
		{Name: "F1/a binding of another connection works at once", Kinds: Everywhere(), Run: func(s *S) {
			ch := s.Connect().Channel()
			x, q := ch.Exchange("x", "direct", nil), ch.Queue("q", nil)
			other := s.Connect().Channel()
			other.Bind(q, x, "k", nil)
			ch.Confirm()
			ch.PublishWith(&wire.BasicPublish{Exchange: x, RoutingKey: "k", Mandatory: true}, P{}, "hello")
			ch.Confirms(1)
			ch.Await(q, 1, 0)
		}},
		{Name: "F2/unbind what is not bound", Run: func(s *S) {
			ch := s.Connect().Channel()
			ch.Do(&wire.QueueUnbind{Queue: ch.Queue("q", nil), Exchange: ch.Exchange("x", "direct", nil), RoutingKey: "k"})
		}},
		{Name: "F2/unbind from an exchange that is not there", Run: func(s *S) {
			ch := s.Connect().Channel()
			ch.Do(&wire.QueueUnbind{Queue: ch.Queue("q", nil), Exchange: s.Name("nobody"), RoutingKey: "k"})
		}},
		{Name: "F2/unbind a queue that is not there", Run: func(s *S) {
			ch := s.Connect().Channel()
			ch.Do(&wire.QueueUnbind{Queue: s.Name("nobody"), Exchange: ch.Exchange("x", "direct", nil), RoutingKey: "k"})
		}},
		{Name: "F4/a headers exchange refuses a binding", Kinds: Everywhere(), Run: func(s *S) {
			ch := s.Connect().Channel()
			ch.Bind(ch.Queue("q", nil), "amq.headers", "", T{"x-match": "both"})
		}},
	}
}

// purgesAndDeletes is F5 and F6: purge and delete.
func purgesAndDeletes() []Scenario {
	return []Scenario{
		{Name: "F5/purge counts and drops what is ready", Kinds: Everywhere(), Run: func(s *S) {
			ch := s.Connect().Channel()
			q := ch.Queue("q", nil)
			s.Put(q, "a", "b", "c")
			ch.Await(q, 3, 0)
			tag := ch.Get(q).Tag()
			ch.Do(&wire.QueuePurge{Queue: q})
			ch.Nack(tag, true)
			ch.Await(q, 1, 0)
			ch.Get(q)
		}},
		{Name: "F5/purge of an empty queue", Kinds: Everywhere(), Run: func(s *S) {
			ch := s.Connect().Channel()
			ch.Do(&wire.QueuePurge{Queue: ch.Queue("q", nil)})
		}},
		{Name: "F5/purge of nothing", Run: func(s *S) {
			s.Connect().Channel().Do(&wire.QueuePurge{Queue: s.Name("nobody")})
		}},
		{Name: "F5/purge without waiting", Run: func(s *S) {
			ch := s.Connect().Channel()
			q := ch.Queue("q", nil)
			s.Put(q, "a")
			ch.Await(q, 1, 0)
			ch.Send(&wire.QueuePurge{Queue: q, NoWait: true})
			count(ch, q)
		}},
		{Name: "F6/delete counts what was ready", Kinds: Everywhere(), Run: func(s *S) {
			ch := s.Connect().Channel()
			q := ch.Queue("q", nil)
			s.Put(q, "a", "b")
			ch.Await(q, 2, 0)
			ch.Do(&wire.QueueDelete{Queue: q})
			ch.Do(&wire.QueueDeclare{Queue: q, Passive: true})
		}},
		{Name: "F6/delete of nothing", Run: func(s *S) {
			s.Connect().Channel().Do(&wire.QueueDelete{Queue: s.Name("nobody")})
		}},
		{Name: "F6/delete of nothing, if unused and empty", Run: func(s *S) {
			s.Connect().Channel().Do(&wire.QueueDelete{Queue: s.Name("nobody"), IfUnused: true, IfEmpty: true})
		}},
		{Name: "F6,Q1/delete if unused what is used", Kinds: Everywhere(), Run: func(s *S) {
			ch := s.Connect().Channel()
			q := ch.Queue("q", nil)
			s.Connect().Channel().Consume(q, "tag", nil)
			ch.Do(&wire.QueueDelete{Queue: q, IfUnused: true})
		}},
		{Name: "F6,Q1/delete if unused what nobody uses", Kinds: Everywhere(), Run: func(s *S) {
			ch := s.Connect().Channel()
			q := ch.Queue("q", nil)
			s.Put(q, "a")
			ch.Await(q, 1, 0)
			ch.Do(&wire.QueueDelete{Queue: q, IfUnused: true})
		}},
		{Name: "F6,Q1/delete if empty what is not", Kinds: Everywhere(), Run: func(s *S) {
			ch := s.Connect().Channel()
			q := ch.Queue("q", nil)
			s.Put(q, "a")
			ch.Await(q, 1, 0)
			ch.Do(&wire.QueueDelete{Queue: q, IfEmpty: true})
		}},
		{Name: "F6,Q1/delete if empty what is", Kinds: Everywhere(), Run: func(s *S) {
			ch := s.Connect().Channel()
			q := ch.Queue("q", nil)
			s.Connect().Channel().Consume(q, "tag", nil)
			ch.Do(&wire.QueueDelete{Queue: q, IfEmpty: true})
		}},
		{Name: "F6/delete if empty what is all unacknowledged", Kinds: Everywhere(), Run: func(s *S) {
			ch := s.Connect().Channel()
			q := ch.Queue("q", nil)
			s.Put(q, "a")
			ch.Await(q, 1, 0)
			ch.Get(q)
			s.Connect().Channel().Do(&wire.QueueDelete{Queue: q, IfEmpty: true})
		}},
		{Name: "F6/delete without waiting", Run: func(s *S) {
			ch := s.Connect().Channel()
			q := ch.Queue("q", nil)
			ch.Send(&wire.QueueDelete{Queue: q, NoWait: true})
			ch.Quiet()
			ch.Do(&wire.QueueDeclare{Queue: q, Passive: true})
		}},
	}
}

// deletedQueues is F7 and F8: what goes with a queue.
func deletedQueues() []Scenario {
	return []Scenario{
		{Name: "F7,H12/consumers hear that their queue is deleted", Kinds: Everywhere(), Run: func(s *S) {
			ch := s.Connect().Channel()
			q := ch.Queue("q", nil)
			other := s.Connect().Channel()
			other.Consume(q, "tag", nil)
			ch.Do(&wire.QueueDelete{Queue: q})
			other.Expect()
			other.Quiet()
		}},
		{Name: "F7,H12,B4/consumers without the capability do not", Kinds: Everywhere(), Run: func(s *S) {
			ch := s.Connect().Channel()
			q := ch.Queue("q", nil)
			other := s.Connect(Without("consumer_cancel_notify")).Channel()
			other.Consume(q, "tag", nil)
			ch.Do(&wire.QueueDelete{Queue: q})
			s.Gone(q)
			other.Quiet()
		}},
		{Name: "F7/messages of a deleted queue are not dead-lettered", Kinds: Everywhere(), Run: func(s *S) {
			ch := s.Connect().Channel()
			dead := ch.Queue("dead", nil)
			q := ch.Queue("q", T{"x-dead-letter-exchange": "", "x-dead-letter-routing-key": dead})
			s.Put(q, "a", "b")
			ch.Await(q, 2, 0)
			ch.Do(&wire.QueueDelete{Queue: q})
			count(ch, dead)
		}},
		{Name: "F7/what was delivered before the queue was deleted may be acknowledged", Kinds: Everywhere(), Run: func(s *S) {
			ch := s.Connect().Channel()
			q := ch.Queue("q", nil)
			s.Put(q, "a")
			ch.Await(q, 1, 0)
			tag := ch.Get(q).Tag()
			ch.Do(&wire.QueueDelete{Queue: q})
			ch.Ack(tag)
			ch.Quiet()
		}},
		{Name: "F8/bindings of a deleted queue go with it", Kinds: Everywhere(), Run: func(s *S) {
			ch := s.Connect().Channel()
			x, q := ch.Exchange("x", "direct", nil), ch.Queue("q", nil)
			ch.Bind(q, x, "k", nil)
			ch.Do(&wire.QueueDelete{Queue: q})
			ch.Queue("q", nil)
			ch.Confirm()
			ch.PublishWith(&wire.BasicPublish{Exchange: x, RoutingKey: "k", Mandatory: true}, P{}, "hello")
			ch.ExpectN(2)
		}},
		{Name: "F8/bindings of a deleted exchange go with it", Run: func(s *S) {
			ch := s.Connect().Channel()
			x, y, q := ch.Exchange("x", "fanout", nil), ch.Exchange("y", "fanout", nil), ch.Queue("q", nil)
			ch.Do(&wire.ExchangeBind{Source: x, Destination: y})
			ch.Bind(q, y, "", nil)
			ch.Do(&wire.ExchangeDelete{Exchange: y})
			ch.Exchange("y", "fanout", nil)
			s.PutWith(x, "", P{}, "lost")
			count(ch, q)
		}},
	}
}

// count records how many ready messages and consumers queues have now: for what
// has been confirmed, or has surely not been routed.
func count(ch *Channel, queues ...string) {
	for _, q := range queues {
		ch.Do(&wire.QueueDeclare{Queue: q, Passive: true})
	}
}
