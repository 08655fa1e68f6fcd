package meta

import (
	"fmt"
	"runtime"
	"sync/atomic"
	"testing"
	"time"
)

// Declares through a follower, visible on all three nodes: BoltDB and its fsyncs
// are real, the network is memory.
func BenchmarkDeclare(b *testing.B) {
	for _, clients := range []int{1, 16, 128} {
		b.Run(fmt.Sprintf("clients=%d", clients), func(b *testing.B) {
			c := newSimCluster(b)
			defer c.stopAll()
			c.addAll(func(cfg *Config) {
				st, closer, err := OpenStores(b.TempDir())
				if err != nil {
					b.Fatal(err)
				}
				b.Cleanup(func() { closer.Close() })
				cfg.Stores = st
			}, "a", "b", "c")
			c.awaitReady(20 * time.Second)
			c.awaitVoters(3)
			m := c.follower().running()
			var next atomic.Uint64
			b.SetParallelism(max(1, clients/runtime.GOMAXPROCS(0))) // at least one for each processor
			b.ResetTimer()
			b.RunParallel(func(p *testing.PB) {
				for p.Next() {
					if _, err := m.Apply(b.Context(), declare(fmt.Sprint("q", next.Add(1)))); err != nil {
						b.Error(err)
					}
				}
			})
		})
	}
}
