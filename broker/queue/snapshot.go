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
//	version u8 = 1, level uv, then what levels add to the state (trial_level2.go)
//	sessions uv, by incarnation: incarnation u64, epoch uv, seq uv, batches with refusals uv
//	batch with refusals: seq uv, ordinals uv, each uv, sealed queues uv, each uv
//	queues uv, by id: id uv as the step from the one before, settings, sealed u8, next uv,
//	    mark uv, bytes uv, held messages uv, held bytes uv, runs uv, last dead letter uv,
//	    bytes of dead letters uv, runs of dead letters uv
//	run: flags u8, index as a step, zigzag uv, appended-at as a step, zigzag uv,
//	    first uv as the gap behind the run before, ordinal uv, count uv, bytes uv,
//	    of a dead letter: reason u8, died zigzag uv as the step from appended-at, sequence number uv (0: it had none),
//	    by flags 1: bitmap of count bits of the settled ones, u64 each 64,
//	    2: returned, 4: failed, 8: ttls, 16: priorities, 32: sizes
//	each of these a column, which is left out when all are 0: 0 u8 and count times uv, 0 for a
//	settled message; or 1 u8 and uv, when all unsettled ones have the same
const (
	snapshotVersion = 1

	hasSettled    = 1
	hasReturned   = 2
	hasFailed     = 4
	hasTTLs       = 8
	hasPriorities = 16
	hasSizes      = 32
	allRunFlags   = 63

	differ = 0
	same   = 1

	leastSession = 8 + 1 + 1 + 1
	leastQueue   = 1 + 12 + 1 + 9
	leastRun     = 1 + 6

	// highest bounds the numbers of messages: the next ones have to come behind them.
	highest = math.MaxInt64
)

