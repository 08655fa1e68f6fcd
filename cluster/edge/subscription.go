package edge

import (
	"context"
	"errors"
	"time"

	"github.com/warrenmq/warren/broker/leader"
	"github.com/warrenmq/warren/broker/queue"
)

// Deliveries is where a subscription's messages go. Deliver is called by one
// goroutine at a time, in order, and must not block.
type Deliveries interface {
	Deliver(ds []leader.Delivery)
	Cancelled(err error) // the queue is gone
}

// subscription is a consumer, or the holder of what one basic.get took, at its edge.
type subscription struct {
	a        *attachment
	id       uint64
	queue    queue.ID
	consumer leader.Consumer // as it began
	sink     Deliveries

	// guarded by a.mu
	state    subState
	messages int   // credit left
	bytes    int64 // credit left
	held     map[uint64]struct{}
	next     uint64 // of a stream: the message that comes next, 0 while nobody knows
	active   bool   // gets messages: false while another is the single active consumer
	queued   bool
	asked    bool                             // Subscribe or Get was sent over the present link
	answers  [leader.Unseen + 1][]queue.Range // not told yet
	credit   leader.Credit                    // not told yet
	cancel   bool                             // not told yet
	last     uint64                           // number of its last settlement

	outcome chan error      // of Subscribe
	ended   chan struct{}   // closed when Cancel is done
	got     chan leader.Got // of Get
}

type subState uint8

const (
	asking     subState = iota + 1 // Subscribe is not answered
	getting                        // Get is not answered
	standing                       // deliveries come
	cancelling                     // Cancel is not answered
	holding                        // no deliveries come; what is held can be answered
	releasing                      // everything is answered; gone when that is committed
	released                       // over
)

// Subscribe starts deliveries of a queue to sink.
func (e *Edge) Subscribe(ctx context.Context, id queue.ID, c leader.Consumer, sink Deliveries) (*Subscription, error) {
	s, err := e.begin(id, c, sink, asking)
	if err != nil {
		return nil, err
	}
	select {
	case err := <-s.outcome:
		if err != nil {
			return nil, err
		}
		return &Subscription{s}, nil
	case <-ctx.Done():
		(&Subscription{s}).Release()
		return nil, errors.Join(leader.ErrUnavailable, ctx.Err())
	}
}

// Get takes one message of a queue; ok is false when none is ready. Unless
// noAck, it is to be settled with the Subscription.
func (e *Edge) Get(ctx context.Context, id queue.ID, noAck bool) (got leader.Got, held *Subscription, err error) {
	s, err := e.begin(id, leader.Consumer{NoAck: noAck}, nil, getting)
	if err != nil {
		return got, nil, err
	}
	held = &Subscription{s}
	select {
	case got = <-s.got:
	case <-ctx.Done():
		held.Release()
		return got, nil, errors.Join(leader.ErrUnavailable, ctx.Err())
	}
	if got.Err != nil || !got.OK || noAck {
		held.Release()
		held = nil
	}
	return got, held, got.Err
}

// begin makes a subscription and tells its attachment.
func (e *Edge) begin(id queue.ID, c leader.Consumer, sink Deliveries, state subState) (*subscription, error) {
	t, ok := e.target(id)
	if !ok {
		return nil, leader.ErrNoQueue
	}
	a, err := e.attachment(t)
	if err != nil {
		return nil, errors.Join(leader.ErrUnavailable, err)
	}
	e.mu.Lock()
	e.subs++
	n := e.subs
	e.mu.Unlock()
	if state == asking {
		c.Since = time.Now()
	}
	s := &subscription{
		a: a, id: n, queue: id, consumer: c, sink: sink, state: state,
		messages: c.Messages, bytes: c.Bytes, held: make(map[uint64]struct{}),
		outcome: make(chan error, 1), ended: make(chan struct{}), got: make(chan leader.Got, 1),
	}
	a.mu.Lock()
	defer a.mu.Unlock()
	a.subs[n] = s
	a.queue(s, true)
	return s, nil
}

