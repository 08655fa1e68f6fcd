package policy

import (
	"maps"
	"math"

	"github.com/warrenmq/warren/broker/queue"
)

// DefaultDeliveryLimit is that of queues declared as quorum queues; others have none.
const DefaultDeliveryLimit = 20

// resolves says how an argument, the first, and a policy meet (K3); what is not
// listed only arguments can set.
var resolves = map[string]rule{
	"message-ttl":             lower,
	"expires":                 lower,
	"max-length":              lower,
	"max-length-bytes":        lower,
	"consumer-timeout":        lower,
	"delivery-limit":          careful,
	"dead-letter-exchange":    first,
	"dead-letter-routing-key": first,
	"overflow":                first,
	"queue-leader-locator":    first,
}

func resolvesFor(k Kind) map[string]rule {
	switch k {
	case Stream:
		return ofStreams
	case QuorumQueue:
	default:
		return resolves
	}
	quorum := maps.Clone(resolves)
	quorum["overflow"] = second
	return quorum
}

// ofStreams is how they meet for streams, where the policy holds, as in RabbitMQ.
var ofStreams = map[string]rule{
	"max-length-bytes":              second,
	"max-age":                       second,
	"stream-max-segment-size-bytes": second,
	"stream-filter-size-bytes":      second,
	"initial-cluster-size":          second,
	"consumer-timeout":              lower,
	"queue-leader-locator":          first,
}

// Settings is what is in force for a queue: base, which has its vhost and name,
// with what its arguments, its policy and its operator policy say.
func Settings(base queue.Settings, args map[string]any, user, operator *Policy) queue.Settings {
	s, kind, o := base, KindOf(args), origin{args, user, operator}
	value := func(key string) sourced { return o.value(key, "x-"+key, resolves[key]) }

	if kind == Stream {
		return streamSettings(s, o)
	}
	s.Quorum = kind == QuorumQueue
	s.MessageTTL = limit(value("message-ttl"))
	s.Expires = limit(value("expires"))
	s.MaxLength = limit(value("max-length"))
	s.MaxLengthBytes = limit(value("max-length-bytes"))
	s.ConsumerTimeout = limit(value("consumer-timeout"))
	s.DeliveryLimit = limit(deliveryLimit(value("delivery-limit"), kind))
	s.Overflow = overflow(o.value("overflow", "x-overflow", resolvesFor(kind)["overflow"]))
	if s.DeadLetterExchange, s.DeadLetters = value("dead-letter-exchange").value.(string); s.DeadLetters {
		s.DeadLetterKey, s.HasDeadLetterKey = value("dead-letter-routing-key").value.(string)
	}
	if n, ok := whole(args["x-max-priority"]); ok {
		s.MaxPriority = uint8(min(max(n, 0), math.MaxUint8))
	}
	s.SingleActive, _ = args["x-single-active-consumer"].(bool)
	return s
}

// streamSettings is what is in force for a stream. It is told no leader of
// stream-filter-size-bytes, for there is no filter that is kept.
func streamSettings(s queue.Settings, o origin) queue.Settings {
	value := func(key string) sourced { return o.value(key, "x-"+key, ofStreams[key]) }
	s.Stream = true
	s.MaxLengthBytes = limit(value("max-length-bytes"))
	s.SegmentBytes = limit(value("stream-max-segment-size-bytes"))
	s.ConsumerTimeout = limit(value("consumer-timeout"))
	if text, ok := value("max-age").value.(string); ok {
		if age, valid := Age(text); valid {
			s.MaxAge = queue.Limit{Set: true, N: age.Milliseconds()}
		}
	}
	return s
}

// limit is none when there is no number, or a negative one.
func limit(v sourced) queue.Limit {
	n, ok := whole(v.value)
	if !ok || n < 0 {
		return queue.Limit{}
	}
	return queue.Limit{Set: true, N: n}
}

// deliveryLimit gives a queue that was declared as a quorum queue the limit that
// RabbitMQ gives it when nobody says anything of use.
func deliveryLimit(v sourced, k Kind) sourced {
	if _, ok := whole(v.value); ok || k != QuorumQueue {
		return v
	}
	return sourced{int64(DefaultDeliveryLimit), Default}
}

func overflow(v sourced) queue.Overflow {
	switch v.value {
	case "reject-publish":
		return queue.RejectPublish
	case "reject-publish-dlx":
		return queue.RejectPublishDLX
	default:
		return queue.DropHead
	}
}

// Locator is the x-queue-leader-locator that is in force for a new queue, "" when
// nobody says anything.
func Locator(args map[string]any, user, operator *Policy) string {
	v, _ := origin{args, user, operator}.value("queue-leader-locator", "x-queue-leader-locator", first).value.(string)
	return v
}

// Alternate is the alternate exchange that is in force for an exchange; its own
// argument comes before its policy.
func Alternate(args map[string]any, user, operator *Policy) (name string, ok bool) {
	name, ok = origin{args, user, operator}.value("alternate-exchange", "alternate-exchange", first).value.(string)
	return name, ok
}
