package queue

import (
	"fmt"
	"maps"
	"math"
	"slices"
	"time"

	"pgregory.net/rapid"

	"github.com/warrenmq/warren/broker/level"
)

// model is the naive queue group: every message by itself.
type model struct {
	queues   map[ID]*modelQueue
	sessions map[uint64]progress
	level    uint64
}

type modelQueue struct {
	settings    Settings
	live        map[uint64]modelMessage
	next        uint64
	mark        uint64
	sealed      bool
	held        Held
	dead        map[uint64]DeadLetter
	deadBodies  map[uint64]uint64
	died        uint64 // dead letters so far
	unaccounted bool   // Bytes is not exact until the queue is empty
}

type modelMessage struct {
	ref      Ref
	body     uint64
	sized    bool // the queue remembers its size
	passed   bool // on by another queue
	returned uint32
	failed   uint32
	at       time.Time
	ttl      time.Duration
	priority uint8
}

func newModel() *model {
	return &model{queues: map[ID]*modelQueue{}, sessions: map[uint64]progress{}, level: level.First}
}

// queue is made when it is not there.
func (m *model) queue(id ID) *modelQueue {
	q := m.queues[id]
	if q == nil {
		q = &modelQueue{live: map[uint64]modelMessage{}, next: 1, dead: map[uint64]DeadLetter{}, deadBodies: map[uint64]uint64{}}
		m.queues[id] = q
	}
	return q
}

// publish appends what the batch was built from: bodies by arrival, queues by arrival.
func (m *model) publish(index uint64, at time.Time, s Session, seq uint64, sent []sentMessage, ordinals []uint32) Answer {
	p := m.sessions[s.Incarnation]
	if s.Epoch < p.epoch {
		return Answer{Status: Stale, Seq: p.seq}
	}
	if s.Epoch > p.epoch {
		p = progress{epoch: s.Epoch}
	}
	if seq <= p.seq {
		refused, sealed := p.refusedOf(seq)
		return Answer{Status: Repeated, Seq: p.seq, Refused: refused, Sealed: sealed}
	}
	if seq > p.seq+1 {
		return Answer{Status: Gap, Seq: p.seq}
	}
	var refused []uint32
	var sealed []ID
	for i, sm := range sent {
		taken := true
		for _, id := range sm.to {
			if m.queue(id).sealed {
				sealed = append(sealed, id)
				continue
			}
			taken = m.queue(id).take(sm, Ref{index, ordinals[i]}, at) && taken
		}
		if !taken {
			refused = append(refused, ordinals[i])
		}
	}
	slices.Sort(refused)
	slices.Sort(sealed)
	sealed = slices.Compact(sealed)
	p.advance(seq, refused, sealed)
	m.sessions[s.Incarnation] = p
	return Answer{Status: Applied, Seq: seq, Refused: refused, Sealed: sealed}
}

func (q *modelQueue) bytes() (n uint64) {
	for _, msg := range q.live {
		n += msg.body
	}
	return n
}

// waiting are the dead letters that count: all, once the first has been pending for a second.
func (q *modelQueue) waiting(at time.Time) (n, bytes int64) {
	if len(q.dead) == 0 || at.Before(q.dead[slices.Min(slices.Collect(maps.Keys(q.dead)))].Died.Add(time.Second)) {
		return 0, 0
	}
	for number := range q.dead {
		bytes += int64(q.deadBodies[number])
	}
	return int64(len(q.dead)), bytes
}

func (q *modelQueue) overflows(sm sentMessage, letters, letterBytes int64) bool {
	ready := len(q.live) - min(int(q.held.Messages), len(q.live)+int(letters))
	bytes := int64(q.bytes()) + letterBytes
	bytes -= min(int64(q.held.Bytes), bytes)
	s := &q.settings
	return s.MaxLength.Set && int64(ready)+letters+1 > s.MaxLength.N || s.MaxLengthBytes.Set && bytes+int64(sm.size) > s.MaxLengthBytes.N
}

