package edge

import (
	"context"
	"errors"
	"slices"
	"sync"

	"github.com/warrenmq/warren/broker/queue"
)

const (
	// batchBytes is where a batch is closed: Raft's entries stay small enough to
	// replicate without stalling heartbeats (design §9).
	batchBytes = 256 << 10
	// eagerBytes is what must have gathered before a batch is sent while another
	// is under way: large batches cost less a message.
	eagerBytes = 64 << 10
	// batchFlights is how many batches of a session may be under way.
	batchFlights = 8
	// mix spreads the numbers of sessions that must not be taken for each other.
	mix = 0x9e3779b97f4a7c15
)

// flight is a batch on its way, kept until it is answered.
type flight struct {
	seq      uint64
	batch    []byte
	receipts []Receipt
	bytes    int   // taken from the budget
	arrival  []int // ordinal to arrival number, nil when they are the same
}

// session is the publishing side of one target.
type session struct {
	e      *Edge
	target Target
	id     queue.Session
	budget budget
	wake   chan struct{}

	mu       sync.Mutex
	builder  queue.Builder
	receipts []Receipt // of the builder's messages, by arrival
	bytes    int       // of the builder's messages, taken from the budget
	sealed   []*flight // closed, not sent yet
	flights  []*flight // sent, not answered, in order
	seq      uint64    // of the last closed batch
	link     *publishLink
}

func newSession(e *Edge, t Target) *session {
	id := e.cfg.Session
	if t.Group == 0 {
		// A home that has started anew answers under the same address: batches for
		// the process before must not take the numbers of those for this one.
		id.Incarnation ^= t.Epoch * mix
	}
	if t.Moves {
		id.Incarnation = ^id.Incarnation
	}
	return &session{e: e, target: t, id: id, budget: budget{limit: e.cfg.UnconfirmedBytes}, wake: make(chan struct{}, 1)}
}

// publishLink is one way to a leader: a stream, or the engine itself.
type publishLink struct {
	node   string
	send   func(*flight) error // in order; answers come to session.answered
	close  func()
	broken chan struct{} // closed when it is of no more use
	once   sync.Once
}

func (l *publishLink) fail() { l.once.Do(func() { close(l.broken) }) }

func messageBytes(m *queue.Message) int {
	return len(m.Body) + len(m.Properties) + len(m.RoutingKey) + len(m.Exchange) + 64
}

// add puts m into the open batch.
func (s *session) add(ctx context.Context, to []queue.ID, m *queue.Message, r Receipt) error {
	size := messageBytes(m)
	if err := s.budget.acquire(ctx, size); err != nil {
		return err
	}
	s.mu.Lock()
	s.builder.Add(to, m)
	s.receipts = append(s.receipts, r)
	s.bytes += size
	if s.builder.Bytes() >= batchBytes {
		s.seal()
	}
	send := s.ready()
	s.mu.Unlock()
	if send {
		s.poke()
	}
	return nil
}

func (s *session) poke() {
	select {
	case s.wake <- struct{}{}:
	default:
	}
}

// seal closes the open batch. The caller holds mu.
func (s *session) seal() {
	n := s.builder.Len()
	if n == 0 {
		return
	}
	s.seq++
	f := &flight{seq: s.seq, receipts: s.receipts, bytes: s.bytes}
	f.batch = s.builder.Seal(s.id, s.seq)
	f.arrival = arrivals(&s.builder, n)
	s.receipts = make([]Receipt, 0, min(n+n/4, 1024))
	s.bytes = 0
	s.sealed = append(s.sealed, f)
}

// ready tells whether there is something to send now. The caller holds mu.
func (s *session) ready() bool {
	n := len(s.flights)
	switch {
	case s.link == nil || n >= batchFlights:
		return false
	case len(s.sealed) > 0:
		return true
	case s.builder.Len() == 0:
		return false
	}
	return n == 0 || s.builder.Bytes() >= eagerBytes
}

// next moves the next batch under way; nil when there is none to send now.
func (s *session) next() *flight {
	s.mu.Lock()
	defer s.mu.Unlock()
	if !s.ready() {
		return nil
	}
	if len(s.sealed) == 0 {
		s.seal()
	}
	f := s.sealed[0]
	s.sealed = slices.Delete(s.sealed, 0, 1)
	s.flights = append(s.flights, f)
	return f
}

// run sends until ctx ends. What is unanswered then stays unconfirmed.
func (s *session) run(ctx context.Context) {
	for tries := 0; ctx.Err() == nil; tries++ {
		if !s.waitForWork(ctx) {
			return
		}
		link, err := s.connect(ctx)
		if err != nil {
			if errors.Is(err, errHomeGone) {
				s.abandon()
			}
			if !pause(ctx, tries) {
				return
			}
			continue
		}
		if s.use(ctx, link) {
			tries = -1
		}
		link.close()
		if tries >= 0 && !pause(ctx, tries) {
			return
		}
	}
}

