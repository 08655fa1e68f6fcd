package scenarios

import (
	"fmt"
	"slices"

	"github.com/warrenmq/warren/broker/wire"

	. "github.com/warrenmq/warren/test/compat/diff"
)

// channels are section C: channels.
func channels() []Scenario {
	return slices.Concat(channelStates(), channelFlow(), channelOrder())
}

func channelStates() []Scenario {
	return slices.Concat(openedChannels(), closedChannels())
}

// openedChannels is C1: channel.open.
func openedChannels() []Scenario {
	return []Scenario{
		{Name: "C1/a second open of a channel", Run: func(s *S) {
			s.Connect().Channel().Do(&wire.ChannelOpen{})
		}},
		{Name: "C1/a method before the open", Run: func(s *S) {
			s.Connect().Number(1).Do(&wire.QueueDeclare{Queue: s.Name("q"), Exclusive: true})
		}},
		{Name: "C1/a publish before the open", Run: func(s *S) {
			ch := s.Connect().Number(1)
			ch.Publish("", s.Name("q"), P{}, "a")
			ch.Expect()
		}},
		{Name: "C1/an ack before the open", Run: func(s *S) {
			ch := s.Connect().Number(1)
			ch.Ack(1)
			ch.Expect()
		}},
		{Name: "C1/a close before the open", Run: func(s *S) {
			s.Connect().Number(1).Close()
		}},
		{Name: "C1/a content header before the open", Run: func(s *S) {
			ch := s.Connect().Number(1)
			ch.Header(0, P{})
			ch.Expect()
		}},
		{Name: "C1/channels in any order", Run: func(s *S) {
			c := s.Connect()
			for _, n := range []uint16{7, 3, 2047} {
				ch := c.Number(n)
				ch.Open()
				ch.Do(&wire.QueueDeclare{Queue: s.Name("q"), Exclusive: true})
			}
		}},
		{Name: "C1/a method after the close", Run: func(s *S) {
			c := s.Connect(ManualClose())
			ch := c.Channel()
			ch.Close()
			ch.Do(&wire.QueueDeclare{Queue: s.Name("q"), Exclusive: true})
		}},
	}
}

// closedChannels is C3 and C4: channel.close.
func closedChannels() []Scenario {
	return []Scenario{
		{Name: "C3/close and open again", Kinds: Everywhere(), Run: func(s *S) {
			ch := s.Connect().Channel()
			q := ch.Queue("q", nil)
			ch.Confirm()
			ch.Publish("", q, P{}, "a")
			ch.Confirms(1)
			ch.Close()
			ch.Open()
			ch.Confirm()
			ch.Publish("", q, P{}, "b") // numbers begin anew
			ch.Confirms(1)
			ch.Get(q)
		}},
		{Name: "C3/close gives back what is unacknowledged", Kinds: Everywhere(), Run: func(s *S) {
			ch := s.Connect().Channel()
			q := ch.Queue("q", nil)
			s.Put(q, "a", "b")
			ch.Get(q)
			ch.Close()
			ch = s.Connect().Channel()
			ch.Await(q, 2, 0)
			ch.GetNoAck(q)
			ch.GetNoAck(q)
			ch.GetNoAck(q)
		}},
		{Name: "C3/close cancels the channel's consumers alone", Kinds: Everywhere(), Run: func(s *S) {
			c := s.Connect()
			one, two := c.Channel(), c.Channel()
			q := one.Queue("q", nil)
			one.Consume(q, "one", nil)
			two.Consume(q, "two", nil)
			one.Close()
			two.Await(q, 0, 1)
			s.Put(q, "a")
			two.Expect()
		}},
		{Name: "C3/the server's close gives back what is unacknowledged", Kinds: Everywhere(), Run: func(s *S) {
			ch := s.Connect().Channel()
			q := ch.Queue("q", nil)
			s.Put(q, "a", "b")
			ch.Consume(q, "tag", nil)
			ch.ExpectN(2)
			ch.Do(&wire.QueueDeclare{Queue: s.Name("none"), Passive: true})
			ch = s.Connect().Channel()
			ch.Await(q, 2, 0)
			ch.GetNoAck(q)
			ch.GetNoAck(q)
		}},
		{Name: "C3/exclusive queues outlive their channel", Run: func(s *S) {
			c := s.Connect()
			ch := c.Channel()
			q := s.Name("q")
			ch.Do(&wire.QueueDeclare{Queue: q, Exclusive: true})
			ch.Close()
			c.Channel().Do(&wire.QueueDeclare{Queue: q, Exclusive: true})
		}},
		{Name: "C3/deliveries on their way at the close are not lost", Kinds: Everywhere(), Run: func(s *S) {
			ch := s.Connect().Channel()
			q := ch.Queue("q", nil)
			for i := range 5 {
				s.Put(q, fmt.Sprint(i))
			}
			ch.Consume(q, "tag", nil)
			ch.Close()
			ch = s.Connect().Channel()
			ch.Await(q, 5, 0)
		}},
		{Name: "C4/access.request", Run: func(s *S) {
			s.Connect().Channel().Do(&wire.AccessRequest{Realm: "/data", Read: true, Write: true, Active: true})
		}},
		{Name: "C4/a ticket is ignored", Run: func(s *S) {
			s.Connect().Channel().Do(&wire.QueueDeclare{Reserved1: 77, Queue: s.Name("q"), Exclusive: true})
		}},
	}
}

