package queue

import (
	"encoding/binary"
	"fmt"
	"hash/fnv"
	"maps"
	"math"
	"slices"
)

// A snapshot is the whole state but the bodies; equal states have equal snapshots. uv is a
// minimal unsigned varint, fixed-width numbers are little-endian:
//
//	version u8 = 1
//	sessions uv, by incarnation: incarnation u64, epoch uv, seq uv, batches with refusals uv
//	batch with refusals: seq uv, ordinals uv, each uv
//	queues uv, by id: id uv as the step from the one before, settings, sealed u8, next uv,
//	    mark uv, bytes uv, runs uv
//	run: flags u8 (1: settled, 2: returned), index uv as a step, appended-at as a step, zigzag uv,
//	    first uv as the gap behind the run before, ordinal uv, count uv, bytes uv,
//	    [bitmap of count bits, u64 each 64], [count times returned uv]
const (
	snapshotVersion = 1

	hasSettled  = 1
	hasReturned = 2

	leastSession = 8 + 1 + 1 + 1
	leastQueue   = 1 + 12 + 1 + 4
	leastRun     = 1 + 6
)

// AppendSnapshot appends the state to dst.
func (s *State) AppendSnapshot(dst []byte) []byte {
	dst = s.appendSessions(append(dst, snapshotVersion))
	ids := s.ids()
	dst = binary.AppendUvarint(dst, uint64(len(ids)))
	before := ID(0)
	for _, id := range ids {
		dst = binary.AppendUvarint(dst, uint64(id-before))
		dst = s.queues[id].appendSnapshot(dst)
		before = id
	}
	return dst
}

// Hash is equal for equal states: replicas that applied the same entries compare it.
func (s *State) Hash() uint64 {
	h := fnv.New64a()
	buf := s.appendSessions(nil)
	h.Write(buf)
	for _, id := range s.ids() {
		buf = binary.AppendUvarint(buf[:0], uint64(id))
		buf = s.queues[id].appendSnapshot(buf)
		h.Write(buf)
	}
	return h.Sum64()
}

func (s *State) appendSessions(dst []byte) []byte {
	dst = binary.AppendUvarint(dst, uint64(len(s.sessions)))
	for _, incarnation := range slices.Sorted(maps.Keys(s.sessions)) {
		p := s.sessions[incarnation]
		dst = binary.LittleEndian.AppendUint64(dst, incarnation)
		dst = binary.AppendUvarint(dst, p.epoch)
		dst = binary.AppendUvarint(dst, p.seq)
		dst = binary.AppendUvarint(dst, uint64(len(p.refused)))
		for _, r := range p.refused {
			dst = binary.AppendUvarint(dst, r.seq)
			dst = binary.AppendUvarint(dst, uint64(len(r.ordinals)))
			for _, o := range r.ordinals {
				dst = binary.AppendUvarint(dst, uint64(o))
			}
		}
	}
	return dst
}

func (q *Queue) appendSnapshot(dst []byte) []byte {
	dst = q.settings.append(dst)
	dst = appendBool(dst, q.sealed)
	dst = binary.AppendUvarint(dst, q.next)
	dst = binary.AppendUvarint(dst, q.mark)
	dst = binary.AppendUvarint(dst, q.bytes)
	runs := 0
	for _, c := range q.chunks {
		runs += len(c.runs)
	}
	dst = binary.AppendUvarint(dst, uint64(runs))
	var before run
	for _, c := range q.chunks {
		for i := range c.runs {
			dst = appendRun(dst, &c.runs[i], &before, c.extra(i))
			before = c.runs[i]
		}
	}
	return dst
}

func appendRun(dst []byte, r, before *run, x *extra) []byte {
	var flags byte
	if r.live < r.count {
		flags |= hasSettled
	}
	if x.returns(r) {
		flags |= hasReturned
	}
	dst = append(dst, flags)
	dst = binary.AppendUvarint(dst, r.index-before.index)
	dst = binary.AppendVarint(dst, r.at-before.at)
	dst = binary.AppendUvarint(dst, r.first-before.end())
	dst = binary.AppendUvarint(dst, uint64(r.ordinal))
	dst = binary.AppendUvarint(dst, uint64(r.count))
	dst = binary.AppendUvarint(dst, uint64(r.bytes))
	if flags&hasSettled != 0 {
		for i := uint32(0); i < r.count; i += 64 {
			dst = binary.LittleEndian.AppendUint64(dst, x.word(r, i))
		}
	}
	if flags&hasReturned != 0 {
		for i := range r.count {
			dst = binary.AppendUvarint(dst, uint64(x.returnsOf(r, i)))
		}
	}
	return dst
}

// end is the sequence number behind the run; the first number of all is 1.
func (r *run) end() uint64 { return max(r.first+uint64(r.count), 1) }

// word is the 64 bits of the run's settled bitmap from its message i on.
func (x *extra) word(r *run, i uint32) uint64 {
	from := uint32(r.first-x.base) + i
	w := x.settled[from/64] >> (from % 64)
	if next := int(from/64) + 1; from%64 > 0 && next < len(x.settled) {
		w |= x.settled[next] << (64 - from%64)
	}
	if rest := r.count - i; rest < 64 { // what was settled behind the last unsettled message
		w &= 1<<rest - 1
	}
	return w
}

// returnsOf is how often the run's message i was requeued; a settled one does not count.
func (x *extra) returnsOf(r *run, i uint32) uint32 {
	o := uint32(r.first-x.base) + i
	if x.settled != nil && x.settled.has(o) {
		return 0
	}
	return x.returned[o]
}

