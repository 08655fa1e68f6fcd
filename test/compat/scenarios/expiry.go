package scenarios

import (
	"fmt"
	"slices"
	"time"

	"github.com/warrenmq/warren/broker/wire"

	. "github.com/warrenmq/warren/test/compat/diff"
)

// expiry is section J: times to live.
func expiry() []Scenario {
	return slices.Concat(expired(), expiredAtOnce(), expiredLetters())
}

// expired is J1: messages expire.
func expired() []Scenario {
	return []Scenario{
		{Name: "J1,E16/messages of a queue expire", Kinds: Everywhere(), Run: func(s *S) {
			ch := s.Connect().Channel()
			q := ch.Queue("q", T{"x-message-ttl": int32(300)})
			s.Put(q, "1", "2")
			ch.Await(q, 0, 0)
			ch.Get(q)
		}},
		{Name: "J1,G7/a message expires by itself", Kinds: Everywhere(), Run: func(s *S) {
			ch := s.Connect().Channel()
			q := ch.Queue("q", nil)
			s.PutWith("", q, P{Expiration: "300"}, "short")
			ch.Await(q, 0, 0)
			s.PutWith("", q, P{Expiration: "100000"}, "long")
			s.Pause(500 * time.Millisecond)
			ch.Get(q)
		}},
		{Name: "J1,G7/the shorter of both times holds", Kinds: Everywhere(), Run: func(s *S) {
			ch := s.Connect().Channel()
			q := ch.Queue("q", T{"x-message-ttl": int32(400)})
			s.PutWith("", q, P{Expiration: "100000"}, "of the queue's")
			ch.Await(q, 0, 0)
			s.PutWith("", q, P{Expiration: "100"}, "its own")
			ch.Await(q, 0, 0)
		}},
		{Name: "J1,Q6/a message expires behind one that stays", Kinds: Everywhere(), Differs: "Q6", Want: `eventually queue q has 1 ready, 0 consumers
c1.1 > basic.get queue=q
c1.1 < basic.get-ok delivery-tag=1 exchange="" routing-key=q message-count=0 "stays"`, Run: func(s *S) {
			var ch *Channel
			var q string
			s.Silently(func() {
				ch = s.Connect().Channel()
				q = ch.Queue("q", nil)
				s.Put(q, "stays")
				for i := range 20 {
					s.PutWith("", q, P{Expiration: "300"}, fmt.Sprint(i))
				}
			})
			ch.Await(q, 1, 0)
			ch.Get(q)
		}},
		{Name: "J1/nothing is delivered after its time", Kinds: Everywhere(), Run: func(s *S) {
			ch := s.Connect().Channel()
			q := ch.Queue("q", nil)
			s.PutWith("", q, P{Expiration: "200"}, "expired")
			s.PutWith("", q, P{}, "stays")
			s.Pause(600 * time.Millisecond)
			ch.Consume(q, "tag", nil)
			ch.Expect()
			ch.Quiet(q)
		}},
		{Name: "J1/what a consumer holds does not expire", Kinds: Everywhere(), Run: func(s *S) {
			ch := s.Connect().Channel()
			q := ch.Queue("q", T{"x-message-ttl": int32(300)})
			ch.Consume(q, "tag", nil)
			s.Put(q, "held")
			tag := ch.Expect().Tag()
			s.Pause(700 * time.Millisecond)
			ch.Ack(tag)
			ch.Quiet(q)
		}},
	}
}