func channelFlow() []Scenario {
	return []Scenario{
		{Name: "C2/flow is on already", Run: func(s *S) {
			s.Connect().Channel().Do(&wire.ChannelFlow{Active: true})
		}},
		{Name: "C2,Q4/flow off stops deliveries until it is on", Kinds: Everywhere(), Differs: "Q4",
			Delta: `
			- c1 < connection.close 540 "NOT_IMPLEMENTED - active=false" (20,20)
			- c1 < socket closed
			+ c1.1 < channel.flow-ok
			+ put exchange="" key=q "a"
			+ c1.1 > queue.declare queue=q passive
			+ c1.1 < queue.declare-ok queue=q message-count=1 consumer-count=1
			+ c1.1 > channel.flow active
			+ c1.1 < channel.flow-ok active
			+ c1.1 < basic.deliver consumer-tag=tag delivery-tag=1 exchange="" routing-key=q "a"`,
			Run: func(s *S) {
				ch := s.Connect().Channel()
				q := ch.Queue("q", nil)
				ch.Consume(q, "tag", nil)
				if it := ch.Do(&wire.ChannelFlow{}); it.Code() != 0 {
					return
				}
				s.Put(q, "a")
				ch.Do(&wire.QueueDeclare{Queue: q, Passive: true})
				ch.Do(&wire.ChannelFlow{Active: true})
				ch.Expect()
			}},
		{Name: "C2,Q4/flow off lets methods pass", Kinds: Everywhere(), Differs: "Q4",
			Delta: `
			- c1 < connection.close 540 "NOT_IMPLEMENTED - active=false" (20,20)
			- c1 < socket closed
			+ c1.1 < channel.flow-ok
			+ put exchange="" key=q "a"
			+ c1.1 > basic.get queue=q no-ack
			+ c1.1 < basic.get-ok delivery-tag=1 exchange="" routing-key=q message-count=0 "a"
			+ c1.1 > channel.flow
			+ c1.1 < channel.flow-ok`,
			Run: func(s *S) {
				ch := s.Connect().Channel()
				q := ch.Queue("q", nil)
				if it := ch.Do(&wire.ChannelFlow{}); it.Code() != 0 {
					return
				}
				s.Put(q, "a")
				ch.GetNoAck(q)
				ch.Do(&wire.ChannelFlow{})
			}},
		{Name: "C2,Q4/flow off is of one channel", Kinds: Everywhere(), Differs: "Q4",
			Delta: `
			- c1 < connection.close 540 "NOT_IMPLEMENTED - active=false" (20,20)
			- c1 < socket closed
			+ c1.1 < channel.flow-ok
			+ put exchange="" key=q "a"
			+ c1.2 < basic.deliver consumer-tag=two delivery-tag=1 exchange="" routing-key=q "a"
			+ put exchange="" key=q "b"
			+ c1.2 < basic.deliver consumer-tag=two delivery-tag=2 exchange="" routing-key=q "b"`,
			Run: func(s *S) {
				c := s.Connect()
				one, two := c.Channel(), c.Channel()
				q := one.Queue("q", nil)
				one.Consume(q, "one", nil)
				two.Consume(q, "two", nil)
				if it := one.Do(&wire.ChannelFlow{}); it.Code() != 0 {
					return
				}
				s.Put(q, "a")
				two.Expect()
				s.Put(q, "b")
				two.Expect()
			}},
	}
}

