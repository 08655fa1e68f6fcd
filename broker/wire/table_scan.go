package wire

import (
	"encoding/binary"
	"errors"
	"fmt"
	"math/bits"
)

// Bounds of a field table.
const (
	TableDepthMax   = 32   // tables and arrays in each other, the outermost counted
	TableEntriesMax = 1024 // of one table or array
)

var (
	errTableDepth   = fmt.Errorf("tables or arrays nested deeper than %d", TableDepthMax)
	errTableEntries = fmt.Errorf("more than %d entries in a table or array", TableEntriesMax)
	errTableCost    = errors.New("table too large in memory for its size")
)

// scan walks over encoded entries and checks them without building anything.
// With counts set it also notes how many entries each table and array has, in the
// order in which they begin, and what their Go values will cost.
type scan struct {
	counting bool
	counts   []uint16
	cost     int // octets of memory, estimated
}

// fixedSize is the size of a value by its type; 0 for those that carry a length
// or have no octets, and for unknown ones.
func fixedSize(kind byte) int {
	switch kind {
	case 't', 'b', 'B':
		return 1
	case 's', 'u':
		return 2
	case 'I', 'i', 'f':
		return 4
	case 'l', 'L', 'd', 'T':
		return 8
	case 'D':
		return 5
	}
	return 0
}

// table checks the entries of a table: keys and values to the end of b.
func (s *scan) table(b []byte, depth int) error {
	if depth > TableDepthMax {
		return errTableDepth
	}
	slot := s.begin()
	n := 0
	for len(b) > 0 {
		if n++; n > TableEntriesMax {
			return errTableEntries
		}
		key := 1 + int(b[0])
		if key > len(b) {
			return errShort
		}
		size, err := s.value(b[key:], depth)
		if err != nil {
			return err
		}
		b = b[key+size:]
	}
	s.finish(slot, n, mapCost(n))
	return nil
}

// array checks the values of an array to the end of b.
func (s *scan) array(b []byte, depth int) error {
	if depth > TableDepthMax {
		return errTableDepth
	}
	slot := s.begin()
	n := 0
	for len(b) > 0 {
		if n++; n > TableEntriesMax {
			return errTableEntries
		}
		size, err := s.value(b, depth)
		if err != nil {
			return err
		}
		b = b[size:]
	}
	s.finish(slot, n, arrayCost(n))
	return nil
}

// value checks the value that b begins with and returns its size, type and length included.
func (s *scan) value(b []byte, depth int) (int, error) {
	if len(b) == 0 {
		return 0, errShort
	}
	kind := b[0]
	size := fixedSize(kind)
	if size > 0 {
		if 1+size > len(b) {
			return 0, errShort
		}
		s.cost += boxCost
		return 1 + size, nil
	}
	if kind == 'V' {
		return 1, nil
	}
	content, err := longContent(b[1:])
	if err != nil {
		return 0, err
	}
	switch kind {
	case 'S':
		s.cost += boxCost
	case 'x':
		s.cost += boxCost + 8 + len(content)*5/4 // the allocator rounds up
	case 'F':
		err = s.table(content, depth+1)
	case 'A':
		err = s.array(content, depth+1)
	default:
		err = fmt.Errorf("unknown type %q in a table", kind)
	}
	return 5 + len(content), err
}

// longContent returns what follows a length of 4 octets.
func longContent(b []byte) ([]byte, error) {
	if len(b) < 4 {
		return nil, errShort
	}
	size := uint64(binary.BigEndian.Uint32(b))
	if size > uint64(len(b)-4) {
		return nil, errShort
	}
	return b[4 : 4+size], nil
}

func (s *scan) begin() int {
	if s.counting {
		s.counts = append(s.counts, 0)
	}
	return len(s.counts) - 1
}

func (s *scan) finish(slot, entries, cost int) {
	if s.counting {
		s.counts[slot] = uint16(entries)
		s.cost += cost
	}
}

// What Go values take, rounded up: a value in an interface, a map, an array.
const boxCost = 24

func mapCost(entries int) int {
	const group = 8 // slots of a map's smallest piece, each of 16 octets key and 16 value
	switch {
	case entries == 0:
		return 48
	case entries <= group:
		return 48 + 288
	}
	slots := 1 << bits.Len(uint(entries*8/7))
	return 256 + slots*34
}

func arrayCost(entries int) int { return boxCost + entries*16*9/8 }
