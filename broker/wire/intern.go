package wire

import "encoding/binary"

// internSlots bounds an Interner: so many strings, each of at most 255 octets.
const internSlots = 256

// Interner keeps the strings seen last, so that an exchange or a routing key that
// comes again costs no allocation. It is for one goroutine. The zero value is
// empty; a nil one copies every string.
type Interner struct {
	slots []string
}

// String returns b as a string that owns its memory.
func (in *Interner) String(b []byte) string {
	if len(b) == 0 {
		return ""
	}
	if in == nil || len(b) > shortStringMax {
		return string(b)
	}
	if in.slots == nil {
		in.slots = make([]string, internSlots)
	}
	slot := &in.slots[internHash(b)%internSlots]
	if *slot != string(b) { // compared without a copy
		*slot = string(b)
	}
	return *slot
}

// internHash needs to be quick, not strong: who makes strings collide pays for
// copies and gains nothing.
func internHash(b []byte) uint64 {
	const mul = 0x9E3779B97F4A7C15
	h := uint64(len(b)) * mul
	for ; len(b) >= 8; b = b[8:] {
		h = (h ^ binary.LittleEndian.Uint64(b)) * mul
		h ^= h >> 32
	}
	for _, c := range b {
		h = (h ^ uint64(c)) * mul
	}
	return h ^ h>>32
}
