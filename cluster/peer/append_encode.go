package peer

import (
	"encoding/binary"

	"github.com/hashicorp/raft"
	"google.golang.org/grpc/mem"
	"google.golang.org/protobuf/encoding/protowire"
)

const (
	chunkBytes   = 1 << 20 // of a request travel in one message
	requestBytes = 4 << 20 // of entries go in one request, if more than one entry does
	inlineBytes  = 1 << 10 // payloads up to here are copied next to their heads
	headBytes    = 96      // at least what the fields around one entry's payload take
)

// splitAppend divides a request whose entries are more than a follower should
// take at once. The parts follow each other; the last one's success is the
// whole's.
func splitAppend(r *raft.AppendEntriesRequest) []*raft.AppendEntriesRequest {
	parts := []*raft.AppendEntriesRequest{r}
	size, first := 0, 0
	for i, e := range r.Entries {
		if size > 0 && size+len(e.Data) > requestBytes {
			last := parts[len(parts)-1]
			next := *last
			last = shallow(last)
			last.Entries = r.Entries[first:i]
			parts[len(parts)-1] = last
			next.Entries = r.Entries[i:]
			next.PrevLogEntry, next.PrevLogTerm = r.Entries[i-1].Index, r.Entries[i-1].Term
			parts = append(parts, &next)
			size, first = 0, i
		}
		size += len(e.Data)
	}
	return parts
}

func shallow(r *raft.AppendEntriesRequest) *raft.AppendEntriesRequest {
	c := *r
	return &c
}

// appendFrame is one RaftAppendChunk on its way out: data in pieces.
type appendFrame struct {
	pieces mem.BufferSlice
	bytes  int
	more   bool
}

// MarshalFrame writes the chunk's fields around the pieces.
func (f *appendFrame) MarshalFrame() mem.BufferSlice {
	head := make([]byte, 0, 16)
	if f.more {
		head = protowire.AppendTag(head, 2, protowire.VarintType)
		head = append(head, 1)
	}
	head = protowire.AppendTag(head, 1, protowire.BytesType)
	head = protowire.AppendVarint(head, uint64(f.bytes))
	return append(mem.BufferSlice{mem.SliceBuffer(head)}, f.pieces...)
}

// UnmarshalFrame is not called: chunks of this kind only leave.
func (f *appendFrame) UnmarshalFrame(mem.BufferSlice) error { return errMalformed }

// encodeAppend writes r as the chunks of one RaftAppendRequest. Payloads are not
// copied: the frames point to the entries' data, which is immutable.
func encodeAppend(r *raft.AppendEntriesRequest) []*appendFrame {
	size := headBytes
	for _, e := range r.Entries {
		size += headBytes + len(e.Extensions)
		if len(e.Data) <= inlineBytes {
			size += len(e.Data)
		}
	}
	w := frameWriter{arena: make([]byte, 0, size)}
	w.field(1, r.Term)
	w.field(2, r.PrevLogEntry)
	w.field(3, r.PrevLogTerm)
	w.field(4, r.LeaderCommitIndex)
	for _, e := range r.Entries {
		w.entry(e)
	}
	return w.finish()
}

// frameWriter gathers small fields in its arena, which is large enough from the
// start, and payloads as they are.
type frameWriter struct {
	arena  []byte
	from   int // of the arena, not yet in a frame
	frames []*appendFrame
}

func (w *frameWriter) field(number protowire.Number, v uint64) {
	if v != 0 {
		w.arena = protowire.AppendTag(w.arena, number, protowire.VarintType)
		w.arena = protowire.AppendVarint(w.arena, v)
	}
}

func (w *frameWriter) entry(e *raft.Log) {
	size := entrySize(e)
	w.arena = protowire.AppendTag(w.arena, 5, protowire.BytesType)
	w.arena = protowire.AppendVarint(w.arena, uint64(size))
	w.field(1, e.Index)
	w.field(2, e.Term)
	w.field(3, uint64(e.Type))
	if len(e.Extensions) > 0 {
		w.arena = protowire.AppendTag(w.arena, 5, protowire.BytesType)
		w.arena = protowire.AppendBytes(w.arena, e.Extensions)
	}
	if !e.AppendedAt.IsZero() {
		w.arena = protowire.AppendTag(w.arena, 6, protowire.Fixed64Type)
		w.arena = binary.LittleEndian.AppendUint64(w.arena, uint64(e.AppendedAt.UnixNano()))
	}
	if len(e.Data) == 0 {
		return
	}
	w.arena = protowire.AppendTag(w.arena, 4, protowire.BytesType)
	w.arena = protowire.AppendVarint(w.arena, uint64(len(e.Data)))
	if len(e.Data) <= inlineBytes {
		w.arena = append(w.arena, e.Data...)
		return
	}
	w.flush()
	w.add(e.Data)
}

func entrySize(e *raft.Log) int {
	size := fieldSize(e.Index) + fieldSize(e.Term) + fieldSize(uint64(e.Type))
	if len(e.Extensions) > 0 {
		size += 1 + protowire.SizeBytes(len(e.Extensions))
	}
	if !e.AppendedAt.IsZero() {
		size += 1 + 8
	}
	if len(e.Data) > 0 {
		size += 1 + protowire.SizeBytes(len(e.Data))
	}
	return size
}

func fieldSize(v uint64) int {
	if v == 0 {
		return 0
	}
	return 1 + protowire.SizeVarint(v)
}

// flush puts the arena's new bytes into the frames.
func (w *frameWriter) flush() {
	w.add(w.arena[w.from:])
	w.from = len(w.arena)
}

func (w *frameWriter) add(b []byte) {
	for len(b) > 0 {
		n := len(w.frames)
		if n == 0 || w.frames[n-1].bytes == chunkBytes {
			if n > 0 {
				w.frames[n-1].more = true
			}
			w.frames = append(w.frames, &appendFrame{})
			n++
		}
		f := w.frames[n-1]
		k := min(len(b), chunkBytes-f.bytes)
		f.pieces = append(f.pieces, mem.SliceBuffer(b[:k:k]))
		f.bytes += k
		b = b[k:]
	}
}

func (w *frameWriter) finish() []*appendFrame {
	w.flush()
	if len(w.frames) == 0 {
		w.frames = append(w.frames, &appendFrame{})
	}
	return w.frames
}
