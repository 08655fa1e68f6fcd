package conntest

import (
	"cmp"
	"context"
	"slices"

	"github.com/warrenmq/warren/broker/connection"
	"github.com/warrenmq/warren/broker/leader"
	"github.com/warrenmq/warren/broker/queue"
	"github.com/warrenmq/warren/broker/topology"
)

// mailbox is a queue. The broker's mutex guards it.
type mailbox struct {
	b     *Broker
	def   *topology.Queue
	next  uint64
	ready []leader.Delivery // by number
	subs  []*sub
	used  bool // had a consumer
}

// sub is a consumer, or the holder of what one basic.get took.
type sub struct {
	q        *mailbox
	consumer leader.Consumer
	sink     connection.Deliveries // nil: of basic.get
	messages int
	bytes    int64
	held     map[uint64]leader.Delivery
	active   bool
}

func (q *mailbox) add(m queue.Message) {
	q.ready = append(q.ready, leader.Delivery{Seq: q.next, Message: m})
	q.next++
	q.dispatch()
}

// dispatch hands out what is ready, to the consumers of the highest priority in turn.
func (q *mailbox) dispatch() {
	for len(q.ready) > 0 {
		var best *sub
		for _, s := range q.subs {
			if s.active && s.bytes > 0 && (s.consumer.Messages < 0 || s.messages > 0) && (best == nil || s.consumer.Priority > best.consumer.Priority) {
				best = s
			}
		}
		if best == nil {
			return
		}
		q.subs = append(slices.DeleteFunc(q.subs, func(s *sub) bool { return s == best }), best)
		d := q.ready[0]
		q.ready = q.ready[1:]
		best.messages--
		best.bytes -= int64(len(d.Message.Body) + len(d.Message.Properties) + 64)
		if !best.consumer.NoAck {
			best.held[d.Seq] = d
		}
		sink := best.sink
		q.b.later(func() { sink.Deliver([]leader.Delivery{d}) })
	}
}

func (q *mailbox) consumers() (n int) {
	for _, s := range q.subs {
		if s.active && s.sink != nil {
			n++
		}
	}
	return n
}

func (q *mailbox) removed() {
	for _, s := range q.subs {
		if s.active && s.sink != nil {
			s.active = false
			sink := s.sink
			q.b.later(func() { sink.Cancelled(leader.ErrNoQueue) })
		}
	}
}

// unused deletes an auto-delete queue after its last consumer.
func (q *mailbox) unused() {
	if !q.b.lazy && q.def.AutoDelete && q.used && q.consumers() == 0 && q.b.queues[q.def.ID] == q {
		q.b.apply(topology.DeleteQueue{VHost: q.def.VHost, Name: q.def.Name, ID: q.def.ID})
	}
}

// Subscribe adds a consumer.
func (b *Broker) Subscribe(_ context.Context, id queue.ID, c leader.Consumer, sink connection.Deliveries) (connection.Subscription, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	q := b.queues[id]
	if q == nil {
		return nil, leader.ErrNoQueue
	}
	for _, s := range q.subs {
		if s.active && s.sink != nil && (s.consumer.Exclusive || c.Exclusive) {
			return nil, leader.ErrExclusive
		}
	}
	s := &sub{q: q, consumer: c, sink: sink, messages: c.Messages, bytes: c.Bytes, held: make(map[uint64]leader.Delivery), active: true}
	q.subs = append(q.subs, s)
	q.used = true
	q.dispatch()
	return handle{b, s}, nil
}

// Get takes one message.
func (b *Broker) Get(_ context.Context, id queue.ID, noAck bool) (d leader.Delivery, remaining uint64, held connection.Subscription, ok bool, err error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	q := b.queues[id]
	if q == nil {
		return d, 0, nil, false, leader.ErrNoQueue
	}
	if len(q.ready) == 0 {
		return d, 0, nil, false, nil
	}
	d = q.ready[0]
	q.ready = q.ready[1:]
	if noAck {
		return d, uint64(len(q.ready)), nil, true, nil
	}
	s := &sub{q: q, held: map[uint64]leader.Delivery{d.Seq: d}}
	q.subs = append(q.subs, s)
	return d, uint64(len(q.ready)), handle{b, s}, true, nil
}

