package edge

import (
	"encoding/binary"
	"errors"
	"math"
	"time"

	"github.com/warrenmq/warren/broker/leader"
	"github.com/warrenmq/warren/broker/queue"
	pb "github.com/warrenmq/warren/proto"
)

// Deliveries travel as one byte string, so that an edge takes them apart
// without copying bodies:
//
//	delivery: uvarint seq, flags, uvarint returned, uvarint failed, exchange, routing key, properties, body
//	flags: 1 redelivered; strings and bytes: uvarint length first
const flagRedelivered = 1

var errDeliveries = errors.New("malformed deliveries")

func appendDelivery(dst []byte, d *leader.Delivery) []byte {
	dst = binary.AppendUvarint(dst, d.Seq)
	var flags byte
	if d.Redelivered {
		flags |= flagRedelivered
	}
	dst = append(dst, flags)
	dst = binary.AppendUvarint(dst, uint64(d.Returned))
	dst = binary.AppendUvarint(dst, uint64(d.Failed))
	dst = binary.AppendUvarint(dst, uint64(len(d.Message.Exchange)))
	dst = append(dst, d.Message.Exchange...)
	dst = binary.AppendUvarint(dst, uint64(len(d.Message.RoutingKey)))
	dst = append(dst, d.Message.RoutingKey...)
	dst = binary.AppendUvarint(dst, uint64(len(d.Message.Properties)))
	dst = append(dst, d.Message.Properties...)
	dst = binary.AppendUvarint(dst, uint64(len(d.Message.Body)))
	return append(dst, d.Message.Body...)
}

func deliverySize(d *leader.Delivery) int {
	m := &d.Message
	return 6*binary.MaxVarintLen32 + binary.MaxVarintLen64 + 1 + len(m.Exchange) + len(m.RoutingKey) + len(m.Properties) + len(m.Body)
}

// reader takes deliveries apart. Names that repeat are not copied again.
type reader struct {
	b             []byte
	exchange, key string
}

func (r *reader) uvarint() (uint64, error) {
	v, n := binary.Uvarint(r.b)
	if n <= 0 {
		return 0, errDeliveries
	}
	r.b = r.b[n:]
	return v, nil
}

func (r *reader) uvarint32() (uint32, error) {
	v, err := r.uvarint()
	if err != nil || v > math.MaxUint32 {
		return 0, errDeliveries
	}
	return uint32(v), nil
}

func (r *reader) bytes() ([]byte, error) {
	n, err := r.uvarint()
	if err != nil || n > uint64(len(r.b)) {
		return nil, errDeliveries
	}
	v := r.b[:n:n]
	r.b = r.b[n:]
	return v, nil
}

func intern(last *string, b []byte) string {
	if *last != string(b) {
		*last = string(b)
	}
	return *last
}

func (r *reader) delivery() (d leader.Delivery, err error) {
	if d.Seq, err = r.uvarint(); err != nil {
		return d, err
	}
	if len(r.b) == 0 {
		return d, errDeliveries
	}
	d.Redelivered = r.b[0]&flagRedelivered != 0
	r.b = r.b[1:]
	if d.Returned, err = r.uvarint32(); err != nil {
		return d, err
	}
	if d.Failed, err = r.uvarint32(); err != nil {
		return d, err
	}
	var parts [4][]byte
	for i := range parts {
		if parts[i], err = r.bytes(); err != nil {
			return d, err
		}
	}
	d.Message = queue.Message{
		Exchange:   intern(&r.exchange, parts[0]),
		RoutingKey: intern(&r.key, parts[1]),
		Properties: parts[2],
		Body:       parts[3],
		TTL:        queue.NoTTL,
	}
	return d, nil
}

// decodeDeliveries takes b apart; the deliveries point into it.
func decodeDeliveries(b []byte) ([]leader.Delivery, error) {
	r := reader{b: b}
	var list []leader.Delivery
	for len(r.b) > 0 {
		d, err := r.delivery()
		if err != nil {
			return nil, err
		}
		list = append(list, d)
	}
	return list, nil
}

// The errors of broker/leader by number, for travelling.
var outcomes = []error{
	1: leader.ErrNoQueue,
	2: leader.ErrExclusive,
	3: leader.ErrUnavailable,
	4: leader.ErrNotLeading,
	5: leader.ErrInUse,
	6: leader.ErrNotEmpty,
	7: leader.ErrSingleActive,
	8: leader.ErrStream,
}

func toOutcome(err error) *pb.Outcome {
	if err == nil {
		return &pb.Outcome{}
	}
	for code, known := range outcomes {
		if known != nil && errors.Is(err, known) {
			return &pb.Outcome{Code: uint32(code), Text: err.Error()}
		}
	}
	return &pb.Outcome{Code: 3, Text: err.Error()}
}

