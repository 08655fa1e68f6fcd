package scenarios

import (
	"fmt"
	"slices"
	"strings"

	"github.com/warrenmq/warren/broker/wire"

	. "github.com/warrenmq/warren/test/compat/diff"
)

// lengths is section J: limits of length, and what happens at them.
func lengths() []Scenario {
	return slices.Concat(dropHead(), rejectPublish())
}

// dropHead is J10: the head goes.
func dropHead() []Scenario {
	return []Scenario{
		{Name: "J10,E18,E19/the head is dropped", Kinds: Everywhere(), Run: func(s *S) {
			ch := s.Connect().Channel()
			q := ch.Queue("q", T{"x-max-length": int32(3)})
			s.Put(q, "1", "2", "3", "4", "5")
			count(ch, q)
			for range 4 {
				ch.Get(q)
			}
		}},
		{Name: "J10,E18/the head is dropped by octets", Kinds: Everywhere(), Run: func(s *S) {
			ch := s.Connect().Channel()
			q := ch.Queue("q", T{"x-max-length-bytes": int32(10)})
			s.Put(q, "four", "five5", "1")
			count(ch, q)
			s.Put(q, "xx")
			count(ch, q)
			for range 4 {
				ch.Get(q)
			}
		}},
		{Name: "J10,E18/one message above all octets", Kinds: Everywhere(), Run: func(s *S) {
			ch := s.Connect().Channel()
			q := ch.Queue("q", T{"x-max-length-bytes": int32(10)})
			s.Put(q, "small")
			s.Put(q, strings.Repeat("large", 10))
			count(ch, q)
		}},
		{Name: "J10,E18/both limits hold", Kinds: Everywhere(), Run: func(s *S) {
			ch := s.Connect().Channel()
			q := ch.Queue("q", T{"x-max-length": int32(2), "x-max-length-bytes": int32(10)})
			s.Put(q, "1", "2", "3")
			count(ch, q)
			s.Put(q, "nine oct.")
			count(ch, q)
		}},
		{Name: "J10,E18/a length of nothing", Kinds: Everywhere(), Run: func(s *S) {
			ch := s.Connect().Channel()
			q := ch.Queue("q", T{"x-max-length": int32(0)})
			s.Put(q, "1")
			count(ch, q)
			ch.ConsumeNoAck(q, "tag", nil)
			s.Put(q, "2")
			ch.Expect()
		}},
		{Name: "J10,E18/what consumers hold does not count", Kinds: Everywhere(), Run: func(s *S) {
			ch := s.Connect().Channel()
			q := ch.Queue("q", T{"x-max-length": int32(2)})
			s.Put(q, "1", "2")
			ch.Get(q)
			ch.Get(q)
			s.Put(q, "3", "4")
			count(ch, q)
			ch.Get(q)
			ch.Get(q)
		}},
		{Name: "J10/what comes back is dropped where there is no room", Kinds: Everywhere(), Run: func(s *S) {
			ch := s.Connect().Channel()
			q := ch.Queue("q", T{"x-max-length": int32(2)})
			s.Put(q, "1", "2")
			tag := ch.Get(q).Tag()
			s.Put(q, "3", "4")
			ch.Reject(tag, true)
			ch.Await(q, 2, 0)
			ch.Get(q)
			ch.Get(q)
			ch.Get(q)
		}},
		{Name: "J10,J4,J5/dropped messages are dead-lettered", Kinds: Everywhere(), Upgrade: upgradeDeaths, Source: deathsSource, Run: func(s *S) {
			ch := s.Connect().Channel()
			dead := ch.Queue("dead", nil)
			q := ch.Queue("q", T{"x-max-length": int32(1), "x-dead-letter-exchange": "", "x-dead-letter-routing-key": dead})
			s.Put(q, "1", "2", "3")
			ch.Await(dead, 2, 0)
			ch.Get(dead)
			ch.Get(dead)
			ch.Get(q)
		}},
	}
}

// rejectPublish is E19: new messages are refused.
func rejectPublish() []Scenario {
	return []Scenario{
		{Name: "E19,I3/reject-publish keeps what is there", Kinds: Everywhere(), Run: func(s *S) {
			ch := s.Connect().Channel()
			q := ch.Queue("q", T{"x-max-length": int32(2), "x-overflow": "reject-publish"})
			s.Put(q, "1", "2", "3")
			count(ch, q)
			for range 3 {
				ch.Get(q)
			}
		}},
		{Name: "E19/reject-publish is silent without confirms", Kinds: Everywhere(), Run: func(s *S) {
			ch := s.Connect().Channel()
			q := ch.Queue("q", T{"x-max-length": int32(1), "x-overflow": "reject-publish"})
			for i := range 3 {
				ch.Publish("", q, P{}, fmt.Sprint(i))
			}
			ch.Await(q, 1, 0)
			ch.Quiet(q)
			ch.Get(q)
		}},
		{Name: "E19,E18/reject-publish by octets", Kinds: Everywhere(), Run: func(s *S) {
			ch := s.Connect().Channel()
			q := ch.Queue("q", T{"x-max-length-bytes": int32(10), "x-overflow": "reject-publish"})
			s.Put(q, "six666", "five5", "four")
			count(ch, q)
		}},
		{Name: "E19/reject-publish does not count what consumers hold", Kinds: Everywhere(), Run: func(s *S) {
			ch := s.Connect().Channel()
			q := ch.Queue("q", T{"x-max-length": int32(1), "x-overflow": "reject-publish"})
			s.Put(q, "1")
			ch.Get(q)
			s.Put(q, "2", "3")
			count(ch, q)
		}},
		{Name: "E19,Q1/reject-publish-dlx dead-letters what it refuses", Kinds: Everywhere(), Upgrade: upgradeDeaths, Source: deathsSource, Run: func(s *S) {
			ch := s.Connect().Channel()
			dead := ch.Queue("dead", nil)
			q := ch.Queue("q", T{"x-max-length": int32(1), "x-overflow": "reject-publish-dlx", "x-dead-letter-exchange": "", "x-dead-letter-routing-key": dead})
			s.Put(q, "1", "2")
			ch.Await(dead, 1, 0)
			ch.Get(dead)
			ch.Get(q)
		}},
		{Name: "E19,G2/a mandatory message that a full queue refuses is not returned", Kinds: Everywhere(), Run: func(s *S) {
			ch := s.Connect().Channel()
			q := ch.Queue("q", T{"x-max-length": int32(0), "x-overflow": "reject-publish"})
			ch.Confirm()
			ch.PublishWith(&wire.BasicPublish{RoutingKey: q, Mandatory: true}, P{}, "hello")
			ch.Confirms(1)
			ch.Quiet(q)
		}},
	}
}
