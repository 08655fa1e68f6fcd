package log

import (
	"cmp"
	"encoding/binary"
	"math"
	"slices"
	"sort"
)

// index says what one segment holds, by group. Of a sealed segment it holds
// runs without offsets, which are read from the footer.
type index map[uint64]*groupIndex

// groupIndex is what a segment holds of one group.
type groupIndex struct {
	events  []event
	adopted event  // bodies of snapshots; kind 0 when there are none
	bytes   uint64 // of the group's entries, with heads
}

// event is a run of consecutive entries, a span with what is left of it, or a record that makes
// entries void or unneeded. A later event overrides an earlier one. The adopted bodies of a
// segment are one event.
type event struct {
	kind    kind // kindEntry: a run
	first   uint64
	last    uint64 // run, span, adopted
	count   uint32 // of entries that are here
	section uint32 // sealed: where the offsets of a run, or the pairs, are
	offsets []uint32
	pairs   []pair // span, adopted: ascending; not sealed
}

// pair is where an entry is.
type pair struct {
	index  uint64
	offset uint32
}

// pairBytes is what a pair takes on disk: index, offset, checksum.
const pairBytes = 16

func (e *event) holds(index uint64) bool {
	return (e.kind == kindEntry || e.kind == kindSpan) && index >= e.first && index <= e.last
}

func (x index) group(id uint64) *groupIndex {
	g := x[id]
	if g == nil {
		g = &groupIndex{}
		x[id] = g
	}
	return g
}

// entry notes an entry.
func (g *groupIndex) entry(index uint64, offset uint32, bytes int64) {
	g.bytes += uint64(bytes)
	if n := len(g.events); n > 0 {
		switch last := &g.events[n-1]; {
		case last.kind == kindSpan && index <= last.last:
			last.count++
			last.pairs = append(last.pairs, pair{index, offset})
			return
		case last.kind == kindEntry && index == last.last+1:
			last.last = index
			last.count++
			last.offsets = append(last.offsets, offset)
			return
		}
	}
	g.events = append(g.events, event{kind: kindEntry, first: index, last: index, count: 1, offsets: []uint32{offset}})
}

// span notes that of the entries first to last only those are left that follow.
func (g *groupIndex) span(first, last uint64) {
	g.events = append(g.events, event{kind: kindSpan, first: first, last: last})
}

// adopt notes a body of a snapshot; a later one of the same index takes its place.
func (g *groupIndex) adopt(index uint64, offset uint32, bytes int64) {
	g.bytes += uint64(bytes)
	e := &g.adopted
	if e.kind == 0 {
		*e = event{kind: kindAdopted, first: index}
	}
	at, there := e.search(index)
	if there {
		e.pairs[at].offset = offset
		return
	}
	e.pairs = slices.Insert(e.pairs, at, pair{index, offset})
	e.first, e.last, e.count = e.pairs[0].index, e.pairs[len(e.pairs)-1].index, uint32(len(e.pairs))
}

func (e *event) search(index uint64) (int, bool) {
	return slices.BinarySearchFunc(e.pairs, index, func(p pair, index uint64) int { return cmp.Compare(p.index, index) })
}

// control notes a truncate, release or drop.
func (g *groupIndex) control(k kind, index uint64) {
	switch k {
	case kindDrop:
		g.events, g.bytes, g.adopted = g.events[:0], 0, event{}
	case kindTruncate:
		for n := len(g.events); n > 0; n = len(g.events) {
			last := &g.events[n-1]
			if last.kind != kindEntry && last.kind != kindSpan {
				break
			}
			if last.holds(index) && index > last.first {
				last.cut(index)
				return
			}
			if last.first < index {
				break
			}
			g.events = g.events[:n-1]
		}
	}
	g.events = append(g.events, event{kind: k, first: index})
}

// cut takes off what is at index and behind; something before it is left.
func (e *event) cut(index uint64) {
	e.last = index - 1
	if e.kind == kindEntry {
		e.count = uint32(index - e.first)
		e.offsets = e.offsets[:e.count]
		return
	}
	at, _ := e.search(index)
	e.pairs = e.pairs[:at]
	e.count = uint32(at)
}

