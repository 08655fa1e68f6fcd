package connection

import (
	"fmt"
	"math"

	"github.com/warrenmq/warren/broker/leader"
	"github.com/warrenmq/warren/broker/queue"
	"github.com/warrenmq/warren/broker/topology"
	"github.com/warrenmq/warren/broker/wire"
)

// consumeArguments are the arguments of basic.consume that mean something.
type consumeArguments struct {
	priority int32        // H6
	timeout  queue.Limit  // H7, in milliseconds
	start    leader.Start // H8, of a stream's consumer
}

// consumerArguments reads them. The texts of refusals are Erlang terms, as RabbitMQ's.
func consumerArguments(q *topology.Queue, args wire.Table) (a consumeArguments, err error) {
	if q.Stream() {
		a.start, err = streamStart(q, args)
		if err == nil {
			err = foreign(q, args, "x-priority", "x-consumer-timeout")
		}
		if _, filtered := args[streamFilter]; err == nil && filtered { // H9: whoever wants a part must not think that this is it
			err = invalidArgument(streamFilter, q, "filters of streams are not supported")
		}
		return a, err
	}
	if err := foreign(q, args, streamOffset, streamFilter, matchUnfiltered); err != nil {
		return a, err
	}
	n, ok, err := consumerInteger(q, args, "x-priority")
	if err != nil {
		return a, err
	}
	if ok {
		a.priority = int32(min(max(n, math.MinInt32), math.MaxInt32))
	}
	const timeout = "x-consumer-timeout"
	n, ok, err = consumerInteger(q, args, timeout)
	if err == nil && n < 0 {
		err = invalidArgument(timeout, q, fmt.Sprintf("{value_negative,%d}", n))
	}
	a.timeout = queue.Limit{Set: ok, N: n}
	return a, err
}

func consumerInteger(q *topology.Queue, args wire.Table, name string) (n int64, ok bool, err error) {
	value, ok := args[name]
	if !ok {
		return 0, false, nil
	}
	if n, ok = topology.Integer(value); !ok {
		return 0, false, invalidArgument(name, q, fmt.Sprintf("%q", "expected integer, got "+topology.FieldType(value)))
	}
	return n, true, nil
}

func invalidArgument(name string, q *topology.Queue, reason string) error {
	return fault(wire.PreconditionFailed, "invalid arg '%s' for queue '%s' in vhost '%s': %s", name, q.Name, q.VHost, reason)
}

// foreign refuses what only consumers of other types of queues may say.
func foreign(q *topology.Queue, args wire.Table, names ...string) error {
	for _, name := range names {
		if _, ok := args[name]; ok {
			return fault(wire.PreconditionFailed, "invalid arg '%s' for queue '%s' in vhost '%s' of queue type rabbit_%s_queue", name, q.Name, q.VHost, q.Type())
		}
	}
	return nil
}
