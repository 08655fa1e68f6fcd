package connection

import (
	"context"

	"github.com/warrenmq/warren/broker/queue"
	"github.com/warrenmq/warren/broker/routing"
	"github.com/warrenmq/warren/broker/wire"
)

// channel is one channel of a connection.
type channel struct {
	c   *conn
	out *outbox
	id  uint16

	// The reader's.
	closing     bool // channel.close was sent: all is discarded until close-ok
	content     content
	routes      *routing.Cache
	publishable publishable
	lastQueue   string         // declared last: what an empty queue name means (E8)
	replies     string         // queue of the direct reply-to consumer
	prefetch    int            // of consumers to come; 0: no limit
	answered    []Subscription // returned messages since the channel looked at a queue last
	confirms    bool           // in confirm mode
	published   uint64
	unconfirmed uint64 // of those: before confirm.select
	tx          *transaction
	message     queue.Message // scratch

	// The writer's.
	window confirmWindow

	// Guarded by the outbox.
	shut      bool // nothing goes out any more
	paused    bool // by channel.flow
	tag       uint64
	unacked   unacked
	consumers map[string]*consumer
	pools     map[string]*pool
	counted   int    // consumers that acknowledge
	limit     int    // prefetch that they share; 0: none
	limited   int    // of their deliveries that are unacknowledged
	nobody    holder // has the deliveries that were not answered in time; late answers are fine
	expired   int    // so many
	outcomes  outcomes
	holders   map[*holder]struct{} // subscriptions to be released
	known     uint64               // publishes whose outcome is known
	awaited   uint64               // caughtUp is closed when so many are
	caughtUp  chan struct{}        // nil: nobody waits
}

func newChannel(c *conn, id uint16) *channel {
	ch := &channel{
		c: c, out: &c.out, id: id, prefetch: c.cfg.Prefetch,
		routes:    routing.NewCache(c.cfg.Routes, c.vhost),
		consumers: make(map[string]*consumer),
		pools:     make(map[string]*pool),
		holders:   make(map[*holder]struct{}),
		window:    confirmWindow{next: 1},
	}
	return ch
}

func (ch *channel) send(m wire.Method) { ch.c.send(ch.id, m) }

// answer sends m unless the client asked for no answer.
func (ch *channel) answer(noWait bool, m wire.Method) {
	if !noWait {
		ch.send(m)
	}
}

// call bounds what is asked of Definitions and Queues.
func (ch *channel) call(ctx context.Context) (context.Context, context.CancelFunc) {
	return context.WithTimeout(ctx, ch.c.cfg.CallTimeout)
}

// frame runs one frame of the channel. Publishes and acknowledgements take short cuts.
func (ch *channel) frame(ctx context.Context, f wire.Frame) error {
	if ch.closing {
		return ch.closingFrame(f)
	}
	switch f.Type {
	case wire.FrameHeader:
		return ch.header(ctx, f.Payload)
	case wire.FrameBody:
		return ch.body(ctx, f.Payload)
	}
	if ch.content.state != contentNone {
		return ch.content.unexpected()
	}
	switch wire.PeekMethod(f.Payload) {
	case wire.KeyBasicPublish:
		return ch.publishMethod(f.Payload)
	case wire.KeyBasicAck:
		var m wire.BasicAck
		if err := m.Decode(f.Payload); err != nil {
			return err
		}
		if err := ch.ack(m.DeliveryTag, m.Multiple); err != nil {
			return of(new(wire.BasicAck), err) // not m, which would move to the heap
		}
		return nil
	}
	m, err := wire.ParseMethod(f.Payload)
	if err != nil {
		return err
	}
	ch.c.settle() // what was answered before comes before
	return of(m, ch.method(ctx, m))
}

