package log

import (
	"fmt"

	"github.com/hashicorp/raft"
)

const (
	// directBytes is the size from which a body is written from where it lies; a smaller one is
	// copied behind its head, which costs less than one more buffer of a gathered write.
	directBytes = 4 << 10
	// keptBytes is the largest buffer that a recycled request keeps.
	keptBytes = 1 << 20
	keptMax   = 64 // recycled requests
)

type requestKind uint8

const (
	requestAppend requestKind = iota
	requestDelete
	requestDrop
	requestAdopt
)

// request is what a caller wants from the writer. The caller makes it ready, checksums included;
// the writer stamps the heads and writes.
type request struct {
	kind     requestKind
	group    *Group
	min, max uint64 // delete

	logs   []*raft.Log
	frames []frame // one an entry
	buf    []byte  // heads, extensions, small bodies and padding
	bytes  int64   // all records
	done   chan error
}

// frame is a record of a request: buf[head:cut], then direct, then on in buf.
type frame struct {
	head, cut int
	direct    []byte
	bytes     int64
	offset    uint32 // in the segment, given by the writer
}

// request returns an empty request.
func (l *Log) request(g *Group) *request {
	l.mu.Lock()
	defer l.mu.Unlock()
	n := len(l.free)
	if n == 0 {
		return &request{group: g, done: make(chan error, 1)}
	}
	r := l.free[n-1]
	l.free[n-1] = nil
	l.free = l.free[:n-1]
	r.group = g
	return r
}

func (l *Log) recycle(r *request) {
	clear(r.frames)
	if cap(r.buf) > keptBytes {
		r.buf = nil
	}
	*r = request{frames: r.frames[:0], buf: r.buf[:0], done: r.done}
	l.mu.Lock()
	defer l.mu.Unlock()
	if len(l.free) < keptMax {
		l.free = append(l.free, r)
	}
}

var padding [8]byte

// encode makes the records of entries that must follow each other, or of adopted bodies.
func (r *request) encode(kind requestKind, logs []*raft.Log) error {
	r.kind, r.logs = kind, logs
	for i, e := range logs {
		if e.Index == 0 || kind == requestAppend && e.Index != logs[0].Index+uint64(i) {
			return fmt.Errorf("entry %d after %d: %w", e.Index, logs[0].Index, ErrOrder)
		}
		if len(e.Data) > maxBodyBytes || len(e.Extensions) > maxBodyBytes-len(e.Data) {
			return fmt.Errorf("entry %d has %d bytes, more than %d", e.Index, len(e.Data)+len(e.Extensions), maxBodyBytes)
		}
		h := entryHead(r.group.id, e)
		if kind == requestAdopt {
			h.kind = kindAdopted
		}
		f := frame{head: len(r.buf), bytes: h.size()}
		if r.bytes += f.bytes; r.bytes > maxRequestBytes {
			return fmt.Errorf("entries to %d have more than %d bytes at once", e.Index, maxRequestBytes)
		}
		var b [headBytes]byte
		h.put(b[:])
		r.buf = append(append(r.buf, b[:]...), e.Extensions...)
		if len(e.Data) >= directBytes {
			f.direct = e.Data
		} else {
			r.buf = append(r.buf, e.Data...)
		}
		f.cut = len(r.buf)
		r.buf = append(r.buf, padding[:f.bytes-headBytes-int64(h.bodyBytes)]...)
		r.frames = append(r.frames, f)
	}
	return nil
}