// Purge drops the ready messages.
func (b *Broker) Purge(_ context.Context, id queue.ID) (uint64, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	q := b.queues[id]
	if q == nil {
		return 0, leader.ErrNoQueue
	}
	n := len(q.ready)
	q.ready = nil
	return uint64(n), nil
}

// Counts counts ready messages and consumers.
func (b *Broker) Counts(_ context.Context, id queue.ID) (ready uint64, consumers int, err error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	q := b.queues[id]
	if q == nil {
		return 0, 0, leader.ErrNoQueue
	}
	return uint64(len(q.ready)), q.consumers(), nil
}

// Delete deletes a queue.
func (b *Broker) Delete(_ context.Context, def topology.Queue, ifUnused, ifEmpty bool, connectionID string) (uint64, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	q := b.queues[def.ID]
	switch {
	case q == nil:
		return 0, nil
	case ifUnused && q.consumers() > 0:
		return 0, leader.ErrInUse
	case ifEmpty && len(q.ready) > 0:
		return 0, leader.ErrNotEmpty
	}
	n := len(q.ready)
	_, err := b.apply(topology.DeleteQueue{VHost: def.VHost, Name: def.Name, ID: def.ID, Connection: connectionID})
	return uint64(n), err
}

// Queue finds a queue's definition.
func (b *Broker) Queue(vhost, name string) *topology.Queue {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.topology.Queue(vhost, name)
}

// Put puts a message into a queue, as if another node's client had published it.
func (b *Broker) Put(vhost, name, body string) {
	id := b.Queue(vhost, name).ID
	b.mu.Lock()
	defer b.mu.Unlock()
	b.queues[id].add(queue.Message{RoutingKey: name, Properties: []byte{0, 0}, Body: []byte(body)})
}

// Held counts what consumers hold of a queue.
func (b *Broker) Held(vhost, name string) (n int) {
	b.mu.Lock()
	defer b.mu.Unlock()
	def := b.topology.Queue(vhost, name)
	if def == nil {
		return 0
	}
	for _, s := range b.queues[def.ID].subs {
		n += len(s.held)
	}
	return n
}

// handle is a channel's hold on a sub.
type handle struct {
	b *Broker
	s *sub
}

func (h handle) Settle(answer leader.Answer, ranges []queue.Range) {
	h.b.mu.Lock()
	defer h.b.mu.Unlock()
	for _, r := range ranges {
		for seq := r.First; seq <= r.Last; seq++ {
			h.s.settle(seq, answer)
		}
	}
	h.s.q.dispatch()
}

func (h handle) Settled(ctx context.Context) error {
	if h.b.OnSettled != nil {
		return h.b.OnSettled(ctx)
	}
	return nil
}

func (s *sub) settle(seq uint64, answer leader.Answer) {
	d, ok := s.held[seq]
	if !ok {
		return
	}
	delete(s.held, seq)
	if answer == leader.Ack || answer == leader.Reject {
		return
	}
	if answer == leader.Requeue || answer == leader.Fail {
		d.Returned++
		if answer == leader.Fail || s.q.def.Type() != "quorum" {
			d.Failed++
		}
		d.Redelivered = true
	}
	at, _ := slices.BinarySearchFunc(s.q.ready, seq, func(d leader.Delivery, seq uint64) int { return cmp.Compare(d.Seq, seq) })
	s.q.ready = slices.Insert(s.q.ready, at, d)
}

func (h handle) Credit(messages int, bytes int64) {
	h.b.mu.Lock()
	defer h.b.mu.Unlock()
	h.s.messages += messages
	h.s.bytes += bytes
	h.s.q.dispatch()
}

func (h handle) Cancel(ctx context.Context) error {
	done := make(chan struct{})
	h.b.mu.Lock()
	h.s.active = false
	h.s.q.unused()
	h.b.later(func() { close(done) })
	h.b.mu.Unlock()
	select {
	case <-done:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}

// Active: a Broker knows no single active consumers.
func (h handle) Active() bool {
	h.b.mu.Lock()
	defer h.b.mu.Unlock()
	return h.s.active
}

func (h handle) Release() {
	h.b.mu.Lock()
	defer h.b.mu.Unlock()
	s := h.s
	s.active = false
	for seq := range s.held {
		s.settle(seq, leader.Requeue)
	}
	s.q.subs = slices.DeleteFunc(s.q.subs, func(other *sub) bool { return other == s })
	s.q.unused()
	s.q.dispatch()
}
