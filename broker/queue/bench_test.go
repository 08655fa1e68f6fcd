package queue

import (
	"fmt"
	"runtime"
	"testing"
	"time"
)

var one = []ID{1}

// backlog is a queue of n messages in batches of a hundred, or what size says.
func backlog(t testing.TB, n, size int) *State {
	t.Helper()
	s := NewState()
	s.Apply(Entry{Commands: []Command{Configure{Queue: 1}}})
	p := Publish{Session: Session{1, 1}, Sections: []Section{{Queues: one, Count: uint32(size), Bytes: uint64(100 * size)}}}
	for i := 0; i < n; i += size {
		p.Seq++
		s.Apply(Entry{Index: p.Seq, AppendedAt: time.Unix(int64(i), 0), Commands: []Command{p}})
	}
	return s
}

func BenchmarkAddAndSeal(b *testing.B) {
	body := make([]byte, 100)
	for _, c := range []struct {
		name string
		sets [][]ID
	}{
		{"one queue", [][]ID{{1}}},
		{"four queues in turn", [][]ID{{1}, {2}, {3}, {4}}},
		{"each to three queues", [][]ID{{1, 2, 3}}},
	} {
		b.Run(c.name, func(b *testing.B) {
			m := Message{Exchange: "amq.topic", RoutingKey: "some.routing.key", Properties: []byte{0x10, 0, 2}, Body: body, TTL: NoTTL}
			var w Builder
			b.ReportAllocs()
			for i := 0; b.Loop(); i++ {
				w.Add(c.sets[i%len(c.sets)], &m)
				if w.Len() == 100 {
					w.Seal(Session{1, 1}, 1)
				}
			}
		})
	}
}

func BenchmarkPublishOf100Messages(b *testing.B) {
	var w Builder
	for range 100 {
		w.Add(one, &Message{RoutingKey: "q", Body: make([]byte, 100), TTL: NoTTL})
	}
	batch := w.Seal(Session{1, 1}, 1)
	b.Run("Decode", func(b *testing.B) {
		b.ReportAllocs()
		for b.Loop() {
			if _, err := Decode(batch); err != nil {
				b.Fatal(err)
			}
		}
	})
	b.Run("Verify", func(b *testing.B) {
		for b.Loop() {
			if err := Verify(batch); err != nil {
				b.Fatal(err)
			}
		}
	})
	b.Run("ReadMessage", func(b *testing.B) {
		b.ReportAllocs()
		for i := uint32(0); b.Loop(); i++ {
			if _, err := ReadMessage(batch, i%100); err != nil {
				b.Fatal(err)
			}
		}
	})
	// The consumer keeps up: each batch is settled before the next.
	b.Run("Apply with its settle", func(b *testing.B) {
		s := backlog(b, 100, 100)
		p := Publish{Session: Session{1, 1}, Seq: 1, Sections: []Section{{Queues: one, Count: 100, Bytes: 10_000}}}
		settle := Settle{Queue: 1, Kind: Ack, Ranges: make([]Range, 1), Bytes: 10_000}
		b.ReportAllocs()
		for b.Loop() {
			p.Seq++
			s.Apply(Entry{Index: p.Seq, Commands: []Command{p}})
			settle.Ranges[0] = Range{100*p.Seq - 199, 100*p.Seq - 100}
			s.Apply(Entry{Index: p.Seq, Commands: []Command{settle}})
		}
	})
	b.Run("Apply to a backlog", func(b *testing.B) {
		s := backlog(b, 100, 100)
		p := Publish{Session: Session{1, 1}, Seq: 1, Sections: []Section{{Queues: one, Count: 100, Bytes: 10_000}}}
		b.ReportAllocs()
		for b.Loop() {
			p.Seq++
			s.Apply(Entry{Index: p.Seq, Commands: []Command{p}})
		}
	})
}

