package log_test

import (
	"fmt"
	"sync"
	"syscall"
	"testing"

	"github.com/hashicorp/raft"

	"github.com/warrenmq/warren/cluster/log"
)

// BenchmarkAppend stores entries one at a time from each group, on the disk of the temporary folder.
func BenchmarkAppend(b *testing.B) {
	for _, size := range []int{1 << 10, 64 << 10} {
		for _, groups := range []int{1, 4, 12} {
			b.Run(fmt.Sprintf("groups=%d/size=%d", groups, size), func(b *testing.B) {
				l := start(b, log.OSFS(), b.TempDir(), log.Config{})
				data := content(1, 1, 1, size)
				before := cpu(b)
				b.SetBytes(int64(size))
				b.ReportAllocs()
				b.ResetTimer()
				var wg sync.WaitGroup
				for g := range groups {
					wg.Go(func() {
						group := l.Group(uint64(g))
						for i := 0; g+i*groups < b.N; i++ {
							if err := group.StoreLog(&raft.Log{Index: uint64(i) + 1, Term: 1, Data: data}); err != nil {
								b.Error(err)
								return
							}
						}
					})
				}
				wg.Wait()
				b.StopTimer()
				st := l.Stats()
				b.ReportMetric(float64(b.N)/b.Elapsed().Seconds(), "entries/s")
				b.ReportMetric(float64(st.Entries)/float64(st.Syncs), "entries/sync")
				b.ReportMetric(float64(cpu(b)-before)/float64(b.N)/1e3, "cpu-us/entry")
				l.mustEnd(b)
			})
		}
	}
}

// BenchmarkBacklog reads entries in order from sealed segments.
func BenchmarkBacklog(b *testing.B) {
	l := start(b, log.OSFS(), b.TempDir(), log.Config{CacheBytes: 4 << 20})
	data := content(1, 1, 1, 16<<10)
	const count = 8 << 10
	for i := uint64(1); i <= count; i += 64 {
		var es []*raft.Log
		for n := range uint64(64) {
			es = append(es, &raft.Log{Index: i + n, Term: 1, Data: data})
		}
		store(b, l.Log, 1, es)
	}
	b.SetBytes(16 << 10)
	b.ResetTimer()
	for i := range b.N {
		if _, err := l.Group(1).Payload(uint64(i)%count + 1); err != nil {
			b.Fatal(err)
		}
	}
	b.StopTimer()
	l.mustEnd(b)
}

// cpu returns the nanoseconds that the process has used.
func cpu(b *testing.B) int64 {
	var u syscall.Rusage
	if err := syscall.Getrusage(syscall.RUSAGE_SELF, &u); err != nil {
		b.Fatal(err)
	}
	return u.Utime.Nano() + u.Stime.Nano()
}

// BenchmarkChurn appends entries of which all but one in a hundred are settled at once, with nobody
// to say so and with space being reclaimed beside it.
func BenchmarkChurn(b *testing.B) {
	for _, reclaim := range []bool{false, true} {
		b.Run(fmt.Sprintf("reclaim=%t", reclaim), func(b *testing.B) {
			cfg := log.Config{SegmentBytes: 16 << 20}
			l := start(b, log.OSFS(), b.TempDir(), cfg)
			live := newLiveSet()
			if reclaim {
				l.Group(1).SetLive(live)
			}
			data := content(1, 1, 1, 16<<10)
			b.SetBytes(int64(len(data)))
			b.ResetTimer()
			for i := range uint64(b.N) {
				if i%100 == 0 {
					live.set(i+1, 0)
				}
				store(b, l.Log, 1, []*raft.Log{{Index: i + 1, Term: 1, Data: data}})
				if i%1000 == 999 {
					if err := l.Group(1).DeleteRange(1, i-100); err != nil {
						b.Fatal(err)
					}
				}
			}
			b.StopTimer()
			u, st := l.Usage(), l.Stats()
			b.ReportMetric(float64(u.Bytes)/float64(b.N)/float64(len(data)), "disk/appended")
			b.ReportMetric(float64(st.Rewritten)/float64(b.N)/float64(len(data)), "rewritten/appended")
			b.ReportMetric(float64(st.CommitP99.Microseconds()), "p99-us")
			l.mustEnd(b)
		})
	}
}