// find returns the event that has an entry, and the index where a later event takes over.
func (x index) find(group, index uint64) (e event, next uint64, ok bool) {
	g := x[group]
	if g == nil {
		return event{}, 0, false
	}
	next = math.MaxUint64
	for i := len(g.events) - 1; i >= 0; i-- {
		e := &g.events[i]
		if e.holds(index) {
			return *e, min(next, e.last+1), true
		}
		if e.first > index && e.kind != kindRelease && e.kind != kindDrop {
			next = min(next, e.first)
		}
	}
	return event{}, 0, false
}

// content is how many entries of a group the segment holds, void ones among them, and their bytes.
func (x index) content(group uint64) (entries, bytes uint64) {
	g := x[group]
	if g == nil {
		return 0, 0
	}
	for _, e := range g.events {
		entries += uint64(e.count)
	}
	return entries + uint64(g.adopted.count), g.bytes
}

// places returns where the event's entries from index on are, up to n of them and below next. Of a
// sealed segment they are read from f.
func (e *event) places(f File, seed uint32, index, next uint64, n int) ([]pair, error) {
	if e.kind == kindEntry {
		return e.runPlaces(f, index, next, n)
	}
	return e.pairPlaces(f, seed, index, next, n)
}

func (e *event) runPlaces(f File, index, next uint64, n int) ([]pair, error) {
	at := index - e.first
	count := min(next-index, uint64(e.count)-at, uint64(n))
	offsets := e.offsets
	if offsets != nil {
		offsets = offsets[at : at+count]
	} else {
		b := make([]byte, 4*count)
		if err := readFull(f, b, int64(e.section)+4*int64(at)); err != nil {
			return nil, err
		}
		offsets = decodeOffsets(b)
	}
	places := make([]pair, count)
	for i, o := range offsets {
		places[i] = pair{index + uint64(i), o}
	}
	return places, nil
}

// pairBlock is how many pairs are read at once.
const pairBlock = 256

func (e *event) pairPlaces(f File, seed uint32, index, next uint64, n int) ([]pair, error) {
	if e.count == 0 {
		return nil, nil
	}
	if e.pairs != nil {
		at, _ := e.search(index)
		places := e.pairs[at:]
		end, _ := slices.BinarySearchFunc(places, next, func(p pair, index uint64) int { return cmp.Compare(p.index, index) })
		return slices.Clone(places[:min(end, n)]), nil
	}
	var failed error
	block := func(at, count int) []pair {
		pairs, err := e.readPairs(f, seed, at, count)
		if err != nil && failed == nil {
			failed = err
		}
		return pairs
	}
	blocks := (int(e.count) + pairBlock - 1) / pairBlock
	first := sort.Search(blocks, func(i int) bool { // the first block that begins behind index
		p := block(i*pairBlock, 1)
		return failed != nil || p[0].index > index
	})
	var places []pair
	for at := max(0, first-1) * pairBlock; at < int(e.count) && len(places) < n && failed == nil; at += pairBlock {
		for _, p := range block(at, pairBlock) {
			if p.index >= next {
				return places, failed
			}
			if p.index >= index && len(places) < n {
				places = append(places, p)
			}
		}
	}
	return places, failed
}

// readPairs reads up to count pairs from place at on.
func (e *event) readPairs(f File, seed uint32, at, count int) ([]pair, error) {
	b := make([]byte, pairBytes*min(count, int(e.count)-at))
	if err := readFull(f, b, int64(e.section)+pairBytes*int64(at)); err != nil {
		return nil, err
	}
	pairs := make([]pair, len(b)/pairBytes)
	for i := range pairs {
		p, ok := parsePair(b[pairBytes*i:], seed)
		if !ok {
			return nil, errPair
		}
		pairs[i] = p
	}
	return pairs, nil
}

// appendPair writes a pair such that damage to it is found: one that is missing means that its
// entry was reclaimed.
func appendPair(b []byte, p pair, seed uint32) []byte {
	at := len(b)
	b = binary.LittleEndian.AppendUint64(b, p.index)
	b = binary.LittleEndian.AppendUint32(b, p.offset)
	return binary.LittleEndian.AppendUint32(b, seeded(seed, b[at:]))
}

func parsePair(b []byte, seed uint32) (pair, bool) {
	le := binary.LittleEndian
	return pair{le.Uint64(b), le.Uint32(b[8:])}, le.Uint32(b[12:]) == seeded(seed, b[:12])
}

func decodeOffsets(b []byte) []uint32 {
	offsets := make([]uint32, len(b)/4)
	for i := range offsets {
		offsets[i] = binary.LittleEndian.Uint32(b[4*i:])
	}
	return offsets
}
