package topology

// comparedArguments are those that a redeclaration must repeat, in RabbitMQ's order:
// those of classic queues before those of quorum queues and those of streams, whatever type the queue is.
var comparedArguments = [...]string{
	"x-expires", "x-message-ttl", deadLetterExchange, "x-dead-letter-routing-key", "x-max-length",
	"x-max-length-bytes", "x-max-priority", "x-overflow", "x-queue-mode", "x-queue-version",
	"x-single-active-consumer", queueType, "x-queue-master-locator", "x-queue-leader-locator",
	"x-dead-letter-strategy", "x-max-in-memory-length", "x-max-in-memory-bytes", "x-quorum-initial-group-size",
	"x-member-placement-tag", "x-delivery-limit", "x-consumer-disconnected-timeout", "x-consumer-timeout",
	"x-delayed-retry-type", "x-delayed-retry-min", "x-delayed-retry-max",
	"x-max-age", segmentSize, filterSize, "x-initial-cluster-size",
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
	return "the value " + quoted(v) + " of type '" + FieldType(v) + "'"
}

func inequivalent(name string, r resource, declared, current string) error {
	return refuse(ErrPreconditionFailed, "inequivalent arg '%s' for %v: received %s but current is %s",
		name, r, declared, current)
}