// waitForWork waits until there is something to publish.
func (s *session) waitForWork(ctx context.Context) bool {
	for {
		s.mu.Lock()
		work := s.builder.Len() > 0 || len(s.sealed) > 0 || len(s.flights) > 0
		if !work {
			s.link = idleLink // so that add pokes
		}
		s.mu.Unlock()
		if work {
			return true
		}
		select {
		case <-ctx.Done():
			return false
		case <-s.wake:
		}
	}
}

// moved hears that node leads the group now: batches that wait for another
// node's answer, which may never come, go to the new one.
func (s *session) moved(node string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.link != nil && s.link != idleLink && s.link.node != node {
		s.link.fail()
	}
}

// idleLink stands for no link yet, where add must wake the session.
var idleLink = &publishLink{}

// use sends over link until it breaks. It first sends again what was
// unanswered. It reports whether anything was answered over it.
func (s *session) use(ctx context.Context, link *publishLink) bool {
	s.mu.Lock()
	s.link = link
	again := slices.Clone(s.flights)
	first := uint64(0)
	if len(again) > 0 {
		first = again[0].seq
	}
	s.mu.Unlock()
	defer func() {
		s.mu.Lock()
		s.link = nil
		s.mu.Unlock()
	}()
	for _, f := range again {
		if link.send(f) != nil {
			return false
		}
	}
	progress := func() bool {
		s.mu.Lock()
		defer s.mu.Unlock()
		return len(s.flights) == 0 || s.flights[0].seq > first
	}
	for {
		for f := s.next(); f != nil; f = s.next() {
			if link.send(f) != nil {
				return progress()
			}
		}
		select {
		case <-ctx.Done():
			return progress()
		case <-link.broken:
			return progress()
		case <-s.wake:
		}
	}
}

// answered takes the answer to a batch sent over link.
func (s *session) answered(link *publishLink, a queue.Answer, seq uint64, err error) {
	switch {
	case err != nil:
		link.fail()
		return
	case a.Status == queue.Gap:
		link.fail() // an earlier batch did not arrive: all goes again, from the first unanswered one
		return
	case a.Status == queue.Stale:
		s.e.logger.Error("a newer process of this node publishes: this one's session is refused", "group", s.target.Group)
		link.fail()
		return
	}
	s.mu.Lock()
	if s.link != link || len(s.flights) == 0 || s.flights[0].seq != seq {
		s.mu.Unlock() // an answer over an earlier link, which was repeated since
		return
	}
	f := s.flights[0]
	s.flights = slices.Delete(s.flights, 0, 1)
	send := s.ready()
	s.mu.Unlock()
	if send {
		s.poke()
	}
	s.budget.release(f.bytes)
	refused := f.refused(a.Refused)
	if len(a.Sealed) > 0 {
		s.e.await(f, a.Sealed, refused)
	}
	complete(f.receipts, refused, nil)
}

// refused turns ordinals into arrival numbers.
func (f *flight) refused(ordinals []uint32) []int {
	if len(ordinals) == 0 {
		return nil
	}
	list := make([]int, len(ordinals))
	for i, o := range ordinals {
		list[i] = f.arrived(o)
	}
	slices.Sort(list)
	return list
}

// arrived is the arrival number of the message with this ordinal.
func (f *flight) arrived(ordinal uint32) int {
	if f.arrival != nil {
		return f.arrival[ordinal]
	}
	return int(ordinal)
}

func arrivals(b *queue.Builder, n int) []int {
	list := make([]int, n)
	same := true
	for i := range n {
		list[i] = b.Arrival(uint32(i))
		same = same && list[i] == i
	}
	if same {
		return nil
	}
	return list
}

// abandon gives up what waits for a transient queue's node that is gone. Batches
// under way may have reached it: they are lost. The others were published to queues
// that are no more, and are confirmed as RabbitMQ confirms what goes nowhere.
func (s *session) abandon() {
	s.mu.Lock()
	s.seal()
	lost, nowhere := s.flights, s.sealed
	s.flights, s.sealed = nil, nil
	if s.seq > 0 { // should the node get queues again, it must not wait for what was given up
		s.seq = 0
		s.id.Incarnation = s.id.Incarnation*mix + 1
	}
	s.mu.Unlock()
	for _, f := range lost {
		s.budget.release(f.bytes)
		complete(f.receipts, nil, ErrLost)
	}
	for _, f := range nowhere {
		s.budget.release(f.bytes)
		complete(f.receipts, nil, nil)
	}
}
