package queue

import (
	"bytes"
	"errors"
	"strings"
	"testing"
	"time"

	"github.com/warrenmq/warren/broker/level"
)

func TestALevelIsTurnedOnAndStays(t *testing.T) {
	s := NewState()
	if s.Level() != level.First {
		t.Fatalf("a new state is at level %d", s.Level())
	}
	for _, n := range []uint64{level.Known, level.First} { // never back
		answers, touched := s.Apply(decoded(t, 1, time.Time{}, EncodeCommands(Level{n})))
		if answers[0].Status != Applied || answers[0].Count != level.Known || len(touched) > 0 {
			t.Errorf("Level %d: %+v, touched %v", n, answers, touched)
		}
		if s.Level() != level.Known || restored(t, s).Level() != level.Known {
			t.Errorf("level %d, restored %d", s.Level(), restored(t, s).Level())
		}
	}
}

// What a newer build wrote is refused in words that say what is missing, not guessed at.
func TestALevelThatIsNotKnownIsRefused(t *testing.T) {
	refused := func(err error) {
		t.Helper()
		if !errors.Is(err, level.ErrUnknown) || errors.Is(err, ErrMalformed) ||
			!strings.Contains(err.Error(), "was written at level") || !strings.Contains(err.Error(), "this build knows") {
			t.Errorf("refused with %v", err)
		}
	}
	_, err := Decode(EncodeCommands(Level{level.Known + 1}))
	refused(err)
	if !strings.Contains(err.Error(), "a log entry") {
		t.Error(err)
	}
	behind := append(EncodeCommands(Mark{1, 2, 3}, Level{level.Known + 1}), "and what nobody here can read"...)
	_, err = Decode(behind)
	refused(err)

	snapshot := seedState(t).AppendSnapshot(nil)
	newer := append([]byte{snapshotVersion, level.Known + 1}, snapshot[2:]...)
	_, err = RestoreState(newer)
	refused(err)
	if _, err = RestoreState(append([]byte{snapshotVersion, 0}, snapshot[2:]...)); !errors.Is(err, ErrMalformed) {
		t.Errorf("a snapshot of level 0: %v", err)
	}
}

// A snapshot that is encoded while entries are applied has the level that was on when it was taken.
func TestAFrozenSnapshotHasItsLevel(t *testing.T) {
	s := seedState(t)
	want := s.AppendSnapshot(nil)
	f := s.Freeze()
	s.Apply(Entry{Index: 9, Commands: []Command{Level{level.Known}, Purge{2, 1000, nil}}})
	for f.Encode(1) {
	}
	f.End()
	if got := bytes.Join(slicesOf(f), nil); !bytes.Equal(got, want) {
		t.Errorf("% x\nwant\n% x", got, want)
	}
}

func slicesOf(f *Frozen) (parts [][]byte) {
	for p := range f.Parts {
		parts = append(parts, p)
	}
	return parts
}
