package connection_test

import (
	"context"
	"io"
	"net"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/warrenmq/warren/broker/connection"
	"github.com/warrenmq/warren/broker/connection/conntest"
	"github.com/warrenmq/warren/broker/leader"
	"github.com/warrenmq/warren/broker/queue"
	"github.com/warrenmq/warren/broker/wire"
)

// sinkhole takes publishes and forgets them. Every confirmEvery it confirms.
type sinkhole struct {
	*conntest.Broker
	left atomic.Int64
	done chan struct{}

	to   connection.Confirms
	tags []uint64
}

const confirmEvery = 64

func (s *sinkhole) Publish(_ context.Context, _ []queue.ID, _ *queue.Message, r connection.Receipt) error {
	left := s.left.Add(-1)
	if r.Confirms != nil {
		s.to, s.tags = r.Confirms, append(s.tags, r.Tag)
		if len(s.tags) == confirmEvery || left == 0 {
			s.to.Confirmed(s.tags, nil)
			s.tags = s.tags[:0]
		}
	}
	if left == 0 {
		close(s.done)
	}
	return nil
}

func benchmarkPublish(b *testing.B, size int, confirm bool) {
	s := &sinkhole{Broker: conntest.New(b), done: make(chan struct{})}
	cfg := s.Config()
	cfg.Publisher = s
	c := conntest.Open(b, conntest.Serve(b, cfg))
	c.Channel(1)
	c.Declare(1, &wire.QueueDeclare{Queue: "q"})
	if confirm {
		c.Send(1, &wire.ConfirmSelect{})
		conntest.Expect[*wire.ConfirmSelectOk](c, 1)
	}
	message := wire.AppendMethodFrame(nil, 1, &wire.BasicPublish{RoutingKey: "q"})
	message = wire.AppendContent(message, 1, 131072, wire.ClassBasic, []byte{0x10, 0, 2}, make([]byte, size))
	const together = 32
	var batch []byte
	for range together {
		batch = append(batch, message...)
	}
	go io.Copy(io.Discard, c.Conn)
	s.left.Store(int64(b.N))
	b.ReportAllocs()
	b.ResetTimer()
	for left := b.N; left > 0; left -= together {
		if left < together {
			batch = batch[:left*len(message)]
		}
		if _, err := c.Conn.Write(batch); err != nil {
			b.Fatal(err)
		}
	}
	<-s.done
	b.StopTimer()
	b.SetBytes(int64(size))
}

func BenchmarkPublish12B(b *testing.B)         { benchmarkPublish(b, 12, false) }
func BenchmarkPublish1KiB(b *testing.B)        { benchmarkPublish(b, 1024, false) }
func BenchmarkPublish1KiBConfirm(b *testing.B) { benchmarkPublish(b, 1024, true) }

// fountain delivers one message again and again, as far as its credit goes.
type fountain struct {
	*conntest.Broker
	list []leader.Delivery
	left int

	mu       sync.Mutex
	change   *sync.Cond
	messages int
	bytes    int64
	counted  bool
}

const deliverAtOnce = 64

func (f *fountain) Subscribe(_ context.Context, _ queue.ID, c leader.Consumer, sink connection.Deliveries) (connection.Subscription, error) {
	f.change = sync.NewCond(&f.mu)
	f.messages, f.bytes, f.counted = c.Messages, c.Bytes, c.Messages >= 0
	go f.run(sink)
	return f, nil
}

func (f *fountain) run(sink connection.Deliveries) {
	cost := int64(len(f.list[0].Message.Body) + len(f.list[0].Message.Properties) + 64)
	seq := uint64(0)
	for f.left > 0 {
		f.mu.Lock()
		for f.bytes <= 0 || f.counted && f.messages <= 0 {
			f.change.Wait()
		}
		n := min(deliverAtOnce, f.left, int(f.bytes/cost)+1)
		if f.counted {
			n = min(n, f.messages)
		}
		f.messages -= n
		f.bytes -= int64(n) * cost
		f.mu.Unlock()
		f.left -= n
		for i := range n {
			seq++
			f.list[i].Seq = seq
		}
		sink.Deliver(f.list[:n])
	}
}

func (f *fountain) Settle(leader.Answer, []queue.Range) {}
func (f *fountain) Cancel(context.Context) error        { return nil }
func (f *fountain) Release()                            {}
func (f *fountain) Active() bool                        { return true }
func (f *fountain) Settled(context.Context) error       { return nil }
func (f *fountain) Credit(messages int, bytes int64) {
	f.mu.Lock()
	f.messages += messages
	f.bytes += bytes
	f.mu.Unlock()
	f.change.Signal()
}

func benchmarkDeliver(b *testing.B, size int, prefetch uint16) {
	f := &fountain{Broker: conntest.New(b), left: b.N}
	for range deliverAtOnce {
		f.list = append(f.list, leader.Delivery{Message: queue.Message{RoutingKey: "q", Properties: []byte{0x10, 0, 2}, Body: make([]byte, size)}})
	}
	cfg := f.Config()
	cfg.Queues = f
	c := conntest.Open(b, conntest.Serve(b, cfg))
	c.Channel(1)
	c.Declare(1, &wire.QueueDeclare{Queue: "q"})
	if prefetch > 0 {
		c.Send(1, &wire.BasicQos{PrefetchCount: prefetch})
		conntest.Expect[*wire.BasicQosOk](c, 1)
	}
	b.ReportAllocs()
	b.ResetTimer()
	c.Send(1, &wire.BasicConsume{Queue: "q", ConsumerTag: "ctag1", NoAck: prefetch == 0, NoWait: true})
	c.Conn.SetDeadline(time.Time{})
	drain(b, c.Conn, size, prefetch)
	b.StopTimer()
	b.SetBytes(int64(size))
}

// drain reads b.N deliveries, and answers when half of the prefetch has come.
func drain(b *testing.B, nc net.Conn, size int, prefetch uint16) {
	one := len(wire.AppendContent(wire.AppendDeliver(nil, 1, "ctag1", 1, false, "", "q"), 1, 131072, wire.ClassBasic, []byte{0x10, 0, 2}, make([]byte, size)))
	buf := make([]byte, 256<<10)
	var ack []byte
	read, acked := 0, 0
	for read < b.N*one {
		n, err := nc.Read(buf)
		if err != nil {
			b.Fatal(err)
		}
		read += n
		if whole := read / one; prefetch > 0 && whole-acked >= int(prefetch)/2 {
			acked = whole
			ack = wire.AppendAck(ack[:0], 1, uint64(whole), true)
			if _, err := nc.Write(ack); err != nil {
				b.Fatal(err)
			}
		}
	}
}

func BenchmarkDeliver12B(b *testing.B)          { benchmarkDeliver(b, 12, 0) }
func BenchmarkDeliver1KiB(b *testing.B)         { benchmarkDeliver(b, 1024, 0) }
func BenchmarkDeliver1KiBPrefetch(b *testing.B) { benchmarkDeliver(b, 1024, 500) }
