package wire

import (
	"encoding/binary"
	"fmt"
	"slices"
)

// BodySizeMax is the largest body that a header may announce: RabbitMQ's 512 MiB.
const BodySizeMax = 512 << 20

// contentHeaderSize is that of class id, weight and body size, which stand before the properties.
const contentHeaderSize = 12

// ContentHeader is the header frame of a message. All but the numbers is borrowed
// from the payload.
type ContentHeader struct {
	ClassID    uint16
	BodySize   uint64
	Properties []byte       // flags and list exactly as on the wire, checked
	View       PropertyView // of Properties
}

// ParseHeader decodes a header frame's payload. Its errors name no method: the
// caller knows which one the content belongs to.
func ParseHeader(payload []byte) (ContentHeader, error) {
	var h ContentHeader
	err := h.Parse(payload)
	return h, err
}

// Parse decodes a header frame's payload into h without allocating.
func (h *ContentHeader) Parse(payload []byte) error {
	*h = ContentHeader{}
	if len(payload) < contentHeaderSize {
		return frameFault(FrameError, FrameHeader, payload, "unknown_frame")
	}
	h.ClassID = binary.BigEndian.Uint16(payload)
	if weight := binary.BigEndian.Uint16(payload[2:]); weight != 0 {
		return &Error{Code: UnexpectedFrame, Text: fmt.Sprintf("expected content header for class %d, got non content header frame instead", ClassBasic)}
	}
	h.BodySize = binary.BigEndian.Uint64(payload[4:])
	if h.BodySize > BodySizeMax {
		return &Error{Code: FrameError, Text: fmt.Sprintf("content body size %d exceeds maximum allowed size %d", h.BodySize, BodySizeMax)}
	}
	if h.ClassID != ClassBasic { // no other class has content
		return &Error{Code: UnexpectedFrame, Text: fmt.Sprintf("expected content header for class %d, got one for class %d instead", ClassBasic, h.ClassID)}
	}
	h.Properties = payload[contentHeaderSize:]
	if err := h.View.parse(h.Properties); err != nil {
		return propertiesFault(err)
	}
	return nil
}

// AppendContent appends a header frame and as many body frames as frameMax asks
// for (0: one), none for an empty body. Properties are flags and list as on the
// wire; they cannot be split and go out as they are.
func AppendContent(dst []byte, channel uint16, frameMax uint32, classID uint16, properties, body []byte) []byte {
	part := len(body)
	if frameMax != 0 {
		part = int(max(frameMax, FrameMinSize)) - FrameOverhead
	}
	frames := 1
	if part > 0 {
		frames += (len(body) + part - 1) / part
	}
	dst = slices.Grow(dst, frames*FrameOverhead+contentHeaderSize+len(properties)+len(body))

	start := len(dst)
	dst = beginFrame(dst, FrameHeader, channel)
	dst = appendLong(dst, uint32(classID)<<16) // and weight 0
	dst = appendLonglong(dst, uint64(len(body)))
	dst = endFrame(append(dst, properties...), start)
	for len(body) > 0 {
		n := min(part, len(body))
		dst = AppendFrame(dst, FrameBody, channel, body[:n])
		body = body[n:]
	}
	return dst
}
