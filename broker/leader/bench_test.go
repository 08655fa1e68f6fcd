package leader_test

import (
	"context"
	"testing"
	"time"

	"github.com/warrenmq/warren/broker/leader"
	"github.com/warrenmq/warren/broker/queue"
	"github.com/warrenmq/warren/broker/transient"
)

// sink is a consumer that acknowledges all that it gets.
type sink struct {
	at     *leader.Attachment
	number uint64
	left   int
	done   chan struct{}
}

func (s *sink) Send(ev leader.Event) {
	ds, ok := ev.(leader.Deliveries)
	if !ok {
		return
	}
	var cost int64
	for i := range ds.List {
		cost += ds.List[i].Cost()
	}
	s.number++
	_ = s.at.Request(leader.Settle{Sub: ds.Sub, Queue: q1, Number: s.number, Answer: leader.Ack,
		Ranges: seqs(ds.List[0].Seq, ds.List[len(ds.List)-1].Seq)})
	_ = s.at.Request(leader.Credit{Sub: ds.Sub, Messages: len(ds.List), Bytes: cost})
	if s.left -= len(ds.List); s.left == 0 {
		s.done <- struct{}{}
	}
}

// benchEngine publishes batches to one consumer; an operation is a message.
func benchEngine(b *testing.B, settings queue.Settings, m queue.Message) {
	const batch = 100
	var engine *leader.Engine
	log := transient.NewLog(1<<30, func(touched []queue.ID) { engine.Applied(touched) })
	engine = leader.New(leader.Config{Log: log})
	ctx, stop := context.WithCancel(context.Background())
	ended := make(chan error)
	go func() { ended <- engine.Run(ctx) }()
	defer func() { stop(); <-ended }()
	if err := engine.Configure(b.Context(), q1, settings); err != nil {
		b.Fatal(err)
	}
	s := &sink{done: make(chan struct{})}
	var err error
	if s.at, err = engine.Attach(leader.EdgeID{Node: "a", Epoch: 1}, s); err != nil {
		b.Fatal(err)
	}
	_ = s.at.Request(leader.Resumed{})
	_ = s.at.Request(leader.Subscribe{Sub: 1, Queue: q1, Consumer: leader.Consumer{Messages: 1000, Bytes: 1 << 20}})
	if _, err := engine.Counts(b.Context(), q1); err != nil {
		b.Fatal(err)
	}
	session := queue.Session{Incarnation: 1, Epoch: 1}
	seq := uint64(0)
	b.ReportAllocs()
	b.ResetTimer()
	for n := 0; n < b.N; n += batch {
		s.left = batch
		var batched queue.Builder
		for range batch {
			batched.Add([]queue.ID{q1}, &m)
		}
		seq++
		engine.Publish(batched.Seal(session, seq), func(queue.Answer, error) {})
		<-s.done
	}
}

func BenchmarkDispatch(b *testing.B) {
	body := make([]byte, 64)
	plain := queue.Message{RoutingKey: "q1", Body: body, TTL: queue.NoTTL}
	timed, high := plain, plain
	timed.TTL, high.Priority = time.Hour, 1
	b.Run("plain", func(b *testing.B) { benchEngine(b, queue.Settings{}, plain) })
	b.Run("queue TTL", func(b *testing.B) { benchEngine(b, queue.Settings{MessageTTL: limit(3_600_000)}, plain) })
	b.Run("message TTL", func(b *testing.B) { benchEngine(b, queue.Settings{}, timed) })
	b.Run("priorities", func(b *testing.B) { benchEngine(b, queue.Settings{MaxPriority: 5}, high) })
	b.Run("max-length", func(b *testing.B) { benchEngine(b, queue.Settings{MaxLength: limit(1000)}, plain) })
	b.Run("reject-publish", func(b *testing.B) {
		benchEngine(b, queue.Settings{MaxLengthBytes: limit(1 << 20), Overflow: queue.RejectPublish}, plain)
	})
}
