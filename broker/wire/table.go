package wire

import (
	"encoding/binary"
	"math"
	"time"
)

// Table is a field table. Types on the wire and in Go:
//
//	t bool      b int8     B uint8    s int16   u uint16    I int32   i uint32
//	l int64     L int64    f float32  d float64 D Decimal   T time.Time, UTC
//	S string    A []any    F Table    V nil     x []byte
//
// L is written back as l. Of a key that comes twice the first value counts, as
// in RabbitMQ.
type Table = map[string]any

// Decimal is Value / 10^Scale.
type Decimal struct {
	Scale uint8
	Value int32
}

// ParseTable decodes a table with its length, which must fill b to its end.
func ParseTable(b []byte) (Table, error) {
	content, err := longContent(b)
	if err != nil {
		return nil, err
	}
	if 4+len(content) != len(b) {
		return nil, errTrailing
	}
	return parseEntries(content)
}

// parseEntries decodes a table's entries. All is checked, sizes of Go values
// included, before the first of them is made.
func parseEntries(b []byte) (Table, error) {
	s := scan{counting: true}
	if err := s.table(b, 1); err != nil {
		return nil, err
	}
	if err := s.affordable(len(b)); err != nil {
		return nil, err
	}
	build := builder{s: string(b), counts: s.counts}
	return build.table(len(b)), nil
}

// affordable holds the memory of values against the size of their encoding: an
// empty table takes 5 octets on the wire and 300 in memory.
func (s *scan) affordable(size int) error {
	const slack = 62 << 10
	if s.cost+len(s.counts)*12+size > 4*size+slack {
		return errTableCost
	}
	return nil
}

// LookupTable finds one entry of an encoded table (with its length) that has been
// checked, as the headers of a PropertyView are, and decodes its value alone.
func LookupTable(b []byte, key string) (any, bool) {
	b, err := longContent(b)
	if err != nil {
		return nil, false
	}
	whole := len(b)
	for len(b) > 0 {
		size := 1 + int(b[0])
		if size >= len(b) {
			return nil, false
		}
		var s scan
		valueSize, err := s.value(b[size:], 1)
		if err != nil {
			return nil, false
		}
		if string(b[1:size]) == key {
			return parseValue(b[size:size+valueSize], whole)
		}
		b = b[size+valueSize:]
	}
	return nil, false
}

// parseValue decodes one value of a table whose entries have the given size.
func parseValue(b []byte, whole int) (any, bool) {
	s := scan{counting: true}
	if _, err := s.value(b, 1); err != nil || s.affordable(whole) != nil {
		return nil, false
	}
	build := builder{s: string(b), counts: s.counts}
	return build.value(), true
}

// builder makes values of entries that scan has checked. Keys and strings are
// parts of s, one copy of the encoded table.
type builder struct {
	s      string
	pos    int
	counts []uint16
}

func (p *builder) table(size int) Table {
	end := p.pos + size
	t := make(Table, p.entries())
	for p.pos < end {
		key := p.take(int(p.take(1)[0]))
		value := p.value()
		if _, twice := t[key]; !twice {
			t[key] = value
		}
	}
	return t
}

func (p *builder) array(size int) []any {
	end := p.pos + size
	a := make([]any, 0, p.entries())
	for p.pos < end {
		a = append(a, p.value())
	}
	return a
}

func (p *builder) value() any {
	kind := p.take(1)[0]
	switch kind {
	case 't':
		return p.uint(1) != 0
	case 'b':
		return int8(p.uint(1))
	case 'B':
		return uint8(p.uint(1))
	case 's':
		return int16(p.uint(2))
	case 'u':
		return uint16(p.uint(2))
	case 'I':
		return int32(p.uint(4))
	case 'i':
		return uint32(p.uint(4))
	case 'l', 'L':
		return int64(p.uint(8))
	case 'f':
		return math.Float32frombits(uint32(p.uint(4)))
	case 'd':
		return math.Float64frombits(p.uint(8))
	case 'D':
		return Decimal{Scale: uint8(p.uint(1)), Value: int32(p.uint(4))}
	case 'T':
		return time.Unix(int64(p.uint(8)), 0).UTC()
	case 'V':
		return nil
	}
	size := int(p.uint(4))
	switch kind {
	case 'F':
		return p.table(size)
	case 'A':
		return p.array(size)
	case 'x':
		return []byte(p.take(size))
	default: // S: scan lets no other type pass
		return p.take(size)
	}
}

func (p *builder) take(n int) string {
	s := p.s[p.pos : p.pos+n]
	p.pos += n
	return s
}

func (p *builder) uint(size int) uint64 {
	var b [8]byte
	copy(b[8-size:], p.take(size))
	return binary.BigEndian.Uint64(b[:])
}

func (p *builder) entries() int {
	n := p.counts[0]
	p.counts = p.counts[1:]
	return int(n)
}