// take says whether the publisher is told that its message was taken.
func (q *modelQueue) take(sm sentMessage, ref Ref, at time.Time) bool {
	msg := modelMessage{ref: ref, body: uint64(sm.size), at: at, ttl: sm.ttl, sized: q.settings.MaxLengthBytes.Set, passed: sm.passed}
	if q.settings.MaxPriority > 0 || q.settings == (Settings{}) {
		msg.priority = sm.priority
	}
	letters, letterBytes := q.waiting(at)
	counted, countedBytes := letters, letterBytes
	if sm.passed {
		counted, countedBytes = 0, 0
	}
	if q.settings.Overflow != DropHead && q.overflows(sm, counted, countedBytes) {
		s := &q.settings
		full := letters > 0 && (s.MaxLength.Set && letters+1 > s.MaxLength.N || s.MaxLengthBytes.Set && letterBytes+int64(sm.size) > s.MaxLengthBytes.N)
		if s.Overflow != RejectPublishDLX || !s.DeadLetters || full {
			return false
		}
		q.bury(0, msg, MaxLen, at)
		return sm.passed
	}
	q.live[q.next] = msg
	q.next++
	return true
}

func (q *modelQueue) in(rs []Range) []uint64 {
	var found []uint64
	for seq := range q.live {
		if slices.ContainsFunc(rs, func(r Range) bool { return r.First <= seq && seq <= r.Last }) {
			found = append(found, seq)
		}
	}
	slices.Sort(found)
	return found
}

func (q *modelQueue) remove(seqs []uint64) uint64 {
	for _, seq := range seqs {
		delete(q.live, seq)
	}
	q.unaccounted = q.unaccounted && len(q.live) > 0
	return uint64(len(seqs))
}

// guess notes that the state has to find out itself how many bytes go.
func (q *modelQueue) guess() {
	for _, msg := range q.live {
		q.unaccounted = q.unaccounted || !msg.sized
	}
}

func (q *modelQueue) item(seq uint64, msg modelMessage) Item {
	it := Item{Seq: seq, Ref: msg.ref, Returned: msg.returned, Failed: msg.returned, At: msg.at}
	if q.settings.Quorum {
		it.Failed = msg.failed
	}
	return it
}

func (q *modelQueue) bury(seq uint64, msg modelMessage, why Reason, at time.Time) {
	q.died++
	q.dead[q.died] = DeadLetter{Number: q.died, Item: q.item(seq, msg), Reason: why, Died: at}
	q.deadBodies[q.died] = msg.body
}

func (q *modelQueue) kill(seqs []uint64, why Reason, at time.Time) uint64 {
	for _, seq := range seqs {
		if q.settings.DeadLetters || why == Expired && q.settings.Delays != "" {
			q.bury(seq, q.live[seq], why, at)
		}
	}
	return q.remove(seqs)
}

func (q *modelQueue) settle(c Settle, at time.Time) (n uint64) {
	if c.Bytes == UnknownBytes && len(q.in(c.Ranges)) > 0 {
		q.guess()
	}
	for _, r := range c.Ranges {
		seqs := q.in([]Range{r})
		switch c.Kind {
		case Ack:
			n += q.remove(seqs)
		case Reject:
			n += q.kill(seqs, Rejected, at)
		case Expire:
			n += q.kill(seqs, Expired, at)
		case Drop:
			n += q.kill(seqs, MaxLen, at)
		}
	}
	return n
}

func (q *modelQueue) requeue(c Requeue, at time.Time) (n uint64) {
	for _, r := range c.Ranges { // a message in two ranges is counted twice
		var over []uint64
		for _, seq := range q.in([]Range{r}) {
			msg := q.live[seq]
			msg.returned++
			if c.Failed && q.settings.Quorum {
				msg.failed++
			}
			q.live[seq] = msg
			n++
			if limit := q.settings.DeliveryLimit; limit.Set && int64(q.item(seq, msg).Failed) > limit.N {
				over = append(over, seq)
			}
		}
		if len(over) > 0 {
			q.guess()
			n -= q.kill(over, DeliveryLimited, at)
		}
	}
	return n
}

func (q *modelQueue) purge(c Purge) uint64 {
	keep := q.in(c.Keep)
	gone := slices.DeleteFunc(q.in([]Range{{0, c.Through}}), func(seq uint64) bool { return slices.Contains(keep, seq) })
	if len(gone) > 0 {
		q.guess()
	}
	return q.remove(gone)
}

