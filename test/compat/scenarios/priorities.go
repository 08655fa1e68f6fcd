package scenarios

import (
	"fmt"

	. "github.com/warrenmq/warren/test/compat/diff"
)

// priorities is section J: message priorities.
func priorities() []Scenario {
	return []Scenario{
		{Name: "J11,E22,Q1/the highest priority comes first", Kinds: Everywhere(), Run: func(s *S) {
			ch := s.Connect().Channel()
			q := ch.Queue("q", T{"x-max-priority": int32(10)})
			for _, p := range []uint8{0, 5, 1, 10, 5, 0} {
				s.PutWith("", q, P{Priority: p}, fmt.Sprint("of priority ", p))
			}
			ch.Await(q, 6, 0)
			for range 6 {
				ch.Get(q)
			}
		}},
		{Name: "J11,E22/one priority keeps its order", Kinds: Everywhere(), Run: func(s *S) {
			ch := s.Connect().Channel()
			q := ch.Queue("q", T{"x-max-priority": int32(3)})
			for i := range 6 {
				s.PutWith("", q, P{Priority: uint8(i % 2)}, fmt.Sprint(i))
			}
			ch.Await(q, 6, 0)
			for range 6 {
				ch.Get(q)
			}
		}},
		{Name: "J11/a priority above the highest is the highest", Kinds: Everywhere(), Run: func(s *S) {
			ch := s.Connect().Channel()
			q := ch.Queue("q", T{"x-max-priority": int32(5)})
			for _, p := range []uint8{5, 200, 5, 4} {
				s.PutWith("", q, P{Priority: p}, fmt.Sprint("of priority ", p))
			}
			ch.Await(q, 4, 0)
			for range 4 {
				ch.Get(q)
			}
		}},
		{Name: "J11/no priority is the lowest", Kinds: Everywhere(), Run: func(s *S) {
			ch := s.Connect().Channel()
			q := ch.Queue("q", T{"x-max-priority": int32(5)})
			s.PutWith("", q, P{}, "none")
			s.PutWith("", q, P{Priority: 1}, "one")
			ch.Await(q, 2, 0)
			ch.Get(q)
			ch.Get(q)
		}},
		{Name: "J11/priorities mean nothing to a queue without them", Kinds: []Kind{Classic, Transient}, Run: func(s *S) {
			ch := s.Connect().Channel()
			q := ch.Queue("q", nil)
			s.PutWith("", q, P{Priority: 1}, "one")
			s.PutWith("", q, P{Priority: 9}, "nine")
			ch.Await(q, 2, 0)
			ch.Get(q)
			ch.Get(q)
		}},
		{Name: "J11,H19/a message that comes back keeps its priority and place", Kinds: Everywhere(), Run: func(s *S) {
			ch := s.Connect().Channel()
			q := ch.Queue("q", T{"x-max-priority": int32(5)})
			for i, p := range []uint8{1, 5, 5, 3} {
				s.PutWith("", q, P{Priority: p}, fmt.Sprint(i))
			}
			ch.Await(q, 4, 0)
			first, second := ch.Get(q).Tag(), ch.Get(q).Tag()
			ch.Nack(first, true)
			ch.Nack(second, true)
			ch.Await(q, 4, 0)
			for range 4 {
				ch.Get(q)
			}
		}},
		{Name: "J11/a high priority overtakes what waits for a consumer", Kinds: Everywhere(), Run: func(s *S) {
			ch := s.Connect().Channel()
			q := ch.Queue("q", T{"x-max-priority": int32(5)})
			ch.Qos(1)
			ch.Consume(q, "tag", nil)
			s.Put(q, "first")
			tag := ch.Expect().Tag()
			s.PutWith("", q, P{Priority: 1}, "low")
			s.PutWith("", q, P{Priority: 4}, "high")
			ch.Ack(tag)
			ch.Ack(ch.Expect().Tag())
			ch.Expect()
		}},
		{Name: "J11,E22/255 priorities", Kinds: Everywhere(), Run: func(s *S) {
			ch := s.Connect().Channel()
			q := ch.Queue("q", T{"x-max-priority": int32(255)})
			for _, p := range []uint8{254, 255, 1, 128} {
				s.PutWith("", q, P{Priority: p}, fmt.Sprint("of priority ", p))
			}
			ch.Await(q, 4, 0)
			for range 4 {
				ch.Get(q)
			}
		}},
		{Name: "J11,J10/the next to be delivered is dropped at the limit", Kinds: Everywhere(), Run: func(s *S) {
			ch := s.Connect().Channel()
			q := ch.Queue("q", T{"x-max-priority": int32(5), "x-max-length": int32(2)})
			s.PutWith("", q, P{Priority: 1}, "low")
			s.PutWith("", q, P{Priority: 5}, "high")
			s.PutWith("", q, P{Priority: 3}, "middle")
			count(ch, q)
			ch.Get(q)
			ch.Get(q)
		}},
	}
}
