package connection

import (
	"context"

	"github.com/warrenmq/warren/broker/wire"
)

// content is a message on its way in: basic.publish, then a header, then bodies
// until the announced size is there.
type content struct {
	state   contentState
	publish wire.BasicPublish
	header  wire.ContentHeader // borrowed from raw
	raw     []byte
	body    []byte // what has come, when it takes more than one frame
	held    uint64 // bytes of raw and body that count against AssemblyBytes
}

type contentState uint8

const (
	contentNone contentState = iota
	contentHeader
	contentBody
)

const (
	bodyFirst  = 256 << 10 // room for a body's first frames, however large it says it is
	bodyKept   = 256 << 10 // a connection keeps one buffer for bodies, not larger than this
	headerKept = 4 << 10   // a channel keeps one for headers
)

// basicPublish names the method in errors about its content.
var basicPublish wire.Method = (*wire.BasicPublish)(nil)

// unexpected says what had to come instead.
func (c *content) unexpected() error {
	switch c.state {
	case contentHeader:
		return of(basicPublish, fault(wire.UnexpectedFrame, "expected content header for class %d, got non content header frame instead", wire.ClassBasic))
	case contentBody:
		return of(basicPublish, fault(wire.UnexpectedFrame, "expected content body, got non content body frame instead"))
	default:
		return fault(wire.UnexpectedFrame, "expected method frame, got non method frame instead")
	}
}

// publishMethod begins a message.
func (ch *channel) publishMethod(payload []byte) error {
	if err := ch.content.publish.Decode(payload, &ch.c.names); err != nil {
		return err
	}
	if ch.content.publish.Immediate {
		return of(basicPublish, fault(wire.NotImplemented, "immediate=true"))
	}
	ch.content.state = contentHeader
	return nil
}

// header takes the message's header: its size is refused here, before a byte of it is kept.
func (ch *channel) header(ctx context.Context, payload []byte) error {
	c := &ch.content
	if c.state != contentHeader {
		return c.unexpected()
	}
	c.raw = append(c.raw[:0], payload...)
	if err := c.header.Parse(c.raw); err != nil {
		return of(basicPublish, err)
	}
	if limit := ch.c.cfg.MaxMessageBytes; c.header.BodySize > limit {
		configured := "configured "
		if limit == wire.BodySizeMax {
			configured = ""
		}
		return of(basicPublish, fault(wire.PreconditionFailed, "message size %d is larger than %smax size %d", c.header.BodySize, configured, limit))
	}
	if c.header.BodySize == 0 {
		return ch.complete(ctx, nil)
	}
	c.state = contentBody
	c.held = uint64(len(payload))
	if err := ch.c.hold(c.held); err != nil {
		c.held = 0
		return of(basicPublish, err)
	}
	return nil
}

// body takes a part of the message. One that comes in one frame is never copied here.
func (ch *channel) body(ctx context.Context, part []byte) error {
	c := &ch.content
	if c.state != contentBody {
		return c.unexpected()
	}
	missing := c.header.BodySize - uint64(len(c.body))
	switch size := uint64(len(part)); {
	case size > missing:
		return of(basicPublish, fault(wire.FrameError, "content body frame exceeds remaining content size"))
	case size == missing && len(c.body) == 0:
		return ch.complete(ctx, part)
	}
	if err := ch.keep(part); err != nil {
		return of(basicPublish, err)
	}
	if uint64(len(c.body)) < c.header.BodySize {
		return nil
	}
	return ch.complete(ctx, c.body)
}

// keep adds part to the body. Memory follows what came, not what was announced.
func (ch *channel) keep(part []byte) error {
	c := &ch.content
	if err := ch.c.hold(uint64(len(part))); err != nil {
		return err
	}
	c.held += uint64(len(part))
	if c.body == nil {
		c.body, ch.c.spareBody = ch.c.spareBody[:0], nil
	}
	if need := len(c.body) + len(part); need > cap(c.body) {
		grown := make([]byte, len(c.body), max(need, min(int(c.header.BodySize), max(2*cap(c.body), bodyFirst))))
		copy(grown, c.body)
		c.body = grown
	}
	c.body = append(c.body, part...)
	return nil
}

// hold counts bytes that the connection keeps for the client.
func (c *conn) hold(bytes uint64) error {
	if c.assembling+bytes > c.cfg.AssemblyBytes {
		return fault(wire.ResourceError, "more than %d bytes of unfinished messages on one connection", c.cfg.AssemblyBytes)
	}
	c.assembling += bytes
	return nil
}

// complete publishes the message and makes ready for the next.
func (ch *channel) complete(ctx context.Context, body []byte) error {
	c := &ch.content
	c.state = contentNone
	err := ch.publish(ctx, body)
	ch.c.assembling -= c.held
	c.held = 0
	if cap(c.body) <= bodyKept && cap(c.body) > cap(ch.c.spareBody) {
		ch.c.spareBody = c.body
	}
	c.body = nil
	if cap(c.raw) > headerKept {
		c.raw = nil
	}
	if err != nil {
		return of(basicPublish, err)
	}
	return nil
}
