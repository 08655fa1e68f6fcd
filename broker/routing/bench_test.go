package routing

import (
	"fmt"
	"strings"
	"testing"

	"github.com/warrenmq/warren/broker/topology"
)

// benchRoute measures the table and a warm cache for one message.
func benchRoute(b *testing.B, f *fixture, exchange, key string, headers topology.Arguments, want int) {
	b.Helper()
	m := message{headers: headers}
	b.Run("uncached", func(b *testing.B) {
		b.ReportAllocs()
		var r Result
		for b.Loop() {
			r = f.table.Route("/", exchange, key, nil, m)
		}
		if len(r.Queues) != want {
			b.Fatalf("%d queues, want %d", len(r.Queues), want)
		}
	})
	b.Run("cached", func(b *testing.B) {
		b.ReportAllocs()
		c := NewCache(f.table, "/")
		for b.Loop() {
			if r := c.Route(exchange, key, nil, m); len(r.Queues) != want {
				b.Fatalf("%d queues, want %d", len(r.Queues), want)
			}
		}
	})
}

// manyQueues binds n queues to amq.direct and leaves them reachable by name.
func manyQueues(b *testing.B, n int) *fixture {
	f := newFixture(b)
	for i := range n {
		f.queue(fmt.Sprint("queue-", i))
		f.bind("amq.direct", fmt.Sprint("queue-", i), fmt.Sprint("key-", i), nil)
	}
	return f
}

func BenchmarkDefault20kQueues(b *testing.B) {
	benchRoute(b, manyQueues(b, 20_000), "", "queue-777", nil, 1)
}

func BenchmarkDirect20kQueues(b *testing.B) {
	benchRoute(b, manyQueues(b, 20_000), "amq.direct", "key-777", nil, 1)
}

func BenchmarkFanout10(b *testing.B) {
	f := newFixture(b)
	for i := range 10 {
		f.queue(fmt.Sprint("q", i))
		f.bind("amq.fanout", fmt.Sprint("q", i), "", nil)
	}
	benchRoute(b, f, "amq.fanout", "k", nil, 10)
}

func BenchmarkTopic1000Bindings(b *testing.B) {
	f := newFixture(b)
	for i := range 1000 {
		name := fmt.Sprint("q", i)
		f.queue(name)
		f.bind("amq.topic", name, []string{
			fmt.Sprintf("eu.*.sensor%d.#", i), fmt.Sprintf("eu.de.sensor%d.temp", i),
			fmt.Sprintf("*.de.sensor%d.*", i), fmt.Sprintf("#.sensor%d", i),
		}[i%4], nil)
	}
	benchRoute(b, f, "amq.topic", "eu.de.sensor500.temp", nil, 1)
}

// BenchmarkTopicHashes is the pattern that makes a backtracking search explode.
func BenchmarkTopicHashes(b *testing.B) {
	f := newFixture(b)
	for i := range 20 {
		f.queue(fmt.Sprint("q", i))
		f.bind("amq.topic", fmt.Sprint("q", i), strings.Repeat("#.a.", i+1)+fmt.Sprint("end", i), nil)
	}
	for _, words := range []int{5, 20, 120} {
		b.Run(fmt.Sprint(words, " words"), func(b *testing.B) {
			benchRoute(b, f, "amq.topic", strings.Repeat("a.", words)+"b", nil, 0)
		})
	}
}

func BenchmarkHeaders(b *testing.B) {
	for _, n := range []int{1, 100} {
		f := newFixture(b)
		for i := range n {
			f.queue(fmt.Sprint("q", i))
			f.bind("amq.headers", fmt.Sprint("q", i), "", topology.Arguments{"x-match": "all", "type": fmt.Sprint("t", i), "v": int32(1)})
		}
		b.Run(fmt.Sprint(n, " bindings"), func(b *testing.B) {
			benchRoute(b, f, "amq.headers", "", topology.Arguments{"type": "t0", "v": int64(1), "other": "x"}, 1)
		})
	}
}

// BenchmarkUniqueKeys is a cache that never hits.
func BenchmarkUniqueKeys(b *testing.B) {
	f := newFixture(b)
	f.queue("q")
	f.bind("amq.topic", "q", "device.*.up", nil)
	keys := make([]string, 100_000)
	for i := range keys {
		keys[i] = fmt.Sprintf("device.%d.up", i)
	}
	b.Run("uncached", func(b *testing.B) {
		b.ReportAllocs()
		i := 0
		for b.Loop() {
			i = (i + 1) % len(keys)
			f.table.Route("/", "amq.topic", keys[i], nil, nil)
		}
	})
	b.Run("cached", func(b *testing.B) {
		b.ReportAllocs()
		c := NewCache(f.table, "/")
		i := 0
		for b.Loop() {
			i = (i + 1) % len(keys)
			c.Route("amq.topic", keys[i], nil, nil)
		}
	})
}

// BenchmarkChurn declares, binds and deletes a queue among 20,000.
func BenchmarkChurn(b *testing.B) {
	f := manyQueues(b, 20_000)
	for i := range 20_000 {
		f.bind("amq.fanout", fmt.Sprint("queue-", i), "", nil)
	}
	b.ReportAllocs()
	for b.Loop() {
		f.queue("reply")
		f.bind("amq.fanout", "reply", "", nil)
		f.bind("amq.topic", "reply", "a.*.#", nil)
		f.apply(topology.DeleteQueue{VHost: "/", Name: "reply"})
	}
}