func fromOutcome(o *pb.Outcome) error {
	switch {
	case o == nil || o.Code == 0:
		return nil
	case int(o.Code) < len(outcomes):
		return outcomes[o.Code]
	}
	return errors.Join(leader.ErrUnavailable, errors.New(o.Text))
}

func toRanges(rs []queue.Range) []*pb.Range {
	list := make([]*pb.Range, len(rs))
	for i, r := range rs {
		list[i] = &pb.Range{First: r.First, Last: r.Last}
	}
	return list
}

func fromRanges(rs []*pb.Range) []queue.Range {
	list := make([]queue.Range, len(rs))
	for i, r := range rs {
		list[i] = queue.Range{First: r.First, Last: r.Last}
	}
	return list
}

func toConsumer(c leader.Consumer) *pb.Consumer {
	p := &pb.Consumer{
		Tag: c.Tag, NoAck: c.NoAck, Exclusive: c.Exclusive, Priority: c.Priority,
		Messages: int64(c.Messages), Bytes: c.Bytes,
	}
	if !c.Since.IsZero() {
		p.Since = c.Since.UnixNano()
	}
	p.From, p.FromSeq = uint32(c.Start.From), c.Start.Seq
	if c.Start.From == leader.FromTime {
		p.FromTime = c.Start.At.UnixNano()
	}
	return p
}

func fromConsumer(c *pb.Consumer) leader.Consumer {
	l := leader.Consumer{
		Tag: c.GetTag(), NoAck: c.GetNoAck(), Exclusive: c.GetExclusive(), Priority: c.GetPriority(),
		Messages: int(c.GetMessages()), Bytes: c.GetBytes(),
	}
	if since := c.GetSince(); since != 0 {
		l.Since = time.Unix(0, since)
	}
	l.Start = leader.Start{From: leader.From(c.GetFrom()), Seq: c.GetFromSeq()}
	if l.Start.From == leader.FromTime {
		l.Start.At = time.Unix(0, c.GetFromTime())
	}
	return l
}

// toRequest and fromRequest carry broker/leader's requests over the wire.
func toRequest(r leader.Request) *pb.ConsumeRequest {
	switch r := r.(type) {
	case leader.Subscribe:
		return &pb.ConsumeRequest{Request: &pb.ConsumeRequest_Subscribe{Subscribe: &pb.Subscribe{
			Sub: r.Sub, Queue: uint64(r.Queue), Consumer: toConsumer(r.Consumer)}}}
	case leader.Resume:
		return &pb.ConsumeRequest{Request: &pb.ConsumeRequest_Resume{Resume: &pb.Resume{
			Sub: r.Sub, Queue: uint64(r.Queue), Consumer: toConsumer(r.Consumer), Cancelled: r.Cancelled, Held: toRanges(r.Held), Get: r.Get, Active: r.Active}}}
	case leader.Resumed:
		return &pb.ConsumeRequest{Request: &pb.ConsumeRequest_Resumed{Resumed: &pb.Resumed{}}}
	case leader.Get:
		return &pb.ConsumeRequest{Request: &pb.ConsumeRequest_Get{Get: &pb.Get{Sub: r.Sub, Queue: uint64(r.Queue), NoAck: r.NoAck}}}
	case leader.Settle:
		return &pb.ConsumeRequest{Request: &pb.ConsumeRequest_Settle{Settle: &pb.Settle{
			Sub: r.Sub, Queue: uint64(r.Queue), Number: r.Number, Answer: uint32(r.Answer), Ranges: toRanges(r.Ranges)}}}
	case leader.Credit:
		return &pb.ConsumeRequest{Request: &pb.ConsumeRequest_Credit{Credit: &pb.Credit{Sub: r.Sub, Messages: int64(r.Messages), Bytes: r.Bytes}}}
	case leader.Cancel:
		return &pb.ConsumeRequest{Request: &pb.ConsumeRequest_Cancel{Cancel: &pb.Cancel{Sub: r.Sub}}}
	case leader.Release:
		return &pb.ConsumeRequest{Request: &pb.ConsumeRequest_Release{Release: &pb.Release{Sub: r.Sub}}}
	}
	panic("edge: a request of unknown kind") // the list above is the list in broker/leader
}

