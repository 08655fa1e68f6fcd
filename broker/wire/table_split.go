package wire

import (
	"encoding/binary"
	"fmt"
)

// Entry is one entry of a table, its value encoded: the type's octet and what follows.
type Entry struct {
	Key   string
	Value []byte
}

// SplitTable takes an encoded table, with its length, apart without decoding values,
// so that what is put together again from them is the same to the octet. Doubles
// are kept. The values are borrowed from b.
func SplitTable(b []byte) ([]Entry, error) {
	content, err := longContent(b)
	if err != nil {
		return nil, err
	}
	if 4+len(content) != len(b) {
		return nil, errTrailing
	}
	var check scan
	if err := check.table(content, 1); err != nil {
		return nil, err
	}
	var entries []Entry
	for len(content) > 0 {
		key := 1 + int(content[0])
		size, err := check.value(content[key:], 1)
		if err != nil {
			return nil, err
		}
		entries = append(entries, Entry{Key: string(content[1:key]), Value: content[key : key+size]})
		content = content[key+size:]
	}
	return entries, nil
}

// JoinTable appends a table, with its length, of entries in their order. It refuses
// keys beyond 255 octets and more entries than a table can have.
func JoinTable(dst []byte, entries []Entry) ([]byte, error) {
	if err := checkBounds(len(entries), 1); err != nil {
		return nil, err
	}
	start := len(dst)
	dst = append(dst, 0, 0, 0, 0)
	for _, e := range entries {
		if len(e.Key) > shortStringMax {
			return nil, fmt.Errorf("key %.20q... is %d octets long, at most %d are possible", e.Key, len(e.Key), shortStringMax)
		}
		dst = append(appendShortstr(dst, e.Key), e.Value...)
	}
	return closeLength(dst, start)
}

// SplitArray takes an encoded array, with its type and length, apart into its
// values, each with its type. They are borrowed from b.
func SplitArray(b []byte) ([][]byte, error) {
	if len(b) == 0 || b[0] != 'A' {
		return nil, fmt.Errorf("no array")
	}
	content, err := longContent(b[1:])
	if err != nil {
		return nil, err
	}
	var check scan
	if err := check.array(content, 1); err != nil {
		return nil, err
	}
	var values [][]byte
	for len(content) > 0 {
		size, err := check.value(content, 1)
		if err != nil {
			return nil, err
		}
		values = append(values, content[:size])
		content = content[size:]
	}
	return values, nil
}

// JoinArray appends an array, with its type and length, of values.
func JoinArray(dst []byte, values [][]byte) []byte {
	dst = append(dst, 'A', 0, 0, 0, 0)
	start := len(dst)
	for _, v := range values {
		dst = append(dst, v...)
	}
	binary.BigEndian.PutUint32(dst[start-4:], uint32(len(dst)-start))
	return dst
}

// AppendLongstr appends a long string as a value of a table or array.
func AppendLongstr(dst []byte, s string) []byte {
	dst = append(dst, 'S')
	return append(binary.BigEndian.AppendUint32(dst, uint32(len(s))), s...)
}

// Longstr reads a value that is a long string.
func Longstr(value []byte) (string, bool) {
	if len(value) == 0 || value[0] != 'S' {
		return "", false
	}
	content, err := longContent(value[1:])
	return string(content), err == nil
}