func (q *modelQueue) deadLettered(c DeadLettered) uint64 {
	n := len(q.dead)
	maps.DeleteFunc(q.dead, func(number uint64, _ DeadLetter) bool {
		return slices.ContainsFunc(c.Ranges, func(r Range) bool { return r.First <= number && number <= r.Last })
	})
	return uint64(n - len(q.dead))
}

func (m *model) apply(c Command, at time.Time) Answer {
	on := func(id ID, f func(*modelQueue) uint64) Answer {
		if q := m.queues[id]; q != nil {
			return Answer{Status: Applied, Count: f(q)}
		}
		return Answer{Status: NoQueue}
	}
	switch c := c.(type) {
	case Level:
		m.level = max(m.level, c.Level)
		return Answer{Status: Applied, Count: m.level}
	case Configure:
		m.queue(c.Queue).settings = c.Settings
		return Answer{Status: Applied}
	case Settle:
		return on(c.Queue, func(q *modelQueue) uint64 { return q.settle(c, at) })
	case Requeue:
		return on(c.Queue, func(q *modelQueue) uint64 { return q.requeue(c, at) })
	case Purge:
		return on(c.Queue, func(q *modelQueue) uint64 { return q.purge(c) })
	case DeadLettered:
		return on(c.Queue, func(q *modelQueue) uint64 { return q.deadLettered(c) })
	case Held:
		return on(c.Queue, func(q *modelQueue) uint64 { q.held = c; return 0 })
	case Seal:
		return on(c.Queue, func(q *modelQueue) uint64 {
			n := len(q.live) - len(q.in(c.Held))
			q.sealed = q.sealed || !c.IfEmpty || n == 0
			return uint64(n)
		})
	case Unseal:
		return on(c.Queue, func(q *modelQueue) uint64 { q.sealed = false; return uint64(len(q.live)) })
	case Mark:
		return on(c.Queue, func(q *modelQueue) uint64 {
			if c.Term == 0 {
				q.mark = max(q.mark, c.Seq)
			} else if c.Term == scriptTerm {
				q.mark = min(q.mark, c.Seq)
			}
			return 0
		})
	case Forget:
		return on(c.Queue, func(q *modelQueue) uint64 {
			delete(m.queues, c.Queue)
			return uint64(len(q.live))
		})
	}
	panic(fmt.Sprintf("%T", c))
}

type sentMessage struct {
	to       []ID
	size     int
	ttl      time.Duration
	priority uint8
	passed   bool
}

// check compares a state with the model, message by message.
func (m *model) check(t rapid.TB, s *State) {
	t.Helper()
	if got, want := slices.Collect(s.Queues()), slices.Sorted(maps.Keys(m.queues)); !slices.Equal(got, want) {
		t.Fatalf("queues %v, want %v", got, want)
	}
	oldest, any := uint64(math.MaxUint64), false
	for id, want := range m.queues {
		want.check(t, s.Queue(id))
		for _, msg := range want.live {
			oldest, any = min(oldest, msg.ref.Index), true
		}
		for _, letter := range want.dead {
			oldest, any = min(oldest, letter.Ref.Index), true
		}
	}
	if got, ok := s.OldestLive(); ok != any || ok && got != oldest {
		t.Fatalf("OldestLive() = %d, %v; want %d, %v", got, ok, oldest, any)
	}
}