// expiredAtOnce is J2 and J3: no time at all, and time that goes on.
func expiredAtOnce() []Scenario {
	return []Scenario{
		{Name: "J2/a message of no time reaches a consumer that waits", Kinds: Everywhere(), Run: func(s *S) {
			ch := s.Connect().Channel()
			q := ch.Queue("q", T{"x-message-ttl": int32(0)})
			ch.ConsumeNoAck(q, "tag", nil)
			s.Put(q, "now")
			ch.Expect()
		}},
		{Name: "J2/a message of no time is gone without a consumer", Kinds: Everywhere(), Run: func(s *S) {
			ch := s.Connect().Channel()
			q := ch.Queue("q", nil)
			s.PutWith("", q, P{Expiration: "0"}, "never")
			ch.Await(q, 0, 0)
			ch.Get(q)
		}},
		{Name: "J2/a message of no time is gone when the consumer has no room", Kinds: Everywhere(), Run: func(s *S) {
			ch := s.Connect().Channel()
			q := ch.Queue("q", T{"x-message-ttl": int32(0)})
			ch.Qos(1)
			ch.Consume(q, "tag", nil)
			s.Put(q, "first")
			tag := ch.Expect().Tag()
			s.Put(q, "second")
			ch.Await(q, 0, 1)
			ch.Ack(tag)
			ch.Quiet(q)
		}},
		{Name: "J3/a message that is given back keeps its time", Kinds: Everywhere(), Run: func(s *S) {
			ch := s.Connect().Channel()
			q := ch.Queue("q", T{"x-message-ttl": int32(900)})
			s.Put(q, "1")
			ch.Await(q, 1, 0)
			tag := ch.Get(q).Tag()
			s.Pause(500 * time.Millisecond)
			ch.Nack(tag, true)
			ch.Await(q, 1, 0)
			s.Pause(800 * time.Millisecond)
			ch.Get(q)
		}},
		{Name: "J3/a message that is given back too late is gone", Kinds: Everywhere(), Run: func(s *S) {
			ch := s.Connect().Channel()
			q := ch.Queue("q", T{"x-message-ttl": int32(300)})
			ch.Qos(1)
			s.Put(q, "1")
			tag := ch.Get(q).Tag()
			s.Pause(700 * time.Millisecond)
			ch.Nack(tag, true)
			ch.Await(q, 0, 0)
			ch.Get(q)
		}},
		{Name: "J3,J4,J5,J6/an expired message is dead-lettered without its expiration", Kinds: Everywhere(), Upgrade: upgradeDeaths, Source: deathsSource, Run: func(s *S) {
			ch := s.Connect().Channel()
			dead := ch.Queue("dead", nil)
			q := ch.Queue("q", T{"x-dead-letter-exchange": "", "x-dead-letter-routing-key": dead})
			s.PutWith("", q, P{Expiration: "200", MessageID: "m", Headers: T{"own": "header"}}, "1")
			ch.Await(dead, 1, 0)
			ch.Get(dead)
		}},
	}
}

// expiredLetters is J1 and J4: what expired messages leave.
func expiredLetters() []Scenario {
	return []Scenario{
		{Name: "J4,J5,E16/messages of a queue's time to live are dead-lettered in their order", Kinds: Everywhere(), Upgrade: upgradeDeaths, Source: deathsSource, Run: func(s *S) {
			ch := s.Connect().Channel()
			dead := ch.Queue("dead", nil)
			q := ch.Queue("q", T{"x-message-ttl": int32(300), "x-dead-letter-exchange": "", "x-dead-letter-routing-key": dead})
			s.Put(q, "1", "2", "3")
			ch.Await(dead, 3, 0)
			for range 3 {
				ch.Get(dead)
			}
		}},
		{Name: "J1,E16/a time to live is no property of the message", Kinds: Everywhere(), Run: func(s *S) {
			ch := s.Connect().Channel()
			q := ch.Queue("q", T{"x-message-ttl": int32(100000)})
			s.PutWith("", q, P{Expiration: "90000"}, "1")
			ch.Await(q, 1, 0)
			ch.Get(q)
		}},
		{Name: "J1,F5/purge does not count what has expired", Kinds: Everywhere(), Run: func(s *S) {
			ch := s.Connect().Channel()
			q := ch.Queue("q", nil)
			s.PutWith("", q, P{Expiration: "100"}, "expired")
			ch.Await(q, 0, 0)
			s.Put(q, "stays")
			ch.Await(q, 1, 0)
			ch.Do(&wire.QueuePurge{Queue: q})
		}},
	}
}
