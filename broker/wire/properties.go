package wire

import (
	"encoding/binary"
	"errors"
	"fmt"
	"strconv"
	"time"
)

// PropertyFlags says which properties of class basic are there.
type PropertyFlags uint16

// The properties in the order in which they travel.
const (
	HasContentType PropertyFlags = 1 << (15 - iota)
	HasContentEncoding
	HasHeaders
	HasDeliveryMode
	HasPriority
	HasCorrelationID
	HasReplyTo
	HasExpiration
	HasMessageID
	HasTimestamp
	HasType
	HasUserID
	HasAppID
	HasClusterID

	allProperties = ^PropertyFlags(0b11)
)

var errPropertyFlags = errors.New("unknown property flags")

// Properties are the properties of class basic as values. Append writes a property
// when its flag is in Present or its value is not zero; to take one away, clear both.
type Properties struct {
	Present         PropertyFlags // as parsed: keeps those that are there and empty
	ContentType     string
	ContentEncoding string
	Headers         Table
	DeliveryMode    uint8
	Priority        uint8
	CorrelationID   string
	ReplyTo         string
	Expiration      string
	MessageID       string
	Timestamp       time.Time
	Type            string
	UserID          string
	AppID           string
	ClusterID       string
}

// Text gives message_id, correlation_id, or timestamp in decimal: what a hash exchange
// may be told to look at. False if it is not there.
func (p *Properties) Text(name string) (string, bool) {
	switch {
	case name == "message_id" && p.Present&HasMessageID != 0:
		return p.MessageID, true
	case name == "correlation_id" && p.Present&HasCorrelationID != 0:
		return p.CorrelationID, true
	case name == "timestamp" && p.Present&HasTimestamp != 0:
		return strconv.FormatInt(p.Timestamp.Unix(), 10), true
	}
	return "", false
}

// shortString returns the string that belongs to flag, nil for the other properties.
func (p *Properties) shortString(flag PropertyFlags) *string {
	switch flag {
	case HasContentType:
		return &p.ContentType
	case HasContentEncoding:
		return &p.ContentEncoding
	case HasCorrelationID:
		return &p.CorrelationID
	case HasReplyTo:
		return &p.ReplyTo
	case HasExpiration:
		return &p.Expiration
	case HasMessageID:
		return &p.MessageID
	case HasType:
		return &p.Type
	case HasUserID:
		return &p.UserID
	case HasAppID:
		return &p.AppID
	case HasClusterID:
		return &p.ClusterID
	}
	return nil
}

// ParseProperties decodes property flags and list as they are on the wire.
func ParseProperties(raw []byte) (Properties, error) {
	if _, err := ViewProperties(raw); err != nil {
		return Properties{}, err
	}
	p := Properties{Present: PropertyFlags(binary.BigEndian.Uint16(raw))}
	d := decoder{b: raw[2:]}
	for flag := HasContentType; flag >= HasClusterID; flag >>= 1 {
		if p.Present&flag == 0 {
			continue
		}
		switch flag {
		case HasHeaders:
			p.Headers = d.table()
		case HasDeliveryMode:
			p.DeliveryMode = d.octet()
		case HasPriority:
			p.Priority = d.octet()
		case HasTimestamp:
			p.Timestamp = time.Unix(int64(d.longlong()), 0).UTC()
		default:
			*p.shortString(flag) = string(d.take(int(d.octet())))
		}
	}
	if d.err != nil {
		return Properties{}, propertiesFault(d.err)
	}
	return p, nil
}

// flags returns Present and the flags of values that are not zero.
func (p *Properties) flags() PropertyFlags {
	flags := p.Present & allProperties
	for flag := HasContentType; flag >= HasClusterID; flag >>= 1 {
		if s := p.shortString(flag); s != nil && *s != "" {
			flags |= flag
		}
	}
	if len(p.Headers) > 0 {
		flags |= HasHeaders
	}
	if p.DeliveryMode != 0 {
		flags |= HasDeliveryMode
	}
	if p.Priority != 0 {
		flags |= HasPriority
	}
	if !p.Timestamp.IsZero() {
		flags |= HasTimestamp
	}
	return flags
}

// Append appends property flags and list as they travel. It refuses strings beyond
// 255 octets and headers that AppendTable refuses; on an error it returns nil.
func (p Properties) Append(dst []byte) ([]byte, error) {
	flags := p.flags()
	dst = appendShort(dst, uint16(flags))
	for flag := HasContentType; flag >= HasClusterID; flag >>= 1 {
		if flags&flag == 0 {
			continue
		}
		switch flag {
		case HasHeaders:
			var err error
			if dst, err = AppendTable(dst, p.Headers); err != nil {
				return nil, fmt.Errorf("headers: %w", err)
			}
		case HasDeliveryMode:
			dst = appendOctet(dst, p.DeliveryMode)
		case HasPriority:
			dst = appendOctet(dst, p.Priority)
		case HasTimestamp:
			dst = appendLonglong(dst, uint64(p.Timestamp.Unix()))
		default:
			s := *p.shortString(flag)
			if len(s) > shortStringMax {
				return nil, fmt.Errorf("property %.20q... is %d octets long, at most %d are possible", s, len(s), shortStringMax)
			}
			dst = appendShortstr(dst, s)
		}
	}
	return dst, nil
}

func propertiesFault(cause error) *Error {
	return &Error{Code: FrameError, Text: "malformed content properties", Cause: cause}
}
