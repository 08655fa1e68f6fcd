package queue

import (
	"bytes"
	"errors"
	"slices"
	"testing"

	"pgregory.net/rapid"
)

// checkThin compares what is read of a thinned batch with the batch.
func checkThin(t rapid.TB, batch []byte, count int, keep []uint32) {
	t.Helper()
	before := bytes.Clone(batch)
	thin := Thin(batch, keep)
	if !bytes.Equal(batch, before) {
		t.Fatalf("the batch was changed")
	}
	if len(thin) > len(batch) {
		t.Fatalf("%d bytes of %d", len(thin), len(batch))
	}
	same := bytes.Equal(thin, batch)
	for ordinal := range uint32(count) + 1 {
		want, wantErr := ReadMessage(batch, ordinal)
		got, err := ReadMessage(thin, ordinal)
		switch {
		case same:
		case !slices.Contains(keep, ordinal):
			if !errors.Is(err, ErrMalformed) {
				t.Fatalf("message %d of %v: %+v, %v", ordinal, keep, got, err)
			}
		case (err == nil) != (wantErr == nil) || err == nil && !equalMessages(&got, &want):
			t.Fatalf("message %d of %v: %+v, %v; was %+v, %v", ordinal, keep, got, err, want, wantErr)
		}
	}
	if commands, err := Decode(thin); !same && err == nil {
		if len(commands[0].(Publish).Sections) > 0 {
			t.Fatal("a thinned batch can be applied")
		}
	}
	if again := Thin(thin, keep); !bytes.Equal(again, thin) {
		t.Fatalf("thinned again: % x, was % x", again, thin)
	}
}

func TestThinKeepsWhatIsKept(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		var b Builder
		n := rapid.IntRange(0, 12).Draw(t, "messages")
		var keep []uint32
		for i := range n {
			m := drawMessage(t)
			b.Add([]ID{ID(rapid.IntRange(1, 3).Draw(t, "queue"))}, &m)
			if rapid.Bool().Draw(t, "keep") {
				keep = append(keep, uint32(i))
			}
		}
		checkThin(t, b.Seal(Session{1, 2}, 3), n, keep)
	})
}

func TestThinIsShort(t *testing.T) {
	var b Builder
	for range 1000 {
		b.Add([]ID{1}, &Message{Body: bytes.Repeat([]byte("x"), 1000), TTL: NoTTL})
	}
	batch := b.Seal(Session{1, 2}, 3)
	if n := len(Thin(batch, []uint32{0})); n > 1100 {
		t.Fatalf("the first message alone takes %d bytes", n)
	}
	if n := len(Thin(batch, nil)); n > 50 {
		t.Fatalf("nothing takes %d bytes", n)
	}
}

func FuzzThin(f *testing.F) {
	for _, b := range seedBatches() {
		f.Add(b, uint16(0b101))
	}
	f.Fuzz(func(t *testing.T, in []byte, bits uint16) {
		var keep []uint32
		for i := range uint32(16) {
			if bits>>i&1 != 0 {
				keep = append(keep, i)
			}
		}
		thin := Thin(in, keep)
		if len(thin) > len(in) {
			t.Fatalf("%d bytes of %d", len(thin), len(in))
		}
		for _, ordinal := range keep {
			want, err := ReadMessage(in, ordinal)
			if err != nil {
				continue
			}
			if got, err := ReadMessage(thin, ordinal); err != nil || !equalMessages(&got, &want) {
				t.Fatalf("message %d: %+v, %v; was %+v", ordinal, got, err, want)
			}
		}
	})
}
