package diff

import (
	"encoding/binary"
	"fmt"
	"math"
	"slices"
	"strconv"
	"strings"
)

// octets prints properties and tables from their encoding, so that the order
// of fields and the exact types of values show. A short read makes bad true
// and gives zeros from then on.
type octets struct {
	b   []byte
	bad bool
}

func (o *octets) take(n int) []byte {
	if o.bad || n < 0 || n > len(o.b) {
		o.bad = true
		return make([]byte, min(max(n, 0), 8))
	}
	b := o.b[:n]
	o.b = o.b[n:]
	return b
}

func (o *octets) u8() uint8     { return o.take(1)[0] }
func (o *octets) u16() uint16   { return binary.BigEndian.Uint16(o.take(2)) }
func (o *octets) u32() uint32   { return binary.BigEndian.Uint32(o.take(4)) }
func (o *octets) u64() uint64   { return binary.BigEndian.Uint64(o.take(8)) }
func (o *octets) short() string { return string(o.take(int(o.u8()))) }
func (o *octets) long() string  { return string(o.take(int(o.u32()))) }

// propertyNames is the properties in the order of their flags.
var propertyNames = [...]string{
	"content_type", "content_encoding", "headers", "delivery_mode", "priority", "correlation_id", "reply_to",
	"expiration", "message_id", "timestamp", "type", "user_id", "app_id", "cluster_id",
}

// counters is the headers that tell how often a message was handed out.
var counters = [...]string{"x-delivery-count", "x-acquired-count"}

// rawProperties is property flags and list as text, with a space before each.
func rawProperties(raw []byte) string { return propertiesText(raw, true) }

// propertiesText leaves out the counters, unless they are asked for.
func propertiesText(raw []byte, counted bool) string {
	o := &octets{b: raw}
	flags := o.u16()
	var b strings.Builder
	for i, name := range propertyNames {
		if flags&(1<<(15-i)) == 0 {
			continue
		}
		if name == "headers" {
			if h := (&octets{b: []byte(o.long())}).headers(counted); h != "" {
				b.WriteString(" headers=" + h)
			}
			continue
		}
		b.WriteString(" " + name + "=")
		switch name {
		case "delivery_mode", "priority":
			fmt.Fprint(&b, o.u8())
		case "timestamp":
			b.WriteString(timeText(o.u64()))
		default:
			b.WriteString(text(o.short()))
		}
	}
	if o.bad || len(o.b) > 0 || flags&3 != 0 {
		b.WriteString(" undecodable")
	}
	return b.String()
}

// headers is a table without the counters, "" when there was nothing else.
func (o *octets) headers(counted bool) string {
	var all []string
	hidden := 0
	for len(o.b) > 0 && !o.bad {
		key := o.short()
		value := o.value()
		if !counted && slices.Contains(counters[:], key) {
			hidden++
			continue
		}
		all = append(all, text(key)+"="+value)
	}
	if len(all) == 0 && hidden > 0 && !o.bad {
		return ""
	}
	return o.closed("{", all, "}")
}

func (o *octets) table() string {
	var all []string
	for len(o.b) > 0 && !o.bad {
		key := o.short()
		all = append(all, text(key)+"="+o.value())
	}
	return o.closed("{", all, "}")
}

func (o *octets) array() string {
	var all []string
	for len(o.b) > 0 && !o.bad {
		all = append(all, o.value())
	}
	return o.closed("[", all, "]")
}

func (o *octets) closed(left string, all []string, right string) string {
	if o.bad {
		all = append(all, "undecodable")
	}
	return left + strings.Join(all, ", ") + right
}

func (o *octets) value() string {
	letter := o.u8()
	switch letter {
	case 't':
		return "t:" + strconv.FormatBool(o.u8() != 0)
	case 'b':
		return fmt.Sprintf("b:%d", int8(o.u8()))
	case 'B':
		return fmt.Sprintf("B:%d", o.u8())
	case 's':
		return fmt.Sprintf("s:%d", int16(o.u16()))
	case 'u':
		return fmt.Sprintf("u:%d", o.u16())
	case 'I':
		return fmt.Sprintf("I:%d", int32(o.u32()))
	case 'i':
		return fmt.Sprintf("i:%d", o.u32())
	case 'l', 'L':
		return fmt.Sprintf("%c:%d", letter, int64(o.u64()))
	case 'f':
		return fmt.Sprintf("f:%v", math.Float32frombits(o.u32()))
	case 'd':
		return fmt.Sprintf("d:%v", math.Float64frombits(o.u64()))
	case 'D':
		scale := o.u8()
		return fmt.Sprintf("D:%de-%d", int32(o.u32()), scale)
	case 'T':
		return "T:" + timeText(o.u64())
	case 'S':
		return "S:" + text(o.long())
	case 'x':
		return "x:" + strconv.Quote(o.long())
	case 'V':
		return "V"
	case 'A':
		return (&octets{b: []byte(o.long())}).array()
	case 'F':
		return (&octets{b: []byte(o.long())}).table()
	}
	o.bad = true
	return fmt.Sprintf("type %q", letter)
}