// BenchmarkSettle reports the time for each message of a backlog of a million.
func BenchmarkSettle(b *testing.B) {
	const n = 1_000_000
	for _, c := range []struct {
		name string
		size int
		seq  func(i uint64) uint64
	}{
		{"one by one in order", 100, func(i uint64) uint64 { return i + 1 }},
		{"one by one backwards in pairs", 100, func(i uint64) uint64 { return i ^ 1 + 1 }},
		{"one by one across the queue", 100, func(i uint64) uint64 { return i*7919%n + 1 }},
		{"behind one that is held", 1, func(i uint64) uint64 { return (i+1)%n + 1 }},
	} {
		b.Run(c.name, func(b *testing.B) {
			var s *State
			rs := make([]Range, 1)
			cs := []Command{Settle{Queue: 1, Kind: Ack, Ranges: rs, Bytes: 100}}
			for i := uint64(0); b.Loop(); i++ {
				if i%n == 0 {
					b.StopTimer()
					s = backlog(b, n, c.size)
					b.StartTimer()
				}
				seq := c.seq(i % n)
				rs[0] = Range{seq, seq}
				s.Apply(Entry{Commands: cs})
			}
		})
	}
	b.Run("a hundred in one range", func(b *testing.B) {
		var s *State
		rs := make([]Range, 1)
		cs := []Command{Settle{Queue: 1, Kind: Ack, Ranges: rs, Bytes: 10_000}}
		for i := uint64(0); b.Loop(); i++ {
			if i%(n/100) == 0 {
				b.StopTimer()
				s = backlog(b, n, 100)
				b.StartTimer()
			}
			first := i%(n/100)*100 + 1
			rs[0] = Range{first, first + 99}
			s.Apply(Entry{Commands: cs})
		}
	})
}

func BenchmarkAfterInSequence(b *testing.B) {
	for _, size := range []int{1, 100} {
		b.Run(fmt.Sprintf("batches of %d", size), func(b *testing.B) {
			q := backlog(b, 1_000_000, size).Queue(1)
			seq := uint64(0)
			for b.Loop() {
				item, ok := q.After(seq)
				if !ok {
					seq = 0
					continue
				}
				seq = item.Seq
			}
		})
	}
	b.Run("two readers far apart", func(b *testing.B) {
		q := backlog(b, 1_000_000, 100).Queue(1)
		for seq := uint64(0); b.Loop(); seq = (seq + 1) % 499_000 {
			q.After(seq)
			q.After(seq + 500_000)
		}
	})
}

func BenchmarkSnapshotOfTenMillion(b *testing.B) {
	s := backlog(b, 10_000_000, 100)
	var snapshot []byte
	for b.Loop() {
		snapshot = s.AppendSnapshot(snapshot[:0])
	}
	b.ReportMetric(float64(len(snapshot))/10e6, "B/message")
}

func BenchmarkRestoreOfTenMillion(b *testing.B) {
	snapshot := backlog(b, 10_000_000, 100).AppendSnapshot(nil)
	for b.Loop() {
		if _, err := RestoreState(snapshot); err != nil {
			b.Fatal(err)
		}
	}
}

func heap() uint64 {
	runtime.GC()
	var m runtime.MemStats
	runtime.ReadMemStats(&m)
	return m.HeapAlloc
}

// TestABacklogCostsLittleMemory: the aim is a few bytes a message.
func TestABacklogCostsLittleMemory(t *testing.T) {
	for _, c := range []struct {
		name  string
		n     int
		size  int
		spoil bool // every other message settled
		limit float64
	}{
		{"ten million in batches of a hundred", 10_000_000, 100, false, 1},
		{"a million, every other one settled", 1_000_000, 100, true, 4},
		{"a million in batches of one", 1_000_000, 1, false, 48},
	} {
		before := heap()
		s := backlog(t, c.n, c.size)
		if c.spoil {
			var rs []Range
			for seq := uint64(1); seq < uint64(c.n); seq += 2 {
				rs = append(rs, Range{seq, seq})
			}
			s.Apply(Entry{Commands: []Command{Settle{Queue: 1, Kind: Ack, Ranges: rs}}})
		}
		perMessage := float64(heap()-before) / float64(s.Queue(1).Messages())
		t.Logf("%s: %.2f bytes a message", c.name, perMessage)
		if perMessage > c.limit {
			t.Errorf("%s: %.2f bytes a message, limit %.0f", c.name, perMessage, c.limit)
		}
		runtime.KeepAlive(s)
	}
}