// AppendSnapshot appends the state to dst.
func (s *State) AppendSnapshot(dst []byte) []byte {
	dst = s.appendHead(dst)
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
	buf := s.appendHead(nil)
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
			dst = binary.AppendUvarint(dst, uint64(len(r.sealed)))
			for _, id := range r.sealed {
				dst = binary.AppendUvarint(dst, uint64(id))
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
	dst = binary.AppendUvarint(dst, q.heldMessages)
	dst = binary.AppendUvarint(dst, q.heldBytes)
	dst = q.list.append(dst, false)
	dst = binary.AppendUvarint(dst, q.died)
	dst = binary.AppendUvarint(dst, q.deadBytes)
	return q.dead.append(dst, true)
}

func (l *list) append(dst []byte, dead bool) []byte {
	runs := 0
	for _, c := range l.chunks {
		runs += len(c.runs)
	}
	dst = binary.AppendUvarint(dst, uint64(runs))
	var before run
	for _, c := range l.chunks {
		for i := range c.runs {
			dst = appendRun(dst, &c.runs[i], &before, c.extra(i), dead)
			before = c.runs[i]
		}
	}
	return dst
}

func appendRun(dst []byte, r, before *run, x *extra, dead bool) []byte {
	at := len(dst)
	dst = append(dst, 0)
	dst = binary.AppendVarint(dst, int64(r.index-before.index))
	dst = binary.AppendVarint(dst, r.at-before.at)
	dst = binary.AppendUvarint(dst, r.first-before.end())
	dst = binary.AppendUvarint(dst, uint64(r.ordinal))
	dst = binary.AppendUvarint(dst, uint64(r.count))
	dst = binary.AppendUvarint(dst, uint64(r.bytes))
	if x == nil {
		return dst
	}
	d := x.detail()
	if dead {
		dst = x.death.append(dst, r)
	}
	var flags byte
	if r.live < r.count {
		flags |= hasSettled
		for i := uint32(0); i < r.count; i += 64 {
			dst = binary.LittleEndian.AppendUint64(dst, x.word(r, i))
		}
	}
	dst = appendColumn(dst, &flags, hasReturned, x.returned, r, x)
	dst = appendColumn(dst, &flags, hasFailed, d.failed, r, x)
	dst = appendColumn(dst, &flags, hasTTLs, d.ttls, r, x)
	dst = appendColumn(dst, &flags, hasPriorities, d.priorities, r, x)
	dst = appendColumn(dst, &flags, hasSizes, d.sizes, r, x)
	dst[at] = flags
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

func (d *death) append(dst []byte, r *run) []byte {
	dst = binary.AppendVarint(append(dst, byte(d.reason)), d.at-r.at)
	if d.refused {
		return append(dst, 0)
	}
	return binary.AppendUvarint(dst, r.first+d.shift)
}

// appendColumn writes what the column says of the unsettled messages, and nothing else of it:
// what it says of others depends on the replica's restarts.
func appendColumn[T number](dst []byte, flags *byte, flag byte, c column[T], r *run, x *extra) []byte {
	if len(c) == 0 {
		return dst
	}
	base := uint32(r.first - x.base)
	first := c.get(base) // a run's first message is unsettled
	uniform := true
	for i := uint32(0); uniform && len(c) > 1 && i < r.count; i++ {
		uniform = x.settledAt(base+i) || c[base+i] == first
	}
	switch {
	case uniform && first == 0:
		return dst
	case uniform:
		*flags |= flag
		return binary.AppendUvarint(append(dst, same), uint64(first))
	}
	*flags |= flag
	dst = append(dst, differ)
	for i := range r.count {
		v := c[base+i]
		if x.settledAt(base + i) {
			v = 0
		}
		dst = binary.AppendUvarint(dst, uint64(v))
	}
	return dst
}

func (x *extra) settledAt(o uint32) bool { return x.settled != nil && x.settled.has(o) }

// RestoreState reads what AppendSnapshot wrote, and refuses anything else: with level.ErrUnknown what
// a build wrote that knows more levels than this one.
func RestoreState(snapshot []byte) (*State, error) {
	r := reader{b: snapshot}
	switch v := r.u8(); {
	case v > snapshotVersion:
		return nil, fmt.Errorf("%w: snapshot version %d, known is %d", ErrVersion, v, snapshotVersion)
	case v != snapshotVersion:
		return nil, malformed("snapshot version 0")
	}
	s := NewState()
	if err := s.restoreLevel(&r); err != nil {
		return nil, err
	}
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
	q.heldMessages, q.heldBytes = r.uvarint(), r.uvarint()
	end, err := q.list.restore(r, false)
	if err != nil {
		return err
	}
	q.died = r.uvarint()
	q.deadBytes = r.uvarint()
	deadEnd, err := q.dead.restore(r, true)
	if err != nil {
		return err
	}
	if r.bad || q.next < end || q.died < deadEnd-1 || q.next > highest || q.died > highest || q.messages == 0 && q.bytes > 0 || q.dead.messages == 0 && q.deadBytes > 0 {
		return malformed("queue of a snapshot")
	}
	return nil
}

// restore returns the number behind the last.
func (l *list) restore(r *reader, dead bool) (end uint64, err error) {
	var before run
	for range r.countUvarint(leastRun) {
		run, x, err := r.run(&before, dead)
		if err != nil {
			return 0, err
		}
		l.push(run, x)
		before = run
	}
	return before.end(), nil
}

func (r *reader) run(before *run, dead bool) (run, *extra, error) {
	flags := r.u8()
	v := run{
		index: before.index + uint64(r.varint()),
		at:    before.at + r.varint(),
		first: before.end() + r.uvarint(),
	}
	v.ordinal, v.count, v.bytes = r.uvarint32(), r.uvarint32(), r.uvarint32()
	v.live = v.count
	sameEntry := v.index == before.index && before.count > 0
	switch {
	case r.bad, flags > allRunFlags, v.count == 0, v.first < before.end(),
		v.first > highest-uint64(v.count),
		uint64(v.ordinal)+uint64(v.count) > math.MaxUint32,
		!dead && v.index < before.index, // those of dead letters are in the order of their deaths
		!dead && sameEntry && uint64(v.ordinal) < uint64(before.ordinal)+uint64(before.count):
		return run{}, nil, malformed("run")
	}
	if flags == 0 && !dead {
		return v, nil, nil
	}
	x, d := &extra{base: v.first}, details{}
	if dead {
		if x.death = r.death(&v); r.bad {
			return run{}, nil, malformed("dead letters of a run")
		}
	}
	if flags&hasSettled != 0 && !r.bitmap(&v, x) {
		return run{}, nil, malformed("settled messages of a run")
	}
	x.returned = readColumn[uint32](r, flags&hasReturned, &v, x)
	d.failed = readColumn[uint32](r, flags&hasFailed, &v, x)
	d.ttls = readColumn[uint64](r, flags&hasTTLs, &v, x)
	d.priorities = readColumn[uint8](r, flags&hasPriorities, &v, x)
	d.sizes = readColumn[uint32](r, flags&hasSizes, &v, x)
	if r.bad {
		return run{}, nil, malformed("columns of a run")
	}
	if flags > hasSettled|hasReturned {
		x.details = &d
	}
	return v, x, nil
}

func (r *reader) death(v *run) *death {
	d := &death{reason: Reason(r.u8()), at: v.at + r.varint()}
	seq := r.uvarint()
	if seq == 0 {
		d.refused = true
	} else {
		d.shift = seq - v.first
	}
	if d.reason < Rejected || d.reason > DeliveryLimited || seq > highest-uint64(v.count) {
		r.fail()
	}
	return d
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

// readColumn reads what appendColumn wrote, if it wrote one.
func readColumn[T number](r *reader, flag byte, v *run, x *extra) column[T] {
	if flag == 0 || r.bad {
		return nil
	}
	switch form := r.u8(); {
	case form == same:
		value := r.uvarint()
		if value == 0 || value > uint64(^T(0)) {
			r.fail()
		}
		return column[T]{T(value)}
	case form != differ, uint64(v.count) > uint64(len(r.b)):
		r.fail()
		return nil
	}
	c := make(column[T], v.count)
	differs := false
	for i := range c {
		value := r.uvarint()
		settled := x.settledAt(uint32(i))
		if value > uint64(^T(0)) || settled && value > 0 {
			r.fail()
			return nil
		}
		c[i] = T(value)
		differs = differs || !settled && c[i] != c[0]
	}
	if !differs {
		r.fail()
	}
	return c
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
		for range r.countUvarint(1) {
			o := r.uvarint32()
			if n := len(f.ordinals); n > 0 && o <= f.ordinals[n-1] {
				return malformed("order of refused ordinals")
			}
			f.ordinals = append(f.ordinals, o)
		}
		for range r.countUvarint(1) {
			id := ID(r.uvarint())
			if n := len(f.sealed); id == 0 || n > 0 && id <= f.sealed[n-1] {
				return malformed("order of sealed queues")
			}
			f.sealed = append(f.sealed, id)
		}
		if len(f.ordinals) == 0 && len(f.sealed) == 0 {
			return malformed("refusals of nothing")
		}
		p.refused = append(p.refused, f)
	}
	return nil
}
