package connection_test

import (
	"bytes"
	"slices"
	"testing"

	"github.com/warrenmq/warren/broker/connection/conntest"
	"github.com/warrenmq/warren/broker/wire"
)

// A13, G5: headers keep their order and their octets, doubles too, when the broker
// takes one out or adds some.
func TestA13HeadersStayAsTheyWereSent(t *testing.T) {
	_, c := open(t)
	for _, q := range []string{"q", "blind"} {
		c.Declare(1, &wire.QueueDeclare{Queue: q, Durable: true, Arguments: wire.Table{"x-queue-type": "quorum"}})
	}
	properties := func(headers ...wire.Entry) []byte {
		p, err := wire.JoinTable([]byte{0x31, 0x00}, headers) // headers, delivery mode, expiration
		if err != nil {
			t.Fatal(err)
		}
		return append(p, 2, 6, '6', '0', '0', '0', '0', '0')
	}
	entry := func(key, value string) wire.Entry { return wire.Entry{Key: key, Value: []byte(value)} }
	first := []wire.Entry{entry("z", "V"), entry("b", "t\x07"), entry("z", "s\x00\x01"), entry("x-acquired-count", "V")}
	last := []wire.Entry{entry("a", "F\x00\x00\x00\x06\x01n\x56\x01a\x56"), entry("", "V")}
	blind := entry("BCC", "A\x00\x00\x00\x0aS\x00\x00\x00\x05blind")

	sent := properties(slices.Concat(first, []wire.Entry{blind}, last, []wire.Entry{blind})...)
	b := wire.AppendMethodFrame(nil, 1, &wire.BasicPublish{RoutingKey: "q"})
	c.Write(wire.AppendContent(b, 1, 131072, wire.ClassBasic, sent, nil))
	get := func(noAck bool) []byte {
		t.Helper()
		c.Send(1, &wire.BasicGet{Queue: "q", NoAck: noAck})
		conntest.Expect[*wire.BasicGetOk](c, 1)
		f, err := c.Frame()
		if err != nil {
			t.Fatal(err)
		}
		return slices.Clone(f.Payload[12:])
	}
	if got, want := get(false), properties(slices.Concat(first, last)...); !bytes.Equal(got, want) {
		t.Errorf("got\n%q, want\n%q", got, want)
	}
	c.Send(1, &wire.BasicReject{DeliveryTag: 1, Requeue: true})
	first[3] = entry("x-acquired-count", "l\x00\x00\x00\x00\x00\x00\x00\x01") // the publisher's says nothing
	last = append(last, entry("x-delivery-count", "l\x00\x00\x00\x00\x00\x00\x00\x01"))
	if got, want := get(true), properties(slices.Concat(first, last)...); !bytes.Equal(got, want) {
		t.Errorf("redelivered:\n%q, want\n%q", got, want)
	}
	if ready, _ := c.Counts(1, "blind"); ready != 1 {
		t.Errorf("%d messages by BCC", ready)
	}
}
