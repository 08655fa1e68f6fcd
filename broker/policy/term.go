package policy

import (
	"fmt"
	"maps"
	"math"
	"slices"
	"strconv"
	"strings"
	"unicode/utf8"
)

// Integer takes the integers of every width.
func Integer(v any) (int64, bool) {
	switch v := v.(type) {
	case int8:
		return int64(v), true
	case uint8:
		return int64(v), true
	case int16:
		return int64(v), true
	case uint16:
		return int64(v), true
	case int32:
		return int64(v), true
	case uint32:
		return int64(v), true
	case int64:
		return v, true
	case int:
		return int64(v), true
	}
	return 0, false
}

// whole is Integer that takes what encoding/json makes of an integer, too: a
// definition's numbers come from JSON, an argument's from a field table.
func whole(v any) (int64, bool) {
	if f, ok := v.(float64); ok && f == math.Trunc(f) && math.Abs(f) < 1<<53 {
		return int64(f), true
	}
	return Integer(v)
}

// Term writes a value of JSON as Erlang's ~tp does.
func Term(v any) string {
	if n, ok := whole(v); ok {
		return strconv.FormatInt(n, 10)
	}
	switch v := v.(type) {
	case nil:
		return "null"
	case bool:
		return strconv.FormatBool(v)
	case float64:
		return strconv.FormatFloat(v, 'g', -1, 64)
	case string:
		return BinaryTerm(v)
	case []any:
		parts := make([]string, len(v))
		for i, e := range v {
			parts[i] = Term(e)
		}
		return "[" + strings.Join(parts, ",") + "]"
	case map[string]any:
		parts := make([]string, 0, len(v))
		for _, k := range slices.Sorted(maps.Keys(v)) {
			parts = append(parts, BinaryTerm(k)+" => "+Term(v[k]))
		}
		return "#{" + strings.Join(parts, ",") + "}"
	}
	return fmt.Sprint(v)
}

// BinaryTerm writes a text as Erlang shows a binary.
func BinaryTerm(s string) string {
	printable := utf8.ValidString(s) && strings.IndexFunc(s, func(r rune) bool { return r < ' ' || r == 0x7f }) < 0
	switch {
	case s == "":
		return "<<>>"
	case !printable:
		parts := make([]string, len(s))
		for i := range len(s) {
			parts[i] = strconv.Itoa(int(s[i]))
		}
		return "<<" + strings.Join(parts, ",") + ">>"
	case utf8.RuneCountInString(s) != len(s):
		return `<<"` + s + `"/utf8>>`
	default:
		return `<<"` + s + `">>`
	}
}
