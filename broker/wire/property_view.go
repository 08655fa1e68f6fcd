package wire

import "encoding/binary"

// PropertyView is what a broker asks of a message's properties, found in one walk
// over their encoding and borrowed from it.
type PropertyView struct {
	Present      PropertyFlags
	DeliveryMode uint8
	Priority     uint8
	Headers      []byte // the table with its length; nil when there is none
	ReplyTo      []byte
	Expiration   []byte
	UserID       []byte
}

// Header decodes one header's value.
func (v *PropertyView) Header(key string) (any, bool) { return LookupTable(v.Headers, key) }

// HeaderTable decodes the headers.
func (v *PropertyView) HeaderTable() (Table, error) {
	if v.Headers == nil {
		return nil, nil
	}
	return ParseTable(v.Headers)
}

// ViewProperties walks over property flags and list and checks all of them,
// headers included, to the end of raw.
func ViewProperties(raw []byte) (PropertyView, error) {
	var v PropertyView
	if err := v.parse(raw); err != nil {
		return PropertyView{}, propertiesFault(err)
	}
	return v, nil
}

func (v *PropertyView) parse(raw []byte) error {
	if len(raw) < 2 {
		return errShort
	}
	flags := PropertyFlags(binary.BigEndian.Uint16(raw))
	if flags&^allProperties != 0 {
		return errPropertyFlags
	}
	v.Present = flags
	d := decoder{b: raw[2:]}
	d.skipStrings(flags, HasContentType, HasContentEncoding)
	if flags&HasHeaders != 0 {
		if err := v.parseHeaders(&d); err != nil {
			return err
		}
	}
	if flags&HasDeliveryMode != 0 {
		v.DeliveryMode = d.octet()
	}
	if flags&HasPriority != 0 {
		v.Priority = d.octet()
	}
	d.skipStrings(flags, HasCorrelationID, 0)
	v.ReplyTo = d.octetsIf(flags&HasReplyTo != 0)
	v.Expiration = d.octetsIf(flags&HasExpiration != 0)
	d.skipStrings(flags, HasMessageID, 0)
	if flags&HasTimestamp != 0 {
		d.take(8)
	}
	d.skipStrings(flags, HasType, 0)
	v.UserID = d.octetsIf(flags&HasUserID != 0)
	d.skipStrings(flags, HasAppID, HasClusterID)
	if d.err == nil && len(d.b) > 0 {
		return errTrailing
	}
	return d.err
}

func (v *PropertyView) parseHeaders(d *decoder) error {
	from := d.b
	content := d.longOctets()
	if d.err != nil {
		return d.err
	}
	v.Headers = from[:4+len(content)]
	var s scan
	return s.table(content, 1)
}

// skipStrings goes over the short strings of flags a and b as far as they are there.
func (d *decoder) skipStrings(flags, a, b PropertyFlags) {
	if flags&a != 0 {
		d.take(int(d.octet()))
	}
	if flags&b != 0 {
		d.take(int(d.octet()))
	}
}

// octetsIf borrows a short string when it is there. Properties need not be UTF-8.
func (d *decoder) octetsIf(there bool) []byte {
	if !there {
		return nil
	}
	return d.take(int(d.octet()))
}
