package queue

import (
	"bytes"
	"encoding/binary"
	"slices"
)

// Builder gathers messages of one session into a publish batch. Its zero value is ready.
//
// Messages are written once, in the order of arrival; sections and ordinals are
// worked out beside them and written at Seal. A message joins an earlier section with
// the same queues only if no later section shares a queue with it: ordinals follow the
// sections, so it would else overtake a message that arrived before it.
type Builder struct {
	buf      []byte // head and messages
	ids      []ID   // queues of all sections, one after the other
	sections []draft
	placed   []place       // by arrival
	latest   map[ID]uint32 // the last section that holds the queue; filled once there are two sections
	arrivals []uint32      // of the batch sealed last, by ordinal
	expect   int           // bytes to begin the next buffer with
}

// draft is a section under construction; its queues are ids[from:to], as the caller gave them.
type draft struct {
	from, to int
	count    uint32
	next     uint32 // at Seal: the ordinal to give next
	bytes    uint64
	flags    byte
}

// place is where a message lies and which section it joined.
type place struct{ offset, section uint32 }

const (
	firstBufferBytes = 4 << 10
	keptBufferBytes  = 512 << 10 // a larger buffer is not kept for the next batch
	keptQueues       = 4 << 10   // nor is a larger index
	messageOverhead  = 1 + 10 + 1 + 4*5
)

// Add copies m into the batch for the queues to: at least one, in any order, none twice.
// It takes over neither. A batch beyond MaxBatchBytes is the caller's mistake and panics.
func (b *Builder) Add(to []ID, m *Message) {
	if len(to) == 0 {
		panic("queue: message for no queue") // it would be confirmed and lost
	}
	if len(b.buf) == 0 {
		b.begin()
	}
	size := messageOverhead + len(m.Exchange) + len(m.RoutingKey) + len(m.Properties) + len(m.Body)
	for _, key := range m.Blind {
		size += 5 + len(key)
	}
	end := b.Bytes() + size + 4 + sectionBytes + 8*len(to)
	if end > MaxBatchBytes {
		panic("queue: batch beyond MaxBatchBytes")
	}
	if end > cap(b.buf) { // room for the trailer too: Seal must not move a large body once more
		b.buf = slices.Grow(b.buf, end-len(b.buf))
	}
	section := b.section(to)
	b.placed = append(b.placed, place{uint32(len(b.buf)), section})
	s := &b.sections[section]
	s.count++
	s.bytes += uint64(len(m.Body))
	flags := messageFlags(m)
	s.flags |= flags & sectionFlags
	b.buf = appendMessage(b.buf, flags, m)
}

// begin opens a batch; the head is filled in at Seal.
func (b *Builder) begin() {
	if cap(b.buf) == 0 {
		b.buf = make([]byte, 0, max(b.expect, firstBufferBytes))
	}
	b.buf = b.buf[:publishHead]
}

func messageFlags(m *Message) (flags byte) {
	if m.TTL >= 0 {
		flags |= hasTTL
	}
	if m.Priority > 0 {
		flags |= hasPriority
	}
	if m.Died {
		flags |= hasDied
	}
	if len(m.Blind) > 0 {
		flags |= hasBlind
	}
	if m.Moves {
		flags |= hasMoves
	}
	if m.Passed {
		flags |= hasPassed
	}
	return flags
}

func appendMessage(dst []byte, flags byte, m *Message) []byte {
	dst = append(dst, flags)
	if flags&hasTTL != 0 {
		dst = binary.AppendUvarint(dst, uint64(m.TTL))
	}
	if flags&hasPriority != 0 {
		dst = append(dst, m.Priority)
	}
	if flags&hasBlind != 0 {
		dst = binary.AppendUvarint(dst, uint64(len(m.Blind)))
		for _, key := range m.Blind {
			dst = append(binary.AppendUvarint(dst, uint64(len(key))), key...)
		}
	}
	dst = append(binary.AppendUvarint(dst, uint64(len(m.Exchange))), m.Exchange...)
	dst = append(binary.AppendUvarint(dst, uint64(len(m.RoutingKey))), m.RoutingKey...)
	dst = append(binary.AppendUvarint(dst, uint64(len(m.Properties))), m.Properties...)
	return append(binary.AppendUvarint(dst, uint64(len(m.Body))), m.Body...)
}

// section finds the section that a message for the queues to joins, or opens one.
func (b *Builder) section(to []ID) uint32 {
	if n := len(b.placed); n > 0 { // most often the same queues as just before
		last := b.placed[n-1].section
		if s := &b.sections[last]; slices.Equal(b.ids[s.from:s.to], to) {
			return last
		}
		if s, ok := b.joinable(to); ok {
			return s
		}
	}
	section := uint32(len(b.sections))
	from := len(b.ids)
	b.ids = append(b.ids, to...)
	b.sections = append(b.sections, draft{from: from, to: len(b.ids)})
	switch section {
	case 0: // a batch for one set of queues needs no index
	case 1:
		if b.latest == nil {
			b.latest = make(map[ID]uint32)
		}
		b.index(0)
		b.index(1)
	default:
		b.index(section)
	}
	return section
}

