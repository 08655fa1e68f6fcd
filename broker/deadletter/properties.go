package deadletter

import (
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

// negated is a number of any type with its sign changed, as a value; others stay.
func negated(value []byte) []byte {
	value = slices.Clone(value)
	b := value[1:]
	switch value[0] {
	case 'b':
		b[0] = -b[0]
	case 's':
		binary.BigEndian.PutUint16(b, -binary.BigEndian.Uint16(b))
	case 'I':
		binary.BigEndian.PutUint32(b, -binary.BigEndian.Uint32(b))
	case 'l', 'L':
		binary.BigEndian.PutUint64(b, -binary.BigEndian.Uint64(b))
	case 'B', 'u', 'i': // these have no negative numbers
		n := uint64(0)
		for _, octet := range b {
			n = n<<8 | uint64(octet)
		}
		return binary.BigEndian.AppendUint64([]byte{'l'}, -n)
	}
	return value
}
