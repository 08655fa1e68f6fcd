package traffic

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"sync"
	"time"
)

const (
	// maxNamed bounds how many broken promises are told in words; all are counted.
	maxNamed = 5
	// deadGrace is how long after a consumer's lost connection the broker may
	// still hand messages to it, not knowing yet that its node is gone.
	deadGrace = 10 * time.Second
)

// Ledger is what was sent, confirmed and delivered.
type Ledger struct {
	mu       sync.Mutex
	sessions map[uint32]*session
	count    Count
	broken   int
	named    []string
	epoch    uint32    // of the consumer's latest connection
	lost     time.Time // when a consumer last lost its connection
	gap      gap
	line     time.Time     // zero: none was drawn
	changed  chan struct{} // closed at the next change; nil while nobody waits
}

// Count is how far everything is.
type Count struct {
	Sent        int
	Confirmed   int
	Refused     int // nacked by the broker
	Unknown     int // neither confirmed nor refused when the connection went
	Delivered   int // different messages
	Redelivered int // deliveries of one seen before
	Late        int // first seen out of order, flagged, after a consumer's connection was lost with deliveries on the way
	Missing     int // confirmed and not delivered yet
	Beyond      int // confirmed, of those sent since the line was drawn
	Connected   int // connections that consumers made
	Cancelled   int // consumers that the broker cancelled
}

type session struct {
	records []record
	last    uint64 // highest number seen first
	lastNew uint64 // highest number delivered without the flag
}

type record struct {
	confirmed, refused bool
	seen               uint32 // deliveries
	ackEpoch           uint32 // the connection on which it was acknowledged; 0 = not
	sent               time.Time
}

// NewLedger is an empty ledger.
func NewLedger() *Ledger { return &Ledger{sessions: make(map[uint32]*session)} }

// begin opens a session for a new channel in confirm mode.
func (l *Ledger) begin() uint32 {
	l.mu.Lock()
	defer l.mu.Unlock()
	number := uint32(len(l.sessions) + 1)
	l.sessions[number] = &session{}
	return number
}

// sending notes the next message of a session; it must come before the send.
func (l *Ledger) sending(s uint32) ID {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.count.Sent++
	of := l.sessions[s]
	of.records = append(of.records, record{sent: time.Now()})
	return ID{s, uint64(len(of.records))}
}

// confirmed notes the broker's answer to a message.
func (l *Ledger) confirmed(id ID, ack bool, at time.Time) {
	l.mu.Lock()
	defer l.mu.Unlock()
	defer l.change()
	r := l.record(id)
	switch {
	case r == nil:
		l.breaks("a confirm for message %v, which was never sent", id)
		return
	case r.confirmed || r.refused:
		l.breaks("a second confirm for message %v", id)
		return
	case !ack:
		r.refused = true
		l.count.Refused++
		return
	}
	r.confirmed = true
	l.count.Confirmed++
	if !l.line.IsZero() && r.sent.After(l.line) {
		l.count.Beyond++
	}
	if r.seen == 0 {
		l.count.Missing++
	}
	l.gap.confirm(at)
}

// DrawLine makes Beyond count what is sent from now on: the confirm of what was
// sent before may be on its way.
func (l *Ledger) DrawLine() {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.line, l.count.Beyond = time.Now(), 0
}

// unknown notes that n messages were on the way when a connection was lost.
func (l *Ledger) unknown(n int) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.count.Unknown += n
}

// connected numbers a consumer's new connection.
func (l *Ledger) connected() uint32 {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.epoch++
	l.count.Connected++
	return l.epoch
}

// disconnected notes that a consumer lost its connection.
func (l *Ledger) disconnected() {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.lost = time.Now()
}

func (l *Ledger) cancelled() {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.count.Cancelled++
}

