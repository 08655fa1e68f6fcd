package wire

import (
	"bytes"
	"encoding/hex"
	"fmt"
	"math"
	"reflect"
	"strings"
	"testing"
	"time"
)

func TestTableValues(t *testing.T) {
	tests := []struct {
		name  string
		value any
		hex   string // of type and value
	}{
		{"t is a bool", true, "7401"},
		{"b is signed, 8 bits", int8(-2), "62fe"},
		{"B is unsigned, 8 bits", uint8(254), "42fe"},
		{"s is signed, 16 bits, and no short string", int16(-2), "73fffe"},
		{"u is unsigned, 16 bits", uint16(65534), "75fffe"},
		{"I is signed, 32 bits", int32(-2), "49fffffffe"},
		{"i is unsigned, 32 bits", uint32(4294967294), "69fffffffe"},
		{"l is signed, 64 bits", int64(-2), "6cfffffffffffffffe"},
		{"f is a 32-bit float", float32(1.5), "663fc00000"},
		{"d is a 64-bit float", 1.5, "643ff8000000000000"},
		{"D is a decimal", Decimal{Scale: 2, Value: -314}, "4402fffffec6"},
		{"T is seconds since 1970", time.Unix(1700000000, 0).UTC(), "54000000006553f100"},
		{"S is text of any octets", "h\xffi", "530000000368ff69"},
		{"A is an array", []any{true, nil}, "4100000003740156"},
		{"an array may be empty", []any{}, "4100000000"},
		{"F is a table", Table{"a": nil}, "4600000003016156"},
		{"a table in a table may be empty", Table{}, "4600000000"},
		{"V is nothing", nil, "56"},
		{"x is octets", []byte{1, 2}, "78000000020102"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			want, _ := hex.DecodeString(fmt.Sprintf("%08x016b%s", 2+len(tt.hex)/2, tt.hex))
			got := mustTable(t, Table{"k": tt.value})
			if !bytes.Equal(got, want) {
				t.Fatalf("AppendTable = %x, want %x", got, want)
			}
			back, err := ParseTable(got)
			if err != nil || !reflect.DeepEqual(back, Table{"k": tt.value}) {
				t.Errorf("ParseTable = %#v, %v; want k: %#v", back, err, tt.value)
			}
			if v, ok := LookupTable(got, "k"); !ok || !reflect.DeepEqual(v, tt.value) {
				t.Errorf("LookupTable = %#v, %v; want %#v", v, ok, tt.value)
			}
		})
	}
}

func TestTableDialect(t *testing.T) {
	tests := []struct {
		name string
		hex  string
		want Table // nil: refused
	}{
		{"L is signed, 64 bits too", "0000000b016b4cffffffffffffffff", Table{"k": int64(-1)}},
		{"any octet but 0 is true", "00000004016b7402", Table{"k": true}},
		{"of a key that comes twice the first value counts", "00000008016b7401016b7400", Table{"k": true}},
		{"a key may be empty", "000000020056", Table{"": nil}},
		{"unknown type", "00000004016b7a01", nil},
		{"short string, as the specification's s", "00000006016b73026161", nil},
		{"key that reaches beyond the table", "00000002056b", nil},
		{"key without a value", "00000002016b", nil},
		{"value that reaches beyond the table", "00000004016b4900", nil},
		{"length that reaches beyond the table", "00000008016b53ffffffff61", nil},
		{"table shorter than its length", "00000009016b7401", nil},
		{"table longer than its length", "00000003016b7401", nil},
		{"no length", "0000", nil},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			in, _ := hex.DecodeString(tt.hex)
			got, err := ParseTable(in)
			if (err == nil) != (tt.want != nil) || !reflect.DeepEqual(got, tt.want) {
				t.Errorf("ParseTable(%s) = %v, %v; want %v", tt.hex, got, err, tt.want)
			}
		})
	}
}

// nested is a table with so many arrays of tables in each other: 2*arrays + 1 deep.
func nested(arrays int) Table {
	table := Table{}
	for range arrays {
		table = Table{"a": []any{table}}
	}
	return table
}

