package queue

import (
	"bytes"
	"flag"
	"math/rand/v2"
	"reflect"
	"slices"
	"testing"
	"time"
)

var seed = flag.Uint64("seed", 0, "replay of a random test; 0 draws one")

func newRand(t testing.TB) *rand.Rand {
	n := *seed
	if n == 0 {
		n = rand.Uint64()
	}
	t.Logf("-seed=%d", n)
	return rand.New(rand.NewPCG(n, n))
}

// history is what a long random run has to remember of one queue: a model that is cheap
// enough for many thousand messages.
type history struct {
	refs     []Ref // by sequence number - 1
	settled  []bool
	returned []uint32
}

func (h *history) live(r Range) (n uint64) {
	for seq := max(r.First, 1); seq <= min(r.Last, uint64(len(h.refs))); seq++ {
		if !h.settled[seq-1] {
			n++
		}
	}
	return n
}

func (h *history) settle(r Range) {
	for seq := max(r.First, 1); seq <= min(r.Last, uint64(len(h.refs))); seq++ {
		h.settled[seq-1] = true
	}
}

func (h *history) check(t *testing.T, q *Queue) {
	t.Helper()
	at := uint64(0)
	for i, settled := range h.settled {
		if settled {
			continue
		}
		seq := uint64(i) + 1
		got, ok := q.After(at)
		if !ok || got.Seq != seq || got.Ref != h.refs[i] || got.Returned != h.returned[i] {
			t.Fatalf("After(%d) = %+v, %v; want number %d, %+v, returned %d", at, got, ok, seq, h.refs[i], h.returned[i])
		}
		at = seq
	}
	if got, ok := q.After(at); ok {
		t.Fatalf("After(%d) = %+v, want none", at, got)
	}
	checkShape(t, q)
}

// randomCommand settles mostly near the front, as consumers do, and sometimes anywhere.
func (h *history) randomCommand(rng *rand.Rand) Command {
	n := uint64(len(h.refs))
	front := uint64(0)
	for front < n && h.settled[front] {
		front++
	}
	front++
	var rs []Range
	for range 1 + rng.IntN(5) {
		switch rng.IntN(8) {
		case 0, 1, 2:
			rs = append(rs, Range{front, front + rng.Uint64N(400)})
		case 3, 4:
			first := front + rng.Uint64N(300)
			rs = append(rs, Range{first, first})
		case 5, 6:
			first := front + rng.Uint64N(2000)
			rs = append(rs, Range{first, first + rng.Uint64N(100)})
		default:
			first := 1 + rng.Uint64N(n+1)
			rs = append(rs, Range{first, first + rng.Uint64N(n/4+1)})
		}
	}
	if rng.IntN(6) == 0 {
		return Requeue{Queue: 1, Ranges: rs}
	}
	if rng.IntN(300) == 0 {
		return Purge{Queue: 1, Through: n, Keep: rs}
	}
	return Settle{Queue: 1, Kind: Ack, Ranges: rs, Bytes: 1}
}

func (h *history) apply(c Command) (count uint64) {
	switch c := c.(type) {
	case Settle:
		for _, r := range c.Ranges {
			count += h.live(r)
			h.settle(r)
		}
	case Requeue:
		for _, r := range c.Ranges {
			count += h.live(r)
			for seq := max(r.First, 1); seq <= min(r.Last, uint64(len(h.refs))); seq++ {
				h.returned[seq-1]++
			}
		}
	case Purge:
		kept := make(map[int]bool)
		for _, r := range c.Keep {
			for seq := max(r.First, 1); seq <= min(r.Last, uint64(len(h.refs))); seq++ {
				if !h.settled[seq-1] {
					kept[int(seq-1)] = true
				}
			}
		}
		count = h.live(Range{1, c.Through}) - uint64(len(kept))
		h.settle(Range{1, c.Through})
		for i := range kept {
			h.settled[i] = false
		}
	}
	return count
}

// TestALongHistoryStaysExact runs batches large and small through one queue, with many
// chunks of runs, and a replica that restarts in the middle.
func TestALongHistoryStaysExact(t *testing.T) {
	rng := newRand(t)
	a, b := NewState(), NewState()
	for _, s := range []*State{a, b} {
		s.Apply(Entry{Commands: []Command{Configure{Queue: 1}}})
	}
	var (
		h       history
		builder Builder
		message = Message{Body: make([]byte, 3), TTL: NoTTL}
	)
	entries := 4000
	if testing.Short() {
		entries = 500
	}
	for i := range entries {
		var (
			batch []byte
			want  = Answer{Status: Applied}
			index = uint64(i) + 1
		)
		if rng.IntN(2) == 0 || i%1000 > 700 { // also times without consumers, for a backlog
			n := 1
			if rng.IntN(3) == 0 {
				n = 1 + rng.IntN(300)
			}
			for o := range n {
				builder.Add([]ID{1}, &message)
				h.refs = append(h.refs, Ref{index, uint32(o)})
			}
			h.settled = append(h.settled, make([]bool, n)...)
			h.returned = append(h.returned, make([]uint32, n)...)
			want.Seq = a.LastSeq(Session{1, 1}) + 1
			batch = builder.Seal(Session{1, 1}, want.Seq)
		} else {
			c := h.randomCommand(rng)
			want.Count = h.apply(c)
			batch = EncodeCommands(c)
		}
		e := decoded(t, index, time.Unix(int64(i), 0), batch)
		ga, ta := a.Apply(e)
		gb, tb := b.Apply(e)
		if !reflect.DeepEqual(ga, []Answer{want}) || !reflect.DeepEqual(gb, ga) || !slices.Equal(ta, tb) {
			t.Fatalf("entry %d, %T: %+v and %+v, touched %v and %v; want %+v", i, e.Commands[0], ga, gb, ta, tb, want)
		}
		if i%97 == 0 {
			b = restored(t, b)
		}
		if i%503 == 0 || i == entries-1 {
			h.check(t, a.Queue(1))
			h.check(t, b.Queue(1))
		}
	}
	if !bytes.Equal(a.AppendSnapshot(nil), b.AppendSnapshot(nil)) || a.Hash() != b.Hash() {
		t.Fatal("snapshots differ")
	}
	a.Apply(Entry{Commands: []Command{Settle{Queue: 1, Kind: Ack, Ranges: []Range{{0, 1 << 62}}, Bytes: 1}}})
	if q := a.Queue(1); q.Messages() != 0 || q.Bytes() != 0 || len(q.chunks) != 0 {
		t.Fatalf("after all: %d messages, %d bytes, %d chunks", q.Messages(), q.Bytes(), len(q.chunks))
	}
}