// delivered checks one delivery on the consumer's connection with this number.
func (l *Ledger) delivered(body []byte, flagged bool, epoch uint32) (ID, bool) {
	id, ok := decode(body)
	l.mu.Lock()
	defer l.mu.Unlock()
	defer l.change()
	r := l.record(id)
	if !ok || r == nil {
		l.breaks("a delivery that nobody sent, or changed: %x", body[:min(len(body), headSize)])
		return id, false
	}
	if r.ackEpoch == epoch {
		l.breaks("message %v came again after its acknowledgement, redelivered=%v", id, flagged)
	}
	if r.seen > 0 && !flagged {
		l.breaks("message %v came %d times, the last without the redelivered flag", id, r.seen+1)
	}
	l.order(id, r, flagged)
	if r.seen == 0 {
		l.count.Delivered++
		if r.confirmed {
			l.count.Missing--
		}
	} else {
		l.count.Redelivered++
	}
	r.seen++
	return id, true
}

// order: first deliveries of a session come in the order of its publishes. The
// one excuse is a message whose first delivery went to a connection that was
// lost: it comes later, and flagged.
func (l *Ledger) order(id ID, r *record, flagged bool) {
	s := l.sessions[id.Session]
	if !flagged {
		if id.Number < s.lastNew {
			l.breaks("message %v was first delivered after %d", id, s.lastNew)
		}
		s.lastNew = max(s.lastNew, id.Number)
	}
	if r.seen > 0 {
		return
	}
	switch {
	case id.Number > s.last:
		s.last = id.Number
	case flagged && !l.lost.IsZero() && r.sent.Before(l.lost.Add(deadGrace)):
		l.count.Late++
	default:
		l.breaks("message %v was first seen after %d, redelivered=%v", id, s.last, flagged)
	}
}

// acknowledged notes that an acknowledgement was written.
func (l *Ledger) acknowledged(id ID, epoch uint32) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if r := l.record(id); r != nil {
		r.ackEpoch = epoch
	}
}

func (l *Ledger) record(id ID) *record {
	s := l.sessions[id.Session]
	if s == nil || id.Number == 0 || id.Number > uint64(len(s.records)) {
		return nil
	}
	return &s.records[id.Number-1]
}

func (l *Ledger) breaks(format string, args ...any) {
	l.broken++
	if len(l.named) < maxNamed {
		l.named = append(l.named, fmt.Sprintf(format, args...))
	}
}

func (l *Ledger) change() {
	if l.changed != nil {
		close(l.changed)
		l.changed = nil
	}
}

// Count is how far everything is.
func (l *Ledger) Count() Count {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.count
}

// Broken is the broken promises so far, nil when there are none.
func (l *Ledger) Broken() error {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.broken == 0 {
		return nil
	}
	return fmt.Errorf("%d broken promises: %s", l.broken, strings.Join(l.named, "; "))
}

// Settled is Broken, and every confirmed message was delivered.
func (l *Ledger) Settled() error {
	lost := l.Count().Missing
	if lost > 0 {
		return errors.Join(fmt.Errorf("%d confirmed messages lost", lost), l.Broken())
	}
	return l.Broken()
}

// Await waits until enough says that the count is.
func (l *Ledger) Await(ctx context.Context, what string, enough func(Count) bool) error {
	for {
		l.mu.Lock()
		if enough(l.count) {
			l.mu.Unlock()
			return nil
		}
		if l.changed == nil {
			l.changed = make(chan struct{})
		}
		changed, now := l.changed, l.count
		l.mu.Unlock()
		select {
		case <-changed:
		case <-ctx.Done():
			return fmt.Errorf("%s: not so at %+v: %w", what, now, ctx.Err())
		}
	}
}

// MoreConfirmed waits for n confirms from now on.
func (l *Ledger) MoreConfirmed(ctx context.Context, n int) error {
	goal := l.Count().Confirmed + n
	return l.Await(ctx, fmt.Sprintf("%d more confirms", n), func(c Count) bool { return c.Confirmed >= goal })
}

// AllDelivered waits until every confirmed message was delivered.
func (l *Ledger) AllDelivered(ctx context.Context) error {
	return l.Await(ctx, "every confirmed message delivered", func(c Count) bool { return c.Missing == 0 })
}
