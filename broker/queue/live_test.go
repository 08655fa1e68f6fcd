package queue

import (
	"math"
	"slices"
	"testing"
	"time"

	"pgregory.net/rapid"
)

// liveRefs are the ordinals of all that a reader can come upon, by entry.
func liveRefs(s *State) map[uint64][]uint32 {
	refs := map[uint64][]uint32{}
	for id := range s.Queues() {
		q := s.Queue(id)
		for seq := uint64(0); ; {
			it, ok := q.After(seq)
			if !ok {
				break
			}
			seq = it.Seq
			refs[it.Ref.Index] = append(refs[it.Ref.Index], it.Ref.Ordinal)
		}
		for _, d := range q.DeadLetters(0, math.MaxInt32) {
			refs[d.Ref.Index] = append(refs[d.Ref.Index], d.Ref.Ordinal)
		}
	}
	for index, ordinals := range refs {
		slices.Sort(ordinals)
		refs[index] = slices.Compact(ordinals)
	}
	return refs
}

// checkLive compares LiveEntries of [first, last] with what can be read.
func checkLive(t rapid.TB, s *State, first, last uint64) {
	t.Helper()
	want := liveRefs(s)
	before := uint64(0)
	s.LiveEntries(first, last, func(index uint64, ordinals []uint32) bool {
		if index < first || index > last || index <= before {
			t.Fatalf("entry %d after %d in %d to %d", index, before, first, last)
		}
		before = index
		if !slices.Equal(ordinals, want[index]) {
			t.Fatalf("entry %d: %v, can be read: %v", index, ordinals, want[index])
		}
		delete(want, index)
		return true
	})
	for index, ordinals := range want {
		if index >= first && index <= last {
			t.Fatalf("entry %d is not named, but can be read: %v", index, ordinals)
		}
	}
}

func TestLiveEntriesAreWhatCanBeRead(t *testing.T) {
	rapid.Check(t, func(rt *rapid.T) {
		s := &script{t: rt, model: newModel()}
		a := NewState()
		for id := range ID(3) {
			c := Configure{Queue: id + 1, Settings: s.settings(id + 1)}
			s.model.apply(c, time.Time{})
			a.Apply(Entry{Commands: []Command{c}})
		}
		for range rapid.IntRange(1, 60).Draw(rt, "entries") {
			s.index += rapid.Uint64Range(1, 3).Draw(rt, "step")
			at := time.Unix(1_700_000_000, 0)
			if rapid.Bool().Draw(rt, "publish") {
				batch, session, seq, sent, ordinals := s.publish()
				s.model.publish(s.index, at, session, seq, sent, ordinals)
				a.Apply(decoded(rt, s.index, at, batch))
			} else {
				c := s.command()
				s.model.apply(c, at)
				a.Apply(Entry{Index: s.index, AppendedAt: at, Commands: []Command{c}})
			}
		}
		first := rapid.Uint64Range(0, s.index+1).Draw(rt, "first")
		checkLive(rt, a, first, rapid.Uint64Range(first, s.index+1).Draw(rt, "last"))
		checkLive(rt, a, 0, math.MaxUint64)
		checkLive(rt, restored(rt, a), 0, math.MaxUint64)
	})
}

func TestLiveEntriesEnd(t *testing.T) {
	g := newGroup(t)
	for range 200 {
		g.publish([]ID{1, 2}, "a", "b")
	}
	n := 0
	g.state.LiveEntries(3, 190, func(uint64, []uint32) bool { n++; return n < 5 })
	if n != 5 {
		t.Fatalf("%d entries after the end", n)
	}
}

func BenchmarkLiveEntries(b *testing.B) {
	g := newGroup(b)
	for i := range 100_000 {
		g.publish([]ID{ID(1 + i%500)}, "a", "b", "c", "d")
	}
	b.ResetTimer()
	entries := 0
	for i := range b.N {
		first := uint64(1 + i*1000%99_000)
		g.state.LiveEntries(first, first+999, func(uint64, []uint32) bool { entries++; return true })
	}
	b.ReportMetric(float64(entries)/float64(b.N), "entries/op")
}
