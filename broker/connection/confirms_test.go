package connection

import (
	"bytes"
	"math/rand/v2"
	"testing"

	"github.com/warrenmq/warren/broker/wire"
)

// answers reads frames as a client does that puts answers in order: a multiple
// answer counts for all tags that are open.
func answers(t *testing.T, got map[uint64]bool, b []byte) (frames int) {
	t.Helper()
	r := wire.NewReader(bytes.NewReader(b), 4096)
	for {
		f, err := r.ReadFrame()
		if err != nil {
			return frames
		}
		frames++
		m, err := wire.ParseMethod(f.Payload)
		if err != nil {
			t.Fatal(err)
		}
		var tag uint64
		var multiple, ack bool
		switch m := m.(type) {
		case *wire.BasicAck:
			tag, multiple, ack = m.DeliveryTag, m.Multiple, true
		case *wire.BasicNack:
			tag, multiple = m.DeliveryTag, m.Multiple
		}
		first := tag
		for multiple && first > 1 {
			if _, told := got[first-1]; told {
				break
			}
			first--
		}
		for n := uint64(1); multiple && n < first; n++ {
			if _, told := got[n]; !told {
				t.Fatalf("%s %d is multiple beyond an open tag %d", m.Name(), tag, n)
			}
		}
		for ; first <= tag; first++ {
			if _, told := got[first]; told {
				t.Fatalf("tag %d is answered twice", first)
			}
			got[first] = ack
		}
	}
}

// I1: every tag is answered once and with the truth, in whatever order outcomes come.
func TestI1ConfirmWindow(t *testing.T) {
	for seed := range uint64(300) {
		rng := rand.New(rand.NewPCG(seed, 0))
		tags := rng.Perm(200)
		if seed%3 == 0 { // nearly in order
			for i := range tags {
				tags[i] = i
			}
			for range 20 {
				i := rng.IntN(len(tags) - 5)
				tags[i], tags[i+5] = tags[i+5], tags[i]
			}
		}
		w := confirmWindow{next: 1}
		got := make(map[uint64]bool)
		want := make(map[uint64]bool)
		for len(tags) > 0 {
			n := min(1+rng.IntN(30), len(tags))
			var o outcomes
			for _, tag := range tags[:n] {
				tag := uint64(tag) + 1
				want[tag] = rng.IntN(5) > 0
				if want[tag] {
					o.acks = addTag(o.acks, tag)
				} else {
					o.nacks = addTag(o.nacks, tag)
				}
			}
			tags = tags[n:]
			answers(t, got, w.append(nil, 1, &o))
		}
		for tag, ack := range want {
			if told, ok := got[tag]; !ok || told != ack {
				t.Fatalf("seed %d: tag %d answered %v %v, want %v", seed, tag, ok, told, ack)
			}
		}
		if len(w.told) > 0 || w.next != 201 {
			t.Fatalf("seed %d: window at %d with %v, want 201", seed, w.next, w.told)
		}
	}
}

// I1: confirms that follow each other go out as one.
func TestI1ConfirmsAreCoalesced(t *testing.T) {
	w := confirmWindow{next: 1}
	frames := w.append(nil, 1, &outcomes{acks: []span{{5, 9}, {1, 4}}})
	if n := answers(t, make(map[uint64]bool), frames); n != 1 {
		t.Errorf("%d frames, want 1", n)
	}
}