// BenchmarkPublishOf100WithTraits applies batches whose messages bring something along, or meet a limit.
func BenchmarkPublishOf100WithTraits(b *testing.B) {
	for _, c := range []struct {
		name     string
		settings Settings
		message  func(i int) Message
	}{
		{"one time to live", Settings{Name: "q"}, func(int) Message { return Message{TTL: time.Minute} }},
		{"a hundred times to live", Settings{Name: "q"}, func(i int) Message { return Message{TTL: time.Duration(i)} }},
		{"priorities", Settings{Name: "q", MaxPriority: 10}, func(i int) Message { return Message{TTL: NoTTL, Priority: uint8(i % 10)} }},
		{"into a limit of bytes", Settings{Name: "q", MaxLengthBytes: Limit{true, 1 << 60}}, func(i int) Message { return Message{TTL: NoTTL} }},
		{"refused", Settings{Name: "q", MaxLength: Limit{true, 0}, Overflow: RejectPublish}, func(i int) Message { return Message{TTL: NoTTL} }},
		{"refused and dead-lettered", Settings{Name: "q", MaxLength: Limit{true, 0}, Overflow: RejectPublishDLX, DeadLetters: true}, func(i int) Message { return Message{TTL: NoTTL} }},
	} {
		b.Run(c.name, func(b *testing.B) {
			var w Builder
			for i := range 100 {
				m := c.message(i)
				m.RoutingKey, m.Body = "q", make([]byte, 50+i)
				w.Add(one, &m)
			}
			cs, err := Decode(w.Seal(Session{1, 1}, 1))
			if err != nil {
				b.Fatal(err)
			}
			p := cs[0].(Publish)
			s := NewState()
			s.Apply(Entry{Commands: []Command{Configure{1, c.settings}}})
			settle := []Command{Settle{Queue: 1, Kind: Ack, Ranges: make([]Range, 1)}, DeadLettered{Queue: 1, Ranges: make([]Range, 1)}}
			b.ReportAllocs()
			for p.Seq = 1; b.Loop(); p.Seq++ {
				s.Apply(Entry{Index: p.Seq, Commands: []Command{p}})
				settle[0].(Settle).Ranges[0] = Range{100*p.Seq - 99, 100 * p.Seq}
				settle[1].(DeadLettered).Ranges[0] = Range{100*p.Seq - 99, 100 * p.Seq}
				s.Apply(Entry{Commands: settle})
			}
		})
	}
}

// BenchmarkDeath reports the time for each message of a backlog of a million, from its
// rejection to the end of its dead letter.
func BenchmarkDeath(b *testing.B) {
	const n = 1_000_000
	for _, size := range []uint64{1, 100} {
		b.Run(fmt.Sprintf("in ranges of %d", size), func(b *testing.B) {
			var s *State
			rs := make([]Range, 1)
			reject := []Command{Settle{Queue: 1, Kind: Reject, Ranges: rs, Bytes: UnknownBytes}}
			safe := []Command{DeadLettered{Queue: 1, Ranges: rs}}
			for i := uint64(0); b.Loop(); i += size {
				if i%n == 0 {
					b.StopTimer()
					s = backlog(b, n, 100)
					s.Apply(Entry{Commands: []Command{Configure{1, Settings{Name: "q", DeadLetters: true}}}})
					b.StartTimer()
				}
				rs[0] = Range{i%n + 1, i%n + size}
				s.Apply(Entry{Commands: reject})
				letters := s.Queue(1).DeadLetters(0, int(size))
				rs[0] = Range{letters[0].Number, letters[size-1].Number}
				s.Apply(Entry{Commands: safe})
			}
			b.ReportMetric(float64(b.Elapsed().Nanoseconds())/float64(uint64(b.N)*size), "ns/message")
		})
	}
}
