package wire

import (
	"encoding/binary"
	"sort"
	"testing"
)

// TestTableMemory measures the dearest tables that are accepted in a frame of the
// default size, shape by shape: the estimate of scan must cover the truth.
func TestTableMemory(t *testing.T) {
	const frame = 128 << 10
	key := func(i int) []byte { return binary.BigEndian.AppendUint16([]byte{2}, uint16(i)) }
	shapes := map[string]func(i int) []byte{
		"voids":              func(int) []byte { return []byte("V") },
		"integers":           func(int) []byte { return []byte("I\xff\xff\xff\xff") },
		"timestamps":         func(i int) []byte { return appendLonglong([]byte("T"), uint64(i)) },
		"empty strings":      func(int) []byte { return appendLongstr([]byte("S"), "") },
		"strings":            func(int) []byte { return appendLongstr([]byte("S"), "0123456789") },
		"octets":             func(int) []byte { return appendLongstr([]byte("x"), "01234567890123456") },
		"long octets":        func(int) []byte { return appendLongstr([]byte("x"), string(make([]byte, 8200))) },
		"empty tables":       func(int) []byte { return appendLongstr([]byte("F"), "") },
		"empty arrays":       func(int) []byte { return appendLongstr([]byte("A"), "") },
		"arrays of one void": func(int) []byte { return appendLongstr([]byte("A"), "V") },
		"tables of one void": func(int) []byte { return appendLongstr([]byte("F"), "\x01kV") },
		"tables of nine": func(int) []byte {
			return appendLongstr([]byte("F"), "\x01aV\x01bV\x01cV\x01dV\x01eV\x01fV\x01gV\x01hV\x01iV")
		},
	}
	for name, value := range shapes {
		t.Run(name, func(t *testing.T) {
			build := func(n int) []byte { // n values in tables of as many as one may have
				var outer []byte
				for from := 0; from < n; from += TableEntriesMax {
					var inner []byte
					for i := from; i < min(n, from+TableEntriesMax); i++ {
						inner = append(append(inner, key(i)...), value(i)...)
					}
					outer = append(append(outer, key(from)...), appendBytes([]byte("F"), inner)...)
				}
				return appendBytes(nil, outer)
			}
			whole := frame / (len(key(0)) + len(value(0)))
			most := sort.Search(whole, func(n int) bool {
				_, err := ParseTable(build(n))
				return err != nil
			})
			for _, n := range []int{1, 10, most / 30, most / 3, most - 1} {
				in := build(n)
				frugal(t, len(in), func() {
					if _, err := ParseTable(in); err != nil {
						t.Fatal(err)
					}
				})
			}
		})
	}
}