func TestTableBounds(t *testing.T) {
	wide := Table{}
	for i := range TableEntriesMax {
		wide[fmt.Sprint(i)] = nil
	}
	tests := []struct {
		name  string
		table Table
	}{
		{"depth near the bound", nested(TableDepthMax/2 - 1)},
		{"entries at the bound", wide},
		{"array at the bound", Table{"a": make([]any, TableEntriesMax)}},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			if got, err := ParseTable(mustTable(t, tt.table)); err != nil || !reflect.DeepEqual(got, tt.table) {
				t.Errorf("does not come back: %v", err)
			}
		})
	}
	refused := []struct {
		name  string
		table Table
	}{
		{"depth", nested(TableDepthMax / 2)},
		{"array", Table{"a": make([]any, TableEntriesMax+1)}},
		{"key", Table{strings.Repeat("k", 256): nil}},
		{"type", Table{"k": struct{}{}}},
		{"type in an array", Table{"k": []any{1}}},
	}
	for _, tt := range refused {
		t.Run(tt.name+" beyond it is not written", func(t *testing.T) {
			if got, err := AppendTable(nil, tt.table); err == nil || got != nil {
				t.Errorf("AppendTable = %x, %v; want an error", got, err)
			}
		})
	}
}

// rawNested is nested without a bound, in octets.
func rawNested(depth int) []byte {
	var b []byte
	for range depth - 1 {
		b = append([]byte{1, 'k', 'F', 0, 0, byte(len(b) >> 8), byte(len(b))}, b...)
	}
	return append([]byte{0, 0, byte(len(b) >> 8), byte(len(b))}, b...)
}

func TestTableRefusesWhatIsTooMuch(t *testing.T) {
	voids := func(n int) []byte { // n entries without values
		var b []byte
		for i := range n {
			b = append(b, 2, byte(i>>8), byte(i), 'V')
		}
		return appendBytes(nil, b)
	}
	var tables []byte // many small tables in one array: 9 octets each, 336 in memory
	for range 1000 {
		tables = append(tables, 'F', 0, 0, 0, 3, 1, 'k', 'V')
	}
	tables = appendLongstr([]byte{1, 'a', 'A'}, string(tables))
	tables = appendLongstr(nil, string(tables))
	tests := []struct {
		name string
		in   []byte
		want error
	}{
		{"depth at the bound", rawNested(TableDepthMax), nil},
		{"depth beyond the bound", rawNested(TableDepthMax + 1), errTableDepth},
		{"depth far beyond the bound", rawNested(5000), errTableDepth},
		{"entries at the bound", voids(TableEntriesMax), nil},
		{"entries beyond the bound", voids(TableEntriesMax + 1), errTableEntries},
		{"values that outweigh their encoding", tables, errTableCost},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			if _, err := ParseTable(tt.in); err != tt.want {
				t.Errorf("ParseTable: %v, want %v", err, tt.want)
			}
		})
	}
}

func TestTableIsDeterministic(t *testing.T) {
	table := Table{"z": nil, "a": true, "m": Table{"q": int64(1), "b": "x"}, "": []any{}}
	first := mustTable(t, table)
	for range 50 {
		if again := mustTable(t, table); !bytes.Equal(again, first) {
			t.Fatalf("%x, then %x", first, again)
		}
	}
}

func TestTableKeepsOddNumbers(t *testing.T) {
	for _, v := range []any{math.Float64frombits(0x7ff0000000000001), float32(math.NaN()), math.Inf(-1), time.Unix(math.MinInt64, 0).UTC()} {
		first := mustTable(t, Table{"k": v})
		back, err := ParseTable(first)
		if err != nil {
			t.Fatal(err)
		}
		if again := mustTable(t, back); !bytes.Equal(again, first) {
			t.Errorf("%v: %x, then %x", v, first, again)
		}
	}
}

func TestLookupTable(t *testing.T) {
	b := mustTable(t, Table{"CC": []any{"a", "b"}, "n": int64(5), "t": Table{"CC": "inner"}})
	if v, ok := LookupTable(b, "CC"); !ok || !reflect.DeepEqual(v, []any{"a", "b"}) {
		t.Errorf("CC = %v, %v", v, ok)
	}
	if v, ok := LookupTable(b, "BCC"); ok {
		t.Errorf("BCC = %v, want none", v)
	}
	if v, ok := LookupTable(nil, "CC"); ok {
		t.Errorf("of no table: %v", v)
	}
	if n := testing.AllocsPerRun(100, func() { LookupTable(b, "BCC") }); n != 0 {
		t.Errorf("a look-up in vain allocates %v times", n)
	}
}
