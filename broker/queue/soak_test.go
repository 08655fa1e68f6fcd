package queue

import (
	"bytes"
	"flag"
	"iter"
	"math"
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
	settings Settings
	refs     []Ref // by sequence number - 1
	ttls     []time.Duration
	settled  []bool
	returned []uint32
	failed   []uint32
	dead     []DeadLetter // ascending, without times
	died     uint64
}

// each gives the indexes of the live messages of a range.
func (h *history) each(r Range) iter.Seq[int] {
	return func(yield func(int) bool) {
		for seq := max(r.First, 1); seq <= min(r.Last, uint64(len(h.refs))); seq++ {
			if !h.settled[seq-1] && !yield(int(seq-1)) {
				return
			}
		}
	}
}

func (h *history) settle(r Range, why Reason) (n uint64) {
	for i := range h.each(r) {
		h.settled[i] = true
		n++
		if why > 0 && h.settings.DeadLetters {
			h.died++
			it := Item{Seq: uint64(i) + 1, Ref: h.refs[i], Returned: h.returned[i], Failed: h.failed[i]}
			h.dead = append(h.dead, DeadLetter{Number: h.died, Item: it, Reason: why})
		}
	}
	return n
}

func (h *history) check(t *testing.T, q *Queue) {
	t.Helper()
	at := uint64(0)
	for i := range h.each(Range{1, math.MaxUint64}) {
		seq := uint64(i) + 1
		got, ok := q.After(at)
		want := Item{Seq: seq, Ref: h.refs[i], Returned: h.returned[i], Failed: h.failed[i], At: got.At}
		if h.ttls[i] >= 0 {
			want.Deadline = got.At.Add(h.ttls[i])
		}
		if !ok || got != want {
			t.Fatalf("After(%d) = %+v, %v; want %+v", at, got, ok, want)
		}
		at = seq
	}
	if got, ok := q.After(at); ok {
		t.Fatalf("After(%d) = %+v, want none", at, got)
	}
	letters := q.DeadLetters(0, math.MaxInt)
	for i := range letters {
		letters[i].At, letters[i].Died = time.Time{}, time.Time{}
	}
	if !slices.Equal(letters, h.dead) {
		t.Fatalf("dead letters %v, want %v", letters, h.dead)
	}
	checkShape(t, q)
}

// ranges lie mostly near the front, where consumers are, and sometimes anywhere.
func ranges(rng *rand.Rand, front, n uint64) (rs []Range) {
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
	return rs
}

func (h *history) randomCommand(rng *rand.Rand) Command {
	n := uint64(len(h.refs))
	front := uint64(0)
	for front < n && h.settled[front] {
		front++
	}
	rs := ranges(rng, front+1, n)
	switch roll := rng.IntN(300); {
	case roll == 0:
		return Purge{Queue: 1, Through: n, Keep: rs}
	case roll < 50:
		return Requeue{Queue: 1, Failed: rng.IntN(2) == 0, Ranges: rs}
	case roll < 90 && len(h.dead) > 0:
		return DeadLettered{Queue: 1, Ranges: ranges(rng, h.dead[0].Number, h.died)}
	default:
		return Settle{Queue: 1, Kind: Ack + SettleKind(rng.IntN(4)), Ranges: rs, Bytes: 1}
	}
}

func (h *history) apply(c Command) (count uint64) {
	switch c := c.(type) {
	case Settle:
		for _, r := range c.Ranges {
			count += h.settle(r, c.Kind.reason())
		}
	case Requeue:
		for _, r := range c.Ranges {
			count += h.requeue(r, c.Failed)
		}
	case DeadLettered:
		before := len(h.dead)
		h.dead = slices.DeleteFunc(h.dead, func(d DeadLetter) bool {
			return slices.ContainsFunc(c.Ranges, func(r Range) bool { return r.First <= d.Number && d.Number <= r.Last })
		})
		count = uint64(before - len(h.dead))
	case Purge:
		for r := range between(c.Keep, c.Through) {
			count += h.settle(r, 0)
		}
	}
	return count
}

func (h *history) requeue(r Range, failed bool) (back uint64) {
	var over []int
	for i := range h.each(r) {
		h.returned[i]++
		if failed {
			h.failed[i]++
		}
		if limit := h.settings.DeliveryLimit; limit.Set && int64(h.failed[i]) > limit.N {
			over = append(over, i)
		} else {
			back++
		}
	}
	for _, i := range over {
		h.settle(Range{uint64(i) + 1, uint64(i) + 1}, DeliveryLimited)
	}
	return back
}

// add publishes n messages, half of the batches with a time to live.
func (h *history) add(rng *rand.Rand, b *Builder, index uint64, n int) {
	ttl, step := NoTTL, time.Duration(0)
	if h.settings.DeadLetters && rng.IntN(2) == 0 {
		ttl, step = time.Duration(rng.IntN(1000)), time.Duration(rng.IntN(2))
	}
	for o := range n {
		b.Add([]ID{1}, &Message{Body: make([]byte, 3), TTL: ttl})
		h.refs = append(h.refs, Ref{index, uint32(o)})
		h.ttls = append(h.ttls, ttl)
		ttl += step
	}
	h.settled = append(h.settled, make([]bool, n)...)
	h.returned = append(h.returned, make([]uint32, n)...)
	h.failed = append(h.failed, make([]uint32, n)...)
}

// TestALongHistoryStaysExact runs batches large and small through one queue, with many
// chunks of runs, and a replica that restarts in the middle.
func TestALongHistoryStaysExact(t *testing.T) {
	for name, settings := range map[string]Settings{
		"plain": {Name: "q", Quorum: true},
		"dying": {Name: "q", Quorum: true, DeadLetters: true, DeliveryLimit: Limit{true, 1}},
	} {
		t.Run(name, func(t *testing.T) { longHistory(t, settings) })
	}
}

func longHistory(t *testing.T, settings Settings) {
	rng := newRand(t)
	a, b := NewState(), NewState()
	for _, s := range []*State{a, b} {
		s.Apply(Entry{Commands: []Command{Configure{Queue: 1, Settings: settings}}})
	}
	var (
		h       = history{settings: settings}
		builder Builder
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
			h.add(rng, &builder, index, n)
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
	a.Apply(Entry{Commands: []Command{
		Settle{Queue: 1, Kind: Ack, Ranges: []Range{{0, 1 << 62}}, Bytes: 1}, DeadLettered{Queue: 1, Ranges: []Range{{0, 1 << 62}}},
	}})
	if q := a.Queue(1); q.Messages() != 0 || q.Bytes() != 0 || len(q.chunks) != 0 || q.PendingDeadLetters() != 0 || len(q.dead.chunks) != 0 {
		t.Fatalf("after all: %d messages, %d bytes, %d chunks, %d dead letters", q.Messages(), q.Bytes(), len(q.chunks), q.PendingDeadLetters())
	}
}
