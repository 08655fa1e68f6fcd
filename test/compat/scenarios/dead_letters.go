package scenarios

import (
	"slices"
	"time"

	"github.com/warrenmq/warren/broker/wire"

	. "github.com/warrenmq/warren/test/compat/diff"
)

// deadLetters is section J: dead-letter exchanges, x-death, and delivery limits.
func deadLetters() []Scenario {
	list := slices.Concat(deathsOfMessages(), cyclesOfDeaths(), targetsOfDeaths(), deathsByLimit())
	for i := range list {
		list[i].Upgrade, list[i].Source = upgradeDeaths, deathsSource
	}
	return slices.Concat(list, ownDeaths(), deliveryCounters())
}

// deathsOfMessages is J4 to J6: what a dead letter tells.
func deathsOfMessages() []Scenario {
	return []Scenario{
		{Name: "J4,J5,J6,E20/a rejected message", Kinds: Everywhere(), Run: func(s *S) {
			ch := s.Connect().Channel()
			x, dead := ch.Exchange("x", "direct", nil), ch.Queue("dead", nil)
			ch.Bind(dead, x, s.Name("q"), nil)
			q := ch.Queue("q", T{"x-dead-letter-exchange": x})
			s.PutWith("", q, P{Headers: T{"own": int32(1)}, DeliveryMode: 2, MessageID: "m", Priority: 3}, "1")
			ch.Await(q, 1, 0)
			ch.Reject(ch.Get(q).Tag(), false)
			ch.Await(dead, 1, 0)
			ch.Get(dead)
		}},
		{Name: "J4,J5/a message that is nacked", Kinds: Everywhere(), Run: func(s *S) {
			ch, dead, q := grave(s, nil)
			s.Put(q, "1", "2", "3")
			ch.Await(q, 3, 0)
			for range 3 {
				ch.Get(q)
			}
			ch.Send(&wire.BasicNack{DeliveryTag: 3, Multiple: true})
			ch.Await(dead, 3, 0)
			for range 3 {
				ch.Get(dead)
			}
		}},
		{Name: "J5/routing keys are those of the publish, with CC", Kinds: Everywhere(), Run: func(s *S) {
			ch := s.Connect().Channel()
			x, dlx := ch.Exchange("x", "direct", nil), ch.Exchange("dlx", "fanout", nil)
			dead := ch.Queue("dead", nil)
			ch.Bind(dead, dlx, "", nil)
			q := ch.Queue("q", T{"x-dead-letter-exchange": dlx})
			ch.Bind(q, x, "key", nil)
			s.PutWith(x, "key", P{Headers: T{"CC": []any{"copy"}, "BCC": []any{"blind"}}}, "1")
			ch.Await(q, 1, 0)
			ch.Reject(ch.Get(q).Tag(), false)
			ch.Await(dead, 1, 0)
			ch.Get(dead)
		}},
		{Name: "J5,J6/a death in one queue after another", Kinds: Everywhere(), Run: func(s *S) {
			ch, dead, q := grave(s, nil)
			first := ch.Queue("first", T{"x-dead-letter-exchange": "", "x-dead-letter-routing-key": q})
			s.Put(first, "1")
			ch.Await(first, 1, 0)
			ch.Reject(ch.Get(first).Tag(), false)
			ch.Await(q, 1, 0)
			ch.Reject(ch.Get(q).Tag(), false)
			ch.Await(dead, 1, 0)
			ch.Get(dead)
		}},
		{Name: "J5,J7/a rejected message may go round", Kinds: Everywhere(), Run: func(s *S) {
			ch := s.Connect().Channel()
			a := ch.Queue("a", T{"x-dead-letter-exchange": "", "x-dead-letter-routing-key": s.Name("b")})
			b := ch.Queue("b", T{"x-dead-letter-exchange": "", "x-dead-letter-routing-key": a})
			s.Put(a, "1")
			for range 2 {
				ch.Await(a, 1, 0)
				ch.Reject(ch.Get(a).Tag(), false)
				ch.Await(b, 1, 0)
				ch.Reject(ch.Get(b).Tag(), false)
			}
			ch.Await(a, 1, 0)
			ch.Get(a)
		}},
	}
}