// method runs a method that is neither a publish nor an acknowledgement.
func (ch *channel) method(ctx context.Context, m wire.Method) error {
	switch m := m.(type) {
	case *wire.ChannelOpen:
		return fault(wire.ChannelError, "second 'channel.open' seen")
	case *wire.ChannelClose:
		asked, cancel := ch.call(ctx)
		ch.leaveQueues(asked)
		cancel()
		ch.shutDown(&wire.ChannelCloseOk{})
		ch.c.forget(ch)
		return nil
	case *wire.ChannelFlow:
		ch.flow(m.Active)
		return nil
	case *wire.ChannelFlowOk, *wire.BasicCancelOk:
		return nil
	case *wire.AccessRequest:
		ch.send(&wire.AccessRequestOk{Ticket: 1})
		return nil
	case *wire.ExchangeDeclare, *wire.ExchangeDelete, *wire.ExchangeBind, *wire.ExchangeUnbind:
		return ch.exchangeMethod(ctx, m)
	case *wire.QueueDeclare, *wire.QueueBind, *wire.QueueUnbind, *wire.QueuePurge, *wire.QueueDelete:
		return ch.queueMethod(ctx, m)
	case *wire.ConfirmSelect:
		return ch.confirmSelect(m)
	case *wire.TxSelect, *wire.TxCommit, *wire.TxRollback:
		return ch.txMethod(ctx, m)
	default:
		return ch.basicMethod(ctx, m)
	}
}

func (ch *channel) basicMethod(ctx context.Context, m wire.Method) error {
	switch m := m.(type) {
	case *wire.BasicQos:
		return ch.qos(m)
	case *wire.BasicConsume:
		return ch.consume(ctx, m)
	case *wire.BasicCancel:
		return ch.cancel(ctx, m)
	case *wire.BasicGet:
		return ch.get(ctx, m)
	case *wire.BasicReject:
		return ch.reject(m)
	case *wire.BasicNack:
		return ch.nack(m)
	case *wire.BasicRecover:
		ch.recover()
		ch.send(&wire.BasicRecoverOk{})
		return nil
	case *wire.BasicRecoverAsync:
		ch.recover()
		return nil
	default:
		return fault(wire.CommandInvalid, "unimplemented method")
	}
}

// closingFrame discards what was under way when channel.close was sent (A5).
func (ch *channel) closingFrame(f wire.Frame) error {
	if f.Type != wire.FrameMethod {
		return nil
	}
	switch wire.PeekMethod(f.Payload) {
	case wire.KeyChannelCloseOk:
		ch.c.forget(ch)
	case wire.KeyChannelClose:
		ch.send(&wire.ChannelCloseOk{})
	case wire.KeyChannelOpen: // too early: the number is not free
		return of(new(wire.ChannelOpen), fault(wire.ChannelError, "second 'channel.open' seen"))
	}
	return nil
}

// fail closes the channel from this side.
func (ch *channel) fail(ctx context.Context, e *wire.Error) {
	_, m := e.Close(ch.id)
	ch.closing = true
	asked, cancel := ch.call(ctx)
	defer cancel()
	ch.leaveQueues(asked)
	ch.shutDown(m)
}

// shutDown ends the channel: farewell, if any, is its last frame, and what it
// still holds is requeued.
func (ch *channel) shutDown(farewell wire.Method) {
	ch.c.settle()
	ch.c.assembling -= ch.content.held + ch.tx.size()
	ch.content, ch.tx = content{}, nil
	var frames []byte
	if farewell != nil {
		frames = wire.AppendMethodFrame(nil, ch.id, farewell)
	}
	o := ch.out
	o.mu.Lock()
	ch.shut = true
	holders := ch.holders
	for _, k := range ch.consumers {
		delete(ch.c.consuming, k)
	}
	ch.holders, ch.consumers, ch.unacked, ch.outcomes = nil, nil, unacked{}, outcomes{}
	o.put(frames)
	wake := o.rouse()
	o.mu.Unlock()
	o.signal(wake)
	for h := range holders {
		if h.consumer != nil {
			ch.c.consumers--
		}
		h.sub.Release()
	}
}

// confirmSelect turns on publisher confirms.
func (ch *channel) confirmSelect(m *wire.ConfirmSelect) error {
	if ch.tx != nil {
		return fault(wire.PreconditionFailed, "cannot switch from tx to confirm mode")
	}
	ch.confirms = true
	ch.answer(m.NoWait, &wire.ConfirmSelectOk{})
	return nil
}
