package deadletter

import (
	"cmp"
	"encoding/binary"
	"slices"

	"github.com/warrenmq/warren/broker/wire"
)

// properties are a message's properties in pieces, of which headers and expiration
// can be changed and all else stays what it is, to the octet.
type properties struct {
	flags         wire.PropertyFlags
	before        []byte // content type and encoding
	headers       []wire.Entry
	between       []byte // delivery mode to reply-to
	expiration    []byte // with its length; nil when there is none
	behindThem    []byte // message id to cluster id
	headersAsSent bool   // there was a table, be it empty
}

// split takes properties apart. What it returns borrows from raw.
func split(raw []byte) (properties, error) {
	view, err := wire.ViewProperties(raw)
	if err != nil {
		return properties{}, err
	}
	p := properties{flags: view.Present}
	rest := raw[2:] // checked: what follows cannot run out of octets
	take := func(size int) []byte {
		piece := rest[:size:size]
		rest = rest[size:]
		return piece
	}
	texts := func(flags ...wire.PropertyFlags) (size int) {
		for _, f := range flags {
			if p.flags&f != 0 {
				size += 1 + int(rest[size])
			}
		}
		return size
	}
	p.before = take(texts(wire.HasContentType, wire.HasContentEncoding))
	if p.flags&wire.HasHeaders != 0 {
		p.headersAsSent = true
		table := take(4 + int(binary.BigEndian.Uint32(rest)))
		if p.headers, err = wire.SplitTable(table); err != nil {
			return properties{}, err
		}
	}
	octets := 0
	for _, f := range [...]wire.PropertyFlags{wire.HasDeliveryMode, wire.HasPriority} {
		if p.flags&f != 0 {
			octets++
		}
	}
	between := rest
	take(octets)
	take(texts(wire.HasCorrelationID, wire.HasReplyTo))
	p.between = between[:len(between)-len(rest)]
	if p.flags&wire.HasExpiration != 0 {
		p.expiration = take(texts(wire.HasExpiration))
	}
	p.behindThem = rest
	return p, nil
}

// join puts them together again.
func (p *properties) join(dst []byte) ([]byte, error) {
	flags := p.flags &^ (wire.HasHeaders | wire.HasExpiration)
	if p.headersAsSent || len(p.headers) > 0 {
		flags |= wire.HasHeaders
	}
	if p.expiration != nil {
		flags |= wire.HasExpiration
	}
	dst = binary.BigEndian.AppendUint16(dst, uint16(flags))
	dst = append(dst, p.before...)
	if flags&wire.HasHeaders != 0 {
		var err error
		if dst, err = wire.JoinTable(dst, p.headers); err != nil {
			return nil, err
		}
	}
	dst = append(dst, p.between...)
	dst = append(dst, p.expiration...)
	return append(dst, p.behindThem...), nil
}

// waited has the header x-delay say that the message has waited: its number with
// the sign changed, whatever its type was, and the headers sorted by name, as
// RabbitMQ's plugin leaves them. One beyond 32 bits, which the plugin would write
// as another number, gets 64.
func waited(headers []wire.Entry, ms int64) []wire.Entry {
	value := binary.BigEndian.AppendUint32([]byte{'I'}, uint32(int32(-ms)))
	if int64(int32(-ms)) != -ms {
		value = binary.BigEndian.AppendUint64([]byte{'l'}, uint64(-ms))
	}
	headers = append(without(headers, "x-delay"), wire.Entry{Key: "x-delay", Value: value})
	slices.SortStableFunc(headers, func(a, b wire.Entry) int { return cmp.Compare(a.Key, b.Key) })
	return headers
}
