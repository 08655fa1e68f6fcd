package connection

import (
	"fmt"
	"math"
	"time"

	"github.com/warrenmq/warren/broker/leader"
	"github.com/warrenmq/warren/broker/policy"
	"github.com/warrenmq/warren/broker/topology"
	"github.com/warrenmq/warren/broker/wire"
)

const (
	streamOffset    = "x-stream-offset"
	streamFilter    = "x-stream-filter"
	matchUnfiltered = "x-stream-match-unfiltered"
)

// mayRead refuses what no consumer of a stream can do (H8).
func (ch *channel) mayRead(q *topology.Queue, m *wire.BasicConsume) error {
	ch.out.mu.Lock()
	global := ch.limit > 0
	ch.out.mu.Unlock()
	switch {
	case ch.prefetch == 0:
		return fault(wire.PreconditionFailed, "consumer prefetch count is not set for stream queue '%s' in vhost '%s'", q.Name, q.VHost)
	case m.NoAck:
		return fault(wire.NotImplemented, "automatic acknowledgement not supported by stream queue '%s' in vhost '%s'", q.Name, q.VHost)
	case global:
		return fault(wire.NotImplemented, "queue '%s' in vhost '%s' does not support global qos", q.Name, q.VHost)
	}
	return nil
}

// streamStart is where a consumer wants to begin. Offsets begin at 0, a queue's numbers at 1.
func streamStart(q *topology.Queue, args wire.Table) (leader.Start, error) {
	value, ok := args[streamOffset]
	if !ok {
		return leader.Start{From: leader.FromNext}, nil
	}
	if n, ok := topology.Integer(value); ok {
		return leader.Start{From: leader.FromSeq, Seq: uint64(max(n, 0)) + 1}, nil
	}
	var text string
	switch v := value.(type) {
	case time.Time:
		return since(v), nil
	case string:
		text = v
		if age, ok := policy.Age(v); ok {
			return since(time.Now().Add(-age)), nil
		}
	case []byte:
		text = string(v)
	}
	switch text {
	case "first":
		return leader.Start{From: leader.FromFirst}, nil
	case "last":
		return leader.Start{From: leader.FromLast}, nil
	case "next":
		return leader.Start{From: leader.FromNext}, nil
	}
	return leader.Start{}, invalidArgument(streamOffset, q, fmt.Sprintf("{invalid_stream_offset_arg,{%s,%s}}", topology.FieldType(value), policy.Term(value)))
}

// since begins at a time. One that nanoseconds cannot say is before all messages, or
// after all.
func since(t time.Time) leader.Start {
	switch {
	case t.Unix() < 0:
		return leader.Start{From: leader.FromFirst}
	case t.Unix() > math.MaxInt64/int64(time.Second):
		return leader.Start{From: leader.FromNext}
	}
	return leader.Start{From: leader.FromTime, At: t}
}

// withOffset adds to a message's headers where in its stream it is; all else stays as
// it was sent. Properties that cannot be changed go out as they are.
func withOffset(properties []byte, seq uint64) []byte {
	p, err := wire.SplitProperties(properties)
	if err != nil {
		return properties
	}
	p.SetHeader(streamOffset, longlong(seq-1))
	const entry = 1 + len(streamOffset) + 9
	out, err := p.Join(make([]byte, 0, len(properties)+4+entry))
	if err != nil {
		return properties
	}
	return out
}
