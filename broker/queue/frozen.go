package queue

import (
	"encoding/binary"
	"slices"
)

// Frozen is a snapshot of a state that is encoded while the state goes on: a queue that was
// not encoded yet is, right before it changes. All calls come when nothing is applied.
type Frozen struct {
	state *State
	head  []byte
	ids   []ID
	parts [][]byte // of ids; nil: not encoded yet
	next  int      // all before it are encoded
}

// Freeze begins a snapshot of the state as it is. The one before must have ended.
func (s *State) Freeze() *Frozen {
	f := &Frozen{state: s, head: s.appendHead(nil), ids: s.ids()}
	f.parts = make([][]byte, len(f.ids))
	f.head = binary.AppendUvarint(f.head, uint64(len(f.ids)))
	s.frozen = f
	return f
}

// keep encodes a queue of the state that is about to change, unless it was encoded before or is
// newer than the snapshot. The receiver may be nil.
func (f *Frozen) keep(q *Queue) {
	if f == nil {
		return
	}
	if i, found := slices.BinarySearch(f.ids, q.id); found && f.parts[i] == nil {
		f.parts[i] = q.appendSnapshot(nil)
	}
}

// Encode encodes queues until they have made so many bytes; it reports whether there are more.
func (f *Frozen) Encode(bytes int) (more bool) {
	for ; f.next < len(f.ids) && bytes > 0; f.next++ {
		if f.parts[f.next] == nil {
			f.parts[f.next] = f.state.queues[f.ids[f.next]].appendSnapshot(nil)
			bytes -= len(f.parts[f.next])
		}
	}
	return f.next < len(f.ids)
}

// End lets go of the state.
func (f *Frozen) End() {
	if f.state.frozen == f {
		f.state.frozen = nil
	}
}

// Size is how many bytes Parts has, once all is encoded.
func (f *Frozen) Size() int {
	size := 0
	for part := range f.Parts {
		size += len(part)
	}
	return size
}

// Parts are the snapshot, piece by piece, once all is encoded: what AppendSnapshot made of the
// state when it was frozen.
func (f *Frozen) Parts(yield func([]byte) bool) {
	if !yield(f.head) {
		return
	}
	before := ID(0)
	for i, id := range f.ids {
		if !yield(binary.AppendUvarint(nil, uint64(id-before))) || !yield(f.parts[i]) {
			return
		}
		before = id
	}
}
