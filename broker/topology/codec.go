package topology

import (
	"encoding/binary"
	"errors"
	"fmt"
	"maps"
	"math"
	"slices"
	"time"
)

// maxDepth bounds the nesting of tables and arrays: twice what the wire lets in.
const maxDepth = 64

// errCorrupt is what every malformed encoding comes back as.
var errCorrupt = errors.New("topology: corrupt encoding")

// writer appends values; equal values give equal bytes.
type writer struct{ buf []byte }

func (w *writer) byte(b byte)     { w.buf = append(w.buf, b) }
func (w *writer) uint(n uint64)   { w.buf = binary.AppendUvarint(w.buf, n) }
func (w *writer) fixed(n uint64)  { w.buf = binary.BigEndian.AppendUint64(w.buf, n) }
func (w *writer) string(s string) { w.uint(uint64(len(s))); w.buf = append(w.buf, s...) }
func (w *writer) table(t Arguments) {
	w.uint(uint64(len(t)))
	for _, k := range slices.Sorted(maps.Keys(t)) {
		w.string(k)
		w.value(t[k])
	}
}

func (w *writer) bool(b bool) {
	if b {
		w.byte(1)
	} else {
		w.byte(0)
	}
}

// value writes AMQP's type letter and the value. A value of no AMQP type is a bug
// of the caller: checkArgumentsValid and the wire's decoder let none through.
func (w *writer) value(v any) {
	switch v := v.(type) {
	case nil:
		w.byte('V')
	case bool:
		w.byte('t')
		w.bool(v)
	case int8:
		w.byte('b')
		w.byte(byte(v))
	case uint8:
		w.byte('B')
		w.byte(v)
	case int16:
		w.byte('s')
		w.uint(uint64(uint16(v)))
	case uint16:
		w.byte('u')
		w.uint(uint64(v))
	case int32:
		w.byte('I')
		w.uint(uint64(uint32(v)))
	case uint32:
		w.byte('i')
		w.uint(uint64(v))
	case int64:
		w.byte('l')
		w.fixed(uint64(v))
	case int:
		w.byte('l')
		w.fixed(uint64(v))
	case float32:
		w.byte('f')
		w.uint(uint64(math.Float32bits(v)))
	case float64:
		w.byte('d')
		w.fixed(math.Float64bits(v))
	case time.Time:
		w.byte('T')
		w.fixed(uint64(v.Unix()))
	case string:
		w.byte('S')
		w.string(v)
	case []byte:
		w.byte('x')
		w.string(string(v))
	case []any:
		w.byte('A')
		w.uint(uint64(len(v)))
		for _, e := range v {
			w.value(e)
		}
	case map[string]any:
		w.byte('F')
		w.table(v)
	default:
		d, ok := asDecimal(v)
		if !ok {
			panic(fmt.Sprintf("topology: argument of type %T", v))
		}
		w.byte('D')
		w.byte(d.Scale)
		w.uint(uint64(uint32(d.Value)))
	}
}

// checkArgumentsValid refuses what could not be encoded and decoded again.
func checkArgumentsValid(args Arguments, r resource) error {
	if !valid(args, 0) {
		return refuse(ErrPreconditionFailed, "invalid arguments for %v", r)
	}
	return nil
}

func valid(v any, depth int) bool {
	if depth > maxDepth {
		return false
	}
	switch v := v.(type) {
	case map[string]any:
		for _, e := range v {
			if !valid(e, depth+1) {
				return false
			}
		}
		return true
	case []any:
		for _, e := range v {
			if !valid(e, depth+1) {
				return false
			}
		}
		return true
	}
	return FieldType(v) != ""
}

// reader takes values off the front of buf. After the first fault it gives zeros and keeps err.
type reader struct {
	buf []byte
	err error
}

func (r *reader) fail(what string) {
	if r.err == nil {
		r.err = fmt.Errorf("%w: %s", errCorrupt, what)
	}
	r.buf = nil
}

func (r *reader) take(n int) []byte {
	if n > len(r.buf) {
		r.fail("cut short")
		return nil
	}
	b := r.buf[:n]
	r.buf = r.buf[n:]
	return b
}

func (r *reader) byte() byte {
	if b := r.take(1); b != nil {
		return b[0]
	}
	return 0
}

func (r *reader) uint(limit uint64) uint64 {
	n, size := binary.Uvarint(r.buf)
	if size <= 0 || n > limit {
		r.fail("number out of range")
		return 0
	}
	r.buf = r.buf[size:]
	return n
}

func (r *reader) fixed() uint64 {
	if b := r.take(8); b != nil {
		return binary.BigEndian.Uint64(b)
	}
	return 0
}

func (r *reader) bool() bool {
	b := r.byte()
	if b > 1 {
		r.fail("bad boolean")
	}
	return b == 1
}

// count is a number of things of which each takes at least one byte.
func (r *reader) count() int { return int(r.uint(uint64(len(r.buf)))) }

func (r *reader) string() string { return string(r.take(r.count())) }

func (r *reader) table(depth int) Arguments {
	n := r.count()
	if n == 0 {
		return nil
	}
	t := make(Arguments, min(n, 64))
	for range n {
		k := r.string()
		if _, twice := t[k]; twice {
			r.fail("key twice in a table")
		}
		if r.err != nil {
			return nil
		}
		t[k] = r.value(depth + 1)
	}
	return t
}

func (r *reader) value(depth int) any {
	if depth > maxDepth {
		r.fail("nested too deeply")
		return nil
	}
	switch kind := r.byte(); kind {
	case 'V':
		return nil
	case 't':
		return r.bool()
	case 'b':
		return int8(r.byte())
	case 'B':
		return r.byte()
	case 's':
		return int16(r.uint(math.MaxUint16))
	case 'u':
		return uint16(r.uint(math.MaxUint16))
	case 'I':
		return int32(r.uint(math.MaxUint32))
	case 'i':
		return uint32(r.uint(math.MaxUint32))
	case 'l':
		return int64(r.fixed())
	case 'f':
		return math.Float32frombits(uint32(r.uint(math.MaxUint32)))
	case 'd':
		return math.Float64frombits(r.fixed())
	case 'T':
		return time.Unix(int64(r.fixed()), 0).UTC()
	case 'S':
		return r.string()
	case 'x':
		return r.take(r.count())
	case 'D':
		return Decimal{Scale: r.byte(), Value: int32(r.uint(math.MaxUint32))}
	case 'A':
		return r.array(depth)
	case 'F':
		if t := r.table(depth); t != nil {
			return t
		}
		return Arguments{}
	default:
		r.fail("unknown type of value")
		return nil
	}
}

func (r *reader) array(depth int) []any {
	n := r.count()
	a := make([]any, 0, min(n, 64))
	for range n {
		a = append(a, r.value(depth+1))
		if r.err != nil {
			return nil
		}
	}
	return a
}

// end reports the first fault, or bytes that nothing asked for.
func (r *reader) end() error {
	if r.err == nil && len(r.buf) > 0 {
		r.fail("bytes behind the end")
	}
	return r.err
}
