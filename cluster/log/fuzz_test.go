package log

import (
	"bytes"
	"encoding/binary"
	"errors"
	"io"
	"maps"
	"slices"
	"testing"
	"time"

	"github.com/hashicorp/raft"
)

// memory is a file of these bytes.
type memory []byte

func (m memory) ReadAt(b []byte, off int64) (int, error) { return bytes.NewReader(m).ReadAt(b, off) }
func (m memory) Close() error                            { return nil }
func (m memory) WriteV([][]byte, int64) error            { return io.ErrShortWrite }
func (m memory) Size() (int64, error)                    { return int64(len(m)), nil }
func (m memory) Truncate(int64) error                    { return nil }
func (m memory) Allocate(int64) error                    { return nil }
func (m memory) Sync() error                             { return nil }

// image makes a segment of entries, with a footer if it is sealed.
func image(sealed bool, sizes ...int) []byte {
	s := newSegment("d", 3, 77, minSegment)
	b := s.headerBlock()
	x := index{}
	for i, size := range sizes {
		e := raft.Log{Index: uint64(i + 1), Term: 2, Data: bytes.Repeat([]byte{byte(i)}, size), Extensions: []byte("x"), AppendedAt: time.Unix(5, 6)}
		r := request{group: &Group{id: uint64(i % 2)}}
		if i%2 == 1 {
			e.Extensions = nil
		}
		if err := r.encode(requestAppend, []*raft.Log{&e}); err != nil {
			panic(err)
		}
		f := r.frames[0]
		stamp(r.buf[f.head:], s.seed, int64(len(b)))
		x.group(uint64(i%2)).entry(e.Index, uint32(len(b)), f.bytes)
		b = append(append(append(b, r.buf[:f.cut]...), f.direct...), r.buf[f.cut:]...)
	}
	if sealed {
		record, trailer := s.footer(x, int64(len(b)))
		return append(append(b, record...), trailer...)
	}
	return append(b, make([]byte, 1000)...)
}

func FuzzRecord(f *testing.F) {
	b := image(false, 0, 10, 5000)
	f.Add(b[blockBytes:], uint32(9))
	f.Add(b[blockBytes:blockBytes+headBytes], uint32(9))
	f.Fuzz(func(t *testing.T, in []byte, seed uint32) {
		if len(in) >= headBytes { // make the checksum right now and then, to come further
			if in[0]%2 == 0 {
				binary.LittleEndian.PutUint32(in, headCRC(in, seed))
			}
		}
		h, ok := parseHead(in, seed)
		if !ok {
			return
		}
		var out [headBytes]byte
		h.put(out[:])
		stamp(out[:], seed, int64(h.synced))
		if !bytes.Equal(out[:], in[:headBytes]) {
			t.Fatalf("% x came back as % x", in[:headBytes], out)
		}
		body := in[headBytes:]
		if h.kind == kindEntry && int(h.bodyBytes) <= len(body) {
			e := h.entry(body[:h.bodyBytes])
			if again := entryHead(h.group, &e); again.extBytes != h.extBytes || again.bodyBytes != h.bodyBytes || again.index != h.index {
				t.Fatalf("%+v came back as %+v", h, again)
			}
		}
	})
}

// FuzzScan changes a segment: the scan must end, in order and within the file.
func FuzzScan(f *testing.F) {
	f.Add(image(false, 0, 10, 5000, 3), uint16(4100), byte(1))
	f.Add(image(true, 0, 10, 5000, 3), uint16(5000), byte(0x80))
	f.Fuzz(func(t *testing.T, in []byte, at uint16, x byte) {
		if int(at) < len(in) {
			in[at] ^= x
		}
		s, err := parseHeaderBlock("d", in)
		if err != nil {
			return
		}
		sc, err := scanSegment(memory(in), s.seed, int64(len(in)))
		if err != nil {
			t.Fatal(err)
		}
		for range 2 {
			pos := int64(blockBytes)
			for _, it := range sc.items {
				if it.at != pos || it.size <= 0 {
					t.Fatalf("item at %d follows %d", it.at, pos)
				}
				pos += it.size
			}
			if pos > max(blockBytes, align(int64(len(in)))) || sc.end > pos {
				t.Fatalf("items end at %d, records at %d, the file at %d", pos, sc.end, len(in))
			}
			sc.cut()
		}
		if ok, err := s.loadFooter(memory(in), int64(len(in))); err != nil {
			t.Fatal(ok, err)
		}
	})
}

