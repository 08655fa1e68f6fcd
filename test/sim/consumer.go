package sim

import (
	"context"
	"math/rand/v2"
	"sync"
	"time"

	"github.com/warrenmq/warren/broker/wire"
)

// consumer consumes one queue through one node after another. While ctx lives it
// misbehaves now and then: returns messages, breaks its connection, cancels.
type consumer struct {
	w     *Workload
	host  string
	queue string
	rng   *rand.Rand
	polls bool     // uses basic.get
	at    *Machine // nil: any

	mu   sync.Mutex
	sub  int
	got  []arrival
	wake chan struct{}
}

// arrival is a delivery that waits for its answer.
type arrival struct {
	tag uint64
	m   *message
}

// run consumes until done; from the end of ctx on it does nothing but acknowledge.
func (k *consumer) run(ctx, done context.Context) {
	for done.Err() == nil {
		m := k.at
		if m == nil {
			m = k.w.pick(k.rng)
		}
		k.mu.Lock()
		k.sub, k.got, k.wake = k.w.h.newSub(), nil, make(chan struct{}, 1)
		k.mu.Unlock()
		cl, err := k.w.c.Dial(k.host, m, events{deliver: k.deliver, cancelled: k.cancelled})
		if err == nil {
			if k.polls {
				k.poll(ctx, done, cl)
			} else {
				k.consume(ctx, done, cl)
			}
			k.w.judge(cl)
			cl.Abort()
		}
		wait(done, 100*time.Millisecond)
	}
}

// consume answers deliveries until the connection ends or it is done.
func (k *consumer) consume(ctx, done context.Context, cl *Client) {
	if _, err := cl.Call(&wire.BasicQos{PrefetchCount: uint16(1 + k.rng.IntN(20))}); err != nil {
		return
	}
	if _, err := cl.Call(&wire.BasicConsume{Queue: k.queue, ConsumerTag: "c"}); err != nil {
		return
	}
	for {
		select {
		case <-k.wake:
		case <-cl.ended:
			return
		case <-done.Done():
			return
		}
		for _, a := range k.take() {
			wait(done, time.Duration(k.rng.Int64N(int64(5*time.Millisecond))))
			if !k.answer(ctx, cl, a) {
				return
			}
		}
	}
}

// poll takes one message after another.
func (k *consumer) poll(ctx, done context.Context, cl *Client) {
	for done.Err() == nil {
		r, err := cl.Call(&wire.BasicGet{Queue: k.queue})
		if err != nil {
			return
		}
		if _, ok := r.(*wire.BasicGetOk); !ok {
			wait(done, 100*time.Millisecond)
			continue
		}
		for _, a := range k.take() {
			if !k.answer(ctx, cl, a) {
				return
			}
		}
	}
}

// answer answers one delivery; false: the connection is over.
func (k *consumer) answer(ctx context.Context, cl *Client, a arrival) bool {
	chance := k.rng.IntN(1000)
	switch {
	case ctx.Err() != nil || chance >= 40:
	case chance < 3:
		return false // with all that is unanswered
	case chance < 6 && !k.polls:
		if _, err := cl.Call(&wire.BasicCancel{ConsumerTag: "c"}); err != nil {
			return false
		}
		if _, err := cl.Call(&wire.BasicConsume{Queue: k.queue, ConsumerTag: "c"}); err != nil {
			return false
		}
	default:
		k.w.h.returned(k.queue, a.m, cl)
		if chance%2 == 0 {
			return cl.Send(&wire.BasicReject{DeliveryTag: a.tag, Requeue: true}) == nil
		}
		return cl.Send(&wire.BasicNack{DeliveryTag: a.tag, Requeue: true}) == nil
	}
	k.w.h.ack(k.queue, a.m, cl)
	return cl.Send(&wire.BasicAck{DeliveryTag: a.tag}) == nil
}

func (k *consumer) take() []arrival {
	k.mu.Lock()
	defer k.mu.Unlock()
	got := k.got
	k.got = nil
	return got
}

func (k *consumer) deliver(cl *Client, d *wire.BasicDeliver, body string) {
	k.mu.Lock()
	defer k.mu.Unlock()
	m := k.w.h.deliver(k.queue, k.sub, cl, body, d.Redelivered)
	if m == nil {
		return
	}
	k.got = append(k.got, arrival{d.DeliveryTag, m})
	select {
	case k.wake <- struct{}{}:
	default:
	}
}

// cancelled: a durable queue that nobody deletes cancels no consumer.
func (k *consumer) cancelled() {
	k.w.c.failure("the consumer of %s is cancelled", k.queue)
}
