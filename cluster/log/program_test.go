package log

import (
	"fmt"
	"maps"
	"math"
	"math/rand/v2"
	"testing"
)

// history is what a group does: events as records say them, valid ones only.
func history(rng *rand.Rand, n int) []event {
	var events []event
	var b bounds
	add := func(k kind, first, last uint64) {
		events = append(events, event{kind: k, first: first, last: last})
		if k == kindEntry {
			first = last
		}
		b.apply(k, first)
	}
	for range n {
		switch empty := b.released == b.last; rng.IntN(8) {
		case 0:
			add(kindDrop, 0, 0)
		case 1, 2: // Raft needs less, or nothing
			if !empty {
				add(kindRelease, b.released+1+rng.Uint64N(b.last-b.released), 0)
			}
		case 3: // a conflict
			if !empty {
				add(kindTruncate, b.released+1+rng.Uint64N(b.last-b.released), 0)
			} else if b.last > 0 && rng.IntN(2) == 0 {
				add(kindTruncate, 1+rng.Uint64N(b.last), 0)
			}
		case 4: // behind a snapshot
			if empty {
				add(kindRelease, b.last+1+rng.Uint64N(5), 0)
			}
		default:
			add(kindEntry, b.last+1, b.last+1+rng.Uint64N(6))
		}
	}
	return events
}

// replica is what replaying leads to: the entries that count and by which part they came.
type replica struct {
	bounds
	from map[uint64]string
}

func (r *replica) replay(part string, k kind, first, last uint64) error {
	if k == kindEntry || k == kindSpan {
		if first != r.last+1 {
			return fmt.Errorf("%s goes on at %d after %d", part, first, r.last)
		}
		for i := first; i <= last; i++ {
			r.from[i] = part
		}
		r.apply(kindEntry, last)
		return nil
	}
	for i := range r.from {
		if k == kindDrop || k == kindTruncate && i >= first {
			delete(r.from, i)
		}
	}
	r.apply(k, first)
	return nil
}

func (r *replica) all(part string, events []event) error {
	for _, e := range events {
		if err := r.replay(part, e.kind, e.first, e.last); err != nil {
			return err
		}
	}
	return nil
}

func checkProgram(seed uint64) error {
	rng := rand.New(rand.NewPCG(seed, 7))
	before := rng.IntN(12) * rng.IntN(2) // none: the segments are the log's first
	events := history(rng, before+rng.IntN(30))
	before = min(before, len(events))
	to := before + rng.IntN(len(events)-before+1)
	raw := replica{from: map[uint64]string{}}
	for part, of := range [][]event{events[:before], events[before:to], events[to:]} {
		if err := raw.all(fmt.Sprint(part), of); err != nil {
			return err
		}
	}
	var p program
	for _, e := range events[before:to] {
		p.add(e)
	}
	left := uint64(math.MaxUint64)
	if before == 0 {
		for i, part := range raw.from {
			if part == "1" && (i > raw.released || rng.IntN(3) == 0) {
				left = min(left, i)
			}
		}
		p.head(raw.released, left)
	}
	done := replica{from: map[uint64]string{}}
	if err := done.all("0", events[:before]); err != nil {
		return err
	}
	for _, s := range p {
		if err := done.replay("1", s.kind, s.first, s.last); err != nil {
			return fmt.Errorf("%v of %v: %w", p, events[before:to], err)
		}
	}
	if err := done.all("2", events[to:]); err != nil {
		return fmt.Errorf("%v of %v: %w", p, events[before:to], err)
	}
	if before == 0 { // what is not left may be forgotten
		for i, part := range raw.from {
			if part == "1" && i < left && i <= raw.released {
				delete(raw.from, i)
				delete(done.from, i)
			}
		}
	}
	if raw.bounds != done.bounds || !maps.Equal(raw.from, done.from) {
		return fmt.Errorf("%v of %v after %v before %v:\n%v %v, want\n%v %v",
			p, events[before:to], events[:before], events[to:], done.bounds, done.from, raw.bounds, raw.from)
	}
	return nil
}

func TestAProgramSaysWhatItsEventsSay(t *testing.T) {
	for seed := range uint64(100_000) {
		if err := checkProgram(seed); err != nil {
			t.Fatalf("seed %d: %v", seed, err)
		}
	}
}

func FuzzProgram(f *testing.F) {
	f.Add(uint64(1))
	f.Fuzz(func(t *testing.T, seed uint64) {
		if err := checkProgram(seed); err != nil {
			t.Fatal(err)
		}
	})
}

func TestProgramsStayShort(t *testing.T) {
	var p program
	for i := range uint64(10_000) { // years of it
		p.add(event{kind: kindEntry, first: i*100 + 1, last: i*100 + 100})
		p.add(event{kind: kindRelease, first: i*100 + 50})
	}
	if len(p) != 2 {
		t.Fatalf("%d steps", len(p))
	}
	p.head(999_950, 500)
	want := program{{kindRelease, 499, 0}, {kindSpan, 500, 1_000_000}, {kindRelease, 999_950, 0}}
	if fmt.Sprint(p) != fmt.Sprint(want) {
		t.Fatalf("%v, want %v", p, want)
	}
}
