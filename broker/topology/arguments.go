package topology

import (
	"slices"
	"strconv"

	"github.com/warrenmq/warren/broker/policy"
)

// The queue types that x-queue-type may name. Warren keeps classic and quorum
// queues alike: replicated when durable, with every feature of both. A stream is
// another thing: it has arguments of its own, and few of a queue's.
const (
	classic = "classic"
	quorum  = "quorum"
	stream  = "stream"

	queueType = "x-queue-type"
)

// argument is a queue argument that the broker knows: whether a queue may carry it and
// how its value is checked. Arguments that are not listed are kept and never looked at.
type argument struct {
	name  string
	of    kinds
	check func(v any, all Arguments) string
}

// kinds says which queues may carry an argument.
type kinds uint8

const (
	queues kinds = 1 << iota
	streams
	all = queues | streams
)

// arguments is in RabbitMQ's order, because the first fault is the one that is told.
var arguments = [...]argument{
	{"x-expires", queues, checkExpires},
	{"x-message-ttl", queues, checkTTL},
	{deadLetterExchange, queues, checkString},
	{"x-dead-letter-routing-key", queues, checkDeadLetterKey},
	{"x-dead-letter-strategy", queues, oneOf("invalid_dlx_strategy", "at-most-once", "at-least-once")},
	{"x-max-length", queues, checkNotNegative},
	{"x-max-length-bytes", all, checkNotNegative},
	{"x-max-in-memory-length", queues, checkNotNegative},
	{"x-max-in-memory-bytes", queues, checkNotNegative},
	{"x-max-priority", queues, checkMaxPriority},
	{"x-overflow", queues, oneOf("invalid_overflow", "drop-head", "reject-publish", "reject-publish-dlx")},
	{"x-queue-mode", queues, nil},
	{"x-queue-version", queues, nil},
	{"x-single-active-consumer", queues, checkBool},
	{"x-consumer-timeout", queues, checkNotNegative},
	{"x-consumer-disconnected-timeout", queues, checkNotNegative},
	{queueType, all, checkQueueType},
	{"x-quorum-initial-group-size", queues, checkGroupSize},
	{"x-max-age", streams, checkMaxAge},
	{segmentSize, streams, checkNotNegative},
	{filterSize, streams, checkNotNegative},
	{"x-initial-cluster-size", streams, checkGroupSize},
	{"x-queue-leader-locator", all,
		oneOf("invalid_queue_locator_arg", "client-local", "balanced", "random", "least-leaders", "min-masters")},
	{"x-queue-master-locator", queues, nil},
	{"x-member-placement-tag", queues, checkPlacementTag},
	{"x-delivery-limit", queues, nil},
	{"x-delayed-retry-type", queues, nil},
	{"x-delayed-retry-min", queues, nil},
	{"x-delayed-retry-max", queues, nil},
}

const (
	deadLetterExchange = "x-dead-letter-exchange"
	segmentSize        = "x-stream-max-segment-size-bytes"
	filterSize         = "x-stream-filter-size-bytes"
)

// checkQueueArguments refuses what RabbitMQ refuses when a queue is made.
func checkQueueArguments(q *Queue) error {
	r := queueNamed(q.VHost, q.Name)
	if err := checkNameArgument(deadLetterExchange, q.Arguments, r); err != nil {
		return err
	}
	if err := checkArgumentsValid(q.Arguments, r); err != nil {
		return err
	}
	if v, ok := q.Arguments[queueType]; ok {
		if fault := checkQueueType(v, nil); fault != "" {
			return invalidArgument(queueType, r, fault)
		}
	}
	kind := queues
	if q.Type() == stream {
		kind = streams
	}
	var foreign string
	for i := range arguments {
		a := &arguments[i]
		v, ok := q.Arguments[a.name]
		switch {
		case !ok:
		case a.of&kind == 0:
			if foreign == "" {
				foreign = a.name
			}
		case a.check != nil:
			if fault := a.check(v, q.Arguments); fault != "" {
				return invalidArgument(a.name, r, fault)
			}
		}
	}
	if foreign != "" {
		return refuse(ErrPreconditionFailed, "invalid arg '%s' for %v of queue type rabbit_%s_queue", foreign, r, q.Type())
	}
	if kind == streams {
		return checkStream(q, r)
	}
	return nil
}

