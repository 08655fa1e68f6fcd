package scenarios

import (
	"time"

	"github.com/warrenmq/warren/broker/wire"

	. "github.com/warrenmq/warren/test/compat/diff"
)

// alarms are B18 and L1: connection.blocked. The broker is short while they
// run, so they run alone.
func alarms() []Scenario {
	const limit = 40 * time.Second // rabbitmqctl takes seconds
	blocked := func(what ...Short) func(*S) {
		return func(s *S) {
			c := s.Connect()
			ch := c.Channel()
			q := ch.Queue("q", nil)
			ch.Confirm()
			var ends []func()
			for _, w := range what {
				ends = append(ends, s.Alarm(w))
			}
			ch.Publish("", q, P{}, "a")
			c.Expect()
			for _, end := range ends {
				end()
			}
			c.Within(10 * time.Second)
			ch.Confirms(1)
			ch.Publish("", q, P{}, "b")
			ch.Confirms(1)
		}
	}
	return []Scenario{
		{Name: "B18,L1/a publisher hears that memory is low", Alone: true, Limit: limit, Kinds: Everywhere(), Run: blocked(Memory)},
		{Name: "B18,L1/a publisher hears that disk space is low", Alone: true, Limit: limit, Run: blocked(Disk)},
		{Name: "B18,L1/a publisher hears that both are low", Alone: true, Limit: limit, Run: blocked(Memory, Disk)},
		{Name: "B18,L1/consumers go on while publishers wait", Alone: true, Limit: limit, Kinds: Everywhere(), Run: func(s *S) {
			ch := s.Connect().Channel()
			q := ch.Queue("q", nil)
			s.Put(q, "a", "b")
			end := s.Alarm(Memory)
			other := s.Connect().Channel()
			other.Qos(1)
			other.Consume(q, "tag", nil)
			other.Ack(other.Expect().Tag())
			other.Ack(other.Expect().Tag())
			other.Quiet(q)
			ch.Do(&wire.QueueDeclare{Queue: q, Passive: true})
			end()
		}},
		{Name: "B18/a connection that does not publish hears nothing", Alone: true, Limit: limit, Run: func(s *S) {
			c := s.Connect()
			ch := c.Channel()
			end := s.Alarm(Memory)
			ch.Do(&wire.QueueDeclare{Queue: s.Name("q"), Exclusive: true})
			end()
			c.Close() // a blocked or unblocked would come first
		}},
		{Name: "B18,B4/a publisher without the capability waits and hears nothing", Alone: true, Limit: limit, Run: func(s *S) {
			c := s.Connect(Without("connection.blocked"))
			ch := c.Channel()
			q := ch.Queue("q", nil)
			ch.Confirm()
			end := s.Alarm(Memory)
			ch.Publish("", q, P{}, "a")
			s.Connect().Channel().Do(&wire.QueueDeclare{Queue: q, Passive: true})
			end()
			ch.Confirms(1)
			c.Close()
		}},
		{Name: "B18/a connection that comes while memory is low", Alone: true, Limit: limit, Run: func(s *S) {
			q := s.Connect().Channel().Queue("q", nil)
			end := s.Alarm(Memory)
			c := s.Connect()
			ch := c.Channel()
			ch.Confirm()
			ch.Publish("", q, P{}, "a")
			c.Expect()
			end()
			c.Within(10 * time.Second)
			ch.Confirms(1)
		}},
		{Name: "Q5,L1/a publisher whose queue is on a node with room goes on", Alone: true, Limit: limit, Differs: "Q5",
			Want: `
			c1 connects
			c1.1 > queue.declare queue=q exclusive
			c1.1 < queue.declare-ok queue=q message-count=0 consumer-count=0
			c1.1 > confirm.select
			c1.1 < confirm.select-ok
			memory is short
			c1.1 > basic.publish exchange="" routing-key=q "a"
			c1.1 < confirms 1:ack
			c2 connects
			c2.1 > confirm.select
			c2.1 < confirm.select-ok
			c2.1 > basic.publish exchange="" routing-key=q "b"
			c2.1 < confirms 1:ack
			c3 connects
			c3.1 > queue.declare queue=p exclusive
			c3.1 < queue.declare-ok queue=p message-count=0 consumer-count=0
			c2.1 > basic.publish exchange="" routing-key=p "c"
			c2 < connection.blocked reason="low on memory"
			memory suffices
			c2 < connection.unblocked
			c2.1 < confirms 2:ack`,
			Run: func(s *S) {
				ch := s.Connect(Node(1)).Channel() // an exclusive queue is where its connection is
				q := s.Name("q")
				ch.Do(&wire.QueueDeclare{Queue: q, Exclusive: true})
				ch.Confirm()
				end := s.Alarm(Memory, 2)
				ch.Publish("", q, P{}, "a")
				ch.Confirms(1)
				c := s.Connect(Node(2))
				other := c.Channel()
				other.Confirm()
				other.Publish("", q, P{}, "b")
				other.Confirms(1)
				p := s.Name("p")
				s.Connect(Node(2)).Channel().Do(&wire.QueueDeclare{Queue: p, Exclusive: true})
				other.Publish("", p, P{}, "c")
				c.Expect()
				end()
				c.Within(10 * time.Second)
				other.Confirms(1)
			}},
	}
}
