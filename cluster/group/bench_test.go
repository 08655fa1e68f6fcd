package group

import (
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/warrenmq/warren/broker/queue"
)

func cpuTime() time.Duration {
	var u syscall.Rusage
	if err := syscall.Getrusage(syscall.RUSAGE_SELF, &u); err != nil {
		return 0
	}
	return time.Duration(u.Utime.Nano() + u.Stime.Nano())
}

// BenchmarkPropose publishes batches of 64 messages of 1 KiB to a group of three
// nodes in this process, over real sockets and with the log in memory, and
// settles them. The CPU is that of all three nodes, for each message.
func BenchmarkPropose(b *testing.B) {
	w := newWorld(b)
	w.sockets = true
	l := awaitLeading(b, w.startThree())
	mustPropose(b, l, configure)
	const window, messages = 32, 64
	body := make([]byte, 1024)
	slots := make(chan struct{}, window)
	var pending sync.WaitGroup
	b.SetBytes(int64(messages * len(body)))
	before := cpuTime()
	b.ResetTimer()
	for i := range b.N {
		var builder queue.Builder
		for range messages {
			builder.Add([]queue.ID{theQueue}, &queue.Message{Exchange: "", RoutingKey: "q", Body: body, TTL: queue.NoTTL})
		}
		batch := builder.Seal(queue.Session{Incarnation: 1, Epoch: 1}, uint64(i+1))
		slots <- struct{}{}
		pending.Add(1)
		l.group.Propose(batch, func(answers []queue.Answer, err error) {
			defer pending.Done()
			<-slots
			if err != nil || answers[0].Status != queue.Applied {
				b.Errorf("%v, %v", answers, err)
			}
		})
		if i%16 == 15 {
			first := uint64(i-15)*messages + 1
			l.group.Propose(queue.EncodeCommands(queue.Settle{
				Queue: theQueue, Kind: queue.Ack, Ranges: []queue.Range{{First: first, Last: first + 16*messages - 1}}, Bytes: 16 * messages * 1024,
			}), func([]queue.Answer, error) {})
		}
	}
	pending.Wait()
	b.StopTimer()
	b.ReportMetric(float64((cpuTime()-before).Nanoseconds())/float64(b.N*messages), "cpu-ns/message")
	b.ReportMetric(float64(b.N*messages)/b.Elapsed().Seconds(), "messages/s")
}
