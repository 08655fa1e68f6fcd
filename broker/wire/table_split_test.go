package wire

import (
	"bytes"
	"testing"
)

func TestATableTakenApartAndPutTogetherIsTheSame(t *testing.T) {
	table := []byte{0, 0, 0, 24, 1, 'b', 'S', 0, 0, 0, 1, 'x', 1, 'a', 'L', 0, 0, 0, 0, 0, 0, 0, 1, 1, 'b', 'V', 0, 'V'}
	entries, err := SplitTable(table)
	if err != nil || len(entries) != 4 || entries[0].Key != "b" || entries[1].Key != "a" || entries[2].Key != "b" || entries[3].Key != "" {
		t.Fatalf("SplitTable = %v, %v", entries, err)
	}
	if s, ok := Longstr(entries[0].Value); s != "x" || !ok {
		t.Errorf("Longstr(% x) = %q, %v", entries[0].Value, s, ok)
	}
	joined, err := JoinTable(nil, entries)
	if err != nil || !bytes.Equal(joined, table) {
		t.Errorf("% x, %v; want % x", joined, err, table)
	}
}

func FuzzSplitTable(f *testing.F) {
	f.Add([]byte{0, 0, 0, 0})
	f.Add([]byte{0, 0, 0, 9, 1, 'k', 'A', 0, 0, 0, 2, 't', 1})
	f.Fuzz(func(t *testing.T, in []byte) {
		entries, err := SplitTable(in)
		if err != nil {
			return
		}
		out, err := JoinTable(nil, entries)
		if err != nil || !bytes.Equal(out, in) {
			t.Fatalf("% x came back as % x, %v", in, out, err)
		}
		for _, e := range entries {
			if values, err := SplitArray(e.Value); err == nil {
				if got := JoinArray(nil, values); !bytes.Equal(got, e.Value) {
					t.Fatalf("% x came back as % x", e.Value, got)
				}
			}
			Longstr(e.Value)
		}
	})
}
