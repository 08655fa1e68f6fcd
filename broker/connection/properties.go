package connection

import (
	"bytes"
	"errors"
	"fmt"
	"strconv"
	"time"

	"github.com/warrenmq/warren/broker/auth"
	"github.com/warrenmq/warren/broker/queue"
	"github.com/warrenmq/warren/broker/topology"
	"github.com/warrenmq/warren/broker/wire"
)

// checkedProperties are those that mean something to the broker.
const checkedProperties = wire.HasHeaders | wire.HasReplyTo | wire.HasExpiration | wire.HasUserID

// checkProperties looks at the properties that mean something to the broker, in
// RabbitMQ's order: reply-to, expiration, delivery mode, CC and BCC, which say further
// routing keys, and user-id; between the two come the keys of a topic exchange.
func (ch *channel) checkProperties(m *queue.Message, x *topology.Exchange) (extra []string, err error) {
	view := &ch.content.header.View
	if string(view.ReplyTo) == topology.ReplyTo {
		if err := ch.replyHere(m); err != nil {
			return nil, err
		}
	}
	if view.Present&wire.HasExpiration != 0 {
		if m.TTL, err = parseExpiration(view.Expiration); err != nil {
			return nil, err
		}
	}
	if view.DeliveryMode > deliveryModeMax {
		return nil, fault(wire.PreconditionFailed, "invalid message: {delivery_mode_unknown,%d}", view.DeliveryMode)
	}
	if len(view.Headers) > emptyTable {
		if extra, err = ch.senderSelected(m); err != nil {
			return nil, err
		}
	}
	if err := ch.allowTopics(auth.Write, x, m.RoutingKey, extra); err != nil {
		return nil, err
	}
	if view.Present&wire.HasUserID != 0 && string(view.UserID) != ch.c.user && !ch.c.cfg.Authenticator.Impersonates(ch.c.user) {
		return nil, fault(wire.PreconditionFailed, "user_id property set to '%s' but authenticated user was '%s'", view.UserID, ch.c.user)
	}
	return extra, nil
}

const (
	deliveryModeMax = 2               // persistent
	emptyTable      = 4               // bytes of a table without entries
	expirationMax   = 315_360_000_000 // milliseconds: ten years
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
	case b[0] == '-' && (ms < 0 || err != nil):
		return refused(fmt.Sprintf("{value_negative,-%s}", bytes.TrimLeft(b, "-0")))
	case errors.Is(err, strconv.ErrRange), ms > expirationMax:
		return refused(fmt.Sprintf("{value_too_large,%s}", bytes.TrimLeft(b, "+0")))
	}
	return time.Duration(ms) * time.Millisecond, nil
}

// senderSelected reads the headers CC and BCC (G9): further routing keys, of
// which BCC is taken out of the message.
func (ch *channel) senderSelected(m *queue.Message) ([]string, error) {
	view := &ch.content.header.View
	var keys []string
	blind := -1 // where the keys of BCC begin
	for _, name := range [...]string{"CC", "BCC"} {
		value, ok := view.Header(name)
		if !ok {
			continue
		}
		if name == "BCC" {
			blind = len(keys)
		}
		list, ok := value.([]any)
		if !ok {
			return nil, fault(wire.PreconditionFailed, "invalid message: {unacceptable_type_in_header,%q,%s}", name, topology.FieldType(value))
		}
		for _, v := range list {
			if key, ok := v.(string); ok {
				keys = append(keys, key)
			}
		}
	}
	if blind < 0 {
		return keys, nil
	}
	m.Blind = keys[blind:]
	pieces, err := wire.SplitProperties(m.Properties)
	if err != nil {
		return nil, err
	}
	pieces.DropHeader("BCC")
	m.Properties, err = pieces.Join(make([]byte, 0, len(m.Properties)))
	return keys, err
}
