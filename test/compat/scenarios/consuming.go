package scenarios

import (
	"fmt"
	"slices"

	"github.com/warrenmq/warren/broker/wire"

	. "github.com/warrenmq/warren/test/compat/diff"
)

// consuming is section H: consumers, prefetch and get.
func consuming() []Scenario {
	return slices.Concat(consumers(), preferredConsumers(), cancels(), prefetches(), gets(), activeConsumers())
}

// consumers is H1 to H4: basic.consume.
func consumers() []Scenario {
	return []Scenario{
		{Name: "H1/consume and acknowledge", Kinds: Everywhere(), Run: func(s *S) {
			ch := s.Connect().Channel()
			q := ch.Queue("q", nil)
			s.Put(q, "one", "two", "three")
			other := s.Connect().Channel()
			other.Consume(q, "tag", nil)
			for range 3 {
				other.Ack(other.Expect().Tag())
			}
			other.Quiet()
			ch.Await(q, 0, 1)
		}},
		{Name: "H1/the server names a consumer", Run: func(s *S) {
			ch := s.Connect().Channel()
			q := ch.Queue("q", nil)
			tag := ch.Do(&wire.BasicConsume{Queue: q}).ConsumerTag()
			s.Put(q, "hello")
			ch.Expect()
			ch.Do(&wire.BasicCancel{ConsumerTag: tag})
		}},
		{Name: "H1/consume from nothing", Run: func(s *S) {
			s.Connect().Channel().Consume(s.Name("nobody"), "tag", nil)
		}},
		{Name: "H1/consume without waiting", Run: func(s *S) {
			ch := s.Connect().Channel()
			q := ch.Queue("q", nil)
			s.Put(q, "hello")
			ch.Send(&wire.BasicConsume{Queue: q, ConsumerTag: "tag", NoWait: true})
			ch.Expect()
		}},
		{Name: "H1/two consumers of one channel", Kinds: Everywhere(), Run: func(s *S) {
			ch := s.Connect().Channel()
			a, b := ch.Queue("a", nil), ch.Queue("b", nil)
			ch.Consume(a, "of a", nil)
			ch.Consume(b, "of b", nil)
			s.Put(a, "to a")
			ch.Expect()
			s.Put(b, "to b")
			ch.Expect()
		}},
		{Name: "H2,A2/a tag in use on the channel", Run: func(s *S) {
			c := s.Connect()
			ch := c.Channel()
			q := ch.Queue("q", nil)
			ch.Consume(q, "tag", nil)
			ch.Consume(q, "tag", nil)
		}},
		{Name: "H2/one tag on two channels", Run: func(s *S) {
			c := s.Connect()
			a, b := c.Channel(), c.Channel()
			q := a.Queue("q", nil)
			a.Consume(q, "tag", nil)
			b.Consume(q, "tag", nil)
		}},
		{Name: "H2/a tag is free again after its cancel", Run: func(s *S) {
			ch := s.Connect().Channel()
			q := ch.Queue("q", nil)
			ch.Consume(q, "tag", nil)
			ch.Do(&wire.BasicCancel{ConsumerTag: "tag"})
			ch.Consume(q, "tag", nil)
			s.Put(q, "hello")
			ch.Expect()
		}},
		{Name: "H4/no_local is ignored", Run: func(s *S) {
			ch := s.Connect().Channel()
			q := ch.Queue("q", nil)
			ch.Do(&wire.BasicConsume{Queue: q, ConsumerTag: "tag", NoLocal: true})
			ch.Publish("", q, P{}, "hello")
			ch.Expect()
		}},
	}
}

