package queue

import (
	"bytes"
	"errors"
	"math"
	"testing"
	"time"

	"github.com/warrenmq/warren/broker/level"
)

func seedBatches() [][]byte {
	var b Builder
	b.Add([]ID{1}, &Message{Exchange: "amq.topic", RoutingKey: "a.b", Properties: []byte{0x10, 0, 2}, Body: []byte("hello"), TTL: time.Second})
	b.Add([]ID{2, 1}, &Message{RoutingKey: "q", Priority: 9, TTL: NoTTL})
	b.Add([]ID{1}, &Message{Body: bytes.Repeat([]byte("x"), 300), TTL: NoTTL})
	publish := b.Seal(Session{0x0123456789abcdef, 7}, 42)
	return [][]byte{
		publish,
		b.Seal(Session{1, 1}, 1),
		EncodeCommands(),
		EncodeCommands(
			Configure{1, Settings{VHost: "/", Name: "q"}},
			Configure{1, everySetting()},
			Configure{1, Settings{VHost: "/", Name: "q", unknown: "\xc8\x01\x00\x00\x00z"}},
			Settle{1, Ack, []Range{{1, 100}, {102, 102}, {5, 4}, {0, math.MaxUint64}}, 1000},
			Requeue{1, true, []Range{{101, 101}}}, Seal{1, true, []Range{{7, 9}}}, Unseal{1},
			Purge{1, 200, []Range{{101, 101}}}, Mark{1, 4096, 7}, Forget{1},
			Settle{1, Expire, []Range{{1, 9}}, UnknownBytes}, DeadLettered{1, []Range{{1, 2}, {9, 9}}}, Held{1, 7, 700}, Level{level.First}),
	}
}

// everySetting has no field with its zero value.
func everySetting() Settings {
	return Settings{
		VHost: "/", Name: "q", Quorum: true,
		MessageTTL: Limit{true, 60_000}, Expires: Limit{true, 3_600_000},
		MaxLength: Limit{true, 0}, MaxLengthBytes: Limit{true, 1 << 40}, Overflow: RejectPublishDLX,
		DeadLetters: true, DeadLetterExchange: "dlx", HasDeadLetterKey: true, DeadLetterKey: "dead",
		MaxPriority: 10, DeliveryLimit: Limit{true, 20}, SingleActive: true, ConsumerTimeout: Limit{true, 1_800_000},
		Delays: "later", Stream: true, MaxAge: Limit{true, 604_800_000}, SegmentBytes: Limit{true, 500_000_000}, unknown: "\xc8\x01\x00\x00\x00z",
	}
}

// asQueue are settings of what is no stream, where all of them mean something.
func asQueue(s Settings) Settings {
	s.Stream, s.MaxAge, s.SegmentBytes = false, Limit{}, Limit{}
	return s
}

// fitting settings let a fuzzed batch reach all of Apply.
func fuzzSettings(id ID) Settings {
	s := everySetting()
	switch id % 4 {
	case 0:
		return Settings{Name: "plain"}
	case 1:
		s.MaxLength.N, s.Quorum, s.DeliveryLimit.N = 3, false, 1
	case 2:
		s.MaxLength.Set, s.MaxLengthBytes.N = false, 40
	default:
		s.Overflow = DropHead
	}
	return s
}

// FuzzDecode: to refuse is right; what is read must encode to the same bytes, and must be
// fit to apply.
func FuzzDecode(f *testing.F) {
	for _, b := range seedBatches() {
		f.Add(b)
	}
	f.Fuzz(func(t *testing.T, in []byte) {
		cs, err := Decode(in)
		if err != nil {
			if !errors.Is(err, ErrMalformed) && !errors.Is(err, ErrVersion) && !errors.Is(err, level.ErrUnknown) {
				t.Fatalf("an error of another kind: %v", err)
			}
			return
		}
		if in[1] == kindControl && !bytes.Equal(EncodeCommands(cs...), in) {
			t.Fatalf("% x\ncame back as\n% x", in, EncodeCommands(cs...))
		}
		if in[1] == kindPublish && Verify(in) == nil {
			rebuild(t, in, cs[0].(Publish))
		}
		s := NewState()
		for id := range ID(8) {
			s.Apply(Entry{Commands: []Command{Configure{Queue: id + 1, Settings: fuzzSettings(id)}}})
		}
		var b Builder
		b.Add([]ID{1, 2, 3}, &Message{TTL: NoTTL})
		b.Add([]ID{1, 2, 3}, &Message{TTL: 5, Priority: 3, Body: []byte("body")})
		s.Apply(decoded(t, 1, time.Time{}, b.Seal(Session{1, 1}, 1)))
		s.Apply(Entry{Index: 2, Commands: cs})
		restored(t, s)
	})
}

// rebuild makes the batch again from its messages, which must give the same messages.
func rebuild(t *testing.T, in []byte, p Publish) {
	var b Builder
	for _, s := range p.Sections {
		for o := s.First; o < s.First+s.Count; o++ {
			m, err := ReadMessage(in, o)
			if err != nil {
				t.Fatalf("message %d of a verified batch: %v", o, err)
			}
			b.Add(s.Queues, &m)
		}
	}
	out := b.Seal(p.Session, p.Seq)
	if err := Verify(out); err != nil {
		t.Fatalf("built again: %v", err)
	}
	n, _ := MessageCount(in)
	for arrival := range uint32(n) {
		got, err := ReadMessage(out, arrival)
		want, err2 := ReadMessage(in, uint32(b.Arrival(arrival)))
		if err != nil || err2 != nil || !equalMessages(&got, &want) {
			t.Fatalf("message %d: %+v, %v; want %+v, %v", arrival, got, err, want, err2)
		}
	}
}

