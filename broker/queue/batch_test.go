package queue

import (
	"bytes"
	"encoding/binary"
	"errors"
	"math"
	"reflect"
	"slices"
	"testing"
	"time"

	"pgregory.net/rapid"
)

func drawMessage(t *rapid.T) Message {
	text := rapid.StringN(0, 20, 200)
	m := Message{
		Exchange: text.Draw(t, "exchange"), RoutingKey: text.Draw(t, "key"),
		Properties: []byte(text.Draw(t, "properties")), Body: []byte(text.Draw(t, "body")), TTL: NoTTL,
	}
	if rapid.Bool().Draw(t, "ttl") {
		m.TTL = time.Duration(rapid.Int64Range(0, math.MaxInt64).Draw(t, "ttl"))
	}
	if rapid.Bool().Draw(t, "ranked") {
		m.Priority = rapid.Uint8().Draw(t, "priority")
	}
	m.Died = rapid.Bool().Draw(t, "died")
	if rapid.Bool().Draw(t, "blind") {
		m.Blind = rapid.SliceOfN(text, 1, 3).Draw(t, "blind keys")
	}
	return m
}

func equalMessages(a, b *Message) bool {
	return a.Exchange == b.Exchange && a.RoutingKey == b.RoutingKey && a.Priority == b.Priority && a.TTL == b.TTL &&
		a.Died == b.Died && slices.Equal(a.Blind, b.Blind) &&
		bytes.Equal(a.Properties, b.Properties) && bytes.Equal(a.Body, b.Body)
}

// TestABatchGivesBackWhatWasAdded reuses one Builder for batches of any shape.
func TestABatchGivesBackWhatWasAdded(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		var b Builder
		for range rapid.IntRange(1, 3).Draw(t, "batches") {
			var (
				messages []Message
				sets     [][]ID
				session  = Session{rapid.Uint64().Draw(t, "incarnation"), rapid.Uint64().Draw(t, "epoch")}
				seq      = rapid.Uint64Range(1, math.MaxUint64).Draw(t, "seq")
			)
			for range rapid.IntRange(0, 12).Draw(t, "messages") {
				m := drawMessage(t)
				to := rapid.SliceOfNDistinct(rapid.Custom(func(t *rapid.T) ID { return ID(rapid.IntRange(1, 5).Draw(t, "id")) }), 1, 4, rapid.ID[ID]).Draw(t, "to")
				b.Add(to, &m)
				messages, sets = append(messages, m), append(sets, to)
			}
			expected := b.Bytes()
			if b.Len() != len(messages) {
				t.Fatalf("Len() = %d, want %d", b.Len(), len(messages))
			}
			batch := b.Seal(session, seq)
			if len(batch) != expected || b.Len() != 0 {
				t.Fatalf("a batch of %d bytes, expected %d; %d left", len(batch), expected, b.Len())
			}
			checkBatch(t, &b, batch, messages, sets, session, seq)
		}
	})
}

func checkBatch(t *rapid.T, b *Builder, batch []byte, messages []Message, sets [][]ID, session Session, seq uint64) {
	if err := Verify(batch); err != nil {
		t.Fatalf("Verify: %v", err)
	}
	if n, err := MessageCount(batch); n != len(messages) || err != nil {
		t.Fatalf("MessageCount = %d, %v; want %d", n, err, len(messages))
	}
	cs, err := Decode(batch)
	if err != nil || len(cs) != 1 {
		t.Fatalf("Decode = %v, %v", cs, err)
	}
	p := cs[0].(Publish)
	if p.Session != session || p.Seq != seq {
		t.Fatalf("session %v, number %d; want %v, %d", p.Session, p.Seq, session, seq)
	}
	seen := make([]bool, len(messages))
	latest := map[ID]int{} // arrival of the queue's message before
	for _, s := range p.Sections {
		for o := s.First; o < s.First+s.Count; o++ {
			arrival := b.Arrival(o)
			got, err := ReadMessage(batch, o)
			if err != nil || seen[arrival] || !equalMessages(&got, &messages[arrival]) {
				t.Fatalf("message %d (arrival %d) = %+v, %v; want %+v", o, arrival, got, err, messages[arrival])
			}
			seen[arrival] = true
			if want := slices.Sorted(slices.Values(sets[arrival])); !slices.Equal(want, s.Queues) {
				t.Fatalf("message %d goes to %v, want %v", o, s.Queues, want)
			}
			for _, id := range s.Queues {
				if before, ok := latest[id]; ok && before > arrival {
					t.Fatalf("queue %d: arrival %d behind %d", id, arrival, before)
				}
				latest[id] = arrival
			}
		}
	}
	if slices.Contains(seen, false) {
		t.Fatalf("messages missing: %v", seen)
	}
	if _, err := ReadMessage(batch, uint32(len(messages))); !errors.Is(err, ErrMalformed) {
		t.Fatalf("a message behind the last: %v", err)
	}
}

