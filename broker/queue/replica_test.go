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
	live      map[uint64]modelMessage
	next      uint64
	mark      uint64
	sealed    bool
	estimated bool // a purge kept messages: Bytes is not exact until the queue is empty
}

type modelMessage struct {
	ref      Ref
	body     uint64
	returned uint32
	at       time.Time
}

func newModel() *model {
	return &model{queues: map[ID]*modelQueue{}, sessions: map[uint64]progress{}}
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
		return Answer{Status: Repeated, Seq: p.seq, Refused: p.refusedOf(seq)}
	}
	if seq > p.seq+1 {
		return Answer{Status: Gap, Seq: p.seq}
	}
	var refused []uint32
	for i, sm := range sent {
		sealed := false
		for _, id := range sm.to {
			q := m.queues[id]
			if q == nil { // published to before its Configure
				q = &modelQueue{live: map[uint64]modelMessage{}, next: 1}
				m.queues[id] = q
			}
			if q.sealed {
				sealed = true
				continue
			}
			q.live[q.next] = modelMessage{ref: Ref{index, ordinals[i]}, body: uint64(sm.size), at: at}
			q.next++
		}
		if sealed {
			refused = append(refused, ordinals[i])
		}
	}
	slices.Sort(refused)
	p.advance(seq, refused)
	m.sessions[s.Incarnation] = p
	return Answer{Status: Applied, Seq: seq, Refused: refused}
}

func (q *modelQueue) in(rs []Range) []uint64 {
	var found []uint64
	for seq := range q.live {
		if slices.ContainsFunc(rs, func(r Range) bool { return r.First <= seq && seq <= r.Last }) {
			found = append(found, seq)
		}
	}
	return found
}

func (q *modelQueue) remove(seqs []uint64) uint64 {
	for _, seq := range seqs {
		delete(q.live, seq)
	}
	q.estimated = q.estimated && len(q.live) > 0
	return uint64(len(seqs))
}

func (m *model) apply(c Command) Answer {
	on := func(id ID, f func(*modelQueue) uint64) Answer {
		if q := m.queues[id]; q != nil {
			return Answer{Status: Applied, Count: f(q)}
		}
		return Answer{Status: NoQueue}
	}
	switch c := c.(type) {
	case Configure:
		if m.queues[c.Queue] == nil {
			m.queues[c.Queue] = &modelQueue{live: map[uint64]modelMessage{}, next: 1}
		}
		return Answer{Status: Applied}
	case Settle:
		return on(c.Queue, func(q *modelQueue) uint64 { return q.remove(q.in(c.Ranges)) })
	case Requeue:
		return on(c.Queue, func(q *modelQueue) (n uint64) {
			for _, r := range c.Ranges { // a message in two ranges is counted twice
				for _, seq := range q.in([]Range{r}) {
					msg := q.live[seq]
					msg.returned++
					q.live[seq] = msg
					n++
				}
			}
			return n
		})
	case Purge:
		return on(c.Queue, func(q *modelQueue) uint64 {
			keep := q.in(c.Keep)
			gone := slices.DeleteFunc(q.in([]Range{{0, c.Through}}), func(seq uint64) bool { return slices.Contains(keep, seq) })
			q.estimated = q.estimated || len(gone) > 0
			return q.remove(gone)
		})
	case Seal:
		return on(c.Queue, func(q *modelQueue) uint64 {
			n := len(q.live) - len(q.in(c.Held))
			q.sealed = q.sealed || !c.IfEmpty || n == 0
			return uint64(n)
		})
	case Unseal:
		return on(c.Queue, func(q *modelQueue) uint64 { q.sealed = false; return uint64(len(q.live)) })
	case Mark:
		return on(c.Queue, func(q *modelQueue) uint64 { q.mark = max(q.mark, c.Seq); return 0 })
	case Forget:
		return on(c.Queue, func(q *modelQueue) uint64 {
			delete(m.queues, c.Queue)
			return uint64(len(q.live))
		})
	}
	panic(fmt.Sprintf("%T", c))
}

type sentMessage struct {
	to   []ID
	size int
}

