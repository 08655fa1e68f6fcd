package traffic

import (
	"context"
	"fmt"

	amqp "github.com/rabbitmq/amqp091-go"
)

// Consumer takes everything out of one queue through one node, with an
// acknowledgement a message. When that node goes it takes the next.
type Consumer struct {
	Ledger   *Ledger
	Addrs    []string // the first is used first
	Queue    string
	Prefetch int

	*mobile
}

// NewConsumer is one that runs with Run.
func NewConsumer(c Consumer) *Consumer {
	c.mobile = newMobile()
	return &c
}

// Run consumes until ctx ends.
func (c *Consumer) Run(ctx context.Context) error {
	nodes := &ring{addrs: c.Addrs}
	var moving *move
	for {
		conn, err := nodes.connect(ctx)
		if err != nil {
			return nil // ctx has ended
		}
		addr := nodes.current()
		s, err := c.open(conn)
		if err != nil {
			conn.Drop()
			nodes.next()
			continue
		}
		c.node.Store(&addr)
		if moving != nil {
			close(moving.done)
		}
		moving = s.run(ctx)
		c.node.Store(nil)
		if moving != nil {
			conn.Close() // orderly: what was acknowledged stays so
			nodes.use(moving.to)
			continue
		}
		conn.Drop()
		c.Ledger.disconnected()
		if ctx.Err() != nil {
			return nil
		}
		nodes.next()
	}
}

const consumerTag = "taker"

// consuming is one connection's life.
type consuming struct {
	*Consumer
	ch         *amqp.Channel
	epoch      uint32
	deliveries <-chan amqp.Delivery
	cancelled  <-chan string
}

func (c *Consumer) open(conn *Conn) (*consuming, error) {
	ch, err := conn.Channel()
	if err != nil {
		return nil, fmt.Errorf("channel: %w", err)
	}
	if err := ch.Qos(c.Prefetch, 0, false); err != nil {
		return nil, fmt.Errorf("qos: %w", err)
	}
	s := &consuming{Consumer: c, ch: ch, epoch: c.Ledger.connected(), cancelled: ch.NotifyCancel(make(chan string, 1))}
	s.deliveries, err = ch.Consume(c.Queue, consumerTag, false, false, false, false, nil)
	if err != nil {
		return nil, fmt.Errorf("consume: %w", err)
	}
	return s, nil
}

// run ends when the connection or the consumer is lost or ctx ends, or with
// the move that was asked for.
func (s *consuming) run(ctx context.Context) *move {
	for {
		select {
		case d, open := <-s.deliveries:
			if !open {
				s.noteCancel()
				return nil
			}
			s.take(d)
		case m := <-s.moves:
			if s.ch.Cancel(consumerTag, false) == nil {
				for d := range s.deliveries {
					s.take(d)
				}
			}
			return &m
		case <-ctx.Done():
			return nil
		}
	}
}

func (s *consuming) take(d amqp.Delivery) {
	id, known := s.Ledger.delivered(d.Body, d.Redelivered, s.epoch)
	if d.Ack(false) == nil && known {
		s.Ledger.acknowledged(id, s.epoch)
	}
}

func (s *consuming) noteCancel() {
	select {
	case _, sent := <-s.cancelled:
		if sent {
			s.Ledger.cancelled()
		}
	default:
	}
}
