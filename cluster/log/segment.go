package log

import (
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"path"
	"strconv"
	"strings"
	"sync"
)

const (
	formatVersion  = 1
	segmentSuffix  = ".seg"
	spareName      = "spare.tmp"
	lockName       = "LOCK"
	headerCopy     = 2048 // where the header stands again
	headerBytes    = 36
	minSegment     = 64 << 10
	maxSegment     = 1 << 30
	maxFileBytes   = 1<<32 - 1 // offsets have 32 bits
	directoryGuess = 16 << 10  // read with the trailer at once
)

var segmentMagic = []byte("WARRENLG")

// ErrNewer says that a newer version of Warren has written the folder.
var ErrNewer = errors.New("log folder was written by a newer version")

// ErrCorrupt says that entries which were once on disk are damaged or gone.
var ErrCorrupt = errors.New("log is corrupt")

// segment is one file of the log. What is not guarded is set before it is shared.
type segment struct {
	number uint64
	nonce  uint64
	seed   uint32 // checksum of number and nonce; heads start from it
	name   string
	// allocated is the size that the file was made with.
	allocated int64

	mu    sync.RWMutex
	index index
	end   int64 // no record ends behind it

	handle *handle // guarded by files.mu
	size   int64   // of the file; the writer's, later the keeper's
}

func newSegment(dir string, number, nonce uint64, allocated int64) *segment {
	var b [16]byte
	binary.LittleEndian.PutUint64(b[:], number)
	binary.LittleEndian.PutUint64(b[8:], nonce)
	return &segment{
		number: number,
		nonce:  nonce,
		seed:   checksum(b[:]),
		name:   path.Join(dir, segmentName(number)),
		index:  index{},

		allocated: allocated,
	}
}

func segmentName(number uint64) string { return fmt.Sprintf("%016x%s", number, segmentSuffix) }

func segmentNumber(name string) (uint64, bool) {
	digits, ok := strings.CutSuffix(name, segmentSuffix)
	if !ok || len(digits) != 16 {
		return 0, false
	}
	n, err := strconv.ParseUint(digits, 16, 64)
	return n, err == nil && n > 0
}

// headerBlock is the first block of a segment.
func (s *segment) headerBlock() []byte {
	b := make([]byte, blockBytes)
	copy(b, segmentMagic)
	le := binary.LittleEndian
	le.PutUint32(b[8:], formatVersion)
	le.PutUint64(b[12:], s.number)
	le.PutUint64(b[20:], s.nonce)
	le.PutUint32(b[28:], uint32(s.allocated))
	le.PutUint32(b[32:], checksum(b[:32]))
	copy(b[headerCopy:], b[:headerBytes])
	return b
}

// parseHeaderBlock makes a segment of whichever copy of the header is whole.
func parseHeaderBlock(dir string, b []byte) (*segment, error) {
	if len(b) < headerCopy+headerBytes {
		return nil, fmt.Errorf("header block: %w", ErrCorrupt)
	}
	le := binary.LittleEndian
	for _, h := range [][]byte{b[:headerBytes], b[headerCopy : headerCopy+headerBytes]} {
		if !bytes.HasPrefix(h, segmentMagic) || le.Uint32(h[32:]) != checksum(h[:32]) {
			continue
		}
		if v := le.Uint32(h[8:]); v > formatVersion {
			return nil, fmt.Errorf("format %d, this is %d: %w", v, formatVersion, ErrNewer)
		}
		return newSegment(dir, le.Uint64(h[12:]), le.Uint64(h[20:]), int64(le.Uint32(h[28:]))), nil
	}
	return nil, fmt.Errorf("header block: %w", ErrCorrupt)
}