func FuzzReadMessage(f *testing.F) {
	for _, b := range seedBatches() {
		for o := range uint32(4) {
			f.Add(b, o)
		}
	}
	f.Fuzz(func(t *testing.T, in []byte, ordinal uint32) {
		m, err := ReadMessage(in, ordinal)
		if err != nil {
			return
		}
		if n, err := MessageCount(in); err != nil || int(ordinal) >= n {
			t.Fatalf("message %d of %d, %v", ordinal, n, err)
		}
		var b Builder
		b.Add([]ID{1}, &m)
		got, err := ReadMessage(b.Seal(Session{1, 1}, 1), 0)
		if err != nil || !equalMessages(&got, &m) {
			t.Fatalf("%+v came back as %+v, %v", m, got, err)
		}
	})
}

// FuzzRestore: what is accepted has one encoding and is a sound state.
func FuzzRestore(f *testing.F) {
	f.Add(NewState().AppendSnapshot(nil))
	f.Add(seedState(f).AppendSnapshot(nil))
	f.Fuzz(func(t *testing.T, in []byte) {
		s, err := RestoreState(in)
		if err != nil {
			if !errors.Is(err, ErrMalformed) && !errors.Is(err, ErrVersion) && !errors.Is(err, level.ErrUnknown) {
				t.Fatalf("an error of another kind: %v", err)
			}
			return
		}
		if out := s.AppendSnapshot(nil); !bytes.Equal(out, in) {
			t.Fatalf("% x\ncame back as\n% x", in, out)
		}
		for id := range s.Queues() {
			q := s.Queue(id)
			checkShape(t, q)
			for after, n := uint64(0), 0; n < 10_000; n += 100 {
				page := q.DeadLetters(after, 100)
				if len(page) == 0 {
					break
				}
				after = page[len(page)-1].Number
			}
			n, seq := uint64(0), uint64(0)
			for n < 10_000 {
				item, ok := q.After(seq)
				if !ok {
					break
				}
				n, seq = n+1, item.Seq
			}
			if n < 10_000 && n != q.Messages() {
				t.Fatalf("queue %d: %d messages found, %d counted", id, n, q.Messages())
			}
			s.Apply(Entry{Index: math.MaxUint64, Commands: []Command{
				Requeue{id, true, []Range{{2, 300}}}, Settle{id, Ack, []Range{{3, 5}, {9, 9}}, 5}, Settle{id, Reject, []Range{{5, 30}}, UnknownBytes},
				DeadLettered{id, []Range{{2, 3}, {7, 80}}}, Purge{id, math.MaxUint64, []Range{{10, 20}}},
			}})
		}
		restored(t, s)
	})
}

func seedState(t testing.TB) *State {
	s := NewState()
	for _, b := range [][]byte{
		EncodeCommands(Configure{1, Settings{VHost: "/", Name: "q"}}, Configure{2, Settings{VHost: "/", Name: "r"}}, Configure{9, Settings{}}),
		seedBatches()[0],
	} {
		s.Apply(decoded(t, 1, time.Unix(1, 2), b))
	}
	var b Builder
	for range 150 {
		b.Add([]ID{2}, &Message{Body: []byte("body"), TTL: NoTTL})
	}
	s.Apply(decoded(t, 3, time.Unix(3, 4), b.Seal(Session{5, 1}, 1)))
	s.Apply(Entry{Index: 4, Commands: []Command{
		Settle{2, Ack, []Range{{1, 2}, {7, 7}, {90, 120}}, 160}, Requeue{2, false, []Range{{80, 100}}}, Mark{2, 4096, 0}, Seal{9, false, nil},
		Configure{3, asQueue(everySetting())}, Configure{3, withoutLimit(asQueue(everySetting()))}, Held{3, 2, 20},
	}})
	for i := range 20 {
		b.Add([]ID{3}, &Message{Body: make([]byte, i%3), TTL: time.Duration(i%4) - 1, Priority: uint8(i % 5)})
	}
	s.Apply(decoded(t, 5, time.Unix(5, 6), b.Seal(Session{5, 1}, 2)))
	s.Apply(Entry{Index: 6, AppendedAt: time.Unix(7, 8), Commands: []Command{
		Requeue{3, true, []Range{{3, 4}, {12, 12}}}, Requeue{3, false, []Range{{4, 6}}},
		Settle{3, Reject, []Range{{4, 4}, {8, 9}}, 3}, Settle{3, Expire, []Range{{10, 10}, {1, 1}}, 3}, Settle{3, Ack, []Range{{14, 14}}, 2},
		Configure{3, asQueue(everySetting())},
	}})
	b.Add([]ID{3, 9}, &Message{TTL: NoTTL})
	s.Apply(decoded(t, 7, time.Unix(7, 10), b.Seal(Session{5, 1}, 3)))
	return s
}

func withoutLimit(s Settings) Settings {
	s.MaxLength = Limit{}
	return s
}
