package topology

import (
	"bytes"
	"fmt"
	"maps"
	"reflect"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/warrenmq/warren/broker/policy"
)

var decimalType = reflect.TypeFor[Decimal]()

// asDecimal takes Decimal and every struct of its shape: the wire's own type is unknown here.
func asDecimal(v any) (Decimal, bool) {
	if d, ok := v.(Decimal); ok {
		return d, true
	}
	if r := reflect.ValueOf(v); r.IsValid() && r.Type().ConvertibleTo(decimalType) {
		return r.Convert(decimalType).Interface().(Decimal), true
	}
	return Decimal{}, false
}

// Integer takes the integers of every width.
func Integer(v any) (int64, bool) { return policy.Integer(v) }

// FieldType is RabbitMQ's word for the type of a value, "" when there is no such type.
func FieldType(v any) string {
	switch v.(type) {
	case bool:
		return "bool"
	case int8:
		return "byte"
	case uint8:
		return "unsignedbyte"
	case int16:
		return "short"
	case uint16:
		return "unsignedshort"
	case int32:
		return "signedint"
	case uint32:
		return "unsignedint"
	case int64, int:
		return "long"
	case float32:
		return "float"
	case float64:
		return "double"
	case time.Time:
		return "timestamp"
	case string:
		return "longstr"
	case []byte:
		return "binary"
	case nil:
		return "void"
	case []any:
		return "array"
	case map[string]any:
		return "table"
	}
	if _, ok := asDecimal(v); ok {
		return "decimal"
	}
	return ""
}

// term writes a value as Erlang's ~tp does.
func term(v any) string {
	if n, ok := Integer(v); ok {
		return strconv.FormatInt(n, 10)
	}
	switch v := v.(type) {
	case bool:
		return strconv.FormatBool(v)
	case float32:
		return floatTerm(float64(v))
	case float64:
		return floatTerm(v)
	case time.Time:
		return strconv.FormatInt(v.Unix(), 10)
	case string:
		return policy.BinaryTerm(v)
	case []byte:
		return policy.BinaryTerm(string(v))
	case nil:
		return "undefined"
	case []any:
		parts := make([]string, len(v))
		for i, e := range v {
			parts[i] = fmt.Sprintf("{%s,%s}", FieldType(e), term(e))
		}
		return "[" + strings.Join(parts, ",") + "]"
	case map[string]any:
		parts := make([]string, 0, len(v))
		for _, k := range slices.Sorted(maps.Keys(v)) {
			parts = append(parts, fmt.Sprintf("{%s,%s,%s}", policy.BinaryTerm(k), FieldType(v[k]), term(v[k])))
		}
		return "[" + strings.Join(parts, ",") + "]"
	}
	if d, ok := asDecimal(v); ok {
		return fmt.Sprintf("{%d,%d}", d.Scale, d.Value)
	}
	return fmt.Sprint(v)
}

func floatTerm(f float64) string {
	s := strconv.FormatFloat(f, 'g', -1, 64)
	if !strings.ContainsAny(s, ".eIN") {
		s += ".0"
	}
	return s
}

// plain writes a value as RabbitMQ's texts do where strings stand without Erlang's quotes.
func plain(v any) string {
	switch v := v.(type) {
	case string:
		return v
	case []byte:
		return string(v)
	}
	return term(v)
}

func quoted(v any) string { return "'" + plain(v) + "'" }

// SameValue compares field values as RabbitMQ does: by value, not by the width or
// the name of the type. Integers of all widths are one kind, floats another, and
// strings and byte arrays a third.
func SameValue(a, b any) bool {
	if x, ok := Integer(a); ok {
		y, ok := Integer(b)
		return ok && x == y
	}
	switch x := a.(type) {
	case nil:
		return b == nil
	case bool:
		y, ok := b.(bool)
		return ok && x == y
	case string:
		switch y := b.(type) {
		case string:
			return x == y
		case []byte:
			return x == string(y)
		}
		return false
	case []byte:
		switch y := b.(type) {
		case string:
			return string(x) == y
		case []byte:
			return bytes.Equal(x, y)
		}
		return false
	case float32:
		return sameFloat(float64(x), b)
	case float64:
		return sameFloat(x, b)
	case time.Time:
		y, ok := b.(time.Time)
		return ok && x.Unix() == y.Unix()
	case []any:
		y, ok := b.([]any)
		return ok && slices.EqualFunc(x, y, SameValue)
	case map[string]any:
		y, ok := b.(map[string]any)
		return ok && maps.EqualFunc(x, y, SameValue)
	}
	x, isDecimal := asDecimal(a)
	y, ok := asDecimal(b)
	return isDecimal && ok && x == y
}

func sameFloat(x float64, b any) bool {
	switch y := b.(type) {
	case float32:
		return x == float64(y)
	case float64:
		return x == y
	}
	return false
}
