package leader

import (
	"time"

	"github.com/warrenmq/warren/broker/queue"
)

const (
	// expireAtOnce bounds the messages that are looked at while the state is locked.
	expireAtOnce = 4096
	// expireAhead bounds the messages whose end is not committed yet.
	expireAhead = 64 << 10
	// patience is how much longer than its life a message waits for a consumer that
	// would have got it in time, but for a lease or a commit that are on their way.
	patience = time.Second
	// spareMortals is how many settled messages may be left among the deadlines
	// beside as many as there are messages.
	spareMortals = 1024
)

// lifetimes are what a leader knows of when the messages of a queue end. Those with
// a TTL of their own are in a heap, each until its deadline; for the queue's TTL a
// cursor does, as messages are in the order of their age. What somebody holds when
// its time comes is passed over, and looked at when it comes back.
type lifetimes struct {
	timed   bool   // some message may have a TTL of its own
	fresh   uint64 // numbers < fresh had their chance: whoever waited did not get them
	scanned uint64 // numbers <= scanned have been looked at for a TTL of their own
	own     minHeap[mortal]
	aged    uint64 // numbers <= aged have reached the queue's TTL, or were gone
}

// mortal tells whether messages of q end by themselves. A queue that was made by a
// publish, and is not configured yet, keeps them: they may have to be passed on.
func (q *served) mortal() bool {
	return (q.ends.timed || q.settings.MessageTTL.Set) && q.settings.Name != ""
}

// restart looks at all messages anew: the queue's TTL has changed, or it is known now.
func (l *lifetimes) restart() { l.scanned, l.aged, l.own = 0, 0, nil }

// over tells whether a message's time is over; when somebody waits it is not before
// it had its chance.
func (l *lifetimes) over(seq uint64, deadline, now int64, wanted bool) bool {
	if wanted && seq >= l.fresh {
		deadline += int64(patience)
	}
	return deadline <= now
}

// ttl is the queue's own, in nanoseconds.
func (q *served) ttl() (time.Duration, bool) {
	l := q.settings.MessageTTL
	return milliseconds(l), l.Set
}

// milliseconds is a limit of time; one of more than a century is one of a century.
func milliseconds(l queue.Limit) time.Duration {
	const century = 100 * 366 * 24 * time.Hour
	return time.Duration(min(max(l.N, 0), century.Milliseconds())) * time.Millisecond
}

// expire ends the messages whose time is over and that nobody holds.
func (e *Engine) expire(q *served) {
	if !q.mortal() {
		q.ends.fresh, q.ends.scanned, q.ends.own = q.next, q.next-1, nil
		return
	}
	now := time.Now().UnixNano()
	for more := true; more; {
		if q.leaving > expireAhead {
			return // it goes on when they are committed
		}
		var due []queue.Item
		due, more = e.due(q, now)
		for i := range due {
			e.kill(q, expired, due[i])
		}
	}
	if !q.stalled {
		q.ends.fresh = q.next
	}
}

// due takes messages whose time is over. When there are no more, it sees that the
// queue is looked at when the next one's is.
func (e *Engine) due(q *served, now int64) (due []queue.Item, more bool) {
	var next int64 // a deadline, 0: none
	e.cfg.Log.Locked(func(st *queue.State) {
		sq := st.Queue(q.id)
		if sq == nil {
			return
		}
		scanning := q.scan(sq)
		due, more = q.dueByOwn(sq, now, due)
		if !more {
			due, next, more = q.dueByAge(sq, now, due)
		}
		more = more || scanning
	})
	if more {
		return due, true
	}
	if own := q.ends.own; len(own) > 0 {
		if d := q.wait(own[0].seq, own[0].deadline); next == 0 || d < next {
			next = d
		}
	}
	if next != 0 {
		e.lookBy(q, time.Unix(0, next))
	}
	return due, false
}

// wait is when a message with that deadline is to be looked at.
func (q *served) wait(seq uint64, deadline int64) int64 {
	if q.stalled && seq >= q.ends.fresh {
		deadline += int64(patience)
	}
	return deadline
}

// scan looks for messages with a TTL of their own that is shorter than the queue's,
// among those that have come; true when there are more. The caller holds the
// state's lock.
func (q *served) scan(sq *queue.Queue) (more bool) {
	l := &q.ends
	if !l.timed {
		l.scanned = q.next - 1
		return false
	}
	if n := uint64(len(l.own)); n > spareMortals && n/2 > sq.Messages() {
		l.own.keep(func(m mortal) bool { _, live := sq.Lookup(m.seq); return live })
	}
	ttl, limited := q.ttl()
	for range expireAtOnce {
		it, ok := sq.After(l.scanned)
		if !ok || it.Seq >= q.next {
			l.scanned = q.next - 1
			return false
		}
		l.scanned = it.Seq
		if !it.Deadline.IsZero() && (!limited || it.Deadline.Before(it.At.Add(ttl))) {
			l.own.push(mortal{it.Deadline.UnixNano(), it.Seq})
		}
	}
	return true
}

// dueByOwn takes what has reached its own deadline. The caller holds the state's lock.
func (q *served) dueByOwn(sq *queue.Queue, now int64, due []queue.Item) ([]queue.Item, bool) {
	l := &q.ends
	for len(l.own) > 0 && l.over(l.own[0].seq, l.own[0].deadline, now, q.stalled) {
		if len(due) == expireAtOnce {
			return due, true
		}
		seq := l.own.pop().seq
		if it, live := sq.Lookup(seq); live && !q.taken(seq) {
			due = append(due, it)
			q.gone[seq] = struct{}{} // not twice
		}
	}
	return due, false
}

// dueByAge takes what has reached the queue's TTL, and says when the next will.
// The caller holds the state's lock.
func (q *served) dueByAge(sq *queue.Queue, now int64, due []queue.Item) (_ []queue.Item, next int64, more bool) {
	ttl, limited := q.ttl()
	if !limited {
		return due, 0, false
	}
	l := &q.ends
	for {
		it, ok := sq.After(l.aged)
		if !ok || it.Seq >= q.next {
			return due, 0, false
		}
		deadline := it.At.Add(ttl).UnixNano()
		switch {
		case !l.over(it.Seq, deadline, now, q.stalled):
			return due, q.wait(it.Seq, deadline), false
		case len(due) == expireAtOnce:
			return due, 0, true
		}
		l.aged = it.Seq
		if !q.taken(it.Seq) {
			due = append(due, it)
			q.gone[it.Seq] = struct{}{}
		}
	}
}
