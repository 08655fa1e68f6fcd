package group

import (
	"fmt"
	"testing"
	"time"

	"github.com/hashicorp/raft"

	"github.com/warrenmq/warren/broker/queue"
)

// BenchmarkSnapshot is how long the state machine stands still for a snapshot, with
// ten million messages in batches of 64 that lie in one queue or in 20,000.
func BenchmarkSnapshot(b *testing.B) {
	const messages, batch = 10_000_000, 64
	for _, queues := range []int{1, 20_000} {
		b.Run(fmt.Sprintf("queues=%d", queues), func(b *testing.B) {
			f := newFSM(theGroup, entries{}, newGrowth(SnapshotLimits{}.withDefaults(), func(uint64, uint64) {}), func(uint64, []queue.ID) {}, nil, nil)
			index := uint64(0)
			apply := func(data []byte) {
				index++
				f.Apply(&raft.Log{Index: index, Type: raft.LogCommand, Data: data})
			}
			for q := range queues {
				apply(queue.EncodeCommands(queue.Configure{Queue: queue.ID(q + 1), Settings: queue.Settings{VHost: "/", Name: fmt.Sprintf("queue-%d", q)}}))
			}
			m := &queue.Message{RoutingKey: "q", Body: make([]byte, 16), TTL: queue.NoTTL}
			for n := range messages / batch {
				var builder queue.Builder
				for range batch {
					builder.Add([]queue.ID{queue.ID(n%queues + 1)}, m)
				}
				apply(builder.Seal(queue.Session{Incarnation: 1, Epoch: 1}, uint64(n+1)))
			}
			b.ResetTimer()
			var longest time.Duration
			for range b.N {
				began := time.Now()
				snap, err := f.Snapshot()
				if err != nil {
					b.Fatal(err)
				}
				longest = max(longest, time.Since(began))
				s := snap.(*snapshot)
				for more := true; more; {
					began := time.Now()
					f.locked(func(*queue.State) { more = s.frozen.Encode(snapshotPart) })
					longest = max(longest, time.Since(began))
				}
				b.ReportMetric(float64(s.frozen.Size()), "bytes")
				s.Release()
			}
			b.ReportMetric(float64(longest.Microseconds())/1000, "ms-standing")
		})
	}
}
