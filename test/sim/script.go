package sim

import (
	"fmt"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/warrenmq/warren/broker/wire"
)

// Script is a client that a directed test leads by hand.
type Script struct {
	*Client
	tb testing.TB

	mu     sync.Mutex
	got    []*wire.BasicDeliver
	bodies []string
	acks   map[uint64]time.Time
	tag    uint64
}

// Connect connects to a node; the test fails if it cannot.
func (c *Cluster) Connect(host string, m *Machine) *Script {
	c.tb.Helper()
	s := &Script{tb: c.tb, acks: make(map[uint64]time.Time)}
	cl, err := c.Dial(host, m, events{deliver: s.deliver, confirmed: s.confirmed, cancelled: func() { c.tb.Errorf("%s: cancelled", host) }})
	if err != nil {
		c.tb.Fatalf("%s connects to %s: %v", host, m.Name, err)
	}
	s.Client = cl
	return s
}

func (s *Script) deliver(_ *Client, d *wire.BasicDeliver, body string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.got, s.bodies = append(s.got, d), append(s.bodies, body)
}

func (s *Script) confirmed(tag uint64, multiple, ack bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if !ack {
		s.tb.Errorf("tag %d is refused", tag)
	}
	for t := tag; t > 0 && s.acks[t].IsZero(); t-- {
		s.acks[t] = time.Now()
		if !multiple {
			return
		}
	}
}

// Must calls and fails the test when the broker does not answer with it.
func (s *Script) Must(ms ...wire.Method) {
	s.tb.Helper()
	for _, m := range ms {
		if _, err := s.Call(m); err != nil {
			s.tb.Fatalf("%s: %v", m.Name(), err)
		}
	}
}

// PublishTo publishes bodies to a queue.
func (s *Script) PublishTo(queue string, bodies ...string) {
	s.tb.Helper()
	for _, b := range bodies {
		s.mu.Lock()
		s.tag++
		s.mu.Unlock()
		if err := s.Publish("", queue, b); err != nil {
			s.tb.Fatalf("publish %s: %v", b, err)
		}
	}
}

// Confirmed counts the confirms so far.
func (s *Script) Confirmed() int {
	s.mu.Lock()
	defer s.mu.Unlock()
	return len(s.acks)
}

// AwaitConfirms waits until everything is confirmed, and says how long that took.
func (s *Script) AwaitConfirms(within time.Duration) time.Duration {
	s.tb.Helper()
	began := time.Now()
	for s.Confirmed() < int(s.tag) {
		if time.Since(began) > within {
			s.tb.Fatalf("%d of %d messages are confirmed after %v", s.Confirmed(), s.tag, within)
		}
		time.Sleep(10 * time.Millisecond)
	}
	return time.Since(began)
}

// Deliveries waits until there are n and returns all as a line: bodies, with a star
// for the redelivered flag.
func (s *Script) Deliveries(n int, within time.Duration) string {
	began := time.Now()
	for {
		s.mu.Lock()
		var list []string
		for i, d := range s.got {
			star := ""
			if d.Redelivered {
				star = "*"
			}
			list = append(list, s.bodies[i]+star)
		}
		s.mu.Unlock()
		if len(list) >= n && time.Since(began) > 0 || time.Since(began) > within {
			return strings.Join(list, " ")
		}
		time.Sleep(10 * time.Millisecond)
	}
}

// Ack acknowledges everything delivered so far.
func (s *Script) Ack() {
	s.tb.Helper()
	s.mu.Lock()
	tag := s.got[len(s.got)-1].DeliveryTag
	s.mu.Unlock()
	if err := s.Send(&wire.BasicAck{DeliveryTag: tag, Multiple: true}); err != nil {
		s.tb.Fatalf("ack: %v", err)
	}
}

// numbers are bodies from first to last.
func numbers(first, last int) (list []string) {
	for i := first; i <= last; i++ {
		list = append(list, fmt.Sprint(i))
	}
	return list
}

// Leads finds the machine that leads a queue, as another one sees it.
func (c *Cluster) Leads(queue string) (leads int) {
	c.tb.Helper()
	leads = -1
	c.Await(20*time.Second, "a leader of "+queue, func() bool {
		for _, m := range c.Machines {
			n := m.Node()
			if n == nil {
				continue
			}
			for _, q := range n.Status().Queues {
				if name, _, _ := strings.Cut(q.Leader, "@"); q.Name == queue && name != "" {
					leads = int(name[1]-'0') - 1
					return c.Machines[leads].Node() != nil
				}
			}
		}
		return false
	})
	if leads < 0 {
		c.tb.Fatalf("nobody leads %s", queue)
	}
	return leads
}
