package topology

import (
	"testing"
	"time"
)

// otherDecimal is a decimal of another package: the wire's.
type otherDecimal struct {
	Scale uint8
	Value int32
}

func TestTerms(t *testing.T) {
	for _, tt := range []struct {
		value      any
		kind, term string
	}{
		{nil, "void", "undefined"},
		{true, "bool", "true"},
		{int8(-1), "byte", "-1"},
		{uint8(1), "unsignedbyte", "1"},
		{int16(-1), "short", "-1"},
		{uint16(1), "unsignedshort", "1"},
		{int32(-1), "signedint", "-1"},
		{uint32(1), "unsignedint", "1"},
		{int64(-1), "long", "-1"},
		{1, "long", "1"},
		{float32(0.5), "float", "0.5"},
		{float64(2), "double", "2.0"},
		{time.Unix(7, 0), "timestamp", "7"},
		{"a", "longstr", `<<"a">>`},
		{"é", "longstr", `<<"é"/utf8>>`},
		{"\x00\xff", "longstr", `<<0,255>>`},
		{[]byte("a"), "binary", `<<"a">>`},
		{Decimal{2, -5}, "decimal", "{2,-5}"},
		{otherDecimal{2, -5}, "decimal", "{2,-5}"},
		{[]any{"a", int32(1)}, "array", `[{longstr,<<"a">>},{signedint,1}]`},
		{Arguments{"b": nil, "a": int64(1)}, "table", `[{<<"a">>,long,1},{<<"b">>,void,undefined}]`},
		{struct{}{}, "", "{}"},
	} {
		if got := FieldType(tt.value); got != tt.kind {
			t.Errorf("FieldType(%#v) = %q, want %q", tt.value, got, tt.kind)
		}
		if got := term(tt.value); got != tt.term {
			t.Errorf("term(%#v) = %s, want %s", tt.value, got, tt.term)
		}
	}
}

func TestSameValue(t *testing.T) {
	now := time.Unix(1_700_000_000, 0)
	kinds := [][]any{ // values of one line are the same, of different lines are not
		{nil},
		{true},
		{false},
		{int8(1), uint8(1), int16(1), uint16(1), int32(1), uint32(1), int64(1), 1},
		{int64(2)},
		{float32(1), float64(1)},
		{float64(2)},
		{"1", []byte("1")},
		{"", []byte{}},
		{now, now.UTC()},
		{now.Add(time.Second)},
		{Decimal{1, 1}, otherDecimal{1, 1}},
		{Decimal{1, 2}},
		{[]any{int8(1)}, []any{int64(1)}},
		{[]any{}},
		{Arguments{"a": "x"}, Arguments{"a": []byte("x")}},
		{Arguments{}, Arguments(nil)},
	}
	for i, as := range kinds {
		for j, bs := range kinds {
			for _, a := range as {
				for _, b := range bs {
					if got := SameValue(a, b); got != (i == j) {
						t.Errorf("SameValue(%#v, %#v) = %v", a, b, got)
					}
				}
			}
		}
	}
}

func TestArgumentsThatAreNone(t *testing.T) {
	deep := Arguments{}
	for range maxDepth + 1 {
		deep = Arguments{"a": []any{deep}}
	}
	for _, args := range []Arguments{{"a": struct{}{}}, {"a": []any{Arguments{"b": uint64(1)}}}, deep} {
		for _, c := range []Command{durable("q", args), bindQueue("amq.direct", "c", "", args),
			DeclareExchange{Exchange: Exchange{VHost: "/", Name: "x", Type: Direct, Arguments: args}}} {
			top := New()
			must(t, top, durable("c", nil))
			if _, err := top.Apply(c); err == nil {
				t.Errorf("%T took %v", c, args)
			}
		}
	}
}

func TestDecodeRefuses(t *testing.T) {
	good := EncodeCommand(durable("q", Arguments{"a": "b"}))
	for n := range good {
		if c, err := DecodeCommand(good[:n]); err == nil {
			t.Errorf("the first %d bytes are %+v", n, c)
		}
	}
	snapshot := world(t).AppendSnapshot(nil)
	for n := range snapshot {
		if _, err := RestoreTopology(snapshot[:n]); err == nil {
			t.Errorf("the first %d bytes of a snapshot restore", n)
		}
	}
	for name, b := range map[string][]byte{
		"a later version":   append([]byte{2}, good[1:]...),
		"an unknown kind":   {1, 200},
		"trailing bytes":    append(good, 0),
		"a length too long": {1, kindDeleteVHost, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 1},
		"a bad boolean":     {1, kindDeleteExchange, 0, 0, 2},
	} {
		if c, err := DecodeCommand(b); err == nil {
			t.Errorf("%s: % x is %+v", name, b, c)
		}
	}
	if _, err := RestoreTopology(append([]byte{9}, snapshot[1:]...)); err == nil {
		t.Error("a snapshot of a later version restores")
	}
}
