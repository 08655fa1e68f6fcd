package bench

import (
	"context"
	"errors"
	"fmt"
	"net"
	"sync"
	"sync/atomic"
	"time"

	amqp "github.com/rabbitmq/amqp091-go"
)

// dialLimit bounds a connect.
const dialLimit = 10 * time.Second

// prefetch bounds what a consumer holds unacknowledged.
const prefetch = 2000

// pair is one publisher, its queue and its consumer.
type pair struct {
	Workload
	queue       string
	pub, con    *amqp.Connection
	ch, take    *amqp.Channel
	confirmed   atomic.Int64
	settled     atomic.Int64
	measuring   atomic.Bool
	times       histogram // written by the reader of confirms, read after its end
	refused     int64
	publishedAt []int64 // unix nanoseconds by tag modulo its length
	tokens      chan struct{}
}

func dial(addr string) (*amqp.Connection, error) {
	c, err := amqp.DialConfig("amqp://guest:guest@"+addr+"/", amqp.Config{
		Heartbeat: 10 * time.Second,
		Dial: func(network, addr string) (net.Conn, error) {
			raw, err := net.DialTimeout(network, addr, dialLimit)
			if err != nil {
				return nil, err
			}
			return raw, raw.SetDeadline(time.Now().Add(dialLimit))
		},
	})
	if err != nil {
		return nil, fmt.Errorf("connect to %s: %w", addr, err)
	}
	return c, nil
}

// open connects both sides and declares the queue through home.
func open(w Workload, queue, home, pub, con string) (p *pair, err error) {
	p = &pair{Workload: w, queue: queue, tokens: make(chan struct{}, w.Window), publishedAt: make([]int64, 2*w.Window+16)}
	defer func() {
		if err != nil {
			p.close()
		}
	}()
	declaring, err := dial(home)
	if err != nil {
		return nil, err
	}
	defer declaring.Close()
	ch, err := declaring.Channel()
	if err != nil {
		return nil, fmt.Errorf("channel: %w", err)
	}
	if _, err := ch.QueueDeclare(queue, true, false, false, false, amqp.Table{"x-queue-type": "quorum"}); err != nil {
		return nil, fmt.Errorf("declare %s: %w", queue, err)
	}
	if p.pub, err = dial(pub); err != nil {
		return nil, err
	}
	if p.con, err = dial(con); err != nil {
		return nil, err
	}
	if p.ch, err = p.pub.Channel(); err != nil {
		return nil, fmt.Errorf("channel: %w", err)
	}
	if err = p.ch.Confirm(false); err != nil {
		return nil, fmt.Errorf("confirm mode: %w", err)
	}
	if p.take, err = p.con.Channel(); err != nil {
		return nil, fmt.Errorf("channel: %w", err)
	}
	if err = p.take.Qos(prefetch, 0, false); err != nil {
		return nil, fmt.Errorf("qos: %w", err)
	}
	return p, nil
}

// run loads until ctx ends, then waits for nothing.
func (p *pair) run(ctx context.Context) error {
	deliveries, err := p.take.Consume(p.queue, "", false, false, false, false, nil)
	if err != nil {
		return fmt.Errorf("consume: %w", err)
	}
	confirms := p.ch.NotifyPublish(make(chan amqp.Confirmation, p.Window))
	var parts sync.WaitGroup
	parts.Go(func() { p.readConfirms(confirms) })
	parts.Go(func() { p.acknowledge(deliveries) })
	err = p.publish(ctx)
	p.close() // ends both
	parts.Wait()
	if p.refused > 0 {
		err = errors.Join(err, fmt.Errorf("%d publishes were refused", p.refused))
	}
	return err
}

func (p *pair) publish(ctx context.Context) error {
	m := amqp.Publishing{DeliveryMode: amqp.Persistent, Body: make([]byte, p.Size)}
	begin := time.Now()
	for tag := int64(1); ; tag++ {
		at := time.Now()
		if p.Rate > 0 { // timed from when it is due: a late publish is the broker's time too
			at = begin.Add(time.Duration(tag) * time.Second / time.Duration(p.Rate))
			time.Sleep(time.Until(at))
		}
		select {
		case p.tokens <- struct{}{}:
		case <-ctx.Done():
			return nil
		}
		if p.Rate == 0 {
			at = time.Now()
		}
		atomic.StoreInt64(&p.publishedAt[tag%int64(len(p.publishedAt))], at.UnixNano())
		if err := p.ch.PublishWithContext(ctx, "", p.queue, false, false, m); err != nil {
			if ctx.Err() != nil {
				return nil
			}
			return fmt.Errorf("publish: %w", err)
		}
		if ctx.Err() != nil {
			return nil
		}
	}
}

func (p *pair) readConfirms(confirms <-chan amqp.Confirmation) {
	for c := range confirms {
		<-p.tokens
		if !c.Ack {
			p.refused++
			continue
		}
		p.confirmed.Add(1)
		if p.measuring.Load() {
			at := atomic.LoadInt64(&p.publishedAt[int64(c.DeliveryTag)%int64(len(p.publishedAt))])
			p.times.add(time.Duration(time.Now().UnixNano() - at))
		}
	}
}

func (p *pair) acknowledge(deliveries <-chan amqp.Delivery) {
	for d := range deliveries {
		if d.Ack(false) != nil {
			return
		}
		p.settled.Add(1)
	}
}

func (p *pair) close() {
	for _, c := range []*amqp.Connection{p.pub, p.con} {
		if c != nil {
			c.Close()
		}
	}
}
