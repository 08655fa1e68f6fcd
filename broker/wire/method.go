package wire

import (
	"encoding/binary"
	"errors"
	"fmt"
)

// methodHeaderSize is that of class and method id.
const methodHeaderSize = 4

// Method is one of the specification's methods, always a pointer to its struct.
type Method interface {
	// ID returns the ids of class and method.
	ID() (class, method uint16)
	// Name returns the name as the specification writes it, "queue.declare".
	Name() string

	decode(*decoder)
	append([]byte) []byte
}

// MethodKey is a method's class id and method id in one: class<<16 | method.
type MethodKey uint32

// IDs returns the ids of class and method.
func (k MethodKey) IDs() (class, method uint16) { return uint16(k >> 16), uint16(k) }

// PeekMethod tells which method a method frame's payload holds, so that hot
// methods can be decoded without a call of ParseMethod. It is 0 for a payload
// without ids.
func PeekMethod(payload []byte) MethodKey {
	if len(payload) < methodHeaderSize {
		return 0
	}
	return MethodKey(binary.BigEndian.Uint32(payload))
}

// ParseMethod decodes a method frame's payload into values of their own.
func ParseMethod(payload []byte) (Method, error) {
	key := PeekMethod(payload)
	m := newMethod(key)
	if m == nil {
		class, method := key.IDs()
		return nil, &Error{Code: CommandInvalid, Text: fmt.Sprintf("unknown method {%d,%d}", class, method), ClassID: class, MethodID: method}
	}
	d := decoder{b: payload[methodHeaderSize:]}
	m.decode(&d)
	if err := d.finish(key, payload); err != nil {
		return nil, err
	}
	return m, nil
}

// AppendMethodFrame appends a method frame. What AMQP cannot express is a fault
// of the caller's that must not stop a node: a short string beyond 255 octets is
// cut, a table that AppendTable refuses goes out empty.
func AppendMethodFrame(dst []byte, channel uint16, m Method) []byte {
	start := len(dst)
	dst = beginFrame(dst, FrameMethod, channel)
	class, method := m.ID()
	dst = appendShort(appendShort(dst, class), method)
	return endFrame(m.append(dst), start)
}

// finish turns what went wrong into the error that RabbitMQ answers with.
func (d *decoder) finish(key MethodKey, payload []byte) error {
	if d.err == nil && len(d.b) == 0 {
		return nil
	}
	return decodeFault(key, payload, d.err)
}

func decodeFault(key MethodKey, payload []byte, cause error) error {
	if cause == nil {
		cause = errTrailing
	}
	class, method := key.IDs()
	text := errUTF8.Error()
	if !errors.Is(cause, errUTF8) {
		text = "cannot decode " + erlangOctets(payload[min(len(payload), methodHeaderSize):])
	}
	return &Error{Code: FrameError, Text: text, ClassID: class, MethodID: method, Cause: cause}
}
