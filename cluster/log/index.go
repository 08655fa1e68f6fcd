package log

import "encoding/binary"

// index says what one segment holds, by group. Of a sealed segment it holds
// runs without offsets, which are read from the footer.
type index map[uint64]*groupIndex

// groupIndex is what a segment holds of one group.
type groupIndex struct {
	events []event
	bytes  uint64 // of the group's entries, with heads
}

// event is a run of consecutive entries or a record that makes entries void or
// unneeded. A later event overrides an earlier one.
type event struct {
	kind    kind // kindEntry: a run
	first   uint64
	count   uint32
	section uint32   // sealed: where the offsets are
	offsets []uint32 // not sealed
}

func (e *event) holds(index uint64) bool {
	return e.kind == kindEntry && index >= e.first && index-e.first < uint64(e.count)
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
		if last := &g.events[n-1]; last.kind == kindEntry && index == last.first+uint64(last.count) {
			last.count++
			last.offsets = append(last.offsets, offset)
			return
		}
	}
	g.events = append(g.events, event{kind: kindEntry, first: index, count: 1, offsets: []uint32{offset}})
}

// control notes a truncate, release or drop.
func (g *groupIndex) control(k kind, index uint64) {
	switch k {
	case kindDrop:
		g.events, g.bytes = g.events[:0], 0
	case kindTruncate:
		for n := len(g.events); n > 0; n = len(g.events) {
			last := &g.events[n-1]
			if last.kind != kindEntry {
				break
			}
			if last.holds(index) && index > last.first {
				last.count = uint32(index - last.first)
				last.offsets = last.offsets[:last.count]
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

// find returns where up to n entries from index on are, as far as one run has
// them: at once, or as the place in the file where their offsets stand.
func (x index) find(group, index uint64, n int) (offsets []uint32, section int64, count int) {
	g := x[group]
	if g == nil {
		return nil, 0, 0
	}
	next := index + uint64(n) // where a later event takes over
	for i := len(g.events) - 1; i >= 0; i-- {
		e := &g.events[i]
		if !e.holds(index) {
			if e.first > index && (e.kind == kindEntry || e.kind == kindTruncate) {
				next = min(next, e.first)
			}
			continue
		}
		at := uint32(index - e.first)
		count = int(min(next-index, uint64(e.count-at)))
		if e.offsets != nil {
			return append(offsets, e.offsets[at:int(at)+count]...), 0, count
		}
		return nil, int64(e.section) + 4*int64(at), count
	}
	return nil, 0, 0
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
	return entries, g.bytes
}

func decodeOffsets(b []byte) []uint32 {
	offsets := make([]uint32, len(b)/4)
	for i := range offsets {
		offsets[i] = binary.LittleEndian.Uint32(b[4*i:])
	}
	return offsets
}
