package log

import (
	"encoding/binary"
	"errors"
	"fmt"
	"hash/crc32"
	"io"
)

const scanWindow = 1 << 20

// scan is what the records of one segment say, before it is known up to where
// they were synced.
type scan struct {
	items  []item
	synced int64 // highest that a whole record names
	end    int64 // behind the last whole record
	stray  bool  // something other than zeros stands behind end
	short  bool  // the file has lost its end
}

// item is a record, or bytes that are none.
type item struct {
	at, size int64
	kind     kind
	group    uint64
	index    uint64
	last     uint64 // span
	state    itemState
}

type itemState uint8

const (
	whole   itemState = iota
	badBody           // the head can be trusted
	noHead            // nobody knows what stood here
)

// scanner reads a segment's file through a window.
type scanner struct {
	f    File
	seed uint32
	size int64
	buf  []byte
	from int64 // where the window stands in the file
}

// window returns n bytes at pos, fewer at the end of the file; n is at most scanWindow/2.
func (s *scanner) window(pos int64, n int) ([]byte, error) {
	n = int(min(int64(n), s.size-pos))
	if n <= 0 {
		return nil, nil
	}
	if pos < s.from || pos+int64(n) > s.from+int64(len(s.buf)) {
		s.buf = s.buf[:min(int64(cap(s.buf)), s.size-pos)]
		s.from = pos
		if err := readFull(s.f, s.buf, pos); err != nil {
			s.buf = s.buf[:0]
			return nil, fmt.Errorf("read segment: %w", err)
		}
	}
	at := pos - s.from
	return s.buf[at : at+int64(n)], nil
}

// record returns the head at pos, and whether head and body are whole.
func (s *scanner) record(pos int64) (h head, headOK, bodyOK bool, err error) {
	b, err := s.window(pos, headBytes)
	if err != nil {
		return head{}, false, false, err
	}
	h, ok := parseHead(b, s.seed)
	if !ok || pos+headBytes+int64(h.bodyBytes) > s.size {
		return head{}, false, false, nil
	}
	var sum uint32
	for at, left := pos+headBytes, int64(h.bodyBytes); left > 0; {
		b, err := s.window(at, int(min(left, scanWindow/2)))
		if err != nil {
			return head{}, false, false, err
		}
		sum = crc32.Update(sum, castagnoli, b)
		at, left = at+int64(len(b)), left-int64(len(b))
	}
	return h, true, sum == h.bodyCRC, nil
}

// next returns where the next whole record at or behind pos begins, or the
// size of the file; and whether there were other bytes than zeros before it.
func (s *scanner) next(pos int64) (at int64, stray bool, err error) {
	for ; pos < s.size; pos += 8 {
		b, err := s.window(pos, headBytes)
		if err != nil {
			return 0, false, err
		}
		if len(b) >= 8 && binary.LittleEndian.Uint64(b) == 0 {
			continue // no checksum is zero, so no record begins here
		}
		for _, c := range b[:min(8, len(b))] {
			stray = stray || c != 0
		}
		if _, ok := parseHead(b, s.seed); !ok {
			continue
		}
		if _, headOK, bodyOK, err := s.record(pos); err != nil || headOK && bodyOK {
			return pos, stray, err
		}
	}
	return s.size, stray, nil
}

// scanSegment reads all records of a segment.
func scanSegment(f File, seed uint32, size int64) (*scan, error) {
	s := scanner{f: f, seed: seed, size: size, buf: make([]byte, 0, min(scanWindow, size))}
	out := &scan{synced: blockBytes, end: blockBytes}
	for pos := int64(blockBytes); pos < size; {
		h, headOK, bodyOK, err := s.record(pos)
		switch {
		case err != nil:
			return nil, err
		case !headOK:
			at, stray, err := s.next(pos)
			if err != nil {
				return nil, err
			}
			if at >= size {
				out.stray = stray
				return out, nil
			}
			out.items = append(out.items, item{at: pos, size: at - pos, state: noHead})
			pos = at
		case h.kind == kindFooter: // whole or not: what follows is made from what precedes
			out.stray = true
			return out, nil
		default:
			out.add(pos, &h, bodyOK)
			pos += h.size()
		}
	}
	return out, nil
}

func (s *scan) add(pos int64, h *head, bodyOK bool) {
	it := item{at: pos, size: h.size(), kind: h.kind, group: h.group, index: h.index}
	if h.kind == kindSpan {
		it.last = h.term
	}
	if !bodyOK {
		it.state = badBody
		s.items = append(s.items, it)
		return
	}
	s.items = append(s.items, it)
	s.synced = max(s.synced, int64(h.synced))
	s.end = pos + h.size()
}

// cut drops the torn tail: everything from the first bad item at or above what was synced.
// It reports whether there was one.
func (s *scan) cut() bool {
	for i, it := range s.items {
		if it.state != whole && it.at >= s.synced {
			s.items, s.end, s.stray = s.items[:i], it.at, true
			return true
		}
	}
	return false
}

// damaged reports whether what is left has bad items or is not all that was there.
func (s *scan) damaged() bool {
	for _, it := range s.items {
		if it.state != whole {
			return true
		}
	}
	return s.short || s.end < s.synced
}

// readFull reads b at off; a file that ends before is an error.
func readFull(f io.ReaderAt, b []byte, off int64) error {
	n, err := f.ReadAt(b, off)
	if n == len(b) {
		return nil
	}
	if err == nil || errors.Is(err, io.EOF) {
		return io.ErrUnexpectedEOF
	}
	return err
}
