package log

import (
	"bytes"
	"encoding/binary"
)

// NewerHeader makes the header block of the next format version.
func NewerHeader(b []byte) []byte {
	b = bytes.Clone(b)
	for _, at := range []int{0, headerCopy} {
		h := b[at : at+headerBytes]
		binary.LittleEndian.PutUint32(h[8:], formatVersion+1)
		binary.LittleEndian.PutUint32(h[44:], checksum(h[:44]))
	}
	return b
}