func TestMessagesJoinASectionOnlyWhenNoQueueIsOvertaken(t *testing.T) {
	cases := []struct {
		name string
		sets [][]ID
		want [][]ID // queues of each section
		size []uint32
	}{
		{"the same set stays one section", [][]ID{{1}, {1}, {1}}, [][]ID{{1}}, []uint32{3}},
		{"two queues alternating are two sections", [][]ID{{1}, {2}, {1}, {2}, {1}}, [][]ID{{1}, {2}}, []uint32{3, 2}},
		{"a later section that shares a queue keeps it out", [][]ID{{1}, {1, 2}, {1}}, [][]ID{{1}, {1, 2}, {1}}, []uint32{1, 1, 1}},
		{"a later section of others does not", [][]ID{{1, 2}, {3}, {2, 1}}, [][]ID{{1, 2}, {3}}, []uint32{2, 1}},
		{"a larger set does not join a part of it", [][]ID{{1, 2, 3}, {4}, {1, 2}}, [][]ID{{1, 2, 3}, {4}, {1, 2}}, []uint32{1, 1, 1}},
		{"sets that cross never meet again", [][]ID{{1, 2}, {2, 3}, {1, 2}, {2, 3}}, [][]ID{{1, 2}, {2, 3}, {1, 2}, {2, 3}}, []uint32{1, 1, 1, 1}},
		{"a queue named twice gets the message once", [][]ID{{7, 7}}, [][]ID{{7}}, []uint32{1}},
	}
	for _, c := range cases {
		t.Run(c.name, func(t *testing.T) {
			var b Builder
			for _, to := range c.sets {
				b.Add(to, &Message{TTL: NoTTL})
			}
			cs, err := Decode(b.Seal(Session{1, 1}, 1))
			if err != nil {
				t.Fatal(err)
			}
			var got [][]ID
			var size []uint32
			for _, s := range cs[0].(Publish).Sections {
				got, size = append(got, s.Queues), append(size, s.Count)
			}
			if !reflect.DeepEqual(got, c.want) || !slices.Equal(size, c.size) {
				t.Errorf("sections of %v: %v of %v messages, want %v of %v", c.sets, got, size, c.want, c.size)
			}
		})
	}
}

func TestSectionsTellTTLAndPriority(t *testing.T) {
	var b Builder
	b.Add([]ID{1}, &Message{TTL: NoTTL, Body: []byte("abc")})
	b.Add([]ID{1}, &Message{TTL: 0, Body: []byte("de")})
	b.Add([]ID{2}, &Message{TTL: NoTTL, Priority: 9})
	b.Add([]ID{3}, &Message{TTL: NoTTL})
	cs, err := Decode(b.Seal(Session{1, 1}, 1))
	if err != nil {
		t.Fatal(err)
	}
	want := []Section{
		{Queues: []ID{1}, First: 0, Count: 2, Bytes: 5, Timed: true},
		{Queues: []ID{2}, First: 2, Count: 1, Ranked: true},
		{Queues: []ID{3}, First: 3, Count: 1},
	}
	if got := cs[0].(Publish).Sections; !reflect.DeepEqual(got, want) {
		t.Errorf("sections %+v, want %+v", got, want)
	}
}

