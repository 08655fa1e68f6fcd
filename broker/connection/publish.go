package connection

import (
	"context"
	"sync/atomic"

	"github.com/warrenmq/warren/broker/queue"
	"github.com/warrenmq/warren/broker/routing"
	"github.com/warrenmq/warren/broker/topology"
	"github.com/warrenmq/warren/broker/wire"
)

// publish sends the message in ch.content on its way, after the checks in
// RabbitMQ's order.
func (ch *channel) publish(ctx context.Context, body []byte) error {
	c := &ch.content
	m := &ch.message // not on the stack: the Publisher might keep it, for all the compiler knows
	*m = queue.Message{
		Exchange:   c.publish.Exchange,
		RoutingKey: c.publish.RoutingKey,
		Properties: c.header.Properties,
		Body:       body,
		Priority:   c.header.View.Priority,
		TTL:        queue.NoTTL,
	}
	if err := ch.mayPublish(m.Exchange); err != nil {
		return err
	}
	way := ch.routes.Route(m.Exchange, m.RoutingKey, nil, routed{ch})
	x := way.Exchange
	if x == nil && ch.current(ctx) {
		way = ch.routes.Route(m.Exchange, m.RoutingKey, nil, routed{ch})
		x = way.Exchange
	}
	if x == nil {
		return topology.ExchangeNotFound(ch.c.vhost, m.Exchange)
	}
	if err := topology.CheckPublish(x); err != nil {
		return err
	}
	if view := &c.header.View; view.Present&checkedProperties != 0 || view.DeliveryMode > deliveryModeMax || x.Type == topology.Topic {
		extra, err := ch.checkProperties(m, x)
		if err != nil {
			return err
		}
		if len(extra) > 0 {
			way = ch.routes.Route(m.Exchange, m.RoutingKey, extra, routed{ch})
		}
	}
	if err := ch.awaitAlarms(ctx, &way); err != nil || ch.closing {
		return err
	}
	if ch.tx != nil {
		return ch.tx.publish(ch, &way, m, c.publish.Mandatory)
	}
	return ch.hand(ctx, &way, m, c.publish.Mandatory, ch.nextReceipt())
}

// awaitAlarms waits while there is no room where the message goes.
func (ch *channel) awaitAlarms(ctx context.Context, way *routing.Result) error {
	if err := ch.c.awaitAlarms(ctx, way.Queues); err != nil || ch.closing {
		return err
	}
	return ch.c.awaitAlarms(ctx, way.Delayed)
}

// nextReceipt counts a publish. Without confirms only the channel itself wants to
// know what became of it.
func (ch *channel) nextReceipt() Receipt {
	ch.published++
	if ch.confirms {
		return Receipt{Confirms: receipts{ch}, Tag: ch.published - ch.unconfirmed}
	}
	ch.unconfirmed++
	return Receipt{Confirms: arrivals{ch}, Tag: ch.published}
}

// hand gives m to the Publisher, and back to the client when nobody wants it.
func (ch *channel) hand(ctx context.Context, way *routing.Result, m *queue.Message, mandatory bool, r Receipt) error {
	if mandatory && way.Unroutable() && !(m.Exchange == "" && topology.IsReplyQueue(m.RoutingKey)) { // M4: replies count as routed
		ch.giveBack(m)
	}
	if len(way.Delayed) > 0 {
		if len(way.Queues) > 0 {
			r = inTwo(r)
		}
		ttl := m.TTL
		m.TTL = way.Delay
		if err := ch.deliver(ctx, way.Delayed, m, r); err != nil || len(way.Queues) == 0 {
			return err
		}
		m.TTL = ttl
	}
	if len(way.Queues) == 0 {
		r.confirm(nil)
		return nil
	}
	return ch.deliver(ctx, way.Queues, m, r)
}

// deliver publishes m to queues.
func (ch *channel) deliver(ctx context.Context, to []queue.ID, m *queue.Message, r Receipt) error {
	err := ch.c.cfg.Publisher.Publish(ctx, to, m, r)
	if err == nil || ctx.Err() != nil {
		return err
	}
	if r.silent() {
		return err
	}
	ch.c.logger.Warn("publish refused", "channel", ch.id, "error", err)
	r.confirm(err) // the client learns it where it looks for it
	return nil
}

// silent tells whether the client has no place to look for what became of a publish.
func (r Receipt) silent() bool {
	switch c := r.Confirms.(type) {
	case arrivals:
		return true
	case *halves:
		return c.whole.silent()
	}
	return false
}

func (r Receipt) confirm(err error) {
	tag := [1]uint64{r.Tag}
	r.Confirms.Confirmed(tag[:], err)
}

// halves waits for both publishes of a message that goes to some queues now and
// to others later, and passes on the worse news.
type halves struct {
	whole  Receipt
	told   atomic.Bool
	failed atomic.Pointer[error]
}

func inTwo(whole Receipt) Receipt { return Receipt{Confirms: &halves{whole: whole}, Tag: whole.Tag} }

// Confirmed hears of one half.
func (h *halves) Confirmed(_ []uint64, err error) {
	if err != nil {
		h.failed.Store(&err)
	}
	if !h.told.Swap(true) {
		return
	}
	if failed := h.failed.Load(); failed != nil {
		err = *failed
	}
	h.whole.confirm(err)
}

// giveBack returns an unroutable message to its publisher.
func (ch *channel) giveBack(m *queue.Message) {
	frames := wire.AppendMethodFrame(nil, ch.id, &wire.BasicReturn{
		ReplyCode: wire.NoRoute, ReplyText: wire.Name(wire.NoRoute), Exchange: m.Exchange, RoutingKey: m.RoutingKey,
	})
	ch.out.send(wire.AppendContent(frames, ch.id, ch.c.frameMax, wire.ClassBasic, m.Properties, m.Body))
}

// routed is the message in the channel's content, as exchanges look at it.
type routed struct{ ch *channel }

// Headers decodes the message's headers.
func (r routed) Headers() topology.Arguments {
	headers, err := r.ch.content.header.View.HeaderTable()
	if err != nil {
		return nil // cannot be: they were checked with the header frame
	}
	return headers
}

// Property decodes one of the properties that a hash exchange may be told to look at.
func (r routed) Property(name string) (string, bool) {
	p, err := wire.ParseProperties(r.ch.content.header.Properties)
	if err != nil {
		return "", false // cannot be, either
	}
	return p.Text(name)
}