func (x *extra) returns(r *run) bool {
	if x == nil || x.returned == nil {
		return false
	}
	for i := range r.count {
		if x.returnsOf(r, i) > 0 {
			return true
		}
	}
	return false
}

// RestoreState reads what AppendSnapshot wrote, and refuses anything else.
func RestoreState(snapshot []byte) (*State, error) {
	r := reader{b: snapshot}
	switch v := r.u8(); {
	case v > snapshotVersion:
		return nil, fmt.Errorf("%w: snapshot version %d, known is %d", ErrVersion, v, snapshotVersion)
	case v != snapshotVersion:
		return nil, malformed("snapshot version 0")
	}
	s := NewState()
	if err := s.restoreSessions(&r); err != nil {
		return nil, err
	}
	id := ID(0)
	for range r.countUvarint(leastQueue) {
		step := ID(r.uvarint())
		if id+step <= id {
			return nil, malformed("order of queues")
		}
		id += step
		q := newQueue(id)
		if err := q.restore(&r); err != nil {
			return nil, fmt.Errorf("queue %d: %w", id, err)
		}
		s.queues[id] = q
	}
	if r.bad || len(r.b) != 0 {
		return nil, malformed("queues of a snapshot")
	}
	return s, nil
}

func (s *State) restoreSessions(r *reader) error {
	before := uint64(0)
	for i := range r.countUvarint(leastSession) {
		incarnation := r.u64()
		if i > 0 && incarnation <= before {
			return malformed("order of sessions")
		}
		p := progress{epoch: r.uvarint(), seq: r.uvarint()}
		if p.seq == 0 {
			return malformed("session without a batch")
		}
		if err := r.refusals(&p); err != nil {
			return err
		}
		s.sessions[incarnation] = p
		before = incarnation
	}
	if r.bad {
		return malformed("sessions")
	}
	return nil
}

func (q *Queue) restore(r *reader) error {
	q.settings = r.settings()
	q.sealed = r.boolean()
	q.next, q.mark, q.bytes = r.uvarint(), r.uvarint(), r.uvarint()
	var before run
	for range r.countUvarint(leastRun) {
		run, x, err := r.run(&before)
		if err != nil {
			return err
		}
		q.push(run, x)
		before = run
	}
	if r.bad || q.next < before.end() || q.messages == 0 && q.bytes > 0 {
		return malformed("queue of a snapshot")
	}
	return nil
}

func (r *reader) run(before *run) (run, *extra, error) {
	flags := r.u8()
	v := run{
		index: before.index + r.uvarint(),
		at:    before.at + r.varint(),
		first: before.end() + r.uvarint(),
	}
	v.ordinal, v.count, v.bytes = r.uvarint32(), r.uvarint32(), r.uvarint32()
	v.live = v.count
	sameEntry := v.index == before.index && before.count > 0
	switch {
	case r.bad, flags > hasSettled|hasReturned, v.count == 0,
		v.index < before.index, v.first < before.end(),
		v.first > math.MaxUint64-uint64(v.count),
		uint64(v.ordinal)+uint64(v.count) > math.MaxUint32,
		sameEntry && uint64(v.ordinal) < uint64(before.ordinal)+uint64(before.count):
		return run{}, nil, malformed("run")
	}
	if flags == 0 {
		return v, nil, nil
	}
	x := &extra{base: v.first}
	if flags&hasSettled != 0 && !r.bitmap(&v, x) || flags&hasReturned != 0 && !r.returns(&v, x) {
		return run{}, nil, malformed("settled or returned messages of a run")
	}
	return v, x, nil
}

// bitmap reads the settled messages of a run: some, but neither the first nor the last.
func (r *reader) bitmap(v *run, x *extra) bool {
	words := r.take((uint64(v.count) + 63) / 64 * 8)
	if r.bad {
		return false
	}
	x.settled = newBitmap(v.count)
	for i := range x.settled {
		x.settled[i] = binary.LittleEndian.Uint64(words[8*i:])
	}
	if rest := v.count % 64; rest > 0 && x.settled[len(x.settled)-1]>>rest != 0 {
		return false
	}
	v.live = x.settled.missing(0, v.count)
	return v.live < v.count && !x.settled.has(0) && !x.settled.has(v.count-1)
}

// returns reads how often each message of a run was requeued: one of them at least.
func (r *reader) returns(v *run, x *extra) bool {
	if uint64(v.count) > uint64(len(r.b)) {
		return false
	}
	x.returned = make([]uint32, v.count)
	some := false
	for i := range x.returned {
		n := r.uvarint32()
		if n > 0 && x.settled != nil && x.settled.has(uint32(i)) {
			return false
		}
		x.returned[i] = n
		some = some || n > 0
	}
	return some && !r.bad
}

// countUvarint is a count of things that take at least size bytes each.
func (r *reader) countUvarint(size uint64) uint64 {
	n := r.uvarint()
	if n > uint64(len(r.b))/size {
		r.fail()
		return 0
	}
	return n
}

// refusals reads what was refused of a session's last batches.
func (r *reader) refusals(p *progress) error {
	before := uint64(0)
	for range r.countUvarint(3) {
		f := refusal{seq: r.uvarint()}
		if f.seq <= before || f.seq > p.seq || f.seq+refusalsKept <= p.seq {
			return malformed("order of refusals")
		}
		before = f.seq
		n := r.countUvarint(1)
		if n == 0 {
			return malformed("refusals of nothing")
		}
		f.ordinals = make([]uint32, n)
		for i := range f.ordinals {
			f.ordinals[i] = r.uvarint32()
			if i > 0 && f.ordinals[i] <= f.ordinals[i-1] {
				return malformed("order of refused ordinals")
			}
		}
		p.refused = append(p.refused, f)
	}
	return nil
}
