package connection

import (
	"context"
	"slices"
	"time"

	"github.com/warrenmq/warren/broker/wire"
)

// span is a stretch of tags, both ends included.
type span struct{ first, last uint64 }

// addTag notes tag in spans; tags that follow each other make one span.
func addTag(spans []span, tag uint64) []span {
	if n := len(spans); n > 0 && spans[n-1].last+1 == tag {
		spans[n-1].last = tag
		return spans
	}
	return append(spans, span{tag, tag})
}

// outcomes are answers to a publisher that have not been sent.
type outcomes struct{ acks, nacks []span }

func (o *outcomes) empty() bool { return len(o.acks) == 0 && len(o.nacks) == 0 }

// receipts is a channel in confirm mode, as the Publisher sees it.
type receipts struct{ ch *channel }

// Confirmed passes on what became of publishes.
func (r receipts) Confirmed(tags []uint64, err error) {
	r.ch.out.confirm(r.ch, tags, err == nil)
}

// arrivals is a channel without confirms, as the Publisher sees it.
type arrivals struct{ ch *channel }

// Confirmed counts.
func (a arrivals) Confirmed(tags []uint64, _ error) {
	o := a.ch.out
	o.mu.Lock()
	defer o.mu.Unlock()
	a.ch.arrived(len(tags))
}

// arrived notes that the outcome of n more publishes is known. The outbox is locked.
func (ch *channel) arrived(n int) {
	ch.known += uint64(n)
	if ch.caughtUp != nil && ch.known >= ch.awaited {
		close(ch.caughtUp)
		ch.caughtUp = nil
	}
}

// catchUpMax is how long a method waits for what was published and returned before it.
const catchUpMax = time.Second

// catchUp waits until what the channel has published is in its queues, and what
// it returned back there: who does so and then looks expects to see it (C5). What
// takes long, for want of a majority, is not waited for.
func (ch *channel) catchUp(ctx context.Context) {
	ctx, cancel := context.WithTimeout(ctx, catchUpMax)
	defer cancel()
	for _, sub := range ch.answered {
		if sub.Settled(ctx) != nil {
			break
		}
	}
	clear(ch.answered)
	ch.answered = ch.answered[:0]
	var caughtUp chan struct{}
	ch.out.mu.Lock()
	if ch.known < ch.published {
		caughtUp = make(chan struct{})
		ch.awaited, ch.caughtUp = ch.published, caughtUp
	}
	ch.out.mu.Unlock()
	if caughtUp == nil {
		return
	}
	select {
	case <-caughtUp:
	case <-ctx.Done():
	}
}

// confirmWindow turns outcomes into basic.ack and basic.nack. An answer is
// "multiple" only when it covers no tag that is open or was answered before:
// clients that put answers in order again must not take a nack for an ack.
// Only the writer uses it.
type confirmWindow struct {
	next uint64 // every tag below is answered
	told []span // answered above next: sorted, apart from each other
}

// append appends the frames that tell o to the client.
func (w *confirmWindow) append(dst []byte, channel uint16, o *outcomes) []byte {
	for _, s := range joined(o.nacks) {
		dst = w.tell(dst, s, func(dst []byte, tag uint64, multiple bool) []byte {
			return wire.AppendNack(dst, channel, tag, multiple)
		})
	}
	for _, s := range joined(o.acks) {
		dst = w.tell(dst, s, func(dst []byte, tag uint64, multiple bool) []byte {
			return wire.AppendAck(dst, channel, tag, multiple)
		})
	}
	return dst
}

// joined sorts spans and joins those that touch.
func joined(spans []span) []span {
	if len(spans) < 2 {
		return spans
	}
	slices.SortFunc(spans, func(a, b span) int {
		if a.first < b.first {
			return -1
		}
		return 1
	})
	out := spans[:1]
	for _, s := range spans[1:] {
		if last := &out[len(out)-1]; last.last+1 == s.first {
			last.last = s.last
			continue
		}
		out = append(out, s)
	}
	return out
}

func (w *confirmWindow) tell(dst []byte, s span, frame func([]byte, uint64, bool) []byte) []byte {
	if s.first != w.next {
		for tag := s.first; tag <= s.last; tag++ {
			dst = frame(dst, tag, false)
		}
		w.note(s)
		return dst
	}
	dst = frame(dst, s.last, s.last > s.first)
	w.next = s.last + 1
	if len(w.told) > 0 && w.told[0].first == w.next {
		w.next = w.told[0].last + 1
		w.told = slices.Delete(w.told, 0, 1)
	}
	return dst
}

// note puts s, which nothing in told overlaps, in its place.
func (w *confirmWindow) note(s span) {
	i, _ := slices.BinarySearchFunc(w.told, s.first, func(t span, first uint64) int {
		if t.first < first {
			return -1
		}
		return 1
	})
	before := i > 0 && w.told[i-1].last+1 == s.first
	after := i < len(w.told) && w.told[i].first == s.last+1
	switch {
	case before && after:
		w.told[i-1].last = w.told[i].last
		w.told = slices.Delete(w.told, i, i+1)
	case before:
		w.told[i-1].last = s.last
	case after:
		w.told[i].first = s.first
	default:
		w.told = slices.Insert(w.told, i, s)
	}
}
