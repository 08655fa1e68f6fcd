package log

import "testing"

// A pass counts what is new, and of the rest no more than a bounded part, in turn.
func TestPassesCountInTurn(t *testing.T) {
	const size = 12
	var segments []*segment
	for n := range uint64(size) {
		s := newSegment("d", n+1, 1, minSegment)
		s.judged = judged{counted: true, last: count{entries: sweepMax / 3}}
		segments = append(segments, s)
	}
	segments[5].judged.counted = false
	r := &reclaimer{}
	seen := map[*segment]int{}
	for range 4 {
		asked := r.ask(segments, counts{segments[7]: {kept: 4}}) // of which something was released
		if len(asked) > 6 || !asked[segments[5]] || !asked[segments[7]] {
			t.Fatalf("%d segments", len(asked))
		}
		for s := range asked {
			seen[s]++
		}
	}
	for i, s := range segments {
		if seen[s] == 0 || seen[s] > 2 && i != 5 && i != 7 {
			t.Errorf("segment %d was counted %d times", i, seen[s])
		}
	}
}

func TestEventsAreCutWhereTheyEnd(t *testing.T) {
	x := index{}
	g := x.group(1)
	g.span(1, 100)
	for _, i := range []uint64{3, 50, 99} {
		g.entry(i, uint32(4096+i*100), 100)
	}
	g.entry(101, 30000, 100)
	g.control(kindTruncate, 60)
	if e, next, ok := x.find(1, 50); !ok || e.last != 59 || e.count != 2 || next != 60 {
		t.Fatalf("%+v, %d, %t", e, next, ok)
	}
	if _, _, ok := x.find(1, 99); ok {
		t.Fatal("a void entry is found")
	}
}
