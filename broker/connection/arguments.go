package connection

import (
	"fmt"
	"math"

	"github.com/warrenmq/warren/broker/queue"
	"github.com/warrenmq/warren/broker/topology"
	"github.com/warrenmq/warren/broker/wire"
)

// consumeArguments are the arguments of basic.consume that mean something.
type consumeArguments struct {
	priority int32       // H6
	timeout  queue.Limit // H7, in milliseconds
}

// consumerArguments reads them. The texts of refusals are Erlang terms, as RabbitMQ's.
func consumerArguments(q *topology.Queue, args wire.Table) (a consumeArguments, err error) {
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
	if n, ok = integer(value); !ok {
		return 0, false, invalidArgument(name, q, fmt.Sprintf("%q", "expected integer, got "+topology.FieldType(value)))
	}
	return n, true, nil
}

func invalidArgument(name string, q *topology.Queue, reason string) error {
	return fault(wire.PreconditionFailed, "invalid arg '%s' for queue '%s' in vhost '%s': %s", name, q.Name, q.VHost, reason)
}

func integer(value any) (int64, bool) {
	switch n := value.(type) {
	case int8:
		return int64(n), true
	case uint8:
		return int64(n), true
	case int16:
		return int64(n), true
	case uint16:
		return int64(n), true
	case int32:
		return int64(n), true
	case uint32:
		return int64(n), true
	case int64:
		return n, true
	}
	return 0, false
}