// cyclesOfDeaths is J7 and J8: dead letters that come back, and those that go nowhere.
func cyclesOfDeaths() []Scenario {
	return []Scenario{
		{Name: "J7/an expired message does not go round", Kinds: Everywhere(), Run: func(s *S) {
			ch := s.Connect().Channel()
			a := ch.Queue("a", T{"x-message-ttl": int32(200), "x-dead-letter-exchange": "", "x-dead-letter-routing-key": s.Name("b")})
			b := ch.Queue("b", T{"x-message-ttl": int32(200), "x-dead-letter-exchange": "", "x-dead-letter-routing-key": a})
			s.Put(a, "1")
			s.Pause(1500 * time.Millisecond)
			count(ch, a, b)
		}},
		{Name: "J7/a message that dies into its own queue is dropped", Kinds: Everywhere(), Run: func(s *S) {
			ch := s.Connect().Channel()
			q := ch.Queue("q", T{"x-message-ttl": int32(200), "x-dead-letter-exchange": "", "x-dead-letter-routing-key": s.Name("q")})
			s.Put(q, "1")
			s.Pause(time.Second)
			count(ch, q)
		}},
		{Name: "J7/a cycle with a rejection in it lives", Kinds: Everywhere(), Run: func(s *S) {
			ch := s.Connect().Channel()
			work := ch.Queue("work", T{"x-dead-letter-exchange": "", "x-dead-letter-routing-key": s.Name("wait")})
			ch.Queue("wait", T{"x-message-ttl": int32(200), "x-dead-letter-exchange": "", "x-dead-letter-routing-key": work})
			s.Put(work, "1")
			for range 3 {
				ch.Await(work, 1, 0)
				ch.Reject(ch.Get(work).Tag(), false)
			}
			ch.Await(work, 1, 0)
			ch.Get(work)
		}},
		{Name: "J8/CC goes when there is a dead-letter routing key", Kinds: Everywhere(), Run: func(s *S) {
			ch, dead, q := grave(s, nil)
			s.PutWith("", q, P{Headers: T{"CC": []any{s.Name("nobody")}}}, "1")
			ch.Await(q, 1, 0)
			ch.Reject(ch.Get(q).Tag(), false)
			ch.Await(dead, 1, 0)
			ch.Get(dead)
		}},
		{Name: "J8,E20/a dead-letter exchange that is not there drops", Kinds: Everywhere(), Run: func(s *S) {
			ch := s.Connect().Channel()
			q := ch.Queue("q", T{"x-dead-letter-exchange": s.Name("nobody")})
			s.Put(q, "1")
			ch.Await(q, 1, 0)
			ch.Reject(ch.Get(q).Tag(), false)
			ch.Get(q)
		}},
		{Name: "J8,E20/a dead-letter exchange that is made later", Kinds: Everywhere(), Run: func(s *S) {
			ch := s.Connect().Channel()
			q := ch.Queue("q", T{"x-dead-letter-exchange": s.Name("x")})
			x, dead := ch.Exchange("x", "fanout", nil), ch.Queue("dead", nil)
			ch.Bind(dead, x, "", nil)
			s.Put(q, "1")
			ch.Await(q, 1, 0)
			ch.Reject(ch.Get(q).Tag(), false)
			ch.Await(dead, 1, 0)
			ch.Get(dead)
		}},
		{Name: "J8/user_id is kept", Kinds: Everywhere(), Run: func(s *S) {
			ch, dead, q := grave(s, nil)
			s.PutWith("", q, P{UserID: "guest"}, "1")
			ch.Await(q, 1, 0)
			ch.Reject(ch.Get(q).Tag(), false)
			ch.Await(dead, 1, 0)
			ch.Get(dead)
		}},
	}
}

// targetsOfDeaths is J9 and J10: where dead letters arrive.
func targetsOfDeaths() []Scenario {
	return []Scenario{
		{Name: "J9,Q8/dead letters of every reason arrive", Kinds: Everywhere(), Run: func(s *S) {
			ch, dead, q := grave(s, T{"x-max-length": int32(1)})
			s.Put(q, "dropped")
			s.PutWith("", q, P{Expiration: "200"}, "expires")
			ch.Await(dead, 2, 0)
			s.Put(q, "rejected")
			ch.Await(q, 1, 0)
			ch.Reject(ch.Get(q).Tag(), false)
			ch.Await(dead, 3, 0)
			for range 3 {
				ch.Get(dead)
			}
		}},
		{Name: "J10/a fanout of dead letters", Kinds: Everywhere(), Run: func(s *S) {
			ch := s.Connect().Channel()
			dlx := ch.Exchange("dlx", "fanout", nil)
			a, b := ch.Queue("a", nil), ch.Queue("b", nil)
			ch.Bind(a, dlx, "", nil)
			ch.Bind(b, dlx, "", nil)
			q := ch.Queue("q", T{"x-dead-letter-exchange": dlx})
			s.Put(q, "1")
			ch.Await(q, 1, 0)
			ch.Reject(ch.Get(q).Tag(), false)
			ch.Await(a, 1, 0)
			ch.Await(b, 1, 0)
			ch.Get(a)
			ch.Get(b)
		}},
		{Name: "J9,E21,Q8/at-least-once may be asked for", Kinds: []Kind{RealQuorum}, Run: func(s *S) {
			ch, dead, q := grave(s, T{"x-dead-letter-strategy": "at-least-once", "x-overflow": "reject-publish"})
			s.Put(q, "1", "2")
			ch.Await(q, 2, 0)
			ch.Reject(ch.Get(q).Tag(), false)
			ch.Await(dead, 1, 0)
			ch.Reject(ch.Get(q).Tag(), false)
			ch.Await(dead, 2, 0)
			ch.Get(dead)
			ch.Get(dead)
		}},
	}
}