// TestASmallBatchLeavesTheLargeBuffer: the log caches batches, and must not cache their room.
func TestASmallBatchLeavesTheLargeBuffer(t *testing.T) {
	var b Builder
	for range 3 {
		b.Add([]ID{1}, &Message{Body: make([]byte, 200<<10), TTL: NoTTL})
		b.Seal(Session{1, 1}, 1)
		b.Add([]ID{1}, &Message{Body: []byte("x"), TTL: NoTTL})
		if small := b.Seal(Session{1, 1}, 2); cap(small) > 256 {
			t.Fatalf("a batch of %d bytes keeps %d", len(small), cap(small))
		}
	}
}

func TestCommandsComeBackAsTheyWere(t *testing.T) {
	id := rapid.Custom(func(t *rapid.T) ID { return ID(rapid.Uint64Range(1, math.MaxUint64).Draw(t, "id")) })
	number := rapid.OneOf(rapid.Uint64(), rapid.Uint64Range(0, 70_000))
	ranges := rapid.SliceOfN(rapid.Custom(func(t *rapid.T) Range { return Range{number.Draw(t, "first"), number.Draw(t, "last")} }), 0, 6)
	drawRanges := func(t *rapid.T) []Range {
		if rs := ranges.Draw(t, "ranges"); len(rs) > 0 {
			return rs
		}
		return nil
	}
	limit := rapid.Custom(func(t *rapid.T) Limit { return Limit{rapid.Bool().Draw(t, "set"), rapid.Int64().Draw(t, "limit")} })
	settings := rapid.Custom(func(t *rapid.T) Settings {
		all := everySetting()
		some := Settings{VHost: rapid.String().Draw(t, "vhost"), Name: rapid.String().Draw(t, "name")}
		from, to := reflect.ValueOf(&all).Elem(), reflect.ValueOf(&some).Elem()
		for i := 2; i < from.NumField(); i++ {
			if f := to.Field(i); f.CanSet() && rapid.Bool().Draw(t, from.Type().Field(i).Name) {
				f.Set(from.Field(i))
			}
		}
		some.MaxLength = limit.Draw(t, "length")
		some.DeadLetterKey = rapid.String().Draw(t, "key")
		return some
	})
	command := rapid.Custom(func(t *rapid.T) Command {
		q := id.Draw(t, "queue")
		switch rapid.IntRange(0, 9).Draw(t, "kind") {
		case 0:
			return Settle{q, SettleKind(rapid.IntRange(int(Ack), int(Drop)).Draw(t, "how")), drawRanges(t), number.Draw(t, "bytes")}
		case 1:
			return Requeue{q, rapid.Bool().Draw(t, "failed"), drawRanges(t)}
		case 2:
			return Configure{q, settings.Draw(t, "settings")}
		case 3:
			return Seal{q, rapid.Bool().Draw(t, "if empty"), drawRanges(t)}
		case 4:
			return Forget{q}
		case 5:
			return Purge{q, number.Draw(t, "through"), drawRanges(t)}
		case 6:
			return Mark{q, number.Draw(t, "seq"), number.Draw(t, "term")}
		case 7:
			return DeadLettered{q, drawRanges(t)}
		case 8:
			return Held{q, number.Draw(t, "messages"), number.Draw(t, "bytes")}
		default:
			return Unseal{q}
		}
	})
	rapid.Check(t, func(t *rapid.T) {
		want := rapid.SliceOfN(command, 0, 5).Draw(t, "commands")
		got, err := Decode(EncodeCommands(want...))
		if err != nil || len(got) != len(want) || len(want) > 0 && !reflect.DeepEqual(got, want) {
			t.Fatalf("Decode(EncodeCommands(%+v)) = %+v, %v", want, got, err)
		}
	})
}

