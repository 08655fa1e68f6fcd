package scenarios

import (
	"fmt"
	"time"

	"github.com/warrenmq/warren/broker/wire"

	. "github.com/warrenmq/warren/test/compat/diff"
)

// queueArguments is section E: the arguments of queues, E12 and E16 to E35.
func queueArguments() []Scenario {
	list := append(refusedArguments(), acceptedArguments()...)
	return append(list, []Scenario{
		{Name: "E12/several faults, and which is told", Run: func(s *S) {
			declareWith(s, T{"x-max-length": int32(-1), "x-expires": int32(0), "x-message-ttl": int32(-1)})
		}},
		{Name: "E12/a refused declare leaves nothing", Run: func(s *S) {
			declareWith(s, T{"x-max-length": int32(-1)})
			s.Connect().Channel().Do(&wire.QueueDeclare{Queue: s.Name("q"), Passive: true})
		}},
		{Name: "E17/a redeclare renews x-expires", Kinds: []Kind{Classic, Transient}, Run: func(s *S) {
			ch := s.Connect().Channel()
			q := ch.Queue("q", T{"x-expires": int32(1000)})
			s.Silently(func() {
				for range 4 {
					s.Pause(400 * time.Millisecond)
					ch.Queue("q", T{"x-expires": int32(1000)})
				}
			})
			ch.Do(&wire.QueueDeclare{Queue: q, Passive: true})
		}},
		{Name: "E17,J15/a queue that nobody uses expires", Kinds: Everywhere(), Run: func(s *S) {
			ch := s.Connect().Channel()
			q := ch.Queue("q", T{"x-expires": int32(500)})
			s.Put(q, "goes with it")
			s.Pause(1500 * time.Millisecond)
			ch.Do(&wire.QueueDeclare{Queue: q, Passive: true})
		}},
		{Name: "E17,J15/a consumer keeps a queue", Kinds: Everywhere(), Run: func(s *S) {
			ch := s.Connect().Channel()
			q := ch.Queue("q", T{"x-expires": int32(500)})
			ch.Consume(q, "tag", nil)
			s.Pause(1200 * time.Millisecond)
			ch.Do(&wire.QueueDeclare{Queue: q, Passive: true})
			ch.Do(&wire.BasicCancel{ConsumerTag: "tag"})
			s.Pause(1200 * time.Millisecond)
			ch.Do(&wire.QueueDeclare{Queue: q, Passive: true})
		}},
		{Name: "E17,J15/a get keeps a queue", Kinds: Everywhere(), Run: func(s *S) {
			ch := s.Connect().Channel()
			q := ch.Queue("q", T{"x-expires": int32(1000)})
			s.Silently(func() {
				for range 4 {
					s.Pause(400 * time.Millisecond)
					ch.Get(q)
				}
			})
			ch.Do(&wire.QueueDeclare{Queue: q, Passive: true})
		}},
		{Name: "E20/a dead-letter exchange that is not there", Kinds: Everywhere(), Run: func(s *S) {
			ch := s.Connect().Channel()
			q := ch.Queue("q", T{"x-dead-letter-exchange": s.Name("nobody")})
			s.Put(q, "lost")
			ch.Await(q, 1, 0)
			ch.Reject(ch.Get(q).Tag(), false)
			count(ch, q)
		}},
		{Name: "E24,E25/arguments of old queues are taken", Run: func(s *S) {
			ch := s.Connect().Channel()
			q := ch.Queue("q", T{"x-queue-mode": "lazy"})
			s.Put(q, "hello")
			ch.Await(q, 1, 0)
			ch.Get(q)
		}},
	}...)
}

// declareWith declares a durable queue with arguments.
func declareWith(s *S, args T) {
	s.Connect().Channel().Do(&wire.QueueDeclare{Queue: s.Name("q"), Durable: true, Arguments: args})
}

// refusedArguments are values that an argument cannot have (E12).
func refusedArguments() (list []Scenario) {
	for _, c := range []struct {
		rows, name string
		value      any
	}{
		{"E12,E16", "x-message-ttl", int32(-1)},
		{"E12,E16", "x-message-ttl", "1000"},
		{"E12,E16", "x-message-ttl", 1.5},
		{"E12,E16", "x-message-ttl", true},
		{"E12,E16", "x-message-ttl", int64(315_360_000_001)},
		{"E12,E17", "x-expires", int32(0)},
		{"E12,E17", "x-expires", int32(-1)},
		{"E12,E17", "x-expires", "soon"},
		{"E12,E17", "x-expires", int64(315_360_000_001)},
		{"E12,E18", "x-max-length", int32(-5)},
		{"E12,E18", "x-max-length", "many"},
		{"E12,E18", "x-max-length", 2.5},
		{"E12,E18", "x-max-length-bytes", int64(-1)},
		{"E12,E18", "x-max-length-bytes", "many"},
		{"E12,E19", "x-overflow", "burst"},
		{"E12,E19", "x-overflow", int32(1)},
		{"E12,E20", "x-dead-letter-exchange", int32(1)},
		{"E12,E20", "x-dead-letter-routing-key", "key"},
		{"E12,E22", "x-max-priority", int32(-1)},
		{"E12,E22", "x-max-priority", int32(256)},
		{"E12,E22", "x-max-priority", "high"},
		{"E12,E23", "x-single-active-consumer", "yes"},
		{"E12,E23", "x-single-active-consumer", int32(1)},
	} {
		list = append(list, Scenario{Name: fmt.Sprintf("%s/%s %T %v is refused", c.rows, c.name, c.value, c.value), Run: func(s *S) {
			declareWith(s, T{c.name: c.value})
		}})
	}
	list = append(list, Scenario{Name: "E12,E20/x-dead-letter-routing-key that is no text", Run: func(s *S) {
		declareWith(s, T{"x-dead-letter-exchange": "", "x-dead-letter-routing-key": int32(1)})
	}})
	return list
}

// acceptedArguments are values that it can.
func acceptedArguments() (list []Scenario) {
	for _, c := range []struct {
		rows, name string
		value      any
	}{
		{"E16", "x-message-ttl", int32(0)},
		{"E16", "x-message-ttl", int64(315_360_000_000)},
		{"E17", "x-expires", int32(100000)},
		{"E18", "x-max-length", int32(0)},
		{"E18", "x-max-length-bytes", int64(1) << 40},
		{"E19", "x-overflow", "drop-head"},
		{"E19", "x-overflow", "reject-publish"},
		{"E19", "x-overflow", "reject-publish-dlx"},
		{"E20", "x-dead-letter-exchange", ""},
		{"E22", "x-max-priority", int32(0)},
		{"E22", "x-max-priority", int32(255)},
		{"E23", "x-single-active-consumer", false},
		{"E24", "x-queue-mode", "default"},
		{"E2", "x-an-argument-of-ours", T{"a": "table"}},
	} {
		list = append(list, Scenario{Name: fmt.Sprintf("%s/%s %T %v is taken", c.rows, c.name, c.value, c.value), Run: func(s *S) {
			ch := s.Connect().Channel()
			q := ch.Queue("q", T{c.name: c.value})
			ch.Do(&wire.QueueDeclare{Queue: q, Passive: true})
			ch.Queue("q", T{c.name: c.value})
		}})
	}
	return list
}
