package queue

import (
	"slices"
	"testing"
	"time"
)

// A batch that is sent again is answered as it was before: what a sealed queue
// did not take it does not take, also after a restart.
func TestARepeatedBatchIsAnsweredAsBefore(t *testing.T) {
	var b Builder
	for range 3 {
		b.Add([]ID{1}, &Message{TTL: NoTTL})
	}
	b.Add([]ID{2}, &Message{TTL: NoTTL})
	session := Session{Incarnation: 1, Epoch: 1}
	publish, err := Decode(b.Seal(session, 1))
	if err != nil {
		t.Fatal(err)
	}
	s := NewState()
	s.Apply(Entry{Index: 1, AppendedAt: time.Now(), Commands: []Command{Configure{Queue: 1}, Configure{Queue: 2}, Seal{Queue: 1}}})
	first, _ := s.Apply(Entry{Index: 2, AppendedAt: time.Now(), Commands: publish})
	want := []ID{1}
	if first[0].Status != Applied || first[0].Refused != nil || !slices.Equal(first[0].Sealed, want) {
		t.Fatalf("first: %+v", first[0])
	}
	if s, err = RestoreState(s.AppendSnapshot(nil)); err != nil {
		t.Fatal(err)
	}
	s.Apply(Entry{Index: 3, AppendedAt: time.Now(), Commands: []Command{Unseal{Queue: 1}}})
	again, _ := s.Apply(Entry{Index: 4, AppendedAt: time.Now(), Commands: publish})
	if again[0].Status != Repeated || !slices.Equal(again[0].Sealed, want) {
		t.Fatalf("again: %+v", again[0])
	}
	if n := s.Queue(1).Messages(); n != 0 {
		t.Fatalf("%d messages in the queue that was sealed", n)
	}
}

// What was reserved is taken back by the leader that reserved it alone, and in its own term.
func TestMarkIsTakenBackInItsTerm(t *testing.T) {
	s := NewState()
	s.Apply(Entry{Index: 1, Commands: []Command{Configure{Queue: 1}}})
	for i, step := range []struct {
		term uint64
		mark Mark
		want uint64
	}{
		{3, Mark{Queue: 1, Seq: 4096}, 4096},
		{3, Mark{Queue: 1, Seq: 100}, 4096},
		{4, Mark{Queue: 1, Seq: 100, Term: 3}, 4096}, // there may have been another leader since
		{4, Mark{Queue: 1, Seq: 100, Term: 5}, 4096},
		{4, Mark{Queue: 1, Seq: 100, Term: 4}, 100},
		{4, Mark{Queue: 1, Seq: 200, Term: 4}, 100},
		{4, Mark{Queue: 1, Seq: 300}, 300}, // it leads on
		{0, Mark{Queue: 1, Seq: 400}, 400},
	} {
		s.Apply(Entry{Index: uint64(i) + 2, Term: step.term, Commands: []Command{step.mark}})
		if got := s.Queue(1).Mark(); got != step.want {
			t.Errorf("step %d: %+v in term %d: %d, want %d", i, step.mark, step.term, got, step.want)
		}
	}
}
