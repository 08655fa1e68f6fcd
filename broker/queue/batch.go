package queue

import (
	"encoding/binary"
	"errors"
	"fmt"
)

// A batch is the payload of a log entry. All fixed-width numbers are little-endian;
// uv is a minimal unsigned varint. Every batch opens with two bytes:
//
//	version u8 = 1 | kind u8
//
// A publish batch (kind 1) keeps messages in the order of their arrival, so that
// building it is one growing buffer, and ends with what Apply reads:
//
//	head      version, kind, incarnation u64, epoch u64, seq u64
//	message   flags u8 (1: ttl, 2: priority, 4: died, 8: blind, 16: moves, 32: passed), [ttl uv nanoseconds], [priority u8],
//	          [blind keys uv, each uv length and bytes], then exchange, routing key, properties, body: each uv length and bytes
//	trailer   count u32, offset u32 of each message by ordinal,
//	          sections u32, each: queues u32, ids u64 ascending, count u32, bytes u64, flags u8 (1: timed, 2: ranked, 16: moves)
//	last      offset of the trailer u32
//
// A control batch (kind 2) is a list of commands, see control.go.
const (
	batchVersion = 1

	kindPublish = 1
	kindControl = 2

	publishHead  = 2 + 8 + 8 + 8
	sectionBytes = 4 + 4 + 8 + 1 // without its ids

	hasTTL      = 1
	hasPriority = 2
	hasDied     = 4
	hasBlind    = 8
	hasMoves    = 16
	hasPassed   = 32
	allFlags    = hasTTL | hasPriority | hasDied | hasBlind | hasMoves | hasPassed

	sectionFlags = hasTTL | hasPriority | hasMoves // of a message that a section has if one of its messages does
)

// MaxBatchBytes bounds a batch, for its offsets have 32 bits. Builder's callers
// seal far earlier; what a single message may weigh is theirs to limit.
const MaxBatchBytes = 1 << 31

var (
	// ErrMalformed is a batch or snapshot that no version of this package wrote.
	ErrMalformed = errors.New("queue: malformed encoding")
	// ErrVersion is a batch or snapshot that a newer version of this package wrote.
	ErrVersion = errors.New("queue: encoding of a newer version")
)

func malformed(what string) error { return fmt.Errorf("%w: %s", ErrMalformed, what) }

// kindOf checks the two bytes that open every batch.
func kindOf(batch []byte) (byte, error) {
	switch {
	case len(batch) < 2:
		return 0, malformed("no batch head")
	case batch[0] > batchVersion:
		return 0, fmt.Errorf("%w: batch version %d, known is %d", ErrVersion, batch[0], batchVersion)
	case batch[0] != batchVersion:
		return 0, malformed("batch version 0")
	}
	return batch[1], nil
}

// reader takes values off the front of b. After a value that is not all there,
// bad is set and everything reads as zero; callers check it once at the end,
// and before they allocate for a count.
type reader struct {
	b     []byte
	bad   bool
	vhost string // of the settings read last
}

func (r *reader) fail() { r.b, r.bad = nil, true }

func (r *reader) take(n uint64) []byte {
	if n > uint64(len(r.b)) {
		r.fail()
		return nil
	}
	v := r.b[:n:n]
	r.b = r.b[n:]
	return v
}

func (r *reader) u8() uint8 {
	if len(r.b) < 1 {
		r.fail()
		return 0
	}
	v := r.b[0]
	r.b = r.b[1:]
	return v
}

func (r *reader) u16() uint16 {
	if len(r.b) < 2 {
		r.fail()
		return 0
	}
	v := binary.LittleEndian.Uint16(r.b)
	r.b = r.b[2:]
	return v
}

func (r *reader) u32() uint32 {
	if len(r.b) < 4 {
		r.fail()
		return 0
	}
	v := binary.LittleEndian.Uint32(r.b)
	r.b = r.b[4:]
	return v
}

func (r *reader) u64() uint64 {
	if len(r.b) < 8 {
		r.fail()
		return 0
	}
	v := binary.LittleEndian.Uint64(r.b)
	r.b = r.b[8:]
	return v
}

// uvarint refuses a value that could be written shorter: one value, one encoding.
func (r *reader) uvarint() uint64 {
	v, n := binary.Uvarint(r.b)
	if n <= 0 || n > 1 && r.b[n-1] == 0 {
		r.fail()
		return 0
	}
	r.b = r.b[n:]
	return v
}

// varint is a signed one, zigzag.
func (r *reader) varint() int64 {
	u := r.uvarint()
	return int64(u>>1) ^ -int64(u&1)
}

// uvarint32 is a uvarint that must fit 32 bits.
func (r *reader) uvarint32() uint32 {
	v := r.uvarint()
	if v > 1<<32-1 {
		r.fail()
		return 0
	}
	return uint32(v)
}

// count32 is a u32 count of things that take at least size bytes each.
func (r *reader) count32(size int) int {
	n := r.u32()
	if uint64(n)*uint64(size) > uint64(len(r.b)) {
		r.fail()
		return 0
	}
	return int(n)
}

// boolean is one byte, 0 or 1.
func (r *reader) boolean() bool {
	v := r.u8()
	if v > 1 {
		r.fail()
	}
	return v == 1
}

func appendBool(dst []byte, v bool) []byte {
	if v {
		return append(dst, 1)
	}
	return append(dst, 0)
}
