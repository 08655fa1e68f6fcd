package connection

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strconv"
	"time"

	"github.com/warrenmq/warren/broker/queue"
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
	to := way.Queues
	if way.Exchange == nil {
		return topology.ExchangeNotFound(ch.c.vhost, m.Exchange)
	}
	if err := topology.CheckPublish(way.Exchange); err != nil {
		return err
	}
	if c.header.View.Present&checkedProperties != 0 {
		extra, err := ch.checkProperties(m)
		if err != nil {
			return err
		}
		to = ch.routeAlso(to, m.Exchange, extra)
	}
	if err := ch.c.awaitAlarms(ctx, to); err != nil || ch.closing {
		return err
	}
	if ch.tx != nil {
		return ch.tx.publish(ch, to, m, c.publish.Mandatory)
	}
	return ch.hand(ctx, to, m, c.publish.Mandatory, ch.nextReceipt())
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

// hand gives m to the Publisher, or back to the client when nobody wants it.
func (ch *channel) hand(ctx context.Context, to []queue.ID, m *queue.Message, mandatory bool, r Receipt) error {
	if len(to) == 0 {
		if mandatory {
			ch.giveBack(m)
		}
		r.confirm(nil)
		return nil
	}
	err := ch.c.cfg.Publisher.Publish(ctx, to, m, r)
	if err == nil || ctx.Err() != nil {
		return err
	}
	if _, silent := r.Confirms.(arrivals); silent {
		return err
	}
	ch.c.logger.Warn("publish refused", "channel", ch.id, "error", err)
	r.confirm(err) // the client learns it where it looks for it
	return nil
}

func (r Receipt) confirm(err error) {
	tag := [1]uint64{r.Tag}
	r.Confirms.Confirmed(tag[:], err)
}

// giveBack returns an unroutable message to its publisher.
func (ch *channel) giveBack(m *queue.Message) {
	frames := wire.AppendMethodFrame(nil, ch.id, &wire.BasicReturn{
		ReplyCode: wire.NoRoute, ReplyText: wire.Name(wire.NoRoute), Exchange: m.Exchange, RoutingKey: m.RoutingKey,
	})
	ch.out.send(wire.AppendContent(frames, ch.id, ch.c.frameMax, wire.ClassBasic, m.Properties, m.Body))
}

// routeAlso adds the queues of further routing keys. The result is good until the next call.
func (ch *channel) routeAlso(to []queue.ID, exchange string, keys []string) []queue.ID {
	if len(keys) == 0 {
		return to
	}
	ch.to = append(ch.to[:0], to...)
	for _, key := range keys {
		for _, id := range ch.routes.Route(exchange, key, nil, routed{ch}).Queues {
			if !slices.Contains(ch.to, id) {
				ch.to = append(ch.to, id)
			}
		}
	}
	return ch.to
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
	switch {
	case name == "message_id" && p.Present&wire.HasMessageID != 0:
		return p.MessageID, true
	case name == "correlation_id" && p.Present&wire.HasCorrelationID != 0:
		return p.CorrelationID, true
	case name == "timestamp" && p.Present&wire.HasTimestamp != 0:
		return strconv.FormatInt(p.Timestamp.Unix(), 10), true
	}
	return "", false
}

const checkedProperties = wire.HasHeaders | wire.HasReplyTo | wire.HasExpiration | wire.HasUserID

// checkProperties looks at the properties that mean something to the broker:
// reply-to, expiration, CC and BCC, user-id.
func (ch *channel) checkProperties(m *queue.Message) (extra []string, err error) {
	view := &ch.content.header.View
	if string(view.ReplyTo) == replyTo {
		if err := ch.replyHere(m); err != nil {
			return nil, err
		}
	}
	if view.Present&wire.HasExpiration != 0 {
		if m.TTL, err = parseExpiration(view.Expiration); err != nil {
			return nil, err
		}
	}
	if len(view.Headers) > emptyTable {
		if extra, err = ch.senderSelected(m); err != nil {
			return nil, err
		}
	}
	if view.Present&wire.HasUserID != 0 && string(view.UserID) != ch.c.user {
		return nil, fault(wire.PreconditionFailed, "user_id property set to '%s' but authenticated user was '%s'", view.UserID, ch.c.user)
	}
	return extra, nil
}

const (
	emptyTable    = 4          // bytes of a table without entries
	expirationMax = 4294967295 // milliseconds
)

// parseExpiration reads a time to live in milliseconds (G7). RabbitMQ's texts
// are Erlang terms.
func parseExpiration(b []byte) (time.Duration, error) {
	refused := func(reason string) (time.Duration, error) {
		return 0, fault(wire.PreconditionFailed, "invalid expiration '%s': %s", b, reason)
	}
	digits := 0
	if len(b) > 0 && (b[0] == '-' || b[0] == '+') {
		digits = 1
	}
	end := digits
	for end < len(b) && b[end] >= '0' && b[end] <= '9' {
		end++
	}
	switch {
	case end == digits:
		return refused("no_integer")
	case end < len(b):
		return refused(fmt.Sprintf("{leftover_string,%q}", b[end:]))
	}
	ms, err := strconv.ParseInt(string(b), 10, 64)
	switch {
	case errors.Is(err, strconv.ErrRange), ms > expirationMax:
		return refused(fmt.Sprintf("{value_too_big,%s}", b))
	case ms < 0:
		return refused(fmt.Sprintf("{value_negative,%d}", ms))
	}
	return time.Duration(ms) * time.Millisecond, nil
}

// senderSelected reads the headers CC and BCC (G9): further routing keys, of
// which BCC is taken out of the message.
func (ch *channel) senderSelected(m *queue.Message) ([]string, error) {
	view := &ch.content.header.View
	var keys []string
	blind := false
	for _, name := range [...]string{"CC", "BCC"} {
		value, ok := view.Header(name)
		if !ok {
			continue
		}
		list, ok := value.([]any)
		if !ok {
			return nil, fault(wire.PreconditionFailed, "invalid message: {unacceptable_type_in_header,<<%q>>,%s}", name, fieldType(value))
		}
		for _, v := range list {
			if key, ok := v.(string); ok {
				keys = append(keys, key)
			}
		}
		blind = blind || name == "BCC"
	}
	if !blind {
		return keys, nil
	}
	properties, err := wire.ParseProperties(m.Properties)
	if err != nil {
		return nil, err
	}
	delete(properties.Headers, "BCC")
	m.Properties, err = properties.Append(nil)
	return keys, err
}

// fieldType is a field value's type as RabbitMQ names it.
func fieldType(v any) string {
	switch v.(type) {
	case nil:
		return "void"
	case bool:
		return "bool"
	case int8:
		return "byte"
	case uint8:
		return "unsignedbyte"
	case int16:
		return "short"
	case uint16:
		return "unsignedshort"
	case int32:
		return "signedint"
	case uint32:
		return "unsignedint"
	case int64:
		return "long"
	case float32:
		return "float"
	case float64:
		return "double"
	case string:
		return "longstr"
	case []byte:
		return "binary"
	case time.Time:
		return "timestamp"
	case wire.Table:
		return "table"
	case []any:
		return "array"
	default:
		return "decimal"
	}
}
