package leader

import (
	"math/rand/v2"
	"testing"
)

// The highest number is the same as a walk over all that is out would find, and what
// is remembered for it stays in proportion to that.
func TestHighestSeen(t *testing.T) {
	r := rand.New(rand.NewPCG(1, 2))
	q := &served{out: make(map[uint64]held), back: minHeap[key]{1}}
	s := &sub{q: q}
	var next uint64
	most := 0 // that was out at a time
	for step := range 20_000 {
		switch pick := r.IntN(10); {
		case pick < 5:
			next++
			q.hold(next, held{s: s})
		case pick < 6: // one that came back
			if seq := 1 + r.Uint64N(next+1); seq <= next && !q.isOut(seq) {
				q.hold(seq, held{s: s})
			}
		default:
			for seq := range q.out {
				if r.IntN(8) == 0 { // the last ones come back unseen
					for ; next > 0 && r.IntN(5) > 0; next-- {
						q.takeBack(s, next)
					}
					break
				}
				q.takeBack(s, seq)
				q.seen = max(q.seen, seq)
				break
			}
		}
		next = max(next, q.seen)
		want := q.seen
		for seq := range q.out {
			want = max(want, seq)
		}
		if got := q.highestSeen(); got != want {
			t.Fatalf("step %d: %d, want %d", step, got, want)
		}
		most = max(most, len(q.out))
		if len(q.above) > 2*most+64 {
			t.Fatalf("step %d: %d remembered, at most %d were out", step, len(q.above), most)
		}
	}
	for seq := range q.out {
		q.takeBack(s, seq)
	}
	if cap(q.above) > aboveKept || q.highestSeen() != q.seen {
		t.Errorf("with nothing out %d are remembered, the highest is %d", cap(q.above), q.highestSeen())
	}
	before := q.highestSeen()
	q.settings.MaxPriority = 5
	q.hold(next+10, held{s: s})
	q.settings.MaxPriority = 0
	q.gatherAbove()
	if got := q.highestSeen(); got != next+10 || before == got {
		t.Errorf("after priorities went: %d, want %d", got, next+10)
	}
}
