package topology

import (
	"slices"
	"strconv"
)

// The exchange types that can be declared.
const (
	Direct         = "direct"
	Fanout         = "fanout"
	Topic          = "topic"
	Headers        = "headers"
	ConsistentHash = "x-consistent-hash"
	ModulusHash    = "x-modulus-hash"
	Random         = "x-random"
	LocalRandom    = "x-local-random"
	RecentHistory  = "x-recent-history"
	Delayed        = "x-delayed-message"
)

// ExchangeTypes lists the types by name.
func ExchangeTypes() []string {
	return []string{Direct, Fanout, Headers, Topic, ConsistentHash, Delayed, LocalRandom, ModulusHash, Random, RecentHistory}
}

// The arguments of exchanges that mean something.
const (
	HashHeader      = "hash-header"
	HashProperty    = "hash-property"
	delayedType     = "x-delayed-type"
	historyLength   = "x-recent-history-length"
	defaultHistory  = 20
	maxRingWeight   = 10_000
	unknownExchange = "unknown exchange type '%s'"
)

// HeadersMatch is the binding argument that says how a headers exchange compares.
const HeadersMatch = "x-match"

// KeepsMessages tells the types of exchange that have a hidden queue.
func (x *Exchange) KeepsMessages() bool { return x.Type == Delayed || x.Type == RecentHistory }

// RoutingType is the type by which x leads messages: that of x-delayed-message is an argument.
func (x *Exchange) RoutingType() string {
	if x.Type != Delayed {
		return x.Type
	}
	kind, _ := x.Arguments[delayedType].(string)
	return kind
}

// HistoryLength is how many messages an x-recent-history exchange keeps.
func (x *Exchange) HistoryLength() int64 {
	if n, ok := Integer(x.Arguments[historyLength]); ok {
		return n
	}
	return defaultHistory
}

// broker knows these words, as RabbitMQ does, and they are no types of exchanges (D2).
var otherWords = []string{"queue", "exchange", "binding", "policy", "operator_policy", "classic", "quorum", "stream"}

// checkExchangeType refuses what is no type of exchanges.
func checkExchangeType(name string) error {
	switch {
	case slices.Contains(ExchangeTypes(), name):
		return nil
	case name == "" || slices.Contains(otherWords, name):
		return refuse(ErrPreconditionFailed, "invalid exchange type '%s'", name)
	}
	return refuse(ErrPreconditionFailed, unknownExchange, name)
}

// checkExchangeArguments is what the type of an exchange asks of its arguments.
func checkExchangeArguments(x *Exchange) error {
	kind := x.Type
	if kind == Delayed {
		inner, ok := x.Arguments[delayedType].(string)
		if !ok {
			return refuse(ErrPreconditionFailed, "Invalid argument, 'x-delayed-type' must be an existing exchange type")
		}
		if err := checkExchangeType(inner); err != nil {
			return err
		}
		if inner == Delayed || inner == RecentHistory { // these keep messages themselves
			return refuse(ErrPreconditionFailed, "Invalid argument, '%s' can't be used for 'x-delayed-type'", inner)
		}
		kind = inner
	}
	switch kind {
	case ConsistentHash:
		return checkHashArguments(x.Arguments)
	case RecentHistory:
		return checkHistoryArguments(x.Arguments)
	}
	return nil
}

func checkHashArguments(args Arguments) error {
	header, hasHeader := args[HashHeader]
	property, hasProperty := args[HashProperty]
	switch {
	case hasHeader && hasProperty:
		return refuse(ErrPreconditionFailed, "hash-header and hash-property are mutually exclusive")
	case hasHeader:
		if _, ok := header.(string); !ok {
			return refuse(ErrPreconditionFailed, "invalid type '%s' for arg '%s'", FieldType(header), HashHeader)
		}
	case hasProperty:
		switch property {
		case "correlation_id", "message_id", "timestamp":
		default:
			return refuse(ErrPreconditionFailed, "Unsupported property: %s", plain(property))
		}
	}
	return nil
}

func checkHistoryArguments(args Arguments) error {
	v, ok := args[historyLength]
	if !ok {
		return nil
	}
	switch v.(type) {
	case int8, int16, int32, int64:
		if n, _ := Integer(v); n > 0 {
			return nil
		}
	}
	return refuse(ErrPreconditionFailed, "Invalid argument %s, 'x-recent-history-length' must be a positive integer", term(v))
}

// checkBinding is what the type of the source asks of a binding (F4).
func (v *vhost) checkBinding(x *Exchange, b *Binding) error {
	if err := checkLength("routing key", b.RoutingKey); err != nil {
		return err
	}
	if err := checkArgumentsValid(b.Arguments, exchangeNamed(b.VHost, b.Source)); err != nil {
		return err
	}
	switch x.RoutingType() {
	case Headers:
		return checkHeadersBinding(b)
	case ConsistentHash:
		return checkWeight(b.RoutingKey)
	case LocalRandom:
		return v.checkLocalBinding(b)
	}
	return nil
}

func checkHeadersBinding(b *Binding) error {
	match, ok := b.Arguments[HeadersMatch]
	if !ok {
		return nil
	}
	switch match {
	case "all", "any", "all-with-x", "any-with-x":
		return nil
	}
	if _, ok := match.(string); ok {
		return refuse(ErrPreconditionFailed,
			"Invalid x-match field value %s; expected all, any, all-with-x, or any-with-x", term(match))
	}
	return refuse(ErrPreconditionFailed,
		"Invalid x-match field type %s (value %s); expected longstr", FieldType(match), term(match))
}

// checkWeight checks the key of a binding to a hash ring, which is its number of buckets.
func checkWeight(key string) error {
	n, err := strconv.ParseInt(key, 10, 64)
	switch {
	case err != nil:
		return refuse(ErrPreconditionFailed, "The binding key must be an integer: %s", term(key))
	case n < 1:
		return refuse(ErrPreconditionFailed, "The binding key must be greater than 0")
	case n > maxRingWeight:
		return refuse(ErrPreconditionFailed, "The binding key must not exceed %d", maxRingWeight)
	}
	return nil
}

// Weight is the number of buckets that a binding has in a hash ring.
func (b *Binding) Weight() int {
	n, _ := strconv.Atoi(b.RoutingKey)
	return n
}

// checkLocalBinding: only queues have a place. Warren's queues of every type have.
func (v *vhost) checkLocalBinding(b *Binding) error {
	switch {
	case b.RoutingKey != "":
		return refuse(ErrPreconditionFailed, "Non empty binding '%s' key not permitted", b.RoutingKey)
	case b.ToExchange:
		return refuse(ErrPreconditionFailed, "Destination not found")
	}
	return nil
}