// check compares a state with the model, message by message.
func (m *model) check(t rapid.TB, s *State) {
	t.Helper()
	if got, want := slices.Collect(s.Queues()), slices.Sorted(maps.Keys(m.queues)); !slices.Equal(got, want) {
		t.Fatalf("queues %v, want %v", got, want)
	}
	oldest, any := uint64(math.MaxUint64), false
	for id, want := range m.queues {
		q := s.Queue(id)
		if q.Messages() != uint64(len(want.live)) || q.NextSeq() != want.next || q.Mark() != want.mark || q.Sealed() != want.sealed {
			t.Fatalf("queue %d: %d messages, next %d, mark %d, sealed %v; want %d, %d, %d, %v", id,
				q.Messages(), q.NextSeq(), q.Mark(), q.Sealed(), len(want.live), want.next, want.mark, want.sealed)
		}
		bodies, seq := uint64(0), uint64(0)
		for _, n := range slices.Sorted(maps.Keys(want.live)) {
			msg := want.live[n]
			item := Item{Seq: n, Ref: msg.ref, Returned: msg.returned, At: msg.at}
			got, ok := q.After(seq)
			if !ok || !got.At.Equal(item.At) {
				t.Fatalf("queue %d: After(%d) = %+v, %v; want %+v", id, seq, got, ok, item)
			}
			got.At = item.At
			if got != item {
				t.Fatalf("queue %d: After(%d) = %+v; want %+v", id, seq, got, item)
			}
			bodies += msg.body
			seq = n
			oldest, any = min(oldest, msg.ref.Index), true
		}
		if got, ok := q.After(seq); ok {
			t.Fatalf("queue %d: After(%d) = %+v, want none", id, seq, got)
		}
		for n := uint64(0); n <= want.next; n++ {
			msg, live := want.live[n]
			if got, ok := q.Lookup(n); ok != live || ok && got.Ref != msg.ref {
				t.Fatalf("queue %d: Lookup(%d) = %+v, %v; want %+v, %v", id, n, got, ok, msg, live)
			}
		}
		if !want.estimated && q.Bytes() != bodies {
			t.Fatalf("queue %d: %d bytes, want %d", id, q.Bytes(), bodies)
		}
		checkShape(t, q)
	}
	if got, ok := s.OldestLive(); ok != any || ok && got != oldest {
		t.Fatalf("OldestLive() = %d, %v; want %d, %v", got, ok, oldest, any)
	}
}

// checkShape checks what the run lists promise themselves.
func checkShape(t rapid.TB, q *Queue) {
	t.Helper()
	last := uint64(0)
	for _, c := range q.chunks {
		if len(c.runs) == 0 || len(c.runs) > chunkRuns || c.extras != nil && len(c.extras) != len(c.runs) {
			t.Fatalf("queue %d: chunk of %d runs, %d extras", q.id, len(c.runs), len(c.extras))
		}
		for i, r := range c.runs {
			x := c.extra(i)
			if r.first <= last || r.live == 0 || r.live > r.count || (r.live < r.count) != (x != nil && x.settled != nil) {
				t.Fatalf("queue %d: run %+v, %+v behind %d", q.id, r, x, last)
			}
			if r.live < r.count && x.settled.missing(uint32(r.first-x.base), uint32(r.last()-x.base)+1) != r.live {
				t.Fatalf("queue %d: run %+v counts %+v wrongly", q.id, r, x)
			}
			last = r.last()
		}
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

func (s *script) command() Command {
	id := s.queue()
	switch rapid.IntRange(0, 19).Draw(s.t, "kind") {
	default:
		c := Settle{Queue: id, Kind: Ack, Ranges: s.ranges(id)}
		if q := s.model.queues[id]; q != nil {
			for _, seq := range q.in(c.Ranges) {
				c.Bytes += q.live[seq].body
			}
		}
		return c
	case 0, 1, 2, 3:
		return Requeue{Queue: id, Ranges: s.ranges(id)}
	case 4, 5, 6:
		return Configure{Queue: id, Settings: Settings{VHost: "/", Name: rapid.StringN(0, 3, 9).Draw(s.t, "name")}}
	case 7:
		return Seal{Queue: id, IfEmpty: rapid.Bool().Draw(s.t, "ifEmpty"), Held: s.ranges(id)}
	case 8:
		return Unseal{Queue: id}
	case 9:
		return Mark{Queue: id, Seq: rapid.Uint64Range(0, 50).Draw(s.t, "mark")}
	case 10:
		return Purge{Queue: id, Through: rapid.Uint64Range(0, 60).Draw(s.t, "through"), Keep: s.ranges(id)}
	case 11:
		return Forget{Queue: id}
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
		m := sentMessage{to: set, size: rapid.IntRange(0, 40).Draw(s.t, "size")}
		s.builder.Add(m.to, &Message{Body: make([]byte, m.size), TTL: NoTTL})
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
			c := Configure{Queue: id + 1}
			s.model.apply(c)
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
					want = append(want, s.model.apply(c))
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
		}
		s.model.check(rt, a)
		s.model.check(rt, b)
		if a.Hash() != b.Hash() || !bytes.Equal(a.AppendSnapshot(nil), b.AppendSnapshot(nil)) {
			rt.Fatalf("snapshots differ:\n%x\n%x", a.AppendSnapshot(nil), b.AppendSnapshot(nil))
		}
	})
}

func decoded(t rapid.TB, index uint64, at time.Time, batch []byte) Entry {
	t.Helper()
	cs, err := Decode(batch)
	if err != nil {
		t.Fatalf("Decode(% x): %v", batch, err)
	}
	return Entry{Index: index, AppendedAt: at, Commands: cs}
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