func (want *modelQueue) check(t rapid.TB, q *Queue) {
	t.Helper()
	id := q.ID()
	if q.Messages() != uint64(len(want.live)) || q.NextSeq() != want.next || q.Mark() != want.mark || q.Sealed() != want.sealed || q.Settings() != want.settings {
		t.Fatalf("queue %d: %d messages, next %d, mark %d, sealed %v, %+v; want %d, %d, %d, %v, %+v", id,
			q.Messages(), q.NextSeq(), q.Mark(), q.Sealed(), q.Settings(), len(want.live), want.next, want.mark, want.sealed, want.settings)
	}
	seq, timed := uint64(0), false
	for _, n := range slices.Sorted(maps.Keys(want.live)) {
		item := want.full(n)
		got, ok := q.After(seq)
		if !ok || !got.At.Equal(item.At) || !got.Deadline.Equal(item.Deadline) {
			t.Fatalf("queue %d: After(%d) = %+v, %v; want %+v", id, seq, got, ok, item)
		}
		got.At, got.Deadline = item.At, item.Deadline
		if got != item {
			t.Fatalf("queue %d: After(%d) = %+v; want %+v", id, seq, got, item)
		}
		seq = n
		timed = timed || want.live[n].ttl >= 0
	}
	if got, ok := q.After(seq); ok {
		t.Fatalf("queue %d: After(%d) = %+v, want none", id, seq, got)
	}
	if timed && !q.Timed() || len(want.live) == 0 && q.Timed() {
		t.Fatalf("queue %d of %d messages: Timed() = %v, want %v", id, len(want.live), q.Timed(), timed)
	}
	for n := uint64(0); n <= want.next; n++ {
		msg, live := want.live[n]
		if got, ok := q.Lookup(n); ok != live || ok && got.Ref != msg.ref {
			t.Fatalf("queue %d: Lookup(%d) = %+v, %v; want %+v, %v", id, n, got, ok, msg, live)
		}
	}
	if !want.unaccounted && q.Bytes() != want.bytes() {
		t.Fatalf("queue %d: %d bytes, want %d", id, q.Bytes(), want.bytes())
	}
	want.checkDead(t, q)
	checkShape(t, q)
}

// full is a live message as After gives it.
func (q *modelQueue) full(seq uint64) Item {
	msg := q.live[seq]
	it := q.item(seq, msg)
	it.Priority = min(msg.priority, q.settings.MaxPriority)
	ttl := msg.ttl
	if limit := q.settings.MessageTTL; limit.Set {
		if d := time.Duration(limit.N) * time.Millisecond; ttl < 0 || d < ttl {
			ttl = d
		}
	}
	if ttl >= 0 {
		it.Deadline = msg.at.Add(ttl)
	}
	return it
}

func (want *modelQueue) checkDead(t rapid.TB, q *Queue) {
	t.Helper()
	if got := q.PendingDeadLetters(); got != uint64(len(want.dead)) {
		t.Fatalf("queue %d: %d dead letters, want %d", q.ID(), got, len(want.dead))
	}
	numbers := slices.Sorted(maps.Keys(want.dead))
	for after := uint64(0); ; {
		page := q.DeadLetters(after, 3)
		if len(page) != min(3, len(numbers)) {
			t.Fatalf("queue %d: DeadLetters(%d, 3) = %+v, want %v", q.ID(), after, page, numbers)
		}
		for _, got := range page {
			w := want.dead[numbers[0]]
			w.Failed = w.Returned
			if want.settings.Quorum {
				w.Failed = got.Failed
			}
			if !got.At.Equal(w.At) || !got.Died.Equal(w.Died) {
				t.Fatalf("queue %d: dead letter %+v, want %+v", q.ID(), got, w)
			}
			got.At, got.Died = w.At, w.Died
			if got != w {
				t.Fatalf("queue %d: dead letter %+v, want %+v", q.ID(), got, w)
			}
			after, numbers = got.Number, numbers[1:]
		}
		if len(page) == 0 {
			return
		}
	}
}

// checkShape checks what the run lists promise themselves.
func checkShape(t rapid.TB, q *Queue) {
	t.Helper()
	q.list.checkShape(t)
	q.dead.checkShape(t)
}

func (l *list) checkShape(t rapid.TB) {
	t.Helper()
	last, live, timed := uint64(0), uint64(0), 0
	for _, c := range l.chunks {
		if len(c.runs) == 0 || len(c.runs) > chunkRuns || c.extras != nil && len(c.extras) != len(c.runs) {
			t.Fatalf("chunk of %d runs, %d extras", len(c.runs), len(c.extras))
		}
		for i, r := range c.runs {
			x := c.extra(i)
			if r.first <= last || r.live == 0 || r.live > r.count || (r.live < r.count) != (x != nil && x.settled != nil) {
				t.Fatalf("run %+v, %+v behind %d", r, x, last)
			}
			if r.live < r.count && x.settled.missing(uint32(r.first-x.base), uint32(r.last()-x.base)+1) != r.live {
				t.Fatalf("run %+v counts %+v wrongly", r, x)
			}
			last, live, timed = r.last(), live+uint64(r.live), timed+x.timed()
		}
	}
	if l.messages != live || l.timed != timed {
		t.Fatalf("%d messages, %d runs with a time to live; counted %d, %d", live, timed, l.messages, l.timed)
	}
}
