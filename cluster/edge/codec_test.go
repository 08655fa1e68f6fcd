package edge

import (
	"errors"
	"reflect"
	"testing"
	"time"

	"google.golang.org/protobuf/proto"

	"github.com/warrenmq/warren/broker/leader"
	"github.com/warrenmq/warren/broker/queue"
	pb "github.com/warrenmq/warren/proto"
)

func sample() []leader.Delivery {
	return []leader.Delivery{
		{Seq: 1, Message: queue.Message{RoutingKey: "q", Properties: []byte{0, 0}, Body: []byte("one"), TTL: queue.NoTTL}},
		{Seq: 1 << 40, Redelivered: true, Returned: 300, Failed: 1 << 31, Message: queue.Message{
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
	c := leader.Consumer{Tag: "t", NoAck: true, Exclusive: true, Priority: -3, Messages: -1, Bytes: 7, Since: time.Unix(1<<33, 5),
		Start: leader.Start{From: leader.FromTime, Seq: 9, At: time.Unix(1<<33, 6)}}
	for _, r := range []leader.Request{
		leader.Subscribe{Sub: 1, Queue: 2, Consumer: c},
		leader.Subscribe{Sub: 1, Queue: 2},
		leader.Resume{Sub: 1, Queue: 2, Consumer: c, Active: true, Held: ranges},
		leader.Resume{Sub: 1, Queue: 2, Cancelled: true, Get: true, Held: ranges},
		leader.Resume{Sub: 1, Queue: 2, Consumer: c, Cancelled: true, Held: ranges},
		leader.Resumed{},
		leader.Get{Sub: 1, Queue: 2, NoAck: true},
		leader.Settle{Sub: 1, Queue: 2, Number: 3, Answer: leader.Requeue, Ranges: ranges},
		leader.Settle{Sub: 1, Queue: 2, Number: 3, Answer: leader.Fail, Ranges: ranges},
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
		leader.Subscribed{Sub: 1, Active: true, Next: 7},
		leader.Active{Sub: 1, Active: true},
		leader.Active{Sub: 1},
		leader.Got{Sub: 1, OK: true, Delivery: sample()[0], Remaining: 5},
		leader.Got{Sub: 1, Err: leader.ErrSingleActive},
		leader.Cancelled{Sub: 1, Err: leader.ErrNoQueue},
		leader.Settled{Number: 9},
	} {
		if got, err := fromEvent(toEvent(7, ev)); err != nil || !reflect.DeepEqual(got, ev) {
			t.Errorf("%#v came back as %#v, %v", ev, got, err)
		}
	}
}

func TestCountsRoundTrip(t *testing.T) {
	c := leader.Counts{Ready: 1, Unacked: 2, Consumers: 3, Active: 4, DeadLetters: 5}
	if got := fromCounts(toCounts(c)); got != c {
		t.Errorf("%+v came back as %+v", c, got)
	}
}

// What another node sends is not trusted to be whole.
func FuzzRequests(f *testing.F) {
	for _, r := range []leader.Request{
		leader.Resume{Sub: 1, Queue: 2, Consumer: leader.Consumer{Tag: "t", Since: time.Unix(7, 0)}, Active: true, Held: []queue.Range{{First: 1, Last: 3}}},
		leader.Settle{Sub: 1, Queue: 2, Number: 3, Answer: leader.Fail, Ranges: []queue.Range{{First: 9, Last: 9}}},
		leader.Subscribe{Sub: 1, Queue: 2},
	} {
		b, err := proto.Marshal(toRequest(r))
		if err != nil {
			f.Fatal(err)
		}
		f.Add(b)
	}
	f.Fuzz(func(t *testing.T, in []byte) {
		var m pb.ConsumeRequest
		if proto.Unmarshal(in, &m) != nil {
			return
		}
		r, ok := fromRequest(&m)
		if !ok {
			return
		}
		if again, ok := fromRequest(toRequest(r)); !ok || !reflect.DeepEqual(again, r) {
			t.Fatalf("% x: %#v came back as %#v", in, r, again)
		}
	})
}

func FuzzEvents(f *testing.F) {
	for _, ev := range []leader.Event{
		leader.Deliveries{Sub: 1, List: sample()},
		leader.Got{Sub: 1, OK: true, Delivery: sample()[1], Remaining: 5},
		leader.Subscribed{Sub: 1, Active: true, Err: leader.ErrExclusive},
		leader.Active{Sub: 1, Active: true},
	} {
		b, err := proto.Marshal(toEvent(7, ev))
		if err != nil {
			f.Fatal(err)
		}
		f.Add(b)
	}
	f.Fuzz(func(t *testing.T, in []byte) {
		var m pb.ConsumeEvent
		if proto.Unmarshal(in, &m) != nil {
			return
		}
		ev, err := fromEvent(&m)
		if err != nil {
			return
		}
		if _, err := fromEvent(toEvent(m.Term, ev)); err != nil {
			t.Fatalf("% x: %#v cannot be read again: %v", in, ev, err)
		}
	})
}

func TestOutcomes(t *testing.T) {
	for _, err := range []error{nil, leader.ErrNoQueue, leader.ErrExclusive, leader.ErrUnavailable, leader.ErrNotLeading, leader.ErrInUse, leader.ErrNotEmpty, leader.ErrSingleActive, leader.ErrStream} {
		if got := fromOutcome(toOutcome(err)); !errors.Is(got, err) {
			t.Errorf("%v came back as %v", err, got)
		}
	}
	if got := fromOutcome(toOutcome(errors.New("disk on fire"))); !errors.Is(got, leader.ErrUnavailable) {
		t.Errorf("an unknown error came back as %v", got)
	}
}
