package log

import (
	"encoding/binary"
	"hash/crc32"
	"math"
	"time"

	"github.com/hashicorp/raft"
)

const (
	headBytes  = 56
	blockBytes = 4096 // a segment's header block; records follow it

	// Bounds of one StoreLogs call: a record's place is a 32-bit offset.
	maxBodyBytes    = 1 << 30
	maxRequestBytes = 2 << 30
)

type kind uint8

const (
	kindEntry kind = 1 + iota
	kindTruncate
	kindRelease
	kindDrop
	kindMark
	kindBegin
	kindFooter
	kindSpan
	kindAdopted
)

var castagnoli = crc32.MakeTable(crc32.Castagnoli)

func checksum(b []byte) uint32 { return crc32.Checksum(b, castagnoli) }

// seeded is a checksum that starts from another.
func seeded(seed uint32, b []byte) uint32 { return crc32.Update(seed, castagnoli, b) }

// align rounds up to where a record may begin.
func align(n int64) int64 { return (n + 7) &^ 7 }

// head is what stands before a record's body.
type head struct {
	bodyBytes  uint32
	bodyCRC    uint32
	synced     uint32
	kind       kind
	logType    uint8
	extBytes   uint32
	group      uint64
	index      uint64
	term       uint64
	appendedAt int64
}

// size is what the record takes in its segment.
func (h *head) size() int64 { return align(headBytes + int64(h.bodyBytes)) }

// put writes all but synced and checksum, which stamp adds.
func (h *head) put(b []byte) {
	le := binary.LittleEndian
	_ = b[headBytes-1]
	le.PutUint32(b[4:], h.bodyBytes)
	le.PutUint32(b[8:], h.bodyCRC)
	b[16], b[17], b[18], b[19] = byte(h.kind), h.logType, 0, 0
	le.PutUint32(b[20:], h.extBytes)
	le.PutUint64(b[24:], h.group)
	le.PutUint64(b[32:], h.index)
	le.PutUint64(b[40:], h.term)
	le.PutUint64(b[48:], uint64(h.appendedAt))
}

// stamp completes a head for the segment and the write that it goes out with.
func stamp(b []byte, seed uint32, synced int64) {
	binary.LittleEndian.PutUint32(b[12:], uint32(synced))
	binary.LittleEndian.PutUint32(b, headCRC(b, seed))
}

// headCRC is never zero, so that zeros are never a record.
func headCRC(b []byte, seed uint32) uint32 {
	return max(1, crc32.Update(seed, castagnoli, b[4:headBytes]))
}

// parseHead reads a head and reports whether it is one of the segment with this seed.
func parseHead(b []byte, seed uint32) (head, bool) {
	le := binary.LittleEndian
	if len(b) < headBytes {
		return head{}, false
	}
	sum := le.Uint32(b)
	if sum == 0 || sum != headCRC(b, seed) {
		return head{}, false
	}
	h := head{
		bodyBytes:  le.Uint32(b[4:]),
		bodyCRC:    le.Uint32(b[8:]),
		synced:     le.Uint32(b[12:]),
		kind:       kind(b[16]),
		logType:    b[17],
		extBytes:   le.Uint32(b[20:]),
		group:      le.Uint64(b[24:]),
		index:      le.Uint64(b[32:]),
		term:       le.Uint64(b[40:]),
		appendedAt: int64(le.Uint64(b[48:])),
	}
	if h.kind < kindEntry || h.kind > kindAdopted || h.extBytes > h.bodyBytes || b[18] != 0 || b[19] != 0 {
		return head{}, false
	}
	return h, true
}

// entry makes a Raft entry of a head and its body, which the entry keeps.
func (h *head) entry(body []byte) raft.Log {
	e := raft.Log{
		Index: h.index, Term: h.term, Type: raft.LogType(h.logType),
		Data: body[h.extBytes:len(body):len(body)],
	}
	if h.extBytes > 0 {
		e.Extensions = body[:h.extBytes:h.extBytes]
	}
	if h.appendedAt != math.MinInt64 {
		e.AppendedAt = time.Unix(0, h.appendedAt).UTC()
	}
	return e
}

// entryHead is the head of an entry.
func entryHead(group uint64, e *raft.Log) head {
	h := head{
		bodyBytes: uint32(len(e.Extensions) + len(e.Data)),
		bodyCRC:   crc32.Update(checksum(e.Extensions), castagnoli, e.Data),
		kind:      kindEntry,
		logType:   uint8(e.Type),
		extBytes:  uint32(len(e.Extensions)),
		group:     group,
		index:     e.Index,
		term:      e.Term,
	}
	h.appendedAt = math.MinInt64
	if !e.AppendedAt.IsZero() {
		h.appendedAt = e.AppendedAt.UnixNano()
	}
	return h
}
