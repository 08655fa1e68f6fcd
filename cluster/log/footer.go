package log

import (
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"maps"
	"math"
	"slices"
)

const trailerBytes = 40

var trailerMagic = []byte("WARRENFT")

// footer makes a sealed segment's last bytes: the footer record, which starts
// at end, and the trailer. The sections' places are noted in the index.
func (s *segment) footer(x index, end int64) (record, trailer []byte) {
	record = make([]byte, headBytes)
	ids := slices.Sorted(maps.Keys(x))
	for _, id := range ids {
		for i := range x[id].events {
			record = x[id].events[i].appendSection(record, end, s.seed)
		}
		record = x[id].adopted.appendSection(record, end, s.seed)
	}
	at := len(record)
	record = appendDirectory(record, ids, x)
	directory := record[at:]

	trailer = make([]byte, trailerBytes)
	copy(trailer, trailerMagic)
	le := binary.LittleEndian
	le.PutUint64(trailer[8:], s.number)
	le.PutUint32(trailer[16:], uint32(end))
	le.PutUint32(trailer[20:], uint32(end)+uint32(at))
	le.PutUint32(trailer[24:], uint32(len(directory)))
	le.PutUint32(trailer[28:], checksum(directory))
	le.PutUint32(trailer[32:], s.seed)
	le.PutUint32(trailer[36:], checksum(trailer[:36]))

	body := record[headBytes:]
	h := head{kind: kindFooter, bodyBytes: uint32(len(body)), bodyCRC: checksum(body)}
	h.put(record)
	stamp(record, s.seed, end)
	record = append(record, make([]byte, align(int64(len(record)))-int64(len(record)))...)
	return record, trailer
}

// appendSection writes where the event's entries are, and notes where that stands.
func (e *event) appendSection(record []byte, end int64, seed uint32) []byte {
	e.section = uint32(end) + uint32(len(record))
	for _, o := range e.offsets {
		record = binary.LittleEndian.AppendUint32(record, o)
	}
	for _, p := range e.pairs {
		record = appendPair(record, p, seed)
	}
	return record
}

func appendDirectory(b []byte, ids []uint64, x index) []byte {
	b = binary.AppendUvarint(b, uint64(len(ids)))
	for _, id := range ids {
		g := x[id]
		b = binary.AppendUvarint(b, id)
		b = binary.AppendUvarint(b, g.bytes)
		events := g.events
		if g.adopted.kind != 0 {
			events = append(slices.Clip(events), g.adopted)
		}
		b = binary.AppendUvarint(b, uint64(len(events)))
		for _, e := range events {
			b = append(b, byte(e.kind))
			b = binary.AppendUvarint(b, e.first)
			switch e.kind {
			case kindSpan, kindAdopted:
				b = binary.AppendUvarint(b, e.last-e.first)
				fallthrough
			case kindEntry:
				b = binary.AppendUvarint(b, uint64(e.count))
				b = binary.AppendUvarint(b, uint64(e.section))
			}
		}
	}
	return b
}

// trailer is where a sealed segment's parts are.
type trailer struct {
	number    uint64
	seed      uint32
	end       uint32
	directory uint32
	bytes     uint32
	sum       uint32
}

func parseTrailer(b []byte) (trailer, bool) {
	le := binary.LittleEndian
	if len(b) < trailerBytes || !bytes.HasPrefix(b, trailerMagic) || le.Uint32(b[36:]) != checksum(b[:36]) {
		return trailer{}, false
	}
	return trailer{
		number:    le.Uint64(b[8:]),
		end:       le.Uint32(b[16:]),
		directory: le.Uint32(b[20:]),
		bytes:     le.Uint32(b[24:]),
		sum:       le.Uint32(b[28:]),
		seed:      le.Uint32(b[32:]),
	}, true
}

var errDirectory = errors.New("malformed directory")

// directoryReader reads varints and remembers that one was missing.
type directoryReader struct {
	b   []byte
	bad bool
}

