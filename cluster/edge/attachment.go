package edge

import (
	"context"
	"errors"
	"slices"
	"sync"

	"github.com/warrenmq/warren/broker/leader"
	"github.com/warrenmq/warren/broker/queue"
)

// attachment is the consuming side of one target: this node's subscriptions to
// its queues, what they hold, and the way to whoever serves them now.
//
// Lock order: events, then mu. events is held while an event is handled, so
// that sinks hear of one thing after another, also when the link changes.
type attachment struct {
	e      *Edge
	target Target
	wake   chan struct{}

	events sync.Mutex

	mu        sync.Mutex
	subs      map[uint64]*subscription
	work      []*subscription // with something to tell the leader
	urgent    bool            // something waits that should not wait for a Settled
	number    uint64          // of the last settlement
	unsettled []leader.Settle // told or to be told, not committed, by number
	link      *consumeLink
	term      uint64        // the highest that a leader has shown
	releasing int           // subscriptions in that state
	progress  chan struct{} // see progressing
}

// consumeLink is one way to an engine.
type consumeLink struct {
	node   string
	term   uint64
	send   func(leader.Request) error
	close  func()
	broken chan struct{}
	once   sync.Once
}

func (l *consumeLink) fail() { l.once.Do(func() { close(l.broken) }) }

func newAttachment(e *Edge, t Target) *attachment {
	return &attachment{e: e, target: t, wake: make(chan struct{}, 1), subs: make(map[uint64]*subscription)}
}

func (a *attachment) poke() {
	select {
	case a.wake <- struct{}{}:
	default:
	}
}

// busy tells whether a leader is needed. The caller holds mu.
func (a *attachment) busy() bool { return len(a.subs) > 0 || len(a.unsettled) > 0 }

// run keeps the attachment attached while it is needed.
func (a *attachment) run(ctx context.Context) {
	for tries := 0; ctx.Err() == nil; {
		a.mu.Lock()
		busy := a.busy()
		a.mu.Unlock()
		if !busy {
			select {
			case <-ctx.Done():
				return
			case <-a.wake:
			}
			tries = 0
			continue
		}
		link, err := a.connect(ctx)
		if err != nil {
			if errors.Is(err, errHomeGone) {
				a.abandon()
			}
			if tries++; !pause(ctx, tries) {
				return
			}
			continue
		}
		tries = 0
		a.use(ctx, link)
		link.close()
		if !pause(ctx, 0) {
			return
		}
	}
}

// use tells link's engine what is held and asked for, then passes on what
// comes, until it breaks.
func (a *attachment) use(ctx context.Context, link *consumeLink) {
	a.events.Lock()
	a.mu.Lock()
	a.link = link
	a.term = max(a.term, link.term)
	requests := a.resumption()
	a.mu.Unlock()
	a.events.Unlock()
	defer func() {
		a.events.Lock()
		a.mu.Lock()
		a.link = nil
		a.mu.Unlock()
		a.events.Unlock()
	}()
	for {
		for _, r := range requests {
			if link.send(r) != nil {
				return
			}
		}
		requests = a.flush()
		if len(requests) > 0 {
			continue
		}
		select {
		case <-ctx.Done():
			return
		case <-link.broken:
			return
		case <-a.wake:
			requests = a.flush()
		}
	}
}

// resumption lists what a new link begins with. The caller holds mu.
func (a *attachment) resumption() []leader.Request {
	ids := make([]uint64, 0, len(a.subs))
	for id := range a.subs {
		ids = append(ids, id)
	}
	slices.Sort(ids)
	for _, s := range a.work {
		s.queued = false
	}
	clear(a.work)
	a.work = a.work[:0]
	// What went back unseen goes back by not being in Held. To say it again would
	// take it from a client who has got it since.
	a.unsettled = slices.DeleteFunc(a.unsettled, func(u leader.Settle) bool { return u.Answer == leader.Unseen })
	var requests, after []leader.Request
	for _, id := range ids {
		s := a.subs[id]
		s.answers[leader.Unseen] = nil
		s.told() // credit is in the request, and so is Cancelled
		s.cancel = false
		consumer := s.withCredit()
		switch {
		case s.state == asking:
			after = append(after, s.ask())
			continue
		case s.state == getting: // what an earlier Get took and nobody saw goes back first
			after = append(after, s.ask())
		case s.state == cancelling:
			after = append(after, leader.Cancel{Sub: id})
		}
		requests = append(requests, leader.Resume{
			Sub: id, Queue: s.queue, Consumer: consumer, Cancelled: s.state != standing, Held: a.heldBy(s),
			Get: s.sink == nil, Active: s.active && s.state == standing})
		a.queue(s, true) // answers that were not told yet
	}
	requests = append(requests, leader.Resumed{})
	for _, settle := range a.unsettled {
		requests = append(requests, settle)
	}
	return append(requests, after...)
}