func channelOrder() []Scenario {
	numbers := func(n int) []string {
		var all []string
		for i := range n {
			all = append(all, fmt.Sprint(i))
		}
		return all
	}
	return []Scenario{
		{Name: "C5/messages of one channel keep their order", Kinds: Everywhere(), Run: func(s *S) {
			ch := s.Connect().Channel()
			q := ch.Queue("q", nil)
			other := s.Connect().Channel()
			other.ConsumeNoAck(q, "tag", nil)
			for _, n := range numbers(30) {
				ch.Publish("", q, P{}, n)
			}
			other.ExpectN(30)
		}},
		{Name: "C5/through an exchange and to several queues", Kinds: Everywhere(), Run: func(s *S) {
			ch := s.Connect().Channel()
			x := ch.Exchange("x", "fanout", nil)
			one, two := ch.Queue("one", nil), ch.Queue("two", nil)
			ch.Bind(one, x, "", nil)
			ch.Bind(two, x, "", nil)
			ch.Confirm()
			for _, n := range numbers(10) {
				ch.Publish(x, "k", P{}, n)
			}
			ch.Confirms(10)
			for _, q := range []string{one, two} {
				for range 10 {
					ch.GetNoAck(q)
				}
			}
		}},
		{Name: "C5/methods of one channel run in order", Kinds: Everywhere(), Run: func(s *S) {
			ch := s.Connect().Channel()
			q := ch.Queue("q", nil)
			ch.Publish("", q, P{}, "a")
			ch.Publish("", q, P{}, "b")
			ch.Send(&wire.QueuePurge{Queue: q})
			ch.Publish("", q, P{}, "c")
			ch.Send(&wire.BasicGet{Queue: q, NoAck: true})
			ch.Send(&wire.QueueDelete{Queue: q})
			ch.Send(&wire.QueueDeclare{Queue: q, Passive: true})
			for range 4 {
				ch.Answer()
			}
		}},
		{Name: "C5/an exchange, a queue, a binding and a message in one write", Kinds: Everywhere(), Run: func(s *S) {
			ch := s.Connect().Channel()
			x, q := s.Name("x"), s.Name("q")
			ch.Send(&wire.ExchangeDeclare{Exchange: x, Type: "direct", NoWait: true})
			ch.Send(&wire.QueueDeclare{Queue: q, Exclusive: true, NoWait: true})
			ch.Send(&wire.QueueBind{Queue: q, Exchange: x, RoutingKey: "k", NoWait: true})
			ch.Publish(x, "k", P{}, "a")
			ch.GetNoAck(q)
		}},
		{Name: "C5/channels of a connection do not wait for each other", Kinds: Everywhere(), Run: func(s *S) {
			c := s.Connect()
			one, two := c.Channel(), c.Channel()
			q := one.Queue("q", nil)
			one.Send(&wire.BasicPublish{RoutingKey: q})
			one.Header(1, P{})
			two.Do(&wire.QueueDeclare{Queue: q, Passive: true})
			one.Body("a")
			one.GetNoAck(q)
		}},
		{Name: "C5/a consumer's deliveries and its acks", Kinds: Everywhere(), Run: func(s *S) {
			ch := s.Connect().Channel()
			q := ch.Queue("q", nil)
			s.Put(q, "a", "b", "c")
			ch.Qos(1)
			ch.Consume(q, "tag", nil)
			for range 3 {
				ch.Ack(ch.Expect().Tag())
			}
			ch.Quiet(q)
		}},
	}
}
