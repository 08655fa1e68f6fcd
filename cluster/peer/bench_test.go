package peer

import (
	"context"
	"fmt"
	"net"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"github.com/hashicorp/raft"
)

// loopback is a Resolver over real sockets.
type loopback struct{ at sync.Map }

func (l *loopback) Address(id string) (string, bool) {
	addr, ok := l.at.Load(id)
	if !ok {
		return "", false
	}
	return addr.(string), true
}

func loopbackNodes(b testing.TB, options ...func(id string) nodeOption) []*node {
	b.Helper()
	where := &loopback{}
	var dialer net.Dialer
	var nodes []*node
	for _, v := range voters {
		var all []nodeOption
		for _, o := range options {
			all = append(all, o(v))
		}
		nodes = append(nodes, startNodeOn(b, v, 1, func() (net.Listener, error) {
			l, err := net.Listen("tcp", "127.0.0.1:0")
			if err == nil {
				where.at.Store(v, l.Addr().String())
			}
			return l, err
		}, where, func(ctx context.Context, addr string) (net.Conn, error) { return dialer.DialContext(ctx, "tcp", addr) }, all...))
	}
	return nodes
}

func cpuTime() time.Duration {
	var u syscall.Rusage
	if err := syscall.Getrusage(syscall.RUSAGE_SELF, &u); err != nil {
		return 0
	}
	return time.Duration(u.Utime.Nano() + u.Stime.Nano())
}

// BenchmarkReplicate proposes batches of 64 messages of 1 KiB to groups of three
// nodes in this process, over real sockets and with the log in memory: the CPU
// per proposal is that of all three nodes, Raft included.
func BenchmarkReplicate(b *testing.B) {
	tls := func(id string) nodeOption { return withSecret(b, id, "the cluster's long secret") }
	for _, mode := range []string{"plain", "tls"} {
		for _, inFlight := range []int{2, 4} {
			b.Run(fmt.Sprintf("%s/inflight=%d", mode, inFlight), func(b *testing.B) {
				options := []func(string) nodeOption{func(string) nodeOption {
					return func(_ *Identity, _ *ServerConfig, _ *ConnsConfig, t *TransportsConfig) { t.InFlight = inFlight }
				}}
				if mode == "tls" {
					options = append(options, tls)
				}
				nodes := loopbackNodes(b, options...)
				var members []*member
				for _, n := range nodes {
					members = append(members, startMember(b, n, 1, voters, raft.NewInmemStore()))
				}
				leader := awaitLeader(b, members)
				replicate(b, leader)
			})
		}
	}
}

func replicate(b *testing.B, leader *member) {
	const window = 64
	batch := make([]byte, 64<<10)
	b.SetBytes(int64(len(batch)))
	futures := make(chan raft.ApplyFuture, window)
	var failed atomic.Pointer[error]
	var waiting sync.WaitGroup
	waiting.Go(func() {
		for f := range futures {
			if err := f.Error(); err != nil {
				failed.Store(&err)
			}
		}
	})
	before := cpuTime()
	b.ResetTimer()
	for range b.N {
		futures <- leader.raft.Apply(batch, 0)
	}
	close(futures)
	waiting.Wait()
	b.StopTimer()
	if err := failed.Load(); err != nil {
		b.Fatal(*err)
	}
	b.ReportMetric(float64((cpuTime()-before).Microseconds())/float64(b.N), "cpu-us/op")
	b.ReportMetric(float64(b.N)/b.Elapsed().Seconds(), "proposals/s")
}

// BenchmarkIdle reports the CPU of three idle nodes with 13 groups, in percent
// of a core for each node.
func BenchmarkIdle(b *testing.B) {
	nodes := loopbackNodes(b)
	for g := range uint64(13) {
		var members []*member
		for _, n := range nodes {
			members = append(members, startMember(b, n, g+1, voters, raft.NewInmemStore()))
		}
		awaitLeader(b, members)
	}
	const span = 5 * time.Second
	before := cpuTime()
	for range b.N {
		time.Sleep(span)
	}
	share := float64(cpuTime()-before) / float64(span) / float64(b.N) / float64(len(nodes))
	b.ReportMetric(100*share, "%core/node")
}
