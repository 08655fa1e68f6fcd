package leader

import (
	"slices"
)

// sub is a subscription: a consumer of a queue, or the holder of what basic.get took.
type sub struct {
	id       uint64
	at       *attachment
	q        *served
	consumer Consumer
	messages int // message credit; meaningless when unlimited
	bytes    int64
	active   bool   // is a consumer; false: only holds
	standby  bool   // another is the queue's single active consumer
	fresh    bool   // subscribed during the takeover: an exclusive one may turn up
	held     int    // of q.out
	deferred int    // deliveries that wait for a commit
	next     uint64 // of a stream: the message that comes next
}

// hasCredit is false while the edge is away: what it would get it would not see,
// and a message for a no_ack consumer would be lost.
func (s *sub) hasCredit() bool {
	return s.active && !s.standby && s.at.attached && s.bytes > 0 && (s.messages > 0 || s.consumer.Messages < 0)
}

// pick returns the consumer whose turn it is: of the highest priority that
// has credit, round robin among equals. Nil when nobody has credit.
func (q *served) pick() *sub {
	n := len(q.subs)
	var best *sub
	at := 0
	for i := range n {
		j := (q.turn + i) % n
		s := q.subs[j]
		if s.hasCredit() && (best == nil || s.consumer.Priority > best.consumer.Priority) {
			best, at = s, j
		}
	}
	q.picked = at
	return best
}

// pass gives the turn to the next: the one that pick returned has got a message.
func (q *served) pass() { q.turn = (q.picked + 1) % len(q.subs) }

// wanted tells whether somebody has credit for messages.
func (q *served) wanted() bool {
	return len(q.gets) > 0 || slices.ContainsFunc(q.subs, (*sub).hasCredit)
}

func (q *served) consumers() int {
	n := 0
	for _, s := range q.subs {
		if s.active {
			n++
		}
	}
	return n
}

func (q *served) exclusive() bool {
	return slices.ContainsFunc(q.subs, func(s *sub) bool { return s.active && s.consumer.Exclusive })
}

// rivals are the consumers beside which s may not stand, other than old, whose place it takes.
func (q *served) rivals(s, old *sub) (list []*sub) {
	for _, o := range q.subs {
		if s.active && o.active && o != old && (o.consumer.Exclusive || s.consumer.Exclusive) {
			list = append(list, o)
		}
	}
	return list
}

// add puts s among the subscriptions, by age: one that is resumed may be older
// than others that are there.
func (q *served) add(s *sub) {
	at := len(q.subs)
	for at > 0 && q.subs[at-1].consumer.Since.After(s.consumer.Since) {
		at--
	}
	q.subs = slices.Insert(q.subs, at, s)
	if at < q.turn {
		q.turn++
	}
}

// drop takes s off the queue, with what it waits for.
func (q *served) drop(s *sub) {
	q.gets = slices.DeleteFunc(q.gets, func(g pendingGet) bool { return g.s == s })
	if i := slices.Index(q.subs, s); i >= 0 {
		q.subs = slices.Delete(q.subs, i, i+1)
		if i < q.turn {
			q.turn--
		}
	}
	if q.turn >= len(q.subs) {
		q.turn = 0
	}
}
