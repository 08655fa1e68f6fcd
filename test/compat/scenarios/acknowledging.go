package scenarios

import (
	"slices"

	"github.com/warrenmq/warren/broker/wire"

	. "github.com/warrenmq/warren/test/compat/diff"
)

// acknowledging is section H: ack, nack, reject and recover.
func acknowledging() []Scenario {
	return slices.Concat(acks(), rejects(), recovers())
}

// acks is H17: basic.ack.
func acks() []Scenario {
	return []Scenario{
		{Name: "H17,A1/ack of an unknown delivery", Run: func(s *S) {
			ch := s.Connect().Channel()
			ch.Ack(7)
			ch.Expect()
		}},
		{Name: "H17/ack twice", Kinds: Everywhere(), Run: func(s *S) {
			ch := s.Connect().Channel()
			q := ch.Queue("q", nil)
			s.Put(q, "one")
			ch.Await(q, 1, 0)
			tag := ch.Get(q).Tag()
			ch.Ack(tag)
			ch.Ack(tag)
			ch.Expect()
		}},
		{Name: "H17/ack of a delivery of another channel", Run: func(s *S) {
			c := s.Connect()
			ch := c.Channel()
			q := ch.Queue("q", nil)
			s.Put(q, "one")
			ch.Await(q, 1, 0)
			tag := ch.Get(q).Tag()
			other := c.Channel()
			other.Ack(tag)
			other.Expect()
		}},
		{Name: "H17/ack of many", Kinds: Everywhere(), Run: func(s *S) {
			ch := s.Connect().Channel()
			q := ch.Queue("q", nil)
			s.Put(q, "1", "2", "3", "4")
			ch.Await(q, 4, 0)
			for range 4 {
				ch.Get(q)
			}
			ch.Send(&wire.BasicAck{DeliveryTag: 3, Multiple: true})
			ch.Nack(4, true)
			ch.Await(q, 1, 0)
			ch.Get(q)
		}},
		{Name: "H17/ack of all by zero", Kinds: Everywhere(), Run: func(s *S) {
			ch := s.Connect().Channel()
			q := ch.Queue("q", nil)
			s.Put(q, "1", "2")
			ch.Await(q, 2, 0)
			ch.Get(q)
			ch.Get(q)
			ch.Send(&wire.BasicAck{Multiple: true})
			ch.Quiet(q)
			ch.Close()
			count(s.Connect().Channel(), q)
		}},
		{Name: "H17/ack of all where there is nothing", Run: func(s *S) {
			ch := s.Connect().Channel()
			ch.Send(&wire.BasicAck{Multiple: true})
			ch.Quiet()
		}},
		{Name: "H17/ack of zero alone", Run: func(s *S) {
			ch := s.Connect().Channel()
			ch.Ack(0)
			ch.Expect()
		}},
		{Name: "H17/ack of many up to an unknown one", Run: func(s *S) {
			ch := s.Connect().Channel()
			q := ch.Queue("q", nil)
			s.Put(q, "1")
			ch.Await(q, 1, 0)
			ch.Get(q)
			ch.Send(&wire.BasicAck{DeliveryTag: 5, Multiple: true})
			ch.Expect()
		}},
		{Name: "H17/ack of what needs none", Run: func(s *S) {
			ch := s.Connect().Channel()
			q := ch.Queue("q", nil)
			s.Put(q, "1")
			ch.Await(q, 1, 0)
			ch.GetNoAck(q)
			ch.Ack(1)
			ch.Expect()
		}},
		{Name: "H17/acks out of order", Kinds: Everywhere(), Run: func(s *S) {
			ch := s.Connect().Channel()
			q := ch.Queue("q", nil)
			s.Put(q, "1", "2", "3")
			ch.Await(q, 3, 0)
			for range 3 {
				ch.Get(q)
			}
			ch.Ack(3)
			ch.Ack(1)
			ch.Close()
			other := s.Connect().Channel()
			other.Await(q, 1, 0)
			other.Get(q)
		}},
	}
}

