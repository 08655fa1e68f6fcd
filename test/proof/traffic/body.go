package traffic

import (
	"encoding/binary"
	"hash/crc32"
)

// ID names one message: the channel it was published on and its number there,
// from 1.
type ID struct {
	Session uint32
	Number  uint64
}

// headSize is session, number and the checksum of the whole body.
const headSize = 4 + 8 + 4

// encode makes a body of size bytes, at least headSize, in buf.
func (id ID) encode(buf []byte, size int) []byte {
	b := append(buf[:0], make([]byte, max(size, headSize))...)
	binary.BigEndian.PutUint32(b, id.Session)
	binary.BigEndian.PutUint64(b[4:], id.Number)
	for i := headSize; i < len(b); i++ {
		b[i] = byte(id.Number + uint64(i))
	}
	binary.BigEndian.PutUint32(b[12:], checksum(b))
	return b
}

// decode is the message that a body is of; false: it is not one of ours, or changed.
func decode(b []byte) (ID, bool) {
	if len(b) < headSize {
		return ID{}, false
	}
	id := ID{Session: binary.BigEndian.Uint32(b), Number: binary.BigEndian.Uint64(b[4:])}
	return id, checksum(b) == binary.BigEndian.Uint32(b[12:])
}

func checksum(b []byte) uint32 {
	c := crc32.ChecksumIEEE(b[:12])
	return crc32.Update(c, crc32.IEEETable, b[headSize:])
}