// preferredConsumers is H5 and H6: exclusive consumers and priorities.
func preferredConsumers() []Scenario {
	return []Scenario{
		{Name: "H5,Q1/an exclusive consumer beside another", Kinds: Everywhere(), Run: func(s *S) {
			ch := s.Connect().Channel()
			q := ch.Queue("q", nil)
			ch.Consume(q, "first", nil)
			s.Connect().Channel().Do(&wire.BasicConsume{Queue: q, ConsumerTag: "second", Exclusive: true})
		}},
		{Name: "H5,Q1/a consumer beside an exclusive one", Kinds: Everywhere(), Run: func(s *S) {
			ch := s.Connect().Channel()
			q := ch.Queue("q", nil)
			ch.Do(&wire.BasicConsume{Queue: q, ConsumerTag: "first", Exclusive: true})
			s.Connect().Channel().Consume(q, "second", nil)
			s.Connect().Channel().Do(&wire.BasicConsume{Queue: q, ConsumerTag: "third", Exclusive: true})
		}},
		{Name: "H5/an exclusive consumer's place is free after it", Kinds: Everywhere(), Run: func(s *S) {
			c := s.Connect()
			ch := c.Channel()
			q := ch.Queue("q", nil)
			ch.Do(&wire.BasicConsume{Queue: q, ConsumerTag: "first", Exclusive: true})
			ch.Do(&wire.BasicCancel{ConsumerTag: "first"})
			s.Connect().Channel().Do(&wire.BasicConsume{Queue: q, ConsumerTag: "second", Exclusive: true})
		}},
		{Name: "H6/the higher priority is served first", Kinds: Everywhere(), Run: func(s *S) {
			ch := s.Connect().Channel()
			q := ch.Queue("q", nil)
			low, high := s.Connect().Channel(), s.Connect().Channel()
			low.Qos(2)
			high.Qos(2)
			low.Consume(q, "low", T{"x-priority": int32(-1)})
			high.Consume(q, "high", T{"x-priority": int32(10)})
			s.Put(q, "1", "2", "3", "4")
			high.ExpectN(2)
			low.ExpectN(2)
		}},
		{Name: "H6,E12/a priority that is no number", Run: func(s *S) {
			ch := s.Connect().Channel()
			ch.Consume(ch.Queue("q", nil), "tag", T{"x-priority": "high"})
		}},
	}
}

// cancels is H12 and H13: cancels of both sides.
func cancels() []Scenario {
	return []Scenario{
		{Name: "H12/a cancelled consumer of a deleted queue may be named again", Run: func(s *S) {
			ch := s.Connect().Channel()
			q := ch.Queue("q", nil)
			ch.Consume(q, "tag", nil)
			s.Connect().Channel().Do(&wire.QueueDelete{Queue: q})
			ch.Expect()
			ch.Queue("q", nil)
			ch.Consume(q, "tag", nil)
		}},
		{Name: "H13/cancel of an unknown tag", Run: func(s *S) {
			s.Connect().Channel().Do(&wire.BasicCancel{ConsumerTag: "nobody"})
		}},
		{Name: "H13/cancel without waiting", Run: func(s *S) {
			ch := s.Connect().Channel()
			q := ch.Queue("q", nil)
			ch.Consume(q, "tag", nil)
			ch.Send(&wire.BasicCancel{ConsumerTag: "tag", NoWait: true})
			ch.Quiet()
			ch.Await(q, 0, 0)
		}},
		{Name: "H13/what was delivered stays with the channel after the cancel", Kinds: Everywhere(), Run: func(s *S) {
			ch := s.Connect().Channel()
			q := ch.Queue("q", nil)
			s.Put(q, "one", "two")
			other := s.Connect().Channel()
			other.Qos(1)
			other.Consume(q, "tag", nil)
			tag := other.Expect().Tag()
			other.Do(&wire.BasicCancel{ConsumerTag: "tag"})
			ch.Await(q, 1, 0)
			other.Ack(tag)
			other.Quiet(q)
			other.Get(q)
		}},
	}
}

