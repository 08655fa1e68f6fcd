package leader_test

import (
	"context"
	"testing"

	"github.com/warrenmq/warren/broker/leader"
	"github.com/warrenmq/warren/broker/queue"
	"github.com/warrenmq/warren/broker/transient"
)

// counter is a consumer that answers nothing by itself.
type counter struct{ got chan int }

func (c counter) Send(ev leader.Event) {
	if ds, ok := ev.(leader.Deliveries); ok {
		c.got <- len(ds.List)
	}
}

// An operation is one message that goes back and comes again, while the consumer
// leaves a hundred thousand unacknowledged.
func BenchmarkRequeueAmongManyUnacknowledged(b *testing.B) {
	const unacked = 100_000
	var engine *leader.Engine
	log := transient.NewLog(1<<30, func(touched []queue.ID) { engine.Applied(touched) })
	engine = leader.New(leader.Config{Log: log})
	ctx, stop := context.WithCancel(context.Background())
	ended := make(chan error)
	go func() { ended <- engine.Run(ctx) }()
	defer func() { stop(); <-ended }()
	if err := engine.Configure(b.Context(), q1, queue.Settings{}); err != nil {
		b.Fatal(err)
	}
	c := counter{make(chan int, unacked)}
	at, err := engine.Attach(leader.EdgeID{Node: "a", Epoch: 1}, c)
	if err != nil {
		b.Fatal(err)
	}
	_ = at.Request(leader.Resumed{})
	_ = at.Request(leader.Subscribe{Sub: 1, Queue: q1, Consumer: leader.Consumer{Messages: unacked, Bytes: 1 << 40}})
	session, m := queue.Session{Incarnation: 1, Epoch: 1}, queue.Message{RoutingKey: "q1", Body: make([]byte, 64), TTL: queue.NoTTL}
	for i := range uint64(unacked / 1000) {
		var batched queue.Builder
		for range 1000 {
			batched.Add([]queue.ID{q1}, &m)
		}
		engine.Publish(batched.Seal(session, i+1), func(queue.Answer, error) {})
	}
	for got := 0; got < unacked; {
		got += <-c.got
	}
	b.ResetTimer()
	for n := range uint64(b.N) {
		seq := 1 + n*7919%unacked
		_ = at.Request(leader.Settle{Sub: 1, Queue: q1, Number: n + 1, Answer: leader.Requeue, Ranges: seqs(seq, seq)})
		_ = at.Request(leader.Credit{Sub: 1, Messages: 1})
		<-c.got
	}
}
