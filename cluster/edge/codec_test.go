package edge

import (
	"errors"
	"reflect"
	"testing"

	"github.com/warrenmq/warren/broker/leader"
	"github.com/warrenmq/warren/broker/queue"
)

func sample() []leader.Delivery {
	return []leader.Delivery{
		{Seq: 1, Message: queue.Message{RoutingKey: "q", Properties: []byte{0, 0}, Body: []byte("one"), TTL: queue.NoTTL}},
		{Seq: 1 << 40, Redelivered: true, Returned: 3, Message: queue.Message{
			Exchange: "amq.topic", RoutingKey: "a.b", Properties: []byte{0x10, 0, 2}, Body: []byte{}, TTL: queue.NoTTL}},
	}
}

func TestDeliveriesRoundTrip(t *testing.T) {
	var b []byte
	for _, d := range sample() {
		b = appendDelivery(b, &d)
	}
	got, err := decodeDeliveries(b)
	if err != nil || !reflect.DeepEqual(got, sample()) {
		t.Fatalf("decodeDeliveries = %+v, %v; want %+v", got, err, sample())
	}
	for n := range b {
		if list, err := decodeDeliveries(b[:n]); err == nil && len(list) == len(sample()) {
			t.Fatalf("%d of %d bytes decode as the whole", n, len(b))
		}
	}
}

func FuzzDeliveries(f *testing.F) {
	var b []byte
	for _, d := range sample() {
		b = appendDelivery(b, &d)
	}
	f.Add(b)
	f.Add([]byte{1, 0, 0, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 1})
	f.Fuzz(func(t *testing.T, in []byte) {
		list, err := decodeDeliveries(in)
		if err != nil {
			return
		}
		var again []byte
		for i := range list {
			again = appendDelivery(again, &list[i])
		}
		twice, err := decodeDeliveries(again)
		if err != nil || !reflect.DeepEqual(twice, list) {
			t.Fatalf("% x: %+v came back as %+v, %v", in, list, twice, err)
		}
	})
}

func TestRequestsAndEventsRoundTrip(t *testing.T) {
	ranges := []queue.Range{{First: 1, Last: 3}, {First: 9, Last: 9}}
	c := leader.Consumer{Tag: "t", NoAck: true, Exclusive: true, Priority: -3, Messages: -1, Bytes: 7, Connection: "c", Channel: 4}
	for _, r := range []leader.Request{
		leader.Subscribe{Sub: 1, Queue: 2, Consumer: c},
		leader.Resume{Sub: 1, Queue: 2, Consumer: c, Cancelled: true, Held: ranges},
		leader.Resumed{},
		leader.Get{Sub: 1, Queue: 2, NoAck: true},
		leader.Settle{Sub: 1, Queue: 2, Number: 3, Answer: leader.Requeue, Ranges: ranges},
		leader.Credit{Sub: 1, Messages: 2, Bytes: 3},
		leader.Cancel{Sub: 1},
		leader.Release{Sub: 1},
	} {
		if got, ok := fromRequest(toRequest(r)); !ok || !reflect.DeepEqual(got, r) {
			t.Errorf("%#v came back as %#v, %v", r, got, ok)
		}
	}
	for _, ev := range []leader.Event{
		leader.Deliveries{Sub: 1, List: sample()},
		leader.Subscribed{Sub: 1, Err: leader.ErrExclusive},
		leader.Subscribed{Sub: 1},
		leader.Got{Sub: 1, OK: true, Delivery: sample()[0], Remaining: 5},
		leader.Got{Sub: 1, Err: leader.ErrNoQueue},
		leader.Cancelled{Sub: 1, Err: leader.ErrNoQueue},
		leader.Settled{Number: 9},
	} {
		if got, err := fromEvent(toEvent(7, ev)); err != nil || !reflect.DeepEqual(got, ev) {
			t.Errorf("%#v came back as %#v, %v", ev, got, err)
		}
	}
}

func TestOutcomes(t *testing.T) {
	for _, err := range []error{nil, leader.ErrNoQueue, leader.ErrExclusive, leader.ErrUnavailable, leader.ErrNotLeading, leader.ErrInUse, leader.ErrNotEmpty} {
		if got := fromOutcome(toOutcome(err)); !errors.Is(got, err) {
			t.Errorf("%v came back as %v", err, got)
		}
	}
	if got := fromOutcome(toOutcome(errors.New("disk on fire"))); !errors.Is(got, leader.ErrUnavailable) {
		t.Errorf("an unknown error came back as %v", got)
	}
}
