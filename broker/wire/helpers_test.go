package wire

import (
	"errors"
	"testing"
)

// codeOf returns the reply code of an error, 0 when it has none.
func codeOf(err error) uint16 {
	if e, ok := errors.AsType[*Error](err); ok {
		return e.Code
	}
	return 0
}

// mustTable encodes a table.
func mustTable(t testing.TB, table Table) []byte {
	t.Helper()
	b, err := AppendTable(nil, table)
	if err != nil {
		t.Fatalf("AppendTable(%v): %v", table, err)
	}
	return b
}

// mustProperties encodes properties.
func mustProperties(t testing.TB, p Properties) []byte {
	t.Helper()
	b, err := p.Append(nil)
	if err != nil {
		t.Fatalf("%+v.Append: %v", p, err)
	}
	return b
}
