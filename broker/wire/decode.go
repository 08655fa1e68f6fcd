package wire

import (
	"encoding/binary"
	"errors"
	"unicode/utf8"
)

var (
	errShort    = errors.New("ends too early")
	errTrailing = errors.New("octets left over")
	//lint:ignore ST1005 it is the text that RabbitMQ sends
	errUTF8 = errors.New("Malformed UTF-8 in shortstr") // RabbitMQ's text

	errOtherMethod = errors.New("payload of another method")
)

// decoder takes a method's fields from its payload. After the first failure it
// gives zero values; err tells.
type decoder struct {
	b        []byte
	interner *Interner // nil: strings are copied
	err      error
}

// take returns the next n octets, nil when there are not as many.
func (d *decoder) take(n int) []byte {
	if d.err != nil || n > len(d.b) {
		d.fail(errShort)
		return nil
	}
	b := d.b[:n]
	d.b = d.b[n:]
	return b
}

func (d *decoder) fail(err error) {
	if d.err == nil {
		d.err = err
	}
}

func (d *decoder) octet() uint8 {
	if b := d.take(1); b != nil {
		return b[0]
	}
	return 0
}

func (d *decoder) short() uint16 {
	if b := d.take(2); b != nil {
		return binary.BigEndian.Uint16(b)
	}
	return 0
}

func (d *decoder) long() uint32 {
	if b := d.take(4); b != nil {
		return binary.BigEndian.Uint32(b)
	}
	return 0
}

func (d *decoder) longlong() uint64 {
	if b := d.take(8); b != nil {
		return binary.BigEndian.Uint64(b)
	}
	return 0
}

// shortstr is UTF-8 in methods, as RabbitMQ demands.
func (d *decoder) shortstr() string {
	b := d.take(int(d.octet()))
	if len(b) == 0 {
		return ""
	}
	if !utf8.Valid(b) {
		d.fail(errUTF8)
		return ""
	}
	return d.interner.String(b)
}

func (d *decoder) longOctets() []byte {
	n := d.long()
	if uint64(n) > uint64(len(d.b)) { // before n becomes an int
		d.fail(errShort)
		return nil
	}
	return d.take(int(n))
}

func (d *decoder) longstr() string { return string(d.longOctets()) }

// bytes returns a copy, which is never nil.
func (d *decoder) bytes() []byte { return append([]byte{}, d.longOctets()...) }

// table returns nil for an empty one.
func (d *decoder) table() Table {
	b := d.longOctets()
	if len(b) == 0 || d.err != nil {
		return nil
	}
	t, err := parseEntries(b)
	if err != nil {
		d.fail(err)
	}
	return t
}