// deathsByLimit is J12: above the delivery limit.
func deathsByLimit() []Scenario {
	return []Scenario{
		{Name: "J12,E30/above the delivery limit a message dies", Kinds: []Kind{RealQuorum}, Run: func(s *S) {
			ch, dead, q := grave(s, T{"x-delivery-limit": int32(2)})
			s.Put(q, "1")
			for range 3 {
				ch.Await(q, 1, 0)
				ch.Reject(ch.Get(q).Tag(), true)
			}
			ch.Await(dead, 1, 0)
			ch.Get(dead)
		}},
		{Name: "J12,E30/above the delivery limit a message is dropped where there is nowhere to go", Kinds: []Kind{RealQuorum}, Run: func(s *S) {
			ch := s.Connect().Channel()
			q := ch.Queue("q", T{"x-delivery-limit": int32(1)})
			s.Put(q, "1")
			for range 2 {
				ch.Await(q, 1, 0)
				ch.Reject(ch.Get(q).Tag(), true)
			}
			ch.Await(q, 0, 0)
		}},
	}
}

// ownDeaths is J9, J12 and J13 where RabbitMQ 3.10 is otherwise.
func ownDeaths() []Scenario {
	return []Scenario{
		{Name: "J9,E21,E13,Q8/every kind of queue may be asked for at-least-once", Kinds: Everywhere(), Differs: "E13", Run: func(s *S) {
			var ch *Channel
			var dead, q string
			s.Silently(func() {
				ch, dead, q = grave(s, T{"x-dead-letter-strategy": "at-least-once", "x-overflow": "reject-publish"})
				s.Put(q, "1", "2")
				ch.Await(q, 2, 0)
				ch.Reject(ch.Get(q).Tag(), false)
				ch.Reject(ch.Get(q).Tag(), false)
			})
			ch.Await(dead, 2, 0)
			ch.Await(q, 0, 0)
		}, Want: `eventually queue dead has 2 ready, 0 consumers
eventually queue q has 0 ready, 0 consumers`},
		{Name: "J9,Q8/a full target takes dead letters once there is room", Kinds: Everywhere(), Differs: "Q8", Run: func(s *S) {
			var ch *Channel
			var full, q string
			s.Silently(func() {
				ch = s.Connect().Channel()
				full = ch.Queue("full", T{"x-max-length": int32(1), "x-overflow": "reject-publish"})
				q = ch.Queue("q", T{"x-dead-letter-exchange": "", "x-dead-letter-routing-key": full})
				s.Put(full, "in the way")
				s.Put(q, "1", "2")
				ch.Await(q, 2, 0)
				ch.Reject(ch.Get(q).Tag(), false)
				ch.Reject(ch.Get(q).Tag(), false)
			})
			var bodies []string
			for range 3 {
				s.Silently(func() { ch.Await(full, 1, 0) })
				var it Item
				s.Silently(func() { it = ch.GetNoAck(full) })
				bodies = append(bodies, string(it.Body))
			}
			slices.Sort(bodies[1:]) // one after the other, and not in the order of their deaths
			s.Record("%q", bodies)
			s.Silently(func() { ch.Await(full, 0, 0) })
		}, Want: `["in the way" "1" "2"]`},
		{Name: "J12,E30/a delivery limit on every kind of queue", Kinds: []Kind{Classic, Transient}, Differs: "E13", Run: func(s *S) {
			var ch *Channel
			var q string
			s.Silently(func() {
				ch = s.Connect().Channel()
				q = ch.Queue("q", T{"x-delivery-limit": int32(1)})
				s.Put(q, "1")
				ch.Await(q, 1, 0)
				ch.Reject(ch.Get(q).Tag(), true)
				ch.Await(q, 1, 0)
				ch.Reject(ch.Get(q).Tag(), true)
			})
			ch.Await(q, 0, 0)
		}, Want: "eventually queue q has 0 ready, 0 consumers"},
		{Name: "J13,E30/queues of no type, and of one node, have no delivery limit", Kinds: []Kind{Classic, Transient, Exclusive}, Run: func(s *S) {
			ch := s.Connect().Channel()
			q := ch.Queue("q", nil)
			ch.Publish("", q, P{}, "1")
			s.Silently(func() {
				ch.Await(q, 1, 0)
				for range 25 {
					ch.Reject(ch.Get(q).Tag(), true)
					ch.Await(q, 1, 0)
				}
			})
			ch.Get(q)
		}},
		{Name: "J13,E30/no delivery limit", Kinds: Everywhere(), Source: "rabbit_quorum_queue.erl (v4.x): x-delivery-limit -1 is none", Run: func(s *S) {
			var ch *Channel
			var q string
			s.Silently(func() {
				ch = s.Connect().Channel()
				q = ch.Queue("q", T{"x-delivery-limit": int32(-1)})
				s.Put(q, "1")
				for range 25 {
					ch.Await(q, 1, 0)
					ch.Reject(ch.Get(q).Tag(), true)
				}
			})
			ch.Await(q, 1, 0)
		}, Want: "eventually queue q has 1 ready, 0 consumers"},
		{Name: "J12,E30,Q9/a quorum queue's limit is twenty, of rejections and not of nacks", Kinds: []Kind{Quorum}, Source: "rabbit_quorum_queue.erl (v4.x): default delivery limit 20; rabbit_fifo.erl (4.3): nacked messages are returned, rejected ones have failed", Run: func(s *S) {
			var ch *Channel
			var q string
			s.Silently(func() {
				ch = s.Connect().Channel()
				q = ch.Queue("q", nil)
				s.Put(q, "1")
				for range 25 {
					ch.Await(q, 1, 0)
					ch.Nack(ch.Get(q).Tag(), true)
				}
				for range 20 {
					ch.Await(q, 1, 0)
					ch.Reject(ch.Get(q).Tag(), true)
				}
			})
			ch.Await(q, 1, 0)
			s.Silently(func() { ch.Reject(ch.Get(q).Tag(), true) })
			ch.Await(q, 0, 0)
		}, Want: `eventually queue q has 1 ready, 0 consumers
eventually queue q has 0 ready, 0 consumers`},
	}
}

