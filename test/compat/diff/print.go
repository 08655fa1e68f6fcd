package diff

import (
	"fmt"
	"hash/crc32"
	"maps"
	"math"
	"reflect"
	"slices"
	"strconv"
	"strings"
	"time"
	"unicode"

	"github.com/warrenmq/warren/broker/wire"
)

// bodyShown is the longest body that the transcript shows.
const bodyShown = 80

// methodText is a method with those of its fields that are not zero.
func methodText(m wire.Method) string {
	switch m := m.(type) {
	case *wire.ChannelClose:
		return closeText(m.Name(), m.ReplyCode, m.ReplyText, m.ClassID, m.MethodID)
	case *wire.ConnectionClose:
		return closeText(m.Name(), m.ReplyCode, m.ReplyText, m.ClassID, m.MethodID)
	case *wire.ConnectionStart:
		return fmt.Sprintf("%s %d-%d", m.Name(), m.VersionMajor, m.VersionMinor) // what it says of itself is each broker's own
	case *wire.ConnectionStartOk:
		return fmt.Sprintf("%s mechanism=%s response=%s", m.Name(), text(m.Mechanism), text(string(m.Response)))
	}
	var b strings.Builder
	b.WriteString(m.Name())
	v := reflect.ValueOf(m).Elem()
	for i := range v.NumField() {
		name := v.Type().Field(i).Name
		if strings.HasPrefix(name, "Reserved") {
			continue
		}
		b.WriteString(fieldText(kebab(name), v.Field(i)))
	}
	return b.String()
}

func closeText(name string, code uint16, reply string, class, method uint16) string {
	return fmt.Sprintf("%s %d %s (%d,%d)", name, code, strconv.Quote(reply), class, method)
}

// fieldText is " name=value", " name" of a flag that is set; counts and names
// are shown when they are zero, too.
func fieldText(name string, v reflect.Value) string {
	switch f := v.Interface().(type) {
	case bool:
		if f {
			return " " + name
		}
		return ""
	case wire.Table:
		if len(f) == 0 {
			return ""
		}
		return " " + name + "=" + valueText(f)
	case string:
		return " " + name + "=" + text(f)
	case []byte:
		return " " + name + "=" + text(string(f))
	default:
		return fmt.Sprintf(" %s=%v", name, f)
	}
}

// kebab writes DeliveryTag as delivery-tag.
func kebab(name string) string {
	var b strings.Builder
	for i, r := range name {
		if unicode.IsUpper(r) && i > 0 {
			b.WriteByte('-')
		}
		b.WriteRune(unicode.ToLower(r))
	}
	return b.String()
}

// text is a string, quoted unless it is a plain word.
func text(s string) string {
	plain := s != "" && !strings.ContainsFunc(s, func(r rune) bool {
		return r > '~' || r < '!' || strings.ContainsRune(`"{}[]=,\`, r)
	})
	if plain {
		return s
	}
	return strconv.Quote(s)
}

func bodyText(b []byte) string {
	if len(b) <= bodyShown {
		return strconv.Quote(string(b))
	}
	return fmt.Sprintf("%d bytes %08x", len(b), crc32.ChecksumIEEE(b))
}

// valueText is a table's value with the letter of its type; keys in order, as
// the harness's client sends them.
func valueText(v any) string {
	switch v := v.(type) {
	case bool:
		return "t:" + strconv.FormatBool(v)
	case int8:
		return fmt.Sprintf("b:%d", v)
	case uint8:
		return fmt.Sprintf("B:%d", v)
	case int16:
		return fmt.Sprintf("s:%d", v)
	case uint16:
		return fmt.Sprintf("u:%d", v)
	case int32:
		return fmt.Sprintf("I:%d", v)
	case uint32:
		return fmt.Sprintf("i:%d", v)
	case int64:
		return fmt.Sprintf("l:%d", v)
	case float32:
		return fmt.Sprintf("f:%v", v)
	case float64:
		return fmt.Sprintf("d:%v", v)
	case wire.Decimal:
		return fmt.Sprintf("D:%de-%d", v.Value, v.Scale)
	case time.Time:
		return "T:" + timeText(uint64(v.Unix()))
	case string:
		return "S:" + text(v)
	case []byte:
		return "x:" + strconv.Quote(string(v))
	case nil:
		return "V"
	case []any:
		var all []string
		for _, e := range v {
			all = append(all, valueText(e))
		}
		return "[" + strings.Join(all, ", ") + "]"
	case wire.Table:
		var all []string
		for _, k := range slices.Sorted(maps.Keys(v)) {
			all = append(all, text(k)+"="+valueText(v[k]))
		}
		return "{" + strings.Join(all, ", ") + "}"
	}
	return fmt.Sprintf("%T?", v)
}

// timeText says now instead of a time of these minutes.
func timeText(seconds uint64) string {
	if math.Abs(float64(time.Now().Unix())-float64(seconds)) < 600 {
		return "now"
	}
	return strconv.FormatUint(seconds, 10)
}

func properties(p P) string {
	raw, err := p.Append(nil)
	if err != nil {
		return " " + err.Error()
	}
	return rawProperties(raw)
}
