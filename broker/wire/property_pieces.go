package wire

import (
	"encoding/binary"
	"slices"
)

// PropertyPieces are a message's properties taken apart, of which headers, reply-to and
// expiration can be changed and all else stays what it is, to the octet.
type PropertyPieces struct {
	Headers    []Entry
	ReplyTo    []byte // with its length; nil when there is none
	Expiration []byte // likewise

	flags      PropertyFlags
	before     []byte // content type and encoding
	between    []byte // delivery mode to correlation id
	behindThem []byte // message id to cluster id
	hadHeaders bool   // there was a table, be it empty
}

// SplitProperties takes properties apart. What it returns borrows from raw.
func SplitProperties(raw []byte) (PropertyPieces, error) {
	view, err := ViewProperties(raw)
	if err != nil {
		return PropertyPieces{}, err
	}
	p := PropertyPieces{flags: view.Present}
	rest := raw[2:] // checked: what follows cannot run out of octets
	take := func(size int) []byte {
		piece := rest[:size:size]
		rest = rest[size:]
		return piece
	}
	texts := func(flags ...PropertyFlags) (size int) {
		for _, f := range flags {
			if p.flags&f != 0 {
				size += 1 + int(rest[size])
			}
		}
		return size
	}
	p.before = take(texts(HasContentType, HasContentEncoding))
	if p.flags&HasHeaders != 0 {
		p.hadHeaders = true
		table := take(4 + int(binary.BigEndian.Uint32(rest)))
		if p.Headers, err = SplitTable(table); err != nil {
			return PropertyPieces{}, err
		}
	}
	octets := 0
	for _, f := range [...]PropertyFlags{HasDeliveryMode, HasPriority} {
		if p.flags&f != 0 {
			octets++
		}
	}
	between := rest
	take(octets)
	take(texts(HasCorrelationID))
	p.between = between[:len(between)-len(rest)]
	if p.flags&HasReplyTo != 0 {
		p.ReplyTo = take(texts(HasReplyTo))
	}
	if p.flags&HasExpiration != 0 {
		p.Expiration = take(texts(HasExpiration))
	}
	p.behindThem = rest
	return p, nil
}

// Join appends them, put together again. It refuses headers that JoinTable refuses.
func (p *PropertyPieces) Join(dst []byte) ([]byte, error) {
	flags := p.flags &^ (HasHeaders | HasReplyTo | HasExpiration)
	if p.hadHeaders || len(p.Headers) > 0 {
		flags |= HasHeaders
	}
	if p.ReplyTo != nil {
		flags |= HasReplyTo
	}
	if p.Expiration != nil {
		flags |= HasExpiration
	}
	dst = binary.BigEndian.AppendUint16(dst, uint16(flags))
	dst = append(dst, p.before...)
	if flags&HasHeaders != 0 {
		var err error
		if dst, err = JoinTable(dst, p.Headers); err != nil {
			return nil, err
		}
	}
	dst = append(dst, p.between...)
	dst = append(dst, p.ReplyTo...)
	dst = append(dst, p.Expiration...)
	return append(dst, p.behindThem...), nil
}

// SetHeader gives a header another value, its type's octet included, where it is,
// or puts it behind the others.
func (p *PropertyPieces) SetHeader(key string, value []byte) {
	for i := range p.Headers {
		if p.Headers[i].Key == key {
			p.Headers[i].Value = value
			return
		}
	}
	p.Headers = append(p.Headers, Entry{Key: key, Value: value})
}

// DropHeader takes a header out, wherever it is and however often.
func (p *PropertyPieces) DropHeader(key string) {
	p.Headers = slices.DeleteFunc(p.Headers, func(e Entry) bool { return e.Key == key })
}
