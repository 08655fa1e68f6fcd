package wire

import (
	"encoding/binary"
	"fmt"
	"maps"
	"math"
	"slices"
	"time"
)

// AppendTable appends a table with its length, keys in order, so that equal tables
// give equal octets. It refuses what ParseTable would not give: other Go types than
// Table names, keys beyond 255 octets, nesting and entries beyond the bounds. On an
// error it returns nil.
func AppendTable(dst []byte, t Table) ([]byte, error) { return appendEntries(dst, t, 1) }

func appendEntries(dst []byte, t Table, depth int) ([]byte, error) {
	if err := checkBounds(len(t), depth); err != nil {
		return nil, err
	}
	start := len(dst)
	dst = append(dst, 0, 0, 0, 0)
	for _, key := range slices.Sorted(maps.Keys(t)) {
		if len(key) > shortStringMax {
			return nil, fmt.Errorf("key %.20q... is %d octets long, at most %d are possible", key, len(key), shortStringMax)
		}
		dst = appendShortstr(dst, key)
		var err error
		if dst, err = appendValue(dst, t[key], depth); err != nil {
			return nil, fmt.Errorf("%q: %w", key, err)
		}
	}
	return closeLength(dst, start)
}

func appendArray(dst []byte, a []any, depth int) ([]byte, error) {
	if err := checkBounds(len(a), depth); err != nil {
		return nil, err
	}
	start := len(dst)
	dst = append(dst, 0, 0, 0, 0)
	for i, v := range a {
		var err error
		if dst, err = appendValue(dst, v, depth); err != nil {
			return nil, fmt.Errorf("[%d]: %w", i, err)
		}
	}
	return closeLength(dst, start)
}

// closeLength fills in the length that was left open at start.
func closeLength(dst []byte, start int) ([]byte, error) {
	size := uint64(len(dst) - start - 4)
	if size > math.MaxUint32 {
		return nil, fmt.Errorf("table or array of %d octets", size)
	}
	binary.BigEndian.PutUint32(dst[start:], uint32(size))
	return dst, nil
}

func checkBounds(entries, depth int) error {
	switch {
	case depth > TableDepthMax:
		return errTableDepth
	case entries > TableEntriesMax:
		return errTableEntries
	}
	return nil
}

func appendValue(dst []byte, v any, depth int) ([]byte, error) {
	switch v := v.(type) {
	case nil:
		return append(dst, 'V'), nil
	case bool:
		return append(dst, 't', bit(v)), nil
	case int8:
		return append(dst, 'b', byte(v)), nil
	case uint8:
		return append(dst, 'B', v), nil
	case int16:
		return appendShort(append(dst, 's'), uint16(v)), nil
	case uint16:
		return appendShort(append(dst, 'u'), v), nil
	case int32:
		return appendLong(append(dst, 'I'), uint32(v)), nil
	case uint32:
		return appendLong(append(dst, 'i'), v), nil
	case int64:
		return appendLonglong(append(dst, 'l'), uint64(v)), nil
	case float32:
		return appendLong(append(dst, 'f'), math.Float32bits(v)), nil
	case float64:
		return appendLonglong(append(dst, 'd'), math.Float64bits(v)), nil
	case Decimal:
		return appendLong(append(dst, 'D', v.Scale), uint32(v.Value)), nil
	case time.Time:
		return appendLonglong(append(dst, 'T'), uint64(v.Unix())), nil
	case string:
		return appendLongstr(append(dst, 'S'), v), nil
	case []byte:
		return appendBytes(append(dst, 'x'), v), nil
	case []any:
		return appendArray(append(dst, 'A'), v, depth+1)
	case Table:
		return appendEntries(append(dst, 'F'), v, depth+1)
	}
	return nil, fmt.Errorf("a field table has no type for %T", v)
}
