package queue

import (
	"bytes"
	"math/rand/v2"
	"testing"
	"time"
)

func newStream(t *testing.T, s Settings) *group {
	g := newGroup(t)
	s.Name, s.Stream = "s", true
	g.do(Configure{1, s})
	return g
}

// Messages of a stream have a place and a body, whatever they brought along.
func TestAStreamsMessagesAreAlike(t *testing.T) {
	g := newGroup(t)
	add := func(body string) {
		g.b.Add(q1, &Message{Body: []byte(body), TTL: time.Millisecond, Priority: 7})
		g.seal()
	}
	add("before it is configured")
	g.do(Configure{1, Settings{Name: "s", Stream: true, MaxLengthBytes: Limit{true, 0}, Overflow: RejectPublish}})
	add("and since")
	q := g.state.Queue(1)
	if runs := q.chunks[0]; runs.extra(0) == nil || runs.extra(1) != nil {
		t.Error("what means nothing is kept")
	}
	g.expect("all are there", g.live(1), "before it is configured", "and since")
	for it, ok := q.After(0); ok; it, ok = q.After(it.Seq) {
		if it.Priority != 0 || !it.Deadline.IsZero() {
			t.Errorf("%+v has a priority or an end", it)
		}
	}
	if q.Timed() {
		t.Error("a stream is timed")
	}
	again, err := RestoreState(g.state.AppendSnapshot(nil))
	if err != nil || again.Hash() != g.state.Hash() || !bytes.Equal(again.AppendSnapshot(nil), g.state.AppendSnapshot(nil)) {
		t.Errorf("it comes back as another: %v", err)
	}
}

func TestTheHeadOfAStream(t *testing.T) {
	g := newStream(t, Settings{})
	q := g.state.Queue(1)
	if _, ok := q.Head(0); ok || q.First() != 1 {
		t.Error("an empty stream has a head")
	}
	g.publish(q1, "aaaa", "bbbb") // 1, 2
	g.publish(q1, "cccc")         // 3
	at := g.now
	g.publish(q1, "dddd") // 4
	for _, c := range []struct {
		bytes uint64
		last  uint64
		size  uint64
		ok    bool
	}{
		{0, 2, 8, true}, {8, 2, 8, true}, {9, 3, 12, true}, {12, 3, 12, true},
		{13, 0, 0, false}, {16, 0, 0, false}, {1 << 60, 0, 0, false}, // the last segment is not complete
	} {
		if h, ok := q.Head(c.bytes); ok != c.ok || ok && (h.Last != c.last || h.Bytes != c.size) {
			t.Errorf("the head of %d bytes: %+v, %v, want the first %d", c.bytes, h, ok, c.last)
		}
	}
	if h, _ := q.Head(9); !h.Newest.Equal(at) {
		t.Errorf("its newest is of %v, want %v", h.Newest, at)
	}
	g.do(Purge{1, 3, nil})
	if q.First() != 4 || q.NextSeq() != 5 || q.Bytes() != 4 {
		t.Errorf("after its head went it begins with %d, goes on with %d and has %d bytes", q.First(), q.NextSeq(), q.Bytes())
	}
	g.do(Purge{1, 4, nil})
	if q.First() != 5 || len(q.List(nil, 0, 9)) != 0 {
		t.Errorf("an empty stream begins with %d, want 5", q.First())
	}
}

// A stream of small entries has segments, too.
func TestTheHeadOfManyEntries(t *testing.T) {
	g := newStream(t, Settings{})
	q := g.state.Queue(1)
	for range headRuns {
		q.push(run{index: q.next, first: q.next, count: 1, live: 1}, nil)
		q.next++
	}
	if h, ok := q.Head(1 << 30); ok {
		t.Errorf("%+v is complete, and nothing is behind it", h)
	}
	for range chunkRuns {
		q.push(run{index: q.next, first: q.next, count: 1, live: 1}, nil)
		q.next++
	}
	if h, ok := q.Head(1 << 30); !ok || h.Last != headRuns {
		t.Errorf("%+v, %v", h, ok)
	}
}

// The clock of a new leader may be behind: nothing that was appended since is passed over.
func TestSince(t *testing.T) {
	g := newStream(t, Settings{})
	begin := g.now
	for _, late := range []time.Duration{10, 20, 15, 30} {
		g.now = begin.Add(late*time.Second - time.Second)
		g.publish(q1, "m")
	}
	q := g.state.Queue(1)
	for second, want := range map[time.Duration]uint64{0: 1, 10: 1, 11: 2, 20: 2, 21: 4, 30: 4, 31: 5} {
		if got := q.Since(begin.Add(second * time.Second)); got != want {
			t.Errorf("since %d s: %d, want %d", second, got, want)
		}
	}
}

// A replica that comes from a snapshot is like one that saw it all.
func TestStreamsOfReplicasAgree(t *testing.T) {
	rng := rand.New(rand.NewPCG(7, 8))
	for range 200 {
		g := newGroup(t)
		other := NewState()
		for range 60 {
			switch n := rng.IntN(10); {
			case n == 0:
				g.do(Configure{1, Settings{Name: "s", Stream: true, MaxLengthBytes: Limit{rng.IntN(2) == 0, rng.Int64N(9)}}})
			case n == 1 && g.state.Queue(1) != nil:
				g.do(Purge{1, rng.Uint64N(g.state.Queue(1).NextSeq()), nil})
			default:
				for range rng.IntN(4) {
					g.b.Add(q1, &Message{Body: make([]byte, rng.IntN(9)), TTL: time.Duration(rng.IntN(3)) - 1, Priority: uint8(rng.IntN(2))})
				}
				g.seal()
			}
			other.Apply(decoded(t, g.index, g.now, g.log[g.index]))
			if rng.IntN(4) == 0 {
				var err error
				if other, err = RestoreState(other.AppendSnapshot(nil)); err != nil {
					t.Fatal(err)
				}
			}
			if other.Hash() != g.state.Hash() {
				t.Fatal("replicas differ")
			}
		}
	}
}
