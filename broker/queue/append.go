package queue

import "slices"

// moment is when and where an entry is applied.
type moment struct {
	index uint64 // of the entry
	at    int64  // when it was appended, Unix nanoseconds
	apply uint64 // State.applies
}

// publish appends the messages of a section that the queue takes, and adds the ordinals of the
// others to refused.
func (q *Queue) publish(m moment, l *load, refused []uint32) []uint32 {
	s := l.section
	if q.settings.refuses() && !q.fit(0, 0, uint64(s.Count), s.Bytes) {
		return q.publishUntilFull(m, l, refused)
	}
	q.take(m, l, 0, s.Count, s.Bytes)
	return refused
}

func appendOrdinals(dst []uint32, first, count uint32) []uint32 {
	dst = slices.Grow(dst, int(count))
	for o := first; o < first+count; o++ {
		dst = append(dst, o)
	}
	return dst
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
	if !timed && !ranked && !sized {
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

// fit says whether the limits allow a number of further messages and their bytes, once those
// are in the queue that were taken already.
func (q *Queue) fit(taken, takenBytes, messages, bytes uint64) bool {
	return !q.settings.MaxLength.exceeded(q.messages+taken, q.heldMessages, messages) &&
		!q.settings.MaxLengthBytes.exceeded(q.bytes+takenBytes, q.heldBytes, bytes)
}

// publishUntilFull decides for each message by itself, in order: a small one may fit where a
// larger one did not.
func (q *Queue) publishUntilFull(m moment, l *load, refused []uint32) []uint32 {
	sizes := l.read().sizes
	for i := uint32(0); i < l.section.Count; {
		from, bytes := i, uint64(0)
		for i < l.section.Count && q.fit(uint64(i-from), bytes, 1, uint64(sizes.get(i))) {
			bytes += uint64(sizes.get(i))
			i++
		}
		if i > from {
			q.take(m, l, from, i, bytes)
		}
		from = i
		for i < l.section.Count && !q.fit(0, 0, 1, uint64(sizes.get(i))) {
			i++
		}
		if i == from {
			continue
		}
		refused = appendOrdinals(refused, l.section.First+from, i-from)
		if q.settings.Overflow == RejectPublishDLX && q.settings.DeadLetters {
			q.buryRefused(m, l.section.First+from, i-from)
		}
	}
	return refused
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
	}
	l.ttls, l.priorities, l.sizes = newColumn(ttls), newColumn(priorities), newColumn(sizes)
	return l
}
