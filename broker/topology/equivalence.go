package topology

// comparedArguments are those that a redeclaration must repeat, in RabbitMQ's order;
// for Warren's queues those of classic queues come before those of quorum queues.
func comparedArguments(ofType string) []string {
	if ofType == stream {
		return streamCompared[:]
	}
	return queueCompared[:]
}

var queueCompared = [...]string{
	"x-expires", "x-message-ttl", deadLetterExchange, "x-dead-letter-routing-key", "x-max-length",
	"x-max-length-bytes", "x-max-priority", "x-overflow", "x-queue-mode", "x-queue-version",
	"x-single-active-consumer", queueType, "x-queue-master-locator", "x-queue-leader-locator",
	"x-dead-letter-strategy", "x-max-in-memory-length", "x-max-in-memory-bytes", "x-quorum-initial-group-size",
	"x-member-placement-tag", "x-delivery-limit", "x-consumer-disconnected-timeout", "x-consumer-timeout",
	"x-delayed-retry-type", "x-delayed-retry-min", "x-delayed-retry-max",
}

var streamCompared = [...]string{
	"x-max-length-bytes", queueType, "x-max-age", "x-stream-max-segment-size-bytes",
	"x-stream-filter-size-bytes", "x-initial-cluster-size", "x-queue-leader-locator",
}

// checkArgumentEquivalent compares one argument of a thing with that of its redeclaration.
func checkArgumentEquivalent(name string, r resource, current, declared Arguments) error {
	was, had := current[name]
	is, has := declared[name]
	switch {
	case had && has:
		if SameValue(was, is) {
			return nil
		}
		return inequivalent(name, r, quoted(is), quoted(was))
	case had == has:
		return nil
	case name == queueType && (had && was == classic || has && is == classic):
		return nil // classic is what a queue without the argument is
	default:
		return inequivalent(name, r, typed(is, has), typed(was, had))
	}
}

// typed is how an argument is told that only one side has.
func typed(v any, present bool) string {
	if !present {
		return "none"
	}
	return "the value " + quoted(v) + " of type '" + fieldType(v) + "'"
}

func inequivalent(name string, r resource, declared, current string) error {
	return refuse(ErrPreconditionFailed, "inequivalent arg '%s' for %v: received %s but current is %s",
		name, r, declared, current)
}
