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
	headerBytes    = 48
	rewriteName    = "rewrite.tmp"
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
	number     uint64
	through    uint64 // the last segment that it stands for
	generation uint32 // how often its oldest content was rewritten; 0: written by the writer

	nonce uint64
	seed  uint32 // checksum of number and nonce; heads start from it
	name  string
	// allocated is the size that the file was made with.
	allocated int64

	lost bool // damaged, and nobody knows whose: it stays for ever

	mu     sync.RWMutex
	index  index
	end    int64 // no record ends behind it
	size   int64 // of the file
	sealed bool  // nothing is written to it any more
	judged judged

	handle *handle // guarded by files.mu
	gone   bool    // guarded by files.mu: rewritten, its file is removed
}

func newSegment(dir string, number, nonce uint64, allocated int64) *segment {
	return newRewritten(dir, number, number, 0, nonce, allocated)
}

// newRewritten returns a segment that stands for those from number to through.
func newRewritten(dir string, number, through uint64, generation uint32, nonce uint64, allocated int64) *segment {
	var b [16]byte
	binary.LittleEndian.PutUint64(b[:], number)
	binary.LittleEndian.PutUint64(b[8:], nonce)
	return &segment{
		number:     number,
		through:    through,
		generation: generation,
		nonce:      nonce,
		seed:       checksum(b[:]),
		name:       path.Join(dir, segmentName(number, generation)),
		index:      index{},
		allocated:  allocated,
	}
}

func segmentName(number uint64, generation uint32) string {
	if generation == 0 {
		return fmt.Sprintf("%016x%s", number, segmentSuffix)
	}
	return fmt.Sprintf("%016x-%08x%s", number, generation, segmentSuffix)
}

// segmentNumber takes a name apart; false when it is none of a segment.
func segmentNumber(name string) (number uint64, generation uint32, ok bool) {
	digits, ok := strings.CutSuffix(name, segmentSuffix)
	if !ok {
		return 0, 0, false
	}
	digits, again, rewritten := strings.Cut(digits, "-")
	if len(digits) != 16 || rewritten && len(again) != 8 {
		return 0, 0, false
	}
	number, err := strconv.ParseUint(digits, 16, 64)
	if err != nil || number == 0 {
		return 0, 0, false
	}
	if rewritten {
		g, err := strconv.ParseUint(again, 16, 32)
		if err != nil || g == 0 {
			return 0, 0, false
		}
		generation = uint32(g)
	}
	return number, generation, true
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
	le.PutUint64(b[32:], s.through)
	le.PutUint32(b[40:], s.generation)
	le.PutUint32(b[44:], checksum(b[:44]))
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
		if !bytes.HasPrefix(h, segmentMagic) || le.Uint32(h[44:]) != checksum(h[:44]) {
			continue
		}
		if v := le.Uint32(h[8:]); v > formatVersion {
			return nil, fmt.Errorf("format %d, this is %d: %w", v, formatVersion, ErrNewer)
		}
		number, through := le.Uint64(h[12:]), le.Uint64(h[32:])
		if through < number {
			break
		}
		return newRewritten(dir, number, through, le.Uint32(h[40:]), le.Uint64(h[20:]), int64(le.Uint32(h[28:]))), nil
	}
	return nil, fmt.Errorf("header block: %w", ErrCorrupt)
}
