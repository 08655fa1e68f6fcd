package queue

import (
	"bytes"
	"fmt"
	"maps"
	"math"
	"reflect"
	"slices"
	"testing"
	"time"

	"pgregory.net/rapid"
)

// model is the naive queue group: every message by itself.
type model struct {
	queues   map[ID]*modelQueue
	sessions map[uint64]progress
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
	died     bool // a dead letter of another queue
	returned uint32
	failed   uint32
	at       time.Time
	ttl      time.Duration
	priority uint8
}

func newModel() *model {
	return &model{queues: map[ID]*modelQueue{}, sessions: map[uint64]progress{}}
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
	msg := modelMessage{ref: ref, body: uint64(sm.size), at: at, ttl: sm.ttl, sized: q.settings.MaxLengthBytes.Set, died: sm.died}
	if q.settings.MaxPriority > 0 || q.settings == (Settings{}) {
		msg.priority = sm.priority
	}
	letters, letterBytes := q.waiting(at)
	counted, countedBytes := letters, letterBytes
	if sm.died {
		counted, countedBytes = 0, 0
	}
	if q.settings.Overflow != DropHead && q.overflows(sm, counted, countedBytes) {
		s := &q.settings
		full := letters > 0 && (s.MaxLength.Set && letters+1 > s.MaxLength.N || s.MaxLengthBytes.Set && letterBytes+int64(sm.size) > s.MaxLengthBytes.N)
		if s.Overflow != RejectPublishDLX || !s.DeadLetters || full {
			return false
		}
		q.bury(0, msg, MaxLen, at)
		return sm.died
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
	died     bool
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

// script draws commands for a handful of queues.
type script struct {
	t       *rapid.T
	model   *model
	builder Builder
	index   uint64
}

func (s *script) queue() ID { return ID(rapid.IntRange(1, 4).Draw(s.t, "queue")) }

func (s *script) ranges(id ID) []Range {
	top := uint64(3)
	if q := s.model.queues[id]; q != nil {
		top += q.next
	}
	rs := make([]Range, rapid.IntRange(0, 4).Draw(s.t, "ranges"))
	for i := range rs {
		first := rapid.Uint64Range(0, top).Draw(s.t, "first")
		rs[i] = Range{first, first + rapid.Uint64Range(0, 12).Draw(s.t, "extent")}
		switch rapid.IntRange(0, 30).Draw(s.t, "odd") {
		case 0:
			rs[i].Last = math.MaxUint64
		case 1:
			rs[i].First, rs[i].Last = rs[i].Last, rs[i].First
		}
	}
	return rs
}

func drawLimit(t *rapid.T, name string, most int64) Limit {
	if rapid.Bool().Draw(t, name) {
		return Limit{Set: true, N: rapid.Int64Range(0, most).Draw(t, name)}
	}
	return Limit{}
}

// settings are drawn within what does not change in a queue's life: queue 2 is a quorum queue,
// 3 refuses by bytes, 4 has priorities and delays.
func (s *script) settings(id ID) Settings {
	t := s.t
	c := Settings{
		VHost: "/", Name: rapid.StringN(1, 3, 9).Draw(t, "name"),
		Quorum:        id == 2,
		MessageTTL:    drawLimit(t, "ttl", 10_000),
		MaxLength:     drawLimit(t, "length", 100),
		Overflow:      Overflow(rapid.IntRange(0, 2).Draw(t, "overflow")),
		DeadLetters:   rapid.Bool().Draw(t, "dead letters"),
		DeliveryLimit: drawLimit(t, "deliveries", 3),
	}
	switch id {
	case 3:
		c.MaxLengthBytes = Limit{true, rapid.Int64Range(0, 2000).Draw(t, "bytes")}
	case 4:
		c.MaxPriority = rapid.Uint8Range(1, 10).Draw(t, "priorities")
		c.Delays = "x"
	}
	return c
}

func (s *script) command() Command {
	id := s.queue()
	q := s.model.queues[id]
	switch rapid.IntRange(0, 24).Draw(s.t, "kind") {
	default:
		c := Settle{Queue: id, Kind: SettleKind(rapid.SampledFrom([]int{1, 1, 1, 2, 3, 4}).Draw(s.t, "how")), Ranges: s.ranges(id)}
		if q != nil {
			for _, seq := range q.in(c.Ranges) {
				c.Bytes += q.live[seq].body
			}
		}
		if rapid.IntRange(0, 9).Draw(s.t, "unknown") == 0 {
			c.Bytes = UnknownBytes
		}
		return c
	case 0, 1, 2, 3:
		return Requeue{Queue: id, Failed: rapid.Bool().Draw(s.t, "failed"), Ranges: s.ranges(id)}
	case 4, 5, 6:
		return Configure{Queue: id, Settings: s.settings(id)}
	case 7:
		return Seal{Queue: id, IfEmpty: rapid.Bool().Draw(s.t, "ifEmpty"), Held: s.ranges(id)}
	case 8:
		return Unseal{Queue: id}
	case 9:
		return Mark{Queue: id, Seq: rapid.Uint64Range(0, 50).Draw(s.t, "mark"),
			Term: rapid.SampledFrom([]uint64{0, 0, scriptTerm, scriptTerm - 1}).Draw(s.t, "term")}
	case 10:
		return Purge{Queue: id, Through: rapid.Uint64Range(0, 60).Draw(s.t, "through"), Keep: s.ranges(id)}
	case 11:
		if id == 3 { // it would be made anew by a message, before its limit
			return Unseal{Queue: id}
		}
		return Forget{Queue: id}
	case 12, 13, 14:
		c := DeadLettered{Queue: id}
		for range rapid.IntRange(0, 3).Draw(s.t, "ranges") {
			first := rapid.Uint64Range(0, 60).Draw(s.t, "first")
			c.Ranges = append(c.Ranges, Range{first, first + rapid.Uint64Range(0, 8).Draw(s.t, "extent")})
		}
		return c
	case 15:
		return Held{Queue: id, Messages: rapid.Uint64Range(0, 20).Draw(s.t, "messages"), Bytes: rapid.Uint64Range(0, 300).Draw(s.t, "bytes")}
	}
}

// publish draws a batch: encoded, and as the model takes it.
func (s *script) publish() (batch []byte, session Session, seq uint64, sent []sentMessage, ordinals []uint32) {
	session = Session{Incarnation: rapid.Uint64Range(1, 2).Draw(s.t, "incarnation"), Epoch: rapid.Uint64Range(1, 2).Draw(s.t, "epoch")}
	if p := s.model.sessions[session.Incarnation]; p.epoch == session.Epoch {
		seq = p.seq
	}
	seq = max(1, seq+uint64(rapid.SampledFrom([]int{1, 1, 1, 1, 1, 1, 0, 2}).Draw(s.t, "step")))
	for range rapid.IntRange(1, 90).Draw(s.t, "messages") {
		set := rapid.SampledFrom([][]ID{{1}, {1}, {1}, {2}, {1, 2}, {2, 1}, {3}, {1, 2, 3}, {4}, {5}}).Draw(s.t, "to")
		m := sentMessage{to: set, size: rapid.IntRange(0, 40).Draw(s.t, "size"), ttl: NoTTL}
		switch rapid.IntRange(0, 5).Draw(s.t, "traits") {
		case 0:
			m.ttl = time.Duration(rapid.Int64Range(0, 3e9).Draw(s.t, "ttl"))
		case 1:
			m.ttl = time.Second
		case 2:
			m.priority = rapid.Uint8().Draw(s.t, "priority")
		case 3:
			m.died = true
		}
		s.builder.Add(m.to, &Message{Body: make([]byte, m.size), TTL: m.ttl, Priority: m.priority, Died: m.died})
		sent = append(sent, m)
	}
	batch = s.builder.Seal(session, seq)
	ordinals = make([]uint32, len(sent))
	for o := range uint32(len(sent)) {
		ordinals[s.builder.Arrival(o)] = o
	}
	return batch, session, seq, sent, ordinals
}

// TestReplicasAgree feeds two replicas and the model the same commands, restarting one
// replica from snapshots now and then.
func TestReplicasAgree(t *testing.T) {
	rapid.Check(t, func(rt *rapid.T) {
		s := &script{t: rt, model: newModel()}
		a, b := NewState(), NewState()
		for id := range ID(3) {
			c := Configure{Queue: id + 1, Settings: s.settings(id + 1)}
			s.model.apply(c, time.Time{})
			a.Apply(Entry{Commands: []Command{c}})
			b.Apply(Entry{Commands: []Command{c}})
		}
		for range rapid.IntRange(1, 60).Draw(rt, "entries") {
			s.index += rapid.Uint64Range(1, 3).Draw(rt, "step")
			at := time.Unix(1_700_000_000, rapid.Int64Range(-1e9, 1e9).Draw(rt, "at"))
			var (
				batch []byte
				want  []Answer
			)
			if rapid.IntRange(0, 2).Draw(rt, "publish") == 0 {
				var (
					session  Session
					seq      uint64
					sent     []sentMessage
					ordinals []uint32
				)
				batch, session, seq, sent, ordinals = s.publish()
				if err := Verify(batch); err != nil {
					rt.Fatalf("Verify of a built batch: %v", err)
				}
				want = append(want, s.model.publish(s.index, at, session, seq, sent, ordinals))
			} else {
				var cs []Command
				for range rapid.IntRange(1, 3).Draw(rt, "commands") {
					c := s.command()
					cs = append(cs, c)
					want = append(want, s.model.apply(c, at))
				}
				batch = EncodeCommands(cs...)
			}
			ga, ta := a.Apply(decoded(rt, s.index, at, batch))
			gb, tb := b.Apply(decoded(rt, s.index, at, batch))
			if !reflect.DeepEqual(ga, want) || !reflect.DeepEqual(gb, want) || !slices.Equal(ta, tb) {
				rt.Fatalf("entry %d: answers %+v and %+v, touched %v and %v; want %+v", s.index, ga, gb, ta, tb, want)
			}
			if rapid.IntRange(0, 4).Draw(rt, "restart") == 0 {
				b = restored(rt, b)
			}
			if rapid.IntRange(0, 9).Draw(rt, "check") == 0 {
				s.model.check(rt, a)
			}
		}
		s.model.check(rt, a)
		s.model.check(rt, b)
		if a.Hash() != b.Hash() || !bytes.Equal(a.AppendSnapshot(nil), b.AppendSnapshot(nil)) {
			rt.Fatalf("snapshots differ:\n%x\n%x", a.AppendSnapshot(nil), b.AppendSnapshot(nil))
		}
	})
}

// scriptTerm is that of all entries.
const scriptTerm = 7

func decoded(t rapid.TB, index uint64, at time.Time, batch []byte) Entry {
	t.Helper()
	cs, err := Decode(batch)
	if err != nil {
		t.Fatalf("Decode(% x): %v", batch, err)
	}
	return Entry{Index: index, Term: scriptTerm, AppendedAt: at, Commands: cs}
}

func restored(t rapid.TB, s *State) *State {
	t.Helper()
	snapshot := s.AppendSnapshot(nil)
	r, err := RestoreState(snapshot)
	if err != nil {
		t.Fatalf("RestoreState(% x): %v", snapshot, err)
	}
	if again := r.AppendSnapshot(nil); !bytes.Equal(again, snapshot) {
		t.Fatalf("a snapshot came back as another:\n% x\n% x", snapshot, again)
	}
	return r
}