// Subscription is a channel's handle on a consumer, or on what basic.get took.
type Subscription struct{ s *subscription }

// reads tells whether s is a stream's consumer: it holds nothing, and what becomes of
// what it has got is nobody's business.
func (s *subscription) reads() bool { return s.consumer.Start.From != 0 }

// Settle answers deliveries. It never blocks.
func (h *Subscription) Settle(kind leader.Answer, ranges []queue.Range) {
	s := h.s
	if s.reads() {
		return
	}
	s.a.mu.Lock()
	defer s.a.mu.Unlock()
	s.answer(kind, ranges)
}

// Credit lets the leader send that much more, or less where it is negative.
func (h *Subscription) Credit(messages int, bytes int64) {
	s := h.s
	s.a.mu.Lock()
	defer s.a.mu.Unlock()
	if s.state != standing && s.state != asking {
		return
	}
	low := messages < 0 || bytes < 0 || s.consumer.Messages >= 0 && s.messages*2 <= s.consumer.Messages || s.bytes*2 <= s.consumer.Bytes
	s.messages += messages
	s.bytes += bytes
	s.credit.Messages += messages
	s.credit.Bytes += bytes
	s.a.queue(s, low)
}

// Cancel ends the deliveries; what was delivered stays held. Whatever it
// returns, no further Deliver comes.
func (h *Subscription) Cancel(ctx context.Context) error {
	s := h.s
	s.a.mu.Lock()
	if s.state != standing {
		s.a.mu.Unlock()
		return nil
	}
	s.state, s.cancel = cancelling, true
	s.a.queue(s, true)
	s.a.mu.Unlock()
	select {
	case <-s.ended:
		return nil
	case <-ctx.Done():
	}
	s.a.events.Lock() // no Deliver is under way
	defer s.a.events.Unlock()
	s.a.mu.Lock()
	defer s.a.mu.Unlock()
	if s.state == cancelling {
		s.state = holding
	}
	return errors.Join(leader.ErrUnavailable, ctx.Err())
}

// Active tells whether the queue's messages go to this consumer: false while
// another is its single active one.
func (h *Subscription) Active() bool {
	s := h.s
	s.a.mu.Lock()
	defer s.a.mu.Unlock()
	return s.active && s.state == standing
}

// Release ends the subscription: what it holds is requeued.
func (h *Subscription) Release() {
	s := h.s
	s.a.mu.Lock()
	defer s.a.mu.Unlock()
	s.release()
}

// release requeues all that is held. The caller holds a.mu.
func (s *subscription) release() {
	if s.state >= releasing {
		return
	}
	seqs := sorted(s.held)
	if s.state == standing || s.state == asking {
		s.cancel = true
	}
	s.answer(leader.Requeue, appendRuns(nil, seqs))
	s.state = releasing
	s.a.releasing++
	s.a.queue(s, true)
}

// answer notes what became of deliveries. The caller holds a.mu.
func (s *subscription) answer(kind leader.Answer, ranges []queue.Range) {
	for _, r := range ranges {
		for seq := r.First; seq <= r.Last; seq++ {
			if _, ok := s.held[seq]; !ok {
				continue
			}
			delete(s.held, seq)
			s.answers[kind] = appendRuns(s.answers[kind], []uint64{seq})
		}
	}
	if s.state == holding && s.sink == nil && len(s.held) == 0 {
		s.state = releasing // what basic.get took is answered
		s.a.releasing++
	}
	s.a.queue(s, false)
}

// told clears what a Resume or Subscribe says. The caller holds a.mu.
func (s *subscription) told() { s.credit = leader.Credit{} }