func fromRequest(r *pb.ConsumeRequest) (leader.Request, bool) {
	switch r := r.GetRequest().(type) {
	case *pb.ConsumeRequest_Subscribe:
		return leader.Subscribe{Sub: r.Subscribe.Sub, Queue: queue.ID(r.Subscribe.Queue), Consumer: fromConsumer(r.Subscribe.Consumer)}, true
	case *pb.ConsumeRequest_Resume:
		return leader.Resume{Sub: r.Resume.Sub, Queue: queue.ID(r.Resume.Queue), Consumer: fromConsumer(r.Resume.Consumer),
			Cancelled: r.Resume.Cancelled, Held: fromRanges(r.Resume.Held), Get: r.Resume.Get, Active: r.Resume.Active}, true
	case *pb.ConsumeRequest_Resumed:
		return leader.Resumed{}, true
	case *pb.ConsumeRequest_Get:
		return leader.Get{Sub: r.Get.Sub, Queue: queue.ID(r.Get.Queue), NoAck: r.Get.NoAck}, true
	case *pb.ConsumeRequest_Settle:
		return leader.Settle{Sub: r.Settle.Sub, Queue: queue.ID(r.Settle.Queue), Number: r.Settle.Number,
			Answer: leader.Answer(r.Settle.Answer), Ranges: fromRanges(r.Settle.Ranges)}, true
	case *pb.ConsumeRequest_Credit:
		return leader.Credit{Sub: r.Credit.Sub, Messages: int(r.Credit.Messages), Bytes: r.Credit.Bytes}, true
	case *pb.ConsumeRequest_Cancel:
		return leader.Cancel{Sub: r.Cancel.Sub}, true
	case *pb.ConsumeRequest_Release:
		return leader.Release{Sub: r.Release.Sub}, true
	}
	return nil, false
}

// toEvent and fromEvent carry broker/leader's events.
func toEvent(term uint64, ev leader.Event) *pb.ConsumeEvent {
	switch ev := ev.(type) {
	case leader.Deliveries:
		size := 0
		for i := range ev.List {
			size += deliverySize(&ev.List[i])
		}
		b := make([]byte, 0, size)
		for i := range ev.List {
			b = appendDelivery(b, &ev.List[i])
		}
		return &pb.ConsumeEvent{Term: term, Sub: ev.Sub, Event: &pb.ConsumeEvent_Deliveries{Deliveries: b}}
	case leader.Subscribed:
		return &pb.ConsumeEvent{Term: term, Sub: ev.Sub, Event: &pb.ConsumeEvent_Subscribed{
			Subscribed: &pb.Subscribed{Outcome: toOutcome(ev.Err), Active: ev.Active, Next: ev.Next}}}
	case leader.Got:
		got := &pb.GotMessage{Outcome: toOutcome(ev.Err), Remaining: ev.Remaining}
		if ev.OK {
			got.Delivery = appendDelivery(nil, &ev.Delivery)
		}
		return &pb.ConsumeEvent{Term: term, Sub: ev.Sub, Event: &pb.ConsumeEvent_Got{Got: got}}
	case leader.Cancelled:
		return &pb.ConsumeEvent{Term: term, Sub: ev.Sub, Event: &pb.ConsumeEvent_Cancelled{Cancelled: toOutcome(ev.Err)}}
	case leader.Active:
		return &pb.ConsumeEvent{Term: term, Sub: ev.Sub, Event: &pb.ConsumeEvent_Active{Active: ev.Active}}
	case leader.Settled:
		return &pb.ConsumeEvent{Term: term, Event: &pb.ConsumeEvent_Settled{Settled: ev.Number}}
	}
	panic("edge: an event of unknown kind") // the list above is the list in broker/leader
}

func fromEvent(e *pb.ConsumeEvent) (leader.Event, error) {
	switch ev := e.GetEvent().(type) {
	case *pb.ConsumeEvent_Deliveries:
		list, err := decodeDeliveries(ev.Deliveries)
		return leader.Deliveries{Sub: e.Sub, List: list}, err
	case *pb.ConsumeEvent_Subscribed:
		return leader.Subscribed{Sub: e.Sub, Active: ev.Subscribed.GetActive(), Next: ev.Subscribed.GetNext(), Err: fromOutcome(ev.Subscribed.GetOutcome())}, nil
	case *pb.ConsumeEvent_Got:
		got := leader.Got{Sub: e.Sub, Remaining: ev.Got.Remaining, Err: fromOutcome(ev.Got.Outcome)}
		if len(ev.Got.Delivery) == 0 {
			return got, nil
		}
		list, err := decodeDeliveries(ev.Got.Delivery)
		if err != nil {
			return got, err
		}
		got.OK, got.Delivery = true, list[0]
		return got, nil
	case *pb.ConsumeEvent_Cancelled:
		return leader.Cancelled{Sub: e.Sub, Err: fromOutcome(ev.Cancelled)}, nil
	case *pb.ConsumeEvent_Active:
		return leader.Active{Sub: e.Sub, Active: ev.Active}, nil
	case *pb.ConsumeEvent_Settled:
		return leader.Settled{Number: ev.Settled}, nil
	}
	return nil, errDeliveries
}