// deliveryCounters is G13: how often a message was handed out.
func deliveryCounters() []Scenario {
	return []Scenario{
		{Name: "G13/counters of what was handed out before", Kinds: []Kind{Quorum}, Counters: true, Source: "rabbit_fifo.erl and mc_amqpl.erl (4.3): x-acquired-count of all, x-delivery-count of failures alone", Run: func(s *S) {
			var ch *Channel
			var q string
			s.Silently(func() {
				ch = s.Connect().Channel()
				q = ch.Queue("q", nil)
				s.Put(q, "1")
				ch.Await(q, 1, 0)
				ch.Nack(ch.Get(q).Tag(), true)
				ch.Await(q, 1, 0)
			})
			tag := ch.Get(q).Tag()
			ch.Reject(tag, true)
			ch.Await(q, 1, 0)
			ch.Get(q)
		}, Want: `c1.1 > basic.get queue=q
c1.1 < basic.get-ok delivery-tag=2 redelivered exchange="" routing-key=q message-count=0 headers={x-acquired-count=l:1} "1"
c1.1 > basic.reject delivery-tag=2 requeue
eventually queue q has 1 ready, 0 consumers
c1.1 > basic.get queue=q
c1.1 < basic.get-ok delivery-tag=3 redelivered exchange="" routing-key=q message-count=0 headers={x-acquired-count=l:2, x-delivery-count=l:1} "1"`},
		{Name: "G13/queues of no type, and of one node, count nothing", Kinds: []Kind{Classic, Transient, Exclusive}, Counters: true, Run: func(s *S) {
			ch := s.Connect().Channel()
			q := ch.Queue("q", nil)
			ch.Publish("", q, P{Headers: T{"own": "header"}}, "1")
			ch.Await(q, 1, 0)
			ch.Nack(ch.Get(q).Tag(), true)
			ch.Await(q, 1, 0)
			ch.Reject(ch.Get(q).Tag(), true)
			ch.Await(q, 1, 0)
			ch.Get(q)
		}},
		{Name: "G13/no counters at first", Kinds: []Kind{Quorum}, Counters: true, Run: func(s *S) {
			ch := s.Connect().Channel()
			q := ch.Queue("q", nil)
			s.Put(q, "1")
			ch.Await(q, 1, 0)
			ch.Get(q)
		}},
	}
}

// grave makes a queue whose dead letters go to another.
func grave(s *S, args T) (ch *Channel, dead, q string) {
	ch = s.Connect().Channel()
	dead = ch.Queue("dead", nil)
	all := T{"x-dead-letter-exchange": "", "x-dead-letter-routing-key": dead}
	for k, v := range args {
		all[k] = v
	}
	return ch, dead, ch.Queue("q", all)
}