// heldBy lists what the leader must not give to anybody else: what s holds,
// and what it has answered without a commit so far. The caller holds mu.
func (a *attachment) heldBy(s *subscription) []queue.Range {
	seqs := sorted(s.held)
	for _, list := range s.answers {
		for _, r := range list {
			for seq := r.First; seq <= r.Last; seq++ {
				seqs = append(seqs, seq)
			}
		}
	}
	slices.Sort(seqs)
	ranges := appendRuns(nil, seqs)
	for _, u := range a.unsettled {
		if u.Sub == s.id {
			ranges = append(ranges, u.Ranges...)
		}
	}
	slices.SortFunc(ranges, func(x, y queue.Range) int {
		switch {
		case x.First < y.First:
			return -1
		case x.First > y.First:
			return 1
		}
		return 0
	})
	return ranges
}

// sorted lists a set of sequence numbers in order.
func sorted(set map[uint64]struct{}) []uint64 {
	seqs := make([]uint64, 0, len(set))
	for seq := range set {
		seqs = append(seqs, seq)
	}
	slices.Sort(seqs)
	return seqs
}

// appendRuns turns ascending numbers into ranges.
func appendRuns(ranges []queue.Range, seqs []uint64) []queue.Range {
	for _, seq := range seqs {
		if n := len(ranges); n > 0 && ranges[n-1].Last+1 == seq {
			ranges[n-1].Last = seq
			continue
		}
		ranges = append(ranges, queue.Range{First: seq, Last: seq})
	}
	return ranges
}

// flush lists what is to be told now. Settlements gather while earlier ones
// are not committed, unless something urgent waits.
func (a *attachment) flush() []leader.Request {
	a.mu.Lock()
	defer a.mu.Unlock()
	if len(a.work) == 0 || len(a.unsettled) > 0 && !a.urgent {
		return nil
	}
	var requests []leader.Request
	for _, s := range a.work {
		requests = s.flush(requests)
	}
	clear(a.work)
	a.work, a.urgent = a.work[:0], false
	return requests
}

// event takes what link's engine says.
func (a *attachment) event(link *consumeLink, ev leader.Event) {
	a.events.Lock()
	defer a.events.Unlock()
	a.mu.Lock()
	if a.link != link || link.term < a.term {
		a.mu.Unlock()
		return
	}
	var sink Deliveries
	var list []leader.Delivery
	var gone error
	switch ev := ev.(type) {
	case leader.Deliveries:
		if s := a.subs[ev.Sub]; s != nil {
			sink, list = s.delivered(ev.List)
		}
	case leader.Subscribed:
		if s := a.subs[ev.Sub]; s != nil && s.state == asking {
			s.subscribed(ev)
		}
	case leader.Got:
		if s := a.subs[ev.Sub]; s != nil && s.state == getting {
			s.gotten(ev)
		}
	case leader.Cancelled:
		if s := a.subs[ev.Sub]; s != nil {
			sink, gone = s.cancelled(ev.Err)
		}
	case leader.Active:
		if s := a.subs[ev.Sub]; s != nil {
			s.active = ev.Active
		}
	case leader.Settled:
		a.settled(ev.Number)
	}
	a.mu.Unlock()
	switch {
	case sink != nil && gone != nil:
		sink.Cancelled(gone)
	case sink != nil:
		sink.Deliver(list)
	}
}

// settled drops the settlements that are committed. The caller holds mu.
func (a *attachment) settled(number uint64) {
	n := 0
	for n < len(a.unsettled) && a.unsettled[n].Number <= number {
		n++
	}
	a.unsettled = slices.Delete(a.unsettled, 0, n)
	a.progressed()
	if len(a.work) > 0 {
		a.poke()
	}
	if a.releasing == 0 {
		return
	}
	for _, s := range a.subs {
		if s.state == releasing && !s.queued && s.committed() {
			a.queue(s, true)
		}
	}
}

// queue puts s among those with something to tell. The caller holds mu.
func (a *attachment) queue(s *subscription, urgent bool) {
	if !s.queued {
		s.queued = true
		a.work = append(a.work, s)
	}
	a.urgent = a.urgent || urgent
	if a.urgent || len(a.unsettled) == 0 {
		a.poke()
	}
}

// announced hears that node leads the group in term. It reports whether the
// attachment will resume there.
func (a *attachment) announced(node string, term uint64) bool {
	a.mu.Lock()
	defer a.mu.Unlock()
	if a.link != nil && (a.link.node != node || a.link.term < term) {
		a.link.fail()
	}
	return a.busy()
}

// abandon tells the consumers of a transient queue whose node is gone.
func (a *attachment) abandon() {
	a.events.Lock()
	defer a.events.Unlock()
	a.mu.Lock()
	subs := a.subs
	a.subs, a.unsettled, a.work, a.releasing = make(map[uint64]*subscription), nil, nil, 0
	var sinks []Deliveries
	for _, s := range subs {
		if sink := s.abandoned(); sink != nil {
			sinks = append(sinks, sink)
		}
	}
	a.progressed()
	a.mu.Unlock()
	for _, sink := range sinks {
		sink.Cancelled(leader.ErrNoQueue)
	}
}