// prefetches is H14 and H15: how much a consumer holds.
func prefetches() []Scenario {
	return []Scenario{
		{Name: "H14,A2/a prefetch in octets", Run: func(s *S) {
			s.Connect().Channel().Do(&wire.BasicQos{PrefetchSize: 1000})
		}},
		{Name: "H14/a prefetch is of the consumers to come", Kinds: Everywhere(), Run: func(s *S) {
			ch := s.Connect().Channel()
			q := ch.Queue("q", nil)
			s.Put(q, "1", "2", "3", "4", "5")
			ch.Qos(2)
			ch.Consume(q, "two", nil)
			ch.ExpectN(2)
			ch.Quiet(q)
			ch.Qos(1)
			ch.Consume(q, "one", nil)
			ch.Expect()
			ch.Quiet(q)
			ch.Do(&wire.QueueDeclare{Queue: q, Passive: true})
		}},
		{Name: "H14/an ack makes room in the prefetch", Kinds: Everywhere(), Run: func(s *S) {
			ch := s.Connect().Channel()
			q := ch.Queue("q", nil)
			s.Put(q, "1", "2", "3")
			ch.Qos(1)
			ch.Consume(q, "tag", nil)
			for range 3 {
				tag := ch.Expect().Tag()
				ch.Quiet(q)
				ch.Ack(tag)
			}
		}},
		{Name: "H14,Q3/a prefetch of the channel is shared by its consumers", Kinds: Everywhere(), Run: func(s *S) {
			ch := s.Connect().Channel()
			a, b := ch.Queue("a", nil), ch.Queue("b", nil)
			ch.Do(&wire.BasicQos{PrefetchCount: 2, Global: true})
			ch.Consume(a, "of a", nil)
			ch.Consume(b, "of b", nil)
			s.Put(a, "a1", "a2")
			ch.ExpectN(2)
			s.Put(b, "b1")
			ch.Await(b, 1, 1)
			ch.Quiet(a, b)
			ch.Ack(1)
			ch.Expect()
		}},
		{Name: "H14,Q3/both prefetches hold", Kinds: Everywhere(), Run: func(s *S) {
			ch := s.Connect().Channel()
			a, b := ch.Queue("a", nil), ch.Queue("b", nil)
			ch.Do(&wire.BasicQos{PrefetchCount: 3, Global: true})
			ch.Qos(2)
			s.Put(a, "a1", "a2", "a3")
			ch.Consume(a, "of a", nil)
			ch.ExpectN(2)
			ch.Quiet(a)
			s.Put(b, "b1", "b2")
			ch.Consume(b, "of b", nil)
			ch.Expect()
			ch.Quiet(a, b)
		}},
		{Name: "H14,Q3/a prefetch of the channel is set while it consumes", Run: func(s *S) {
			ch := s.Connect().Channel()
			q := ch.Queue("q", nil)
			s.Put(q, "1", "2", "3")
			ch.Do(&wire.BasicQos{PrefetchCount: 1, Global: true})
			ch.Consume(q, "tag", nil)
			ch.Expect()
			ch.Quiet(q)
			ch.Do(&wire.BasicQos{PrefetchCount: 3, Global: true})
			ch.ExpectN(2)
		}},
		{Name: "H15/no prefetch for those who do not acknowledge", Kinds: Everywhere(), Run: func(s *S) {
			ch := s.Connect().Channel()
			q := ch.Queue("q", nil)
			s.Put(q, "1", "2", "3")
			ch.Qos(1)
			ch.ConsumeNoAck(q, "tag", nil)
			ch.ExpectN(3)
			ch.Await(q, 0, 1)
		}},
		{Name: "H15/no prefetch at all", Kinds: Everywhere(), Run: func(s *S) {
			ch := s.Connect().Channel()
			q := ch.Queue("q", nil)
			s.Silently(func() {
				for i := range 60 {
					s.Put(q, fmt.Sprint(i))
				}
			})
			ch.Consume(q, "tag", nil)
			inOrder := true
			s.Silently(func() {
				for i := range 60 {
					inOrder = inOrder && string(ch.Expect().Body) == fmt.Sprint(i)
				}
			})
			s.Record("in order: %v", inOrder)
		}},
	}
}

// gets is H16: basic.get.
func gets() []Scenario {
	return []Scenario{
		{Name: "H16/get", Kinds: Everywhere(), Run: func(s *S) {
			ch := s.Connect().Channel()
			q := ch.Queue("q", nil)
			ch.Get(q)
			s.Put(q, "one", "two")
			ch.Await(q, 2, 0)
			ch.GetNoAck(q)
			ch.Ack(ch.Get(q).Tag())
			ch.Get(q)
		}},
		{Name: "H16/get from nothing", Run: func(s *S) {
			s.Connect().Channel().Get(s.Name("nobody"))
		}},
		{Name: "H16/get beside an exclusive consumer", Kinds: Everywhere(), Run: func(s *S) {
			ch := s.Connect().Channel()
			q := ch.Queue("q", nil)
			ch.Do(&wire.BasicConsume{Queue: q, ConsumerTag: "tag", Exclusive: true})
			s.Connect().Channel().Get(q)
		}},
		{Name: "H16/get counts what is left", Kinds: Everywhere(), Run: func(s *S) {
			ch := s.Connect().Channel()
			q := ch.Queue("q", nil)
			s.Put(q, "1", "2", "3")
			ch.Await(q, 3, 0)
			for range 4 {
				ch.Get(q)
			}
		}},
	}
}

