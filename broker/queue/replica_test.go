package queue

import (
	"bytes"
	"math"
	"reflect"
	"slices"
	"testing"
	"time"

	"pgregory.net/rapid"

	"github.com/warrenmq/warren/broker/level"
)

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
	case 16:
		return Level{Level: rapid.Uint64Range(level.First, level.Known).Draw(s.t, "level")}
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
			m.passed = true
		}
		s.builder.Add(m.to, &Message{Body: make([]byte, m.size), TTL: m.ttl, Priority: m.priority, Passed: m.passed})
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