func FuzzDirectory(f *testing.F) {
	x := index{}
	x.group(5).entry(1, 4096, 100)
	x.group(5).entry(2, 5096, 100)
	x.group(9).control(kindRelease, 7)
	x.group(9).entry(8, 6096, 100)
	x.group(1<<40).control(kindDrop, 0)
	x.group(3).span(1, 1000)
	x.group(3).entry(17, 4096, 100)
	x.group(3).entry(900, 4196, 100)
	x.group(3).adopt(5, 5096, 100)
	x.group(3).adopt(2, 5196, 100)
	f.Add(appendDirectory(nil, slices.Sorted(maps.Keys(x)), x))
	f.Fuzz(func(t *testing.T, in []byte) {
		x, err := parseDirectory(in, 0, 1<<20)
		if err != nil {
			return
		}
		again, err := parseDirectory(appendDirectory(nil, slices.Sorted(maps.Keys(x)), x), 0, 1<<20)
		if err != nil || len(again) != len(x) {
			t.Fatalf("%v came back as %v: %v", x, again, err)
		}
		for id, g := range x {
			for i, e := range g.events {
				a := again[id].events[i]
				if a.kind != e.kind || a.first != e.first || a.last != e.last || a.count != e.count || a.section != e.section {
					t.Fatalf("group %d: %v came back as %v", id, e, a)
				}
				if f, next, ok := x.find(id, e.first); (e.kind == kindEntry || e.kind == kindSpan) && (!ok || !f.holds(e.first) || next <= e.first) {
					t.Fatalf("group %d: %v from %d, next %d", id, f, e.first, next)
				}
			}
		}
	})
}

// FuzzPairs looks up entries in a section that was changed: what is found was written, and an
// entry is not taken for a reclaimed one because its pair is damaged.
func FuzzPairs(f *testing.F) {
	f.Add(uint16(600), uint64(300), uint32(77), byte(4))
	f.Add(uint16(1), uint64(0), uint32(3), byte(1))
	f.Add(uint16(257), uint64(1540), uint32(4000), byte(0))
	f.Fuzz(func(t *testing.T, n uint16, index uint64, at uint32, x byte) {
		const seed = 99
		e := event{kind: kindSpan, first: 1, last: 6*uint64(n) + 6, count: uint32(n)}
		var b []byte
		for i := range uint64(n) {
			b = appendPair(b, pair{6*i + 3, uint32(i)}, seed)
		}
		changed := int(at) < len(b) && x != 0
		if changed {
			b[at] ^= x
		}
		index %= e.last + 1
		places, err := e.places(memory(b), seed, index, e.last+1, 5)
		if err != nil {
			if !changed || !errors.Is(err, ErrCorrupt) {
				t.Fatal(err)
			}
			return
		}
		want := (index + 2) / 6 // the first pair from index on
		for i := range min(5, uint64(n)-min(want, uint64(n))) {
			if i >= uint64(len(places)) || places[i] != (pair{6*(want+i) + 3, uint32(want + i)}) {
				t.Fatalf("from %d: %v", index, places)
			}
		}
	})
}

func TestFooterIsWhatTheRecordsSay(t *testing.T) {
	for _, sizes := range [][]int{{}, {1}, {0, 5, 9000, 1, 77, 4096}} {
		b := image(true, sizes...)
		s, err := parseHeaderBlock("d", b)
		if err != nil {
			t.Fatal(err)
		}
		if ok, err := s.loadFooter(memory(b), int64(len(b))); !ok || err != nil {
			t.Fatalf("%v: no footer: %v", sizes, err)
		}
		sc, err := scanSegment(memory(b), s.seed, int64(len(b)))
		if err != nil || len(sc.items) != len(sizes) || sc.end != s.end {
			t.Fatalf("%v: %+v, %v", sizes, sc, err)
		}
		for i, it := range sc.items {
			p := place{group: &Group{id: it.group}, index: it.index, last: it.index}
			offsets, _, err := s.places(memory(b), p, 1)
			if err != nil || int64(offsets[0].offset) != it.at {
				t.Fatalf("%v: entry %d is at %d: %v, %v", sizes, i+1, it.at, offsets, err)
			}
		}
	}
}