// activeConsumers is H21 and H22: who gets the next message.
func activeConsumers() []Scenario {
	return []Scenario{
		{Name: "H21,E23/one consumer is active, the next follows", Kinds: Everywhere(), Run: func(s *S) {
			ch := s.Connect().Channel()
			q := ch.Queue("q", T{"x-single-active-consumer": true})
			first, second := s.Connect().Channel(), s.Connect().Channel()
			first.Consume(q, "first", nil)
			second.Consume(q, "second", nil)
			s.Put(q, "1", "2")
			first.Ack(first.Expect().Tag())
			first.Ack(first.Expect().Tag())
			second.Quiet(q)
			first.Do(&wire.BasicCancel{ConsumerTag: "first"})
			s.Put(q, "3")
			second.Expect()
		}},
		{Name: "H21,B24/another is active when the first one's connection is cut", Kinds: Everywhere(), Run: func(s *S) {
			ch := s.Connect().Channel()
			q := ch.Queue("q", T{"x-single-active-consumer": true})
			c := s.Connect()
			first, second := c.Channel(), s.Connect().Channel()
			first.Consume(q, "first", nil)
			second.Consume(q, "second", nil)
			s.Put(q, "1")
			first.Expect()
			c.Cut()
			second.Expect()
		}},
		{Name: "H21,H5/no exclusive consumer of a queue with a single active one", Kinds: Everywhere(), Run: func(s *S) {
			ch := s.Connect().Channel()
			q := ch.Queue("q", T{"x-single-active-consumer": true})
			ch.Do(&wire.BasicConsume{Queue: q, ConsumerTag: "tag", Exclusive: true})
		}},
		{Name: "H21/a get where one consumer is active", Kinds: []Kind{Classic, Transient}, Run: func(s *S) {
			ch := s.Connect().Channel()
			q := ch.Queue("q", T{"x-single-active-consumer": true})
			s.Put(q, "1")
			ch.Await(q, 1, 0)
			ch.Get(q)
		}},
		{Name: "H16,H21/a get where one consumer is active, of a quorum queue", Kinds: []Kind{RealQuorum}, Run: func(s *S) {
			ch := s.Connect().Channel()
			ch.Get(ch.Queue("q", T{"x-single-active-consumer": true}))
		}},
		{Name: "H22/equal consumers take turns", Kinds: Everywhere(), Run: func(s *S) {
			ch := s.Connect().Channel()
			q := ch.Queue("q", nil)
			a, b := s.Connect().Channel(), s.Connect().Channel()
			a.Qos(2)
			b.Qos(2)
			a.Consume(q, "a", nil)
			b.Consume(q, "b", nil)
			s.Put(q, "1", "2", "3", "4")
			got := map[string]bool{}
			s.Silently(func() {
				for _, other := range []*Channel{a, b} {
					for range 2 {
						got[string(other.Expect().Body)] = true
					}
				}
			})
			s.Record("two for each, together %d", len(got))
		}},
		{Name: "H22/nothing goes to a consumer without room", Kinds: Everywhere(), Run: func(s *S) {
			ch := s.Connect().Channel()
			q := ch.Queue("q", nil)
			a, b := s.Connect().Channel(), s.Connect().Channel()
			a.Qos(1)
			a.Consume(q, "a", nil)
			s.Put(q, "1")
			a.Expect()
			b.Qos(3)
			b.Consume(q, "b", nil)
			s.Put(q, "2", "3", "4")
			b.ExpectN(3)
			a.Quiet(q)
		}},
	}
}