func (r *directoryReader) uvarint() uint64 {
	v, n := binary.Uvarint(r.b)
	if n <= 0 {
		r.bad = true
		return 0
	}
	r.b = r.b[n:]
	return v
}

// count reads a number of things of which each takes at least size bytes.
func (r *directoryReader) count(size int) int {
	n := r.uvarint()
	if n > uint64(len(r.b)/size) {
		r.bad = true
		return 0
	}
	return int(n)
}

// parseDirectory reads a directory whose runs' offsets lie in [from, to) of the file.
func parseDirectory(b []byte, from, to int64) (index, error) {
	r := directoryReader{b: b}
	groups := r.count(3)
	x := make(index, groups)
	var before uint64
	for i := range groups {
		id := r.uvarint()
		g := &groupIndex{bytes: r.uvarint()}
		g.events = make([]event, 0, r.count(2))
		for range cap(g.events) {
			e, err := r.event(from, to)
			switch {
			case err != nil:
				return nil, err
			case g.adopted.kind != 0: // is the last
				return nil, errDirectory
			case e.kind == kindAdopted:
				g.adopted = e
			default:
				g.events = append(g.events, e)
			}
		}
		if r.bad || i > 0 && id <= before {
			return nil, errDirectory
		}
		before = id
		x[id] = g
	}
	if r.bad || len(r.b) > 0 {
		return nil, errDirectory
	}
	return x, nil
}

func (r *directoryReader) event(from, to int64) (event, error) {
	if r.bad || len(r.b) == 0 {
		return event{}, errDirectory
	}
	e := event{kind: kind(r.b[0])}
	r.b = r.b[1:]
	e.first = r.uvarint()
	switch e.kind {
	case kindTruncate, kindRelease, kindDrop:
		return e, nil
	case kindEntry, kindSpan, kindAdopted:
	default:
		return event{}, errDirectory
	}
	size, more := uint64(4), uint64(0)
	if e.kind != kindEntry {
		size, more = pairBytes, r.uvarint()
	}
	count, section := r.uvarint(), r.uvarint()
	if e.kind == kindEntry {
		more = count - 1
	}
	if r.bad || count == 0 && e.kind != kindSpan || e.first == 0 || more >= math.MaxUint64-e.first || count > 0 && count-1 > more ||
		section < uint64(from) || section > uint64(to) || count > (uint64(to)-section)/size {
		return event{}, errDirectory
	}
	e.last, e.count, e.section = e.first+more, uint32(count), uint32(section)
	return e, nil
}

// loadFooter reads the index of a sealed segment; false when it has no whole footer.
func (s *segment) loadFooter(f File, size int64) (bool, error) {
	if size < blockBytes+trailerBytes {
		return false, nil
	}
	b := make([]byte, min(size-blockBytes, directoryGuess))
	if err := readFull(f, b, size-int64(len(b))); err != nil {
		return false, fmt.Errorf("read footer: %w", err)
	}
	t, ok := parseTrailer(b[len(b)-trailerBytes:])
	stop := size - trailerBytes // end of the footer record
	if !ok || t.number != s.number || t.seed != s.seed || t.end < blockBytes || int64(t.end)+headBytes > int64(t.directory) ||
		int64(t.directory)+int64(t.bytes) > stop {
		return false, nil
	}
	d := make([]byte, t.bytes)
	if from := size - int64(len(b)); int64(t.directory) >= from {
		copy(d, b[int64(t.directory)-from:])
	} else if err := readFull(f, d, int64(t.directory)); err != nil {
		return false, fmt.Errorf("read directory: %w", err)
	}
	if checksum(d) != t.sum {
		return false, nil
	}
	x, err := parseDirectory(d, int64(t.end)+headBytes, int64(t.directory))
	if err != nil {
		return false, nil // a whole checksum over nonsense: read the records instead
	}
	s.index, s.end, s.size, s.sealed = x, int64(t.end), size, true
	return true, nil
}
