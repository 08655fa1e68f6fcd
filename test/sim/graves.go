package sim

import (
	"context"
	"fmt"
	"math/rand/v2"
	"sync"
	"time"

	"github.com/warrenmq/warren/broker/wire"
)

const (
	// cradle is a queue whose messages die, of its TTL, of its length, or rejected.
	cradle = "sim.cradle"
	// grave is where its dead letters go.
	grave = "sim.grave"
)

// graves publishes to a queue in which everything dies: whatever was confirmed must
// come to the grave, once or more often.
type graves struct {
	w   *Workload
	rng *rand.Rand // of the publisher

	mu        sync.Mutex
	published int
	confirmed map[string]bool
	buried    map[string]bool
}

func newGraves(w *Workload, rng *rand.Rand) *graves {
	return &graves{w: w, rng: rng, confirmed: make(map[string]bool), buried: make(map[string]bool)}
}

// declareGraves makes the queues.
func declareGraves(cl *Client) error {
	_, err := cl.Call(&wire.QueueDeclare{Queue: grave, Durable: true})
	if err == nil {
		_, err = cl.Call(&wire.QueueDeclare{Queue: cradle, Durable: true, Arguments: wire.Table{
			"x-message-ttl": int32(1500), "x-max-length": int32(12),
			"x-dead-letter-exchange": "", "x-dead-letter-routing-key": grave}})
	}
	return err
}

// letters are what waits for its confirm.
type letters struct {
	mu    sync.Mutex
	first uint64 // tag of ids[0]
	ids   []string
}

// publish publishes until ctx ends, with confirms.
func (g *graves) publish(ctx context.Context) {
	for ctx.Err() == nil {
		open := &letters{first: 1}
		confirmed := func(tag uint64, multiple, ack bool) { g.confirm(open, tag, multiple, ack) }
		cl, err := g.w.c.Dial("g0", g.w.pick(g.rng), events{confirmed: confirmed})
		if err == nil {
			_, err = cl.Call(&wire.ConfirmSelect{})
		}
		for err == nil && ctx.Err() == nil {
			g.mu.Lock()
			g.published++
			id := fmt.Sprint("g", g.published)
			g.mu.Unlock()
			open.mu.Lock()
			open.ids = append(open.ids, id)
			open.mu.Unlock()
			err = cl.Publish("", cradle, id)
			wait(ctx, time.Duration(g.rng.Int64N(int64(120*time.Millisecond))))
		}
		g.leave(ctx, cl)
	}
}

// confirm notes what was confirmed. Nothing is ever refused: the queue drops its head.
func (g *graves) confirm(open *letters, tag uint64, multiple, ack bool) {
	open.mu.Lock()
	defer open.mu.Unlock()
	g.mu.Lock()
	defer g.mu.Unlock()
	from := tag
	if multiple {
		from = open.first
	}
	for t := from; ack && t <= tag; t++ {
		if i := t - open.first; t >= open.first && i < uint64(len(open.ids)) {
			g.confirmed[open.ids[i]] = true
		}
	}
}

func (g *graves) leave(ctx context.Context, cl *Client) {
	if cl != nil {
		g.w.judge(cl)
		cl.Abort()
	}
	wait(ctx, 100*time.Millisecond)
}

// reject lets messages of the cradle come back, or die of being rejected, until ctx ends.
func (g *graves) reject(ctx context.Context, rng *rand.Rand) {
	for ctx.Err() == nil {
		m := g.w.pick(rng)
		var mu sync.Mutex // the generator is the reader's while the connection lives
		answer := func(cl *Client, d *wire.BasicDeliver, _ string) {
			mu.Lock()
			defer mu.Unlock()
			switch n := rng.IntN(100); {
			case n < 50:
				_ = cl.Send(&wire.BasicReject{DeliveryTag: d.DeliveryTag})
			case n < 80:
				_ = cl.Send(&wire.BasicReject{DeliveryTag: d.DeliveryTag, Requeue: true})
			case n < 90:
				_ = cl.Send(&wire.BasicNack{DeliveryTag: d.DeliveryTag, Requeue: true})
			case n < 91:
				cl.Abort() // with what else it holds
			}
		}
		cl, err := g.w.c.Dial("g1", m, events{deliver: answer, cancelled: func() {}})
		if err == nil {
			_, err = cl.Call(&wire.BasicQos{PrefetchCount: 5})
		}
		if err == nil {
			_, err = cl.Call(&wire.BasicConsume{Queue: cradle, ConsumerTag: "c"})
		}
		if err == nil {
			mu.Lock()
			life := time.Duration(rng.Int64N(int64(4 * time.Second)))
			mu.Unlock()
			select {
			case <-cl.ended:
			case <-ctx.Done():
			case <-time.After(life):
			}
		}
		mu.Lock() // no answer is under way
		g.leave(ctx, cl)
		mu.Unlock()
	}
}

// bury takes what comes to the grave, until done.
func (g *graves) bury(done context.Context, rng *rand.Rand) {
	for done.Err() == nil {
		take := func(cl *Client, d *wire.BasicDeliver, body string) {
			g.mu.Lock()
			g.buried[body] = true
			g.mu.Unlock()
			_ = cl.Send(&wire.BasicAck{DeliveryTag: d.DeliveryTag})
		}
		cl, err := g.w.c.Dial("g2", g.w.pick(rng), events{deliver: take, cancelled: func() {}})
		if err == nil {
			_, err = cl.Call(&wire.BasicConsume{Queue: grave, ConsumerTag: "c"})
		}
		if err == nil {
			select {
			case <-cl.ended:
			case <-done.Done():
			}
		}
		g.leave(done, cl)
	}
}

// verify looks for what has not come to the grave, once the queues are empty.
func (g *graves) verify() {
	g.mu.Lock()
	defer g.mu.Unlock()
	for id := range g.confirmed {
		if !g.buried[id] {
			g.w.c.failure("%s was confirmed, is not in %s any more, and has not come to %s", id, cradle, grave)
		}
	}
	if len(g.confirmed) == 0 {
		g.w.c.failure("nothing that was published to %s was confirmed", cradle)
	}
}
