//go:build level2

package queue

import (
	"bytes"
	"testing"
	"time"
)

// Until level 2 is on, a build that knows it keeps and writes what level 1 does.
func TestLevel2AddsNothingBeforeItIsOn(t *testing.T) {
	var b Builder
	s, seq := NewState(), uint64(0)
	publish := func() {
		seq++
		b.Add([]ID{1}, &Message{Body: []byte("x"), TTL: NoTTL})
		s.Apply(decoded(t, seq, time.Unix(1, 0), b.Seal(Session{1, 1}, seq)))
	}
	publish()
	before := s.AppendSnapshot(nil)
	if s.Batches() != 0 || !bytes.Equal(before[:2], []byte{snapshotVersion, 1}) {
		t.Fatalf("%d batches counted at level 1, snapshot % x", s.Batches(), before)
	}
	hash := s.Hash()
	s.Apply(decoded(t, 100, time.Time{}, EncodeCommands(Level{2})))
	if s.Hash() == hash {
		t.Error("a raised level makes no other state")
	}
	publish()
	s = restored(t, s)
	publish()
	if s.Batches() != 2 || s.Level() != 2 {
		t.Errorf("%d batches at level %d, want 2 at 2", s.Batches(), s.Level())
	}
}
