package queue

import "time"

// moment is when and where an entry is applied.
type moment struct {
	index uint64 // of the entry
	term  uint64 // of the entry
	at    int64  // when it was appended, Unix nanoseconds
	apply uint64 // State.applies
}

// publish appends the messages of a section that the queue takes, and adds the ordinals of the
// others to refused.
func (q *Queue) publish(m moment, l *load, refused []uint32) []uint32 {
	s := l.section
	if !q.fit(q.waiting(m), 0, 0, uint64(s.Count), s.Bytes) {
		return q.publishUntilFull(m, l, refused)
	}
	q.take(m, l, 0, s.Count, s.Bytes)
	return refused
}

// take appends the messages from place i up to place j of a section.
func (q *Queue) take(m moment, l *load, i, j uint32, bytes uint64) {
	count := j - i
	r := run{index: m.index, at: m.at, first: q.next, ordinal: l.section.First + i, count: count, live: count, bytes: clamp32(bytes)}
	q.next += uint64(count)
	q.bytes += bytes
	q.extend(r, q.extra(l, i, j))
}

// extra is what the queue must remember of single messages.
func (q *Queue) extra(l *load, i, j uint32) *extra {
	timed := l.section.Timed
	ranked := l.section.Ranked && (q.settings.MaxPriority > 0 || q.unconfigured())
	sized := q.settings.MaxLengthBytes.Set
	if q.settings.Stream || !timed && !ranked && !sized {
		return nil
	}
	d := &details{}
	l.read()
	if timed {
		d.ttls = l.ttls.part(i, j)
	}
	if ranked {
		d.priorities = l.priorities.part(i, j)
	}
	if sized {
		d.sizes = l.sizes.part(i, j)
	}
	if d.ttls == nil && d.priorities == nil && d.sizes == nil {
		return nil
	}
	return &extra{base: q.next - uint64(j-i), details: d}
}

// unconfigured says whether the queue was made by a message, before its settings were known.
func (q *Queue) unconfigured() bool { return q.settings == Settings{} }

// exceeded says whether so much more is too much, when what consumers hold does not count.
func (l Limit) exceeded(have, held, more uint64) bool {
	n, ok := l.get()
	ready := have - min(held, have)
	return ok && (ready > n || more > n-ready)
}

// waiting are the dead letters that count against a queue's limits.
type waiting struct{ messages, bytes uint64 }

const (
	// letterGrace is how long dead letters may be on their way before they count: one whose
	// targets take it must cost its queue no room, as it costs none in RabbitMQ.
	letterGrace = int64(time.Second)
	// A queue that drops its oldest messages has always room, for whoever publishes to it. It
	// refuses only when more of them wait for full targets than its limit, and than these.
	lettersFloor     = 10_000
	letterBytesFloor = 64 << 20
)

// waiting are a queue's dead letters once the first of them has been pending for too long.
func (q *Queue) waiting(m moment) waiting {
	if q.dead.messages == 0 || m.at-q.dead.chunks[0].extra(0).death.at < letterGrace {
		return waiting{}
	}
	return waiting{q.dead.messages, q.deadBytes}
}

// fit says whether the limits allow a number of further messages and their bytes, once those
// are in the queue that were taken already.
func (q *Queue) fit(w waiting, taken, takenBytes, messages, bytes uint64) bool {
	s := &q.settings
	if s.Stream {
		return true // its limits are the leader's to keep
	}
	if s.Overflow == DropHead {
		return !s.MaxLength.reached(w.messages, lettersFloor) && !s.MaxLengthBytes.reached(w.bytes, letterBytesFloor)
	}
	return !s.MaxLength.exceeded(q.messages+w.messages+taken, q.heldMessages, messages) &&
		!s.MaxLengthBytes.exceeded(q.bytes+w.bytes+takenBytes, q.heldBytes, bytes)
}

// reached says whether what there is comes up to both the limit, if it is set, and the floor.
func (l Limit) reached(have, floor uint64) bool {
	n, ok := l.get()
	return ok && have >= max(n, floor)
}

// fits is fit for one message of a section. A dead letter of another queue is measured by the
// messages alone: two queues that dead-letter into each other must not wait for each other.
func (q *Queue) fits(m moment, l *load, i uint32, taken, takenBytes uint64) bool {
	var w waiting
	if l.died.get(i) == 0 {
		w = q.waiting(m)
	}
	return q.fit(w, taken, takenBytes, 1, uint64(l.sizes.get(i)))
}

// publishUntilFull decides for each message by itself, in order: a small one may fit where a
// larger one did not.
func (q *Queue) publishUntilFull(m moment, l *load, refused []uint32) []uint32 {
	l.read()
	for i := uint32(0); i < l.section.Count; {
		from, bytes := i, uint64(0)
		for i < l.section.Count && q.fits(m, l, i, uint64(i-from), bytes) {
			bytes += uint64(l.sizes.get(i))
			i++
		}
		if i > from {
			q.take(m, l, from, i, bytes)
		}
		for i < l.section.Count && !q.fits(m, l, i, 0, 0) {
			if !q.refuse(m, l, i) {
				refused = append(refused, l.section.First+i)
			}
			i++
		}
	}
	return refused
}

// refuse does not take a message, and buries it where it is to be dead-lettered. Of those that
// are, only a dead letter of another queue is told to be safe: that queue would else send it
// again, to be buried once more. Letters that wait for too long let no more be buried.
func (q *Queue) refuse(m moment, l *load, i uint32) (safe bool) {
	s, w, size := &q.settings, q.waiting(m), l.sizes.get(i)
	if s.Overflow != RejectPublishDLX || !s.DeadLetters ||
		w.messages > 0 && (s.MaxLength.exceeded(w.messages, 0, 1) || s.MaxLengthBytes.exceeded(w.bytes, 0, uint64(size))) {
		return false
	}
	q.buryRefused(m, l.section.First+i, size)
	return l.died.get(i) != 0
}

// load is what the messages of a section bring along. It is read from the batch when a queue
// first asks for it; its columns are not to be changed, for several queues may keep them.
type load struct {
	batch   []byte
	section *Section
	done    bool

	ttls       column[uint64]
	priorities column[uint8]
	sizes      column[uint32]
	died       column[uint8] // 1: a dead letter
}

func (l *load) open(batch []byte, s *Section) {
	l.batch, l.section = batch, s
	if l.done {
		*l = load{batch: batch, section: s}
	}
}

func (l *load) read() *load {
	if l.done {
		return l
	}
	l.done = true
	n := l.section.Count
	ttls, priorities, sizes := make([]uint64, n), make([]uint8, n), make([]uint32, n)
	died := make([]uint8, n)
	p, err := openPublish(l.batch)
	for i := range n {
		if err != nil {
			break
		}
		m, err := p.message(l.section.First + i)
		if err != nil { // no leader proposes such a batch, see Verify; nobody will ever read the message
			continue
		}
		ttls[i] = uint64(m.TTL + 1) // NoTTL is 0
		priorities[i] = m.Priority
		sizes[i] = uint32(len(m.Body))
		if m.Died {
			died[i] = 1
		}
	}
	l.ttls, l.priorities, l.sizes = newColumn(ttls), newColumn(priorities), newColumn(sizes)
	l.died = newColumn(died)
	return l
}