// rejects is H18 and H19: basic.reject and basic.nack.
func rejects() []Scenario {
	return []Scenario{
		{Name: "H18/reject of an unknown delivery", Run: func(s *S) {
			ch := s.Connect().Channel()
			ch.Reject(3, true)
			ch.Expect()
		}},
		{Name: "H18/nack of an unknown delivery", Run: func(s *S) {
			ch := s.Connect().Channel()
			ch.Nack(3, true)
			ch.Expect()
		}},
		{Name: "H18/reject drops where there is nowhere to go", Kinds: Everywhere(), Run: func(s *S) {
			ch := s.Connect().Channel()
			q := ch.Queue("q", nil)
			s.Put(q, "1", "2")
			ch.Await(q, 2, 0)
			ch.Reject(ch.Get(q).Tag(), false)
			ch.Get(q)
			ch.Get(q)
		}},
		{Name: "H18/nack drops many", Kinds: Everywhere(), Run: func(s *S) {
			ch := s.Connect().Channel()
			q := ch.Queue("q", nil)
			s.Put(q, "1", "2", "3")
			ch.Await(q, 3, 0)
			ch.Get(q)
			ch.Get(q)
			ch.Send(&wire.BasicNack{DeliveryTag: 2, Multiple: true})
			ch.Get(q)
			ch.Get(q)
		}},
		{Name: "H18,H19/reject gives back to the place and marks", Kinds: Everywhere(), Run: func(s *S) {
			ch := s.Connect().Channel()
			q := ch.Queue("q", nil)
			s.Put(q, "1", "2", "3")
			ch.Await(q, 3, 0)
			ch.Reject(ch.Get(q).Tag(), true)
			ch.Await(q, 3, 0)
			for range 3 {
				ch.Get(q)
			}
		}},
		{Name: "H18,H19/nack gives many back to their places", Kinds: Everywhere(), Run: func(s *S) {
			ch := s.Connect().Channel()
			q := ch.Queue("q", nil)
			s.Put(q, "1", "2", "3", "4")
			ch.Await(q, 4, 0)
			for range 3 {
				ch.Get(q)
			}
			ch.Send(&wire.BasicNack{DeliveryTag: 3, Multiple: true, Requeue: true})
			ch.Await(q, 4, 0)
			for range 4 {
				ch.Get(q)
			}
		}},
		{Name: "H18/nack of all by zero", Kinds: Everywhere(), Run: func(s *S) {
			ch := s.Connect().Channel()
			q := ch.Queue("q", nil)
			s.Put(q, "1", "2")
			ch.Await(q, 2, 0)
			ch.Get(q)
			ch.Get(q)
			ch.Send(&wire.BasicNack{Multiple: true, Requeue: true})
			ch.Await(q, 2, 0)
			ch.Get(q)
		}},
		{Name: "H18/a rejected message comes again to its consumer", Kinds: Everywhere(), Run: func(s *S) {
			ch := s.Connect().Channel()
			q := ch.Queue("q", nil)
			ch.Qos(1)
			ch.Consume(q, "tag", nil)
			s.Put(q, "1")
			ch.Reject(ch.Expect().Tag(), true)
			ch.Nack(ch.Expect().Tag(), true)
			ch.Ack(ch.Expect().Tag())
			ch.Await(q, 0, 1)
			ch.Quiet(q)
		}},
		{Name: "H19,B24/messages of a cut connection go back to their places", Kinds: Everywhere(), Run: func(s *S) {
			ch := s.Connect().Channel()
			q := ch.Queue("q", nil)
			s.Put(q, "1", "2", "3")
			c := s.Connect()
			other := c.Channel()
			other.Qos(2)
			other.Consume(q, "tag", nil)
			other.ExpectN(2)
			c.Cut()
			ch.Await(q, 3, 0)
			for range 3 {
				ch.Get(q)
			}
		}},
	}
}

// recovers is H20: basic.recover.
func recovers() []Scenario {
	return []Scenario{
		{Name: "H20/recover gives back and delivers again", Kinds: Everywhere(), Run: func(s *S) {
			ch := s.Connect().Channel()
			q := ch.Queue("q", nil)
			s.Put(q, "1", "2")
			ch.Consume(q, "tag", nil)
			ch.ExpectN(2)
			ch.Send(&wire.BasicRecover{Requeue: true})
			ch.Answer()
			ch.ExpectN(2)
		}},
		{Name: "H20/recover where there is nothing", Run: func(s *S) {
			s.Connect().Channel().Do(&wire.BasicRecover{Requeue: true})
		}},
		{Name: "H20/recover of what a get took", Kinds: Everywhere(), Run: func(s *S) {
			ch := s.Connect().Channel()
			q := ch.Queue("q", nil)
			s.Put(q, "1")
			ch.Await(q, 1, 0)
			ch.Get(q)
			ch.Do(&wire.BasicRecover{Requeue: true})
			ch.Await(q, 1, 0)
			ch.Get(q)
		}},
		{Name: "H20/recover without an answer", Run: func(s *S) {
			ch := s.Connect().Channel()
			q := ch.Queue("q", nil)
			s.Put(q, "1")
			ch.Await(q, 1, 0)
			ch.Get(q)
			ch.Send(&wire.BasicRecoverAsync{Requeue: true})
			ch.Await(q, 1, 0)
			ch.Quiet()
		}},
		{Name: "H20/old tags are unknown after a recover", Run: func(s *S) {
			ch := s.Connect().Channel()
			q := ch.Queue("q", nil)
			s.Put(q, "1")
			ch.Await(q, 1, 0)
			ch.Get(q)
			ch.Do(&wire.BasicRecover{Requeue: true})
			ch.Ack(1)
			ch.Expect()
		}},
	}
}
