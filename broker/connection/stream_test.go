package connection_test

import (
	"testing"
	"time"

	"github.com/warrenmq/warren/broker/connection/conntest"
	"github.com/warrenmq/warren/broker/wire"
)

func declareStream(c *conntest.Client) {
	c.Declare(1, &wire.QueueDeclare{Queue: "s", Durable: true, Arguments: wire.Table{"x-queue-type": "stream"}})
}

func prefetch(c *conntest.Client, n uint16, global bool) {
	c.Send(1, &wire.BasicQos{PrefetchCount: n, Global: global})
	conntest.Expect[*wire.BasicQosOk](c, 1)
}

// H8, H16, F5: what a client cannot do with a stream, or with a queue that is none.
func TestH8WhatStreamsRefuse(t *testing.T) {
	_, address := start(t)
	offset := func(v any) wire.Table { return wire.Table{"x-stream-offset": v} }
	for _, test := range []struct {
		name     string
		prefetch uint16
		global   bool
		do       wire.Method
		code     uint16
		text     string
	}{
		{"without a prefetch", 0, false, &wire.BasicConsume{Queue: "s", NoAck: true}, 406,
			"PRECONDITION_FAILED - consumer prefetch count is not set for stream queue 's' in vhost '/'"},
		{"without acknowledgements", 1, false, &wire.BasicConsume{Queue: "s", NoAck: true}, 540,
			"NOT_IMPLEMENTED - automatic acknowledgement not supported by stream queue 's' in vhost '/'"},
		{"with a prefetch of the channel", 1, true, &wire.BasicConsume{Queue: "s"}, 540,
			"NOT_IMPLEMENTED - queue 's' in vhost '/' does not support global qos"},
		{"from nowhere", 1, false, &wire.BasicConsume{Queue: "s", Arguments: offset("middle")}, 406,
			`PRECONDITION_FAILED - invalid arg 'x-stream-offset' for queue 's' in vhost '/': {invalid_stream_offset_arg,{longstr,<<"middle">>}}`},
		{"from an age without a unit", 1, false, &wire.BasicConsume{Queue: "s", Arguments: offset("10")}, 406,
			`PRECONDITION_FAILED - invalid arg 'x-stream-offset' for queue 's' in vhost '/': {invalid_stream_offset_arg,{longstr,<<"10">>}}`},
		{"from a truth", 1, false, &wire.BasicConsume{Queue: "s", Arguments: offset(true)}, 406,
			`PRECONDITION_FAILED - invalid arg 'x-stream-offset' for queue 's' in vhost '/': {invalid_stream_offset_arg,{bool,true}}`},
		{"with a priority", 1, false, &wire.BasicConsume{Queue: "s", Arguments: wire.Table{"x-priority": int32(1)}}, 406,
			"PRECONDITION_FAILED - invalid arg 'x-priority' for queue 's' in vhost '/' of queue type rabbit_stream_queue"},
		{"with a filter", 1, false, &wire.BasicConsume{Queue: "s", Arguments: wire.Table{"x-stream-filter": "a"}}, 406,
			"PRECONDITION_FAILED - invalid arg 'x-stream-filter' for queue 's' in vhost '/': filters of streams are not supported"},
		{"an offset in a queue", 1, false, &wire.BasicConsume{Queue: "q", Arguments: offset("first")}, 406,
			"PRECONDITION_FAILED - invalid arg 'x-stream-offset' for queue 'q' in vhost '/' of queue type rabbit_classic_queue"},
		{"basic.get", 1, false, &wire.BasicGet{Queue: "s"}, 540,
			"NOT_IMPLEMENTED - basic.get not supported by stream queues queue 's' in vhost '/'"},
		{"queue.purge", 1, false, &wire.QueuePurge{Queue: "s"}, 540,
			"NOT_IMPLEMENTED - queue.purge not supported by stream queues queue 's' in vhost '/'"},
	} {
		t.Run(test.name, func(t *testing.T) {
			c := conntest.Open(t, address)
			c.Channel(1)
			declareStream(c)
			c.Declare(1, &wire.QueueDeclare{Queue: "q"})
			prefetch(c, test.prefetch, false)
			if test.global {
				prefetch(c, 5, true)
			}
			c.Send(1, test.do)
			if wire.Hard(test.code) {
				c.ExpectClose(test.code, test.text)
				return
			}
			c.ExpectChannelClose(1, test.code, test.text)
		})
	}
}

// H8: a message says where in the stream it is, beside what its publisher said.
func TestH8Offsets(t *testing.T) {
	b, c := open(t)
	declareStream(c)
	c.Publish(1, &wire.BasicPublish{RoutingKey: "s"}, wire.Properties{MessageID: "m"}, "plain")
	c.Publish(1, &wire.BasicPublish{RoutingKey: "s"}, wire.Properties{Headers: wire.Table{"a": "b", "x-stream-offset": "mine"}}, "with headers")
	prefetch(c, 10, false)
	for _, from := range []any{"first", int64(0), int32(-5), uint8(0), []byte("first"), time.Unix(0, 0), time.Unix(-1, 0), time.Unix(1<<40, 0), "7D"} {
		c.Consume(1, &wire.BasicConsume{Queue: "s", ConsumerTag: "c", Exclusive: true, Arguments: wire.Table{"x-stream-offset": from}})
		c.Send(1, &wire.BasicCancel{ConsumerTag: "c"}, &wire.BasicNack{Multiple: true, Requeue: true})
		var seen []wire.Table
		for {
			_, m := c.Method()
			if _, ok := m.(*wire.BasicCancelOk); ok {
				break
			}
			p, _ := c.Message()
			seen = append(seen, p.Headers)
		}
		if len(seen) != 2 {
			t.Fatalf("%v: %d messages", from, len(seen))
		}
		first, ok := seen[0]["x-stream-offset"].(int64)
		if second := seen[1]["x-stream-offset"]; !ok || second != first+1 || seen[1]["a"] != "b" {
			t.Errorf("headers are %v", seen)
		}
		nothing(c, 1, "s")
	}
	if held := b.Held("/", "s"); held != 0 {
		t.Errorf("%d held", held)
	}
}

// C2, Q3: what comes while the channel is paused waits, in order, and a common prefetch
// that is set later is not for streams.
func TestC2StreamsAndFlow(t *testing.T) {
	_, c := open(t)
	declareStream(c)
	fill(c, 1, "s", 0, 3)
	prefetch(c, 2, false)
	c.Consume(1, &wire.BasicConsume{Queue: "s", Arguments: wire.Table{"x-stream-offset": "first"}})
	tag := expectDeliveries(t, c, 1, 0, 2, false)
	prefetch(c, 1, true)
	c.Send(1, &wire.ChannelFlow{Active: false}, &wire.BasicAck{DeliveryTag: tag, Multiple: true})
	conntest.Expect[*wire.ChannelFlowOk](c, 1)
	nothing(c, 1, "s")
	fill(c, 1, "s", 3, 6)
	nothing(c, 1, "s")
	c.Send(1, &wire.ChannelFlow{Active: true})
	conntest.Expect[*wire.ChannelFlowOk](c, 1)
	tag = expectDeliveries(t, c, 1, 2, 4, false)
	nothing(c, 1, "s")
	c.Send(1, &wire.BasicReject{DeliveryTag: tag})
	expectDeliveries(t, c, 1, 4, 5, false)
	nothing(c, 1, "s")
}
