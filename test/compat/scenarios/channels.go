package scenarios

import (
	"github.com/warrenmq/warren/broker/wire"

	. "github.com/warrenmq/warren/test/compat/diff"
)

// channels are section C: channels.
func channels() []Scenario {
	return []Scenario{
		{Name: "C1/a second open of a channel", Run: func(s *S) {
			c := s.Connect()
			c.Channel().Do(&wire.ChannelOpen{})
		}},
		{Name: "C1/a method before the open", Run: func(s *S) {
			c := s.Connect()
			c.Number(1).Do(&wire.QueueDeclare{Queue: s.Name("q"), Exclusive: true})
		}},
		{Name: "C2/flow is switched on", Run: func(s *S) {
			ch := s.Connect().Channel()
			ch.Do(&wire.ChannelFlow{Active: true})
		}},
		{Name: "C3/close gives back what is unacknowledged", Kinds: Everywhere(), Run: func(s *S) {
			ch := s.Connect().Channel()
			q := ch.Queue("q", nil)
			s.Put(q, "a", "b")
			ch.Get(q)
			ch.Close()
			ch = s.Connect().Channel()
			ch.Await(q, 2, 0)
			ch.Get(q)
			ch.Get(q)
			ch.Get(q)
		}},
		{Name: "J5,H18/a rejected message is dead-lettered", Kinds: Everywhere(), Run: func(s *S) {
			ch := s.Connect().Channel()
			dead := ch.Queue("dead", nil)
			q := ch.Queue("q", T{"x-dead-letter-exchange": "", "x-dead-letter-routing-key": dead})
			s.Put(q, "a", "b")
			other := s.Connect().Channel()
			other.Consume(q, "tag", nil)
			other.Reject(other.Expect().Tag(), false)
			other.Ack(other.Expect().Tag())
			other.Quiet(q)
			ch.Await(dead, 1, 0)
			ch.Get(dead)
		}},
	}
}
