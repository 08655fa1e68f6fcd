package diff

import (
	"encoding/binary"
	"fmt"

	"github.com/warrenmq/warren/broker/wire"
)

// Item is one thing that a broker said: a method, with its content if it has one.
type Item struct {
	Method wire.Method
	Raw    []byte // property flags and list, as on the wire
	Body   []byte

	frames    int    // of the body
	header    []byte // a protocol header instead
	heartbeat bool
	end       bool  // the end of the socket
	fault     error // it ended in something that is no frame
}

// answer says whether it is the answer to a synchronous method, and not
// something that comes when it comes.
func (it Item) answer() bool {
	switch it.Method.(type) {
	case nil, *wire.BasicDeliver, *wire.BasicReturn, *wire.BasicAck, *wire.BasicNack, *wire.BasicCancel,
		*wire.ConnectionBlocked, *wire.ConnectionUnblocked, *wire.ChannelFlow:
		return false
	}
	return true
}

// Tag is the delivery tag of a delivery or get-ok, 0 of anything else.
func (it Item) Tag() uint64 {
	switch m := it.Method.(type) {
	case *wire.BasicDeliver:
		return m.DeliveryTag
	case *wire.BasicGetOk:
		return m.DeliveryTag
	}
	return 0
}

// Queue is the name in a declare-ok.
func (it Item) Queue() string {
	if m, ok := it.Method.(*wire.QueueDeclareOk); ok {
		return m.Queue
	}
	return ""
}

// ConsumerTag is the tag in a consume-ok or a delivery.
func (it Item) ConsumerTag() string {
	switch m := it.Method.(type) {
	case *wire.BasicConsumeOk:
		return m.ConsumerTag
	case *wire.BasicDeliver:
		return m.ConsumerTag
	}
	return ""
}

// Properties decodes the content's properties.
func (it Item) Properties() P {
	p, err := wire.ParseProperties(it.Raw)
	if err != nil {
		return P{}
	}
	return p
}

// Code is the reply code of a close, 0 of anything else.
func (it Item) Code() uint16 {
	switch m := it.Method.(type) {
	case *wire.ChannelClose:
		return m.ReplyCode
	case *wire.ConnectionClose:
		return m.ReplyCode
	}
	return 0
}

func (it Item) line(frames, counted bool) string {
	switch {
	case it.header != nil:
		return fmt.Sprintf("header %q %d %d %d %d", it.header[:4], it.header[4], it.header[5], it.header[6], it.header[7])
	case it.fault != nil:
		return "no frame: " + it.fault.Error()
	case it.end:
		return "socket closed"
	case it.heartbeat:
		return "heartbeat"
	case it.Raw == nil:
		return methodText(it.Method)
	}
	line := methodText(it.Method) + propertiesText(it.Raw, counted) + " " + bodyText(it.Body)
	if frames {
		line += fmt.Sprintf(" in %d frames", it.frames)
	}
	return line
}

// parts puts frames together to items.
type parts struct {
	open map[uint16]*Item // contents that are not whole
	size map[uint16]uint64
}

// add takes a frame, and gives an item when it was the last of one.
func (p *parts) add(f wire.Frame) (Item, bool) {
	if p.open == nil {
		p.open, p.size = make(map[uint16]*Item), make(map[uint16]uint64)
	}
	switch f.Type {
	case wire.FrameHeartbeat:
		return Item{heartbeat: true}, true
	case wire.FrameMethod:
		m, err := wire.ParseMethod(f.Payload)
		if err != nil {
			return Item{fault: err, end: true}, true
		}
		switch m.(type) {
		case *wire.BasicDeliver, *wire.BasicReturn, *wire.BasicGetOk:
			p.open[f.Channel] = &Item{Method: m}
			return Item{}, false
		}
		return Item{Method: m}, true
	}
	it := p.open[f.Channel]
	switch {
	case it == nil || len(f.Payload) < 14 && f.Type == wire.FrameHeader:
		return Item{fault: fmt.Errorf("frame of type %d out of turn", f.Type), end: true}, true
	case f.Type == wire.FrameHeader:
		p.size[f.Channel] = binary.BigEndian.Uint64(f.Payload[4:])
		it.Raw = append([]byte{}, f.Payload[12:]...)
	default:
		it.Body = append(it.Body, f.Payload...)
		it.frames++
	}
	if uint64(len(it.Body)) < p.size[f.Channel] {
		return Item{}, false
	}
	delete(p.open, f.Channel)
	return *it, true
}