// flush adds what s has to tell to requests. The caller holds a.mu.
func (s *subscription) flush(requests []leader.Request) []leader.Request {
	s.queued = false
	switch s.state {
	case released:
		return requests
	case asking, getting:
		if !s.asked {
			requests = append(requests, s.ask())
		}
	}
	if s.cancel {
		requests = append(requests, leader.Cancel{Sub: s.id})
		s.cancel = false
	}
	for kind, ranges := range s.answers {
		if len(ranges) == 0 {
			continue
		}
		s.a.number++
		s.last = s.a.number
		settle := leader.Settle{Sub: s.id, Queue: s.queue, Number: s.last, Answer: leader.Answer(kind), Ranges: ranges}
		s.a.unsettled = append(s.a.unsettled, settle)
		requests = append(requests, settle)
		s.answers[kind] = nil
	}
	if c := s.credit; c.Messages != 0 || c.Bytes != 0 {
		c.Sub = s.id
		requests = append(requests, c)
		s.told()
	}
	if s.state == releasing && s.committed() {
		delete(s.a.subs, s.id)
		s.state = released
		s.a.releasing--
		requests = append(requests, leader.Release{Sub: s.id})
	}
	return requests
}

// committed tells whether all that s has answered is. The caller holds a.mu.
func (s *subscription) committed() bool {
	return len(s.a.unsettled) == 0 || s.last < s.a.unsettled[0].Number
}

// ask is the request that begins s. The caller holds a.mu.
func (s *subscription) ask() leader.Request {
	s.asked = true
	if s.state == getting {
		return leader.Get{Sub: s.id, Queue: s.queue, NoAck: s.consumer.NoAck}
	}
	s.told()
	return leader.Subscribe{Sub: s.id, Queue: s.queue, Consumer: s.withCredit()}
}

func (s *subscription) withCredit() leader.Consumer {
	c := s.consumer
	if c.Messages >= 0 {
		c.Messages = s.messages
	}
	c.Bytes = s.bytes
	if s.next > 0 {
		c.Start = leader.Start{From: leader.FromSeq, Seq: s.next}
	}
	return c
}

// delivered takes deliveries in; what no longer may be delivered goes back.
// The caller holds a.mu.
func (s *subscription) delivered(list []leader.Delivery) (Deliveries, []leader.Delivery) {
	if s.state != standing && s.state != cancelling {
		if s.consumer.NoAck || s.state == released || s.reads() {
			return nil, nil
		}
		for _, d := range list {
			s.answers[leader.Unseen] = appendRuns(s.answers[leader.Unseen], []uint64{d.Seq})
		}
		s.a.queue(s, true)
		return nil, nil
	}
	for i := range list {
		s.messages--
		s.bytes -= list[i].Cost()
		if s.reads() {
			s.next = list[i].Seq + 1
		} else if !s.consumer.NoAck {
			s.held[list[i].Seq] = struct{}{}
		}
	}
	return s.sink, list
}

// subscribed takes the answer to Subscribe. The caller holds a.mu.
func (s *subscription) subscribed(ev leader.Subscribed) {
	if ev.Err != nil {
		s.state = released
		delete(s.a.subs, s.id)
	} else {
		s.state, s.active, s.next = standing, ev.Active, ev.Next
	}
	s.outcome <- ev.Err
}

// gotten takes the answer to Get. The caller holds a.mu.
func (s *subscription) gotten(got leader.Got) {
	s.state = holding
	if got.OK && !s.consumer.NoAck {
		s.held[got.Delivery.Seq] = struct{}{}
	}
	s.got <- got
}

// cancelled takes the end of deliveries: asked for, or because the queue is
// gone. The caller holds a.mu.
func (s *subscription) cancelled(err error) (Deliveries, error) {
	if err != nil {
		delete(s.a.subs, s.id)
		defer s.a.progressed()
		return s.abandoned(), err
	}
	if s.state == cancelling {
		s.state = holding
		close(s.ended)
	}
	return nil, nil
}

// abandoned ends s without its engine. It returns who must hear of it. The caller holds a.mu.
func (s *subscription) abandoned() Deliveries {
	state := s.state
	if state == releasing {
		s.a.releasing--
	}
	s.state = released
	clear(s.held)
	switch state {
	case asking:
		s.outcome <- leader.ErrNoQueue
	case getting:
		s.got <- leader.Got{Sub: s.id, Err: leader.ErrNoQueue}
	case cancelling:
		close(s.ended)
	case standing:
		return s.sink
	}
	return nil
}
