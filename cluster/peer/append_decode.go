package peer

import (
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"time"

	"github.com/hashicorp/raft"
	"google.golang.org/grpc/mem"
	"google.golang.org/protobuf/encoding/protowire"
)

const (
	maxRequestBytes   = maxMessageBytes // of one request, all chunks together
	maxRequestEntries = 1024            // what hashicorp/raft allows at most
)

var errMalformed = errors.New("malformed append request")

// appendChunk is one RaftAppendChunk that came in: data as it lies in gRPC's
// buffers, of which it holds references.
type appendChunk struct {
	data mem.BufferSlice
	more bool
}

// MarshalFrame is not called: chunks of this kind only arrive.
func (c *appendChunk) MarshalFrame() mem.BufferSlice { return nil }

// UnmarshalFrame finds the data's place and keeps it.
func (c *appendChunk) UnmarshalFrame(buffers mem.BufferSlice) error {
	r := fieldReader{r: buffers.Reader()}
	defer r.r.Close()
	total := buffers.Len()
	for r.r.Remaining() > 0 {
		number, kind, err := r.tag()
		if err != nil {
			return err
		}
		switch {
		case number == 1 && kind == protowire.BytesType:
			size, err := r.length(r.r.Remaining())
			if err != nil {
				return err
			}
			c.data = window(buffers, total-r.r.Remaining(), size)
			r.r.Discard(size)
		case number == 2 && kind == protowire.VarintType:
			v, err := r.varint()
			if err != nil {
				return err
			}
			c.more = v != 0
		default:
			return fmt.Errorf("%w: field %d of a chunk", errMalformed, number)
		}
	}
	return nil
}

// window returns references to size bytes of buffers from an offset on.
func window(buffers mem.BufferSlice, from, size int) mem.BufferSlice {
	var part mem.BufferSlice
	for _, b := range buffers {
		n := b.Len()
		if from >= n {
			from -= n
			continue
		}
		if size == 0 {
			break
		}
		k := min(n-from, size)
		part = append(part, b.Slice(from, from+k))
		from, size = 0, size-k
	}
	return part
}

// appendAssembler puts the chunks of a stream together.
type appendAssembler struct {
	data  mem.BufferSlice
	bytes int
}

// add takes a chunk over; it returns a request when that was its last one.
func (a *appendAssembler) add(c *appendChunk) (*raft.AppendEntriesRequest, error) {
	a.bytes += c.data.Len()
	a.data = append(a.data, c.data...)
	if a.bytes > maxRequestBytes {
		return nil, fmt.Errorf("%w: it exceeds %d bytes", errMalformed, maxRequestBytes)
	}
	if c.more {
		return nil, nil
	}
	defer a.reset()
	return decodeAppend(a.data)
}

func (a *appendAssembler) reset() {
	a.data.Free()
	a.data, a.bytes = nil, 0
}

// decodeAppend reads a RaftAppendRequest; payloads are copied once, each into
// memory of its own, since a log keeps some and drops others.
func decodeAppend(data mem.BufferSlice) (*raft.AppendEntriesRequest, error) {
	r := fieldReader{r: data.Reader()}
	defer r.r.Close()
	req := &raft.AppendEntriesRequest{}
	for r.r.Remaining() > 0 {
		number, kind, err := r.tag()
		if err != nil {
			return nil, err
		}
		if number == 5 && kind == protowire.BytesType {
			if len(req.Entries) >= maxRequestEntries {
				return nil, fmt.Errorf("%w: more than %d entries", errMalformed, maxRequestEntries)
			}
			e, err := r.entry()
			if err != nil {
				return nil, err
			}
			req.Entries = append(req.Entries, e)
			continue
		}
		if kind != protowire.VarintType {
			return nil, fmt.Errorf("%w: field %d", errMalformed, number)
		}
		v, err := r.varint()
		if err != nil {
			return nil, err
		}
		switch number {
		case 1:
			req.Term = v
		case 2:
			req.PrevLogEntry = v
		case 3:
			req.PrevLogTerm = v
		case 4:
			req.LeaderCommitIndex = v
		default:
			return nil, fmt.Errorf("%w: field %d", errMalformed, number)
		}
	}
	return req, nil
}