func TestSettingsKeepFieldsOfNewerVersions(t *testing.T) {
	field := append([]byte{200}, binary.LittleEndian.AppendUint32(nil, 3)...)
	newer := Settings{VHost: "/", Name: "q", unknown: string(append(field, "new"...))}
	cs, err := Decode(EncodeCommands(Configure{Queue: 1, Settings: newer}))
	if err != nil || cs[0].(Configure).Settings != newer {
		t.Fatalf("Decode = %+v, %v; want %+v", cs, err, newer)
	}
	s := NewState()
	s.Apply(Entry{Commands: cs})
	if got := restored(t, s).Queue(1).Settings(); got != newer {
		t.Fatalf("after a restart: %+v, want %+v", got, newer)
	}
	for field, bytes := range map[string]string{
		"a zero flag":            "\x06\x01\x00\x00\x00\x00",
		"a flag with bytes":      "\x01\x01\x00\x00\x00\x01",
		"an unknown overflow":    "\x06\x01\x00\x00\x00\x03",
		"an empty limit":         "\x02\x09\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00",
		"a limit with more":      "\x02\x0a\x00\x00\x00\x01\x00\x00\x00\x00\x00\x00\x00\x00\x00",
		"an empty name":          "\x08\x00\x00\x00\x00",
		"a field twice":          "\x01\x00\x00\x00\x00\x01\x00\x00\x00\x00",
		"fields in disorder":     "\x07\x00\x00\x00\x00\x01\x00\x00\x00\x00",
		"a newer field before":   "\xc8\x00\x00\x00\x00\x01\x00\x00\x00\x00",
		"a field of no tag":      "\x00\x00\x00\x00\x00",
		"a field without length": "\x01\x00\x00",
	} {
		if _, err := Decode(EncodeCommands(Configure{Queue: 1, Settings: Settings{unknown: bytes}})); !errors.Is(err, ErrMalformed) {
			t.Errorf("%s: %v", field, err)
		}
	}
	broken := newer
	broken.unknown = broken.unknown[:6]
	if _, err := Decode(EncodeCommands(Configure{Queue: 1, Settings: broken})); !errors.Is(err, ErrMalformed) {
		t.Fatalf("a field cut short: %v", err)
	}
}

func TestEncodingsOfANewerVersionAreNamedSo(t *testing.T) {
	batch := EncodeCommands(Forget{1})
	batch[0]++
	if _, err := Decode(batch); !errors.Is(err, ErrVersion) {
		t.Errorf("Decode: %v", err)
	}
	if _, err := ReadMessage(batch, 0); !errors.Is(err, ErrVersion) {
		t.Errorf("ReadMessage: %v", err)
	}
	snapshot := NewState().AppendSnapshot(nil)
	snapshot[0]++
	if _, err := RestoreState(snapshot); !errors.Is(err, ErrVersion) {
		t.Errorf("RestoreState: %v", err)
	}
}

func TestVerifyFindsWhatDecodeDoesNotRead(t *testing.T) {
	build := func() []byte {
		var b Builder
		for range 3 {
			b.Add([]ID{1}, &Message{Exchange: "e", RoutingKey: "k", Body: []byte("body"), TTL: NoTTL})
		}
		return b.Seal(Session{1, 1}, 1)
	}
	trailer := func(batch []byte) []byte { return batch[binary.LittleEndian.Uint32(batch[len(batch)-4:]):] }
	cases := []struct {
		name  string
		spoil func(batch []byte)
	}{
		{"an offset outside the messages", func(b []byte) { binary.LittleEndian.PutUint32(trailer(b)[4:], 1) }},
		{"two messages at one place", func(b []byte) { copy(trailer(b)[8:12], trailer(b)[4:8]) }},
		{"messages in another order", func(b []byte) {
			t := trailer(b)
			x, y := binary.LittleEndian.Uint32(t[4:]), binary.LittleEndian.Uint32(t[8:])
			binary.LittleEndian.PutUint32(t[4:], y)
			binary.LittleEndian.PutUint32(t[8:], x)
		}},
		{"a message with a false length", func(b []byte) { b[publishHead+1] = 200 }},
		{"an unknown flag", func(b []byte) { b[publishHead] = 16 }},
		{"a section with false bytes", func(b []byte) { b[len(b)-4-9]++ }},
		{"a section with false flags", func(b []byte) { b[len(b)-5] ^= hasTTL }},
	}
	for _, c := range cases {
		batch := build()
		c.spoil(batch)
		if err := Verify(batch); !errors.Is(err, ErrMalformed) {
			t.Errorf("%s: Verify = %v", c.name, err)
		}
	}
}