// joinable finds the section that is the latest for each queue of to and has as many
// queues: it has the same queues, and no later one shares any.
func (b *Builder) joinable(to []ID) (uint32, bool) {
	if len(b.sections) == 1 { // not indexed yet; the same set in another order is rare, a new section is right too
		return 0, false
	}
	section, ok := b.latest[to[0]]
	if !ok || b.sections[section].to-b.sections[section].from != len(to) {
		return 0, false
	}
	for _, id := range to[1:] {
		if s, ok := b.latest[id]; !ok || s != section {
			return 0, false
		}
	}
	return section, true
}

func (b *Builder) index(section uint32) {
	s := &b.sections[section]
	for _, id := range b.ids[s.from:s.to] {
		b.latest[id] = section
	}
}

// Len is how many messages the batch has so far.
func (b *Builder) Len() int { return len(b.placed) }

// Bytes is how long the batch would be if it were sealed now.
func (b *Builder) Bytes() int {
	return max(len(b.buf), publishHead) + 4*len(b.placed) + sectionBytes*len(b.sections) + 8*len(b.ids) + 12
}

// Seal ends the batch as number seq of session s and hands it over. The Builder is empty again.
func (b *Builder) Seal(s Session, seq uint64) []byte {
	if len(b.buf) == 0 {
		b.begin()
	}
	buf := b.buf
	head := append(buf[:0], batchVersion, kindPublish)
	head = binary.LittleEndian.AppendUint64(head, s.Incarnation)
	head = binary.LittleEndian.AppendUint64(head, s.Epoch)
	binary.LittleEndian.AppendUint64(head, seq)

	trailer := uint32(len(buf))
	buf = b.appendOffsets(buf)
	buf = b.appendSections(buf)
	buf = binary.LittleEndian.AppendUint32(buf, trailer)
	return b.handOver(buf)
}

// appendOffsets numbers the messages section by section and writes where each lies.
func (b *Builder) appendOffsets(dst []byte) []byte {
	ordinal := uint32(0)
	for i := range b.sections {
		s := &b.sections[i]
		s.next = ordinal
		ordinal += s.count
	}
	n := len(b.placed)
	b.arrivals = slices.Grow(b.arrivals[:0], n)[:n]
	dst = binary.LittleEndian.AppendUint32(dst, uint32(n))
	at := len(dst)
	dst = slices.Grow(dst, 4*n)[:at+4*n]
	for arrival, p := range b.placed {
		s := &b.sections[p.section]
		b.arrivals[s.next] = uint32(arrival)
		binary.LittleEndian.PutUint32(dst[at+4*int(s.next):], p.offset)
		s.next++
	}
	return dst
}

func (b *Builder) appendSections(dst []byte) []byte {
	dst = binary.LittleEndian.AppendUint32(dst, uint32(len(b.sections)))
	for _, s := range b.sections {
		ids := b.ids[s.from:s.to]
		slices.Sort(ids)
		ids = slices.Compact(ids) // a queue named twice must not make a batch that no replica can read
		dst = binary.LittleEndian.AppendUint32(dst, uint32(len(ids)))
		for _, id := range ids {
			dst = binary.LittleEndian.AppendUint64(dst, uint64(id))
		}
		dst = binary.LittleEndian.AppendUint32(dst, s.count)
		dst = binary.LittleEndian.AppendUint64(dst, s.bytes)
		dst = append(dst, s.flags)
	}
	return dst
}

// handOver empties the Builder. A batch that fills its buffer takes it along; a small
// one is copied out, so that it does not keep a large buffer alive in the log's cache.
func (b *Builder) handOver(buf []byte) []byte {
	out := buf
	if len(buf) < cap(buf)/4*3 {
		out = bytes.Clone(buf)
		b.buf = buf[:0]
	} else {
		b.buf = nil
	}
	b.expect = min(cap(buf), keptBufferBytes)
	if cap(b.buf) > keptBufferBytes {
		b.buf = nil
	}
	if len(b.latest) > keptQueues {
		b.latest = nil
	} else {
		clear(b.latest)
	}
	b.ids, b.sections, b.placed = b.ids[:0], b.sections[:0], b.placed[:0]
	return out
}

// Arrival says as which message, counted from 0, the message with this ordinal was added
// to the batch sealed last. It holds until the next Seal.
func (b *Builder) Arrival(ordinal uint32) int { return int(b.arrivals[ordinal]) }
