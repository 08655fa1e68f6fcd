package traffic

import (
	"context"
	"fmt"
	"time"

	amqp "github.com/rabbitmq/amqp091-go"
)

// paceEvery is how often a publisher looks how many messages are due.
const paceEvery = 2 * time.Millisecond

// Publisher publishes persistent messages at a rate, with confirms, to one
// queue through one node. When that node goes it takes the next and sends
// again, under new numbers, what had no answer.
type Publisher struct {
	Ledger *Ledger
	Addrs  []string // the first is used first
	Queue  string
	Rate   int // messages a second
	Window int // unconfirmed messages
	Size   int // bytes of a body

	*mobile
	body  []byte
	again int // messages without a confirm, to be sent under new numbers
}

// NewPublisher is one that runs with Run.
func NewPublisher(p Publisher) *Publisher {
	p.mobile = newMobile()
	return &p
}

// Run publishes until ctx ends.
func (p *Publisher) Run(ctx context.Context) error {
	nodes := &ring{addrs: p.Addrs}
	var moving *move
	for {
		c, err := nodes.connect(ctx)
		if err != nil {
			return nil // ctx has ended
		}
		addr := nodes.current()
		s, err := p.open(c)
		if err != nil {
			c.Drop()
			nodes.next()
			continue
		}
		p.node.Store(&addr)
		if moving != nil {
			close(moving.done)
		}
		moving = s.run(ctx)
		p.node.Store(nil)
		c.Drop()
		p.again += s.outstanding
		p.Ledger.unknown(s.outstanding)
		switch {
		case ctx.Err() != nil:
			return nil
		case moving != nil:
			nodes.use(moving.to)
		default:
			nodes.next()
		}
	}
}

// publishing is one channel's life.
type publishing struct {
	*Publisher
	ch          *amqp.Channel
	session     uint32
	confirms    <-chan amqp.Confirmation
	outstanding int
}

func (p *Publisher) open(c *Conn) (*publishing, error) {
	ch, err := c.Channel()
	if err != nil {
		return nil, fmt.Errorf("channel: %w", err)
	}
	if err := ch.Confirm(false); err != nil {
		return nil, fmt.Errorf("confirm mode: %w", err)
	}
	return &publishing{
		Publisher: p, ch: ch, session: p.Ledger.begin(),
		confirms: ch.NotifyPublish(make(chan amqp.Confirmation, p.Window)), // the window, so that reading never waits for us
	}, nil
}

// run ends when the connection is lost or ctx ends, or with the move that was
// asked for, once nothing is outstanding.
func (s *publishing) run(ctx context.Context) *move {
	tick := time.NewTicker(paceEvery)
	defer tick.Stop()
	begin, sent := time.Now(), 0
	var leaving *move
	for {
		if leaving != nil && s.outstanding == 0 {
			return leaving
		}
		moves := s.moves
		if leaving != nil {
			moves = nil
		}
		select {
		case c, open := <-s.confirms:
			if !open {
				if leaving != nil { // it is where it wants to go soon
					return leaving
				}
				return nil
			}
			s.outstanding--
			s.Ledger.confirmed(ID{s.session, c.DeliveryTag}, c.Ack, time.Now())
			if !c.Ack {
				s.again++
			}
		case m := <-moves:
			leaving = &m
		case now := <-tick.C:
			if leaving != nil {
				continue
			}
			due := int(now.Sub(begin).Seconds() * float64(s.Rate))
			for (s.again > 0 || sent < due) && s.outstanding < s.Window {
				if s.again > 0 {
					s.again--
				} else {
					sent++
				}
				if s.send(ctx) != nil {
					return nil
				}
			}
			sent = max(sent, due-s.Rate/10) // a stall is not made up by a burst
		case <-ctx.Done():
			return nil
		}
	}
}

func (s *publishing) send(ctx context.Context) error {
	id := s.Ledger.sending(s.session)
	s.outstanding++
	s.body = id.encode(s.body, s.Size)
	err := s.ch.PublishWithContext(ctx, "", s.Queue, false, false,
		amqp.Publishing{DeliveryMode: amqp.Persistent, Body: s.body})
	if err != nil {
		return fmt.Errorf("publish: %w", err)
	}
	return nil
}