// checkStream refuses what no stream can be.
func checkStream(q *Queue, r resource) error {
	invalid := func(property string) error {
		return refuse(ErrPreconditionFailed, "invalid property '%s' for %v", property, r)
	}
	switch {
	case q.AutoDelete:
		return invalid("auto-delete")
	case q.Exclusive:
		return invalid("exclusive-owner")
	case !q.Durable:
		return invalid("non-durable")
	}
	if n, _ := Integer(q.Arguments[segmentSize]); n > 3_000_000_000 {
		return refuse(ErrPreconditionFailed, "Exceeded max value for "+segmentSize)
	}
	if n, ok := Integer(q.Arguments[filterSize]); ok && (n < 16 || n > 255) {
		return refuse(ErrPreconditionFailed, "Invalid value for "+filterSize)
	}
	return nil
}

func invalidArgument(name string, r resource, fault string) error {
	return refuse(ErrPreconditionFailed, "invalid arg '%s' for %v: %s", name, r, fault)
}

// checkNameArgument is RabbitMQ's early check of an argument that names an exchange.
func checkNameArgument(name string, args Arguments, r resource) error {
	v, ok := args[name]
	if _, isString := v.(string); ok && !isString {
		return refuse(ErrPreconditionFailed, "invalid type '%s' for arg '%s' in %v", FieldType(v), name, r)
	}
	return nil
}

// The checks return a fault as an Erlang term, "" when there is none.

func checkInteger(v any) (int64, string) {
	n, ok := Integer(v)
	if !ok {
		return 0, strconv.Quote("expected integer, got " + FieldType(v))
	}
	return n, ""
}

func checkNotNegative(v any, _ Arguments) string {
	n, fault := checkInteger(v)
	if fault == "" && n < 0 {
		fault = tuple("value_negative", n)
	}
	return fault
}

func checkTTL(v any, all Arguments) string {
	const tenYears = 315_360_000_000 // ms, RabbitMQ's limit
	fault := checkNotNegative(v, all)
	if n, _ := Integer(v); fault == "" && n > tenYears {
		fault = tuple("value_too_large", n)
	}
	return fault
}

func checkExpires(v any, all Arguments) string {
	if n, ok := Integer(v); ok && n == 0 {
		return tuple("value_zero", n)
	}
	return checkTTL(v, all)
}

func checkMaxPriority(v any, all Arguments) string {
	fault := checkNotNegative(v, all)
	if n, _ := Integer(v); fault == "" && n > 255 {
		fault = tuple("max_value_exceeded", n)
	}
	return fault
}

func checkGroupSize(v any, all Arguments) string {
	fault := checkNotNegative(v, all)
	if n, _ := Integer(v); fault == "" && n == 0 {
		fault = tuple("value_zero", n)
	}
	return fault
}

func checkMaxAge(v any, all Arguments) string {
	if fault := checkString(v, all); fault != "" {
		return fault
	}
	if _, ok := policy.Age(v.(string)); !ok {
		return "invalid_max_age"
	}
	return ""
}

func checkBool(v any, _ Arguments) string {
	if _, ok := v.(bool); !ok {
		return unacceptable(v)
	}
	return ""
}

func checkString(v any, _ Arguments) string {
	if _, ok := v.(string); !ok {
		return unacceptable(v)
	}
	return ""
}

func checkDeadLetterKey(v any, all Arguments) string {
	if fault := checkString(v, all); fault != "" {
		return fault
	}
	if _, ok := all[deadLetterExchange]; !ok {
		return "routing_key_but_no_dlx_defined"
	}
	return ""
}

func checkQueueType(v any, _ Arguments) string {
	switch v {
	case classic, quorum, stream:
		return ""
	}
	if s, ok := v.(string); ok {
		return `"unsupported queue type '` + s + `'"`
	}
	return unacceptable(v)
}

func checkPlacementTag(v any, all Arguments) string {
	if v == "" {
		return "invalid_member_placement_tag_arg"
	}
	return checkString(v, all)
}

func oneOf(fault string, allowed ...string) func(any, Arguments) string {
	return func(v any, all Arguments) string {
		s, ok := v.(string)
		switch {
		case !ok:
			return unacceptable(v)
		case !slices.Contains(allowed, s):
			return fault
		}
		return ""
	}
}

func tuple(fault string, n int64) string { return "{" + fault + "," + strconv.FormatInt(n, 10) + "}" }
func unacceptable(v any) string          { return "{unacceptable_type," + FieldType(v) + "}" }