// fieldReader reads protobuf fields from gRPC's buffers.
type fieldReader struct{ r *mem.Reader }

func (f fieldReader) varint() (uint64, error) {
	v, err := binary.ReadUvarint(f.r)
	if err != nil {
		return 0, errMalformed
	}
	return v, nil
}

func (f fieldReader) tag() (protowire.Number, protowire.Type, error) {
	v, err := f.varint()
	if err != nil {
		return 0, 0, err
	}
	number, kind := protowire.DecodeTag(v)
	if number < protowire.MinValidNumber {
		return 0, 0, errMalformed
	}
	return number, kind, nil
}

// length reads a length and refuses one beyond limit.
func (f fieldReader) length(limit int) (int, error) {
	v, err := f.varint()
	if err != nil {
		return 0, err
	}
	if v > uint64(limit) || v > uint64(f.r.Remaining()) {
		return 0, fmt.Errorf("%w: a length of %d", errMalformed, v)
	}
	return int(v), nil
}

func (f fieldReader) bytes(limit int) ([]byte, error) {
	size, err := f.length(limit)
	if err != nil {
		return nil, err
	}
	b := make([]byte, size)
	if _, err := io.ReadFull(f.r, b); err != nil {
		return nil, errMalformed
	}
	return b, nil
}

// entry reads one RaftEntry.
func (f fieldReader) entry() (*raft.Log, error) {
	size, err := f.length(f.r.Remaining())
	if err != nil {
		return nil, err
	}
	end := f.r.Remaining() - size
	e := &raft.Log{}
	for f.r.Remaining() > end {
		if err := f.entryField(e, f.r.Remaining()-end); err != nil {
			return nil, err
		}
	}
	if f.r.Remaining() != end {
		return nil, errMalformed
	}
	return e, checkEntry(e)
}

func (f fieldReader) entryField(e *raft.Log, limit int) error {
	number, kind, err := f.tag()
	if err != nil {
		return err
	}
	switch {
	case number == 4 && kind == protowire.BytesType:
		e.Data, err = f.bytes(limit)
		return err
	case number == 5 && kind == protowire.BytesType:
		e.Extensions, err = f.bytes(limit)
		return err
	case number == 6 && kind == protowire.Fixed64Type:
		var b [8]byte
		if _, err := io.ReadFull(f.r, b[:]); err != nil {
			return errMalformed
		}
		e.AppendedAt = time.Unix(0, int64(binary.LittleEndian.Uint64(b[:]))).UTC()
		return nil
	case kind != protowire.VarintType || number > 3:
		return fmt.Errorf("%w: field %d of an entry", errMalformed, number)
	}
	v, err := f.varint()
	if err != nil {
		return err
	}
	switch number {
	case 1:
		e.Index = v
	case 2:
		e.Term = v
	case 3:
		if v > uint64(raft.LogConfiguration) {
			return fmt.Errorf("%w: an entry of type %d", errMalformed, v)
		}
		e.Type = raft.LogType(v)
	}
	return nil
}

// checkEntry refuses what hashicorp/raft would panic at.
func checkEntry(e *raft.Log) error {
	switch e.Type {
	case raft.LogCommand, raft.LogNoop, raft.LogBarrier:
		return nil
	case raft.LogConfiguration:
		return checkConfiguration(e.Data)
	default:
		return fmt.Errorf("%w: an entry of type %v", errMalformed, e.Type)
	}
}

// checkConfiguration says whether b can be decoded: raft.DecodeConfiguration
// panics where it cannot, and has no other way to ask.
func checkConfiguration(b []byte) (err error) {
	defer func() {
		if p := recover(); p != nil {
			err = fmt.Errorf("%w: configuration: %v", errMalformed, p)
		}
	}()
	raft.DecodeConfiguration(b)
	return nil
}
