package wire

import "encoding/binary"

const shortStringMax = 255

func bit(v bool) byte {
	if v {
		return 1
	}
	return 0
}

func appendOctet(dst []byte, v uint8) []byte     { return append(dst, v) }
func appendShort(dst []byte, v uint16) []byte    { return binary.BigEndian.AppendUint16(dst, v) }
func appendLong(dst []byte, v uint32) []byte     { return binary.BigEndian.AppendUint32(dst, v) }
func appendLonglong(dst []byte, v uint64) []byte { return binary.BigEndian.AppendUint64(dst, v) }

// appendShortstr cuts at 255 octets: names are checked where they enter, and an
// encoder on the way out must not bring a node down.
func appendShortstr(dst []byte, s string) []byte {
	s = s[:min(len(s), shortStringMax)]
	dst = append(dst, byte(len(s)))
	return append(dst, s...)
}

func appendLongstr(dst []byte, s string) []byte {
	dst = appendLong(dst, uint32(len(s)))
	return append(dst, s...)
}

func appendBytes(dst []byte, b []byte) []byte {
	dst = appendLong(dst, uint32(len(b)))
	return append(dst, b...)
}

// appendTable writes an empty table for one that AMQP cannot express, see AppendMethodFrame.
func appendTable(dst []byte, t Table) []byte {
	out, err := AppendTable(dst, t)
	if err != nil {
		return appendLong(dst, 0)
	}
	return out
}
