package membership

import (
	"errors"
	"fmt"
	"strings"
	"unicode"
	"unicode/utf8"

	"github.com/hashicorp/memberlist"
)

// A node's metadata travels in every announcement of it, at most
// memberlist.MetaMaxSize (512) bytes:
//
//	version byte 1, then fields: tag byte, length byte, that many bytes of UTF-8
//
// A tag appears at most once. A reader skips tags that it does not know, so that
// newer nodes may add some; the version changes only when skipping would be wrong.
const metaVersion = 1

const (
	tagClusterID = 1
	tagPeerAddr  = 2
	tagAMQPAddr  = 3
	tagZone      = 4
	tagVersion   = 5
)

var errMeta = errors.New("unreadable node metadata")

// metaField returns where m keeps the field of a tag, nil for one unknown here.
func metaField(m *Member, tag byte) *string {
	switch tag {
	case tagClusterID:
		return &m.ClusterID
	case tagPeerAddr:
		return &m.PeerAddr
	case tagAMQPAddr:
		return &m.AMQPAddr
	case tagZone:
		return &m.Zone
	case tagVersion:
		return &m.Version
	}
	return nil
}

// encodeMeta is deterministic: equal members give equal bytes.
func encodeMeta(m Member) ([]byte, error) {
	b := []byte{metaVersion}
	for tag := byte(tagClusterID); tag <= tagVersion; tag++ {
		field := *metaField(&m, tag)
		if field == "" {
			continue
		}
		if len(field) > 255 {
			return nil, fmt.Errorf("%q is too long to tell other nodes: %d bytes, at most 255", field, len(field))
		}
		if !printable(field) {
			return nil, fmt.Errorf("%q cannot be told to other nodes: not printable", field)
		}
		b = append(b, tag, byte(len(field)))
		b = append(b, field...)
	}
	if len(b) > memberlist.MetaMaxSize {
		return nil, fmt.Errorf("addresses, zone and version of the node take %d bytes, at most %d can be told to other nodes",
			len(b), memberlist.MetaMaxSize)
	}
	return b, nil
}

// decodeMeta fills m's fields. Strings are copies.
func decodeMeta(b []byte, m *Member) error {
	if len(b) == 0 || len(b) > memberlist.MetaMaxSize {
		return fmt.Errorf("%w: %d bytes", errMeta, len(b))
	}
	if b[0] != metaVersion {
		return fmt.Errorf("%w: version %d, this node knows %d", errMeta, b[0], metaVersion)
	}
	var seen [256]bool
	for b = b[1:]; len(b) > 0; {
		if len(b) < 2 || len(b)-2 < int(b[1]) {
			return fmt.Errorf("%w: a field is cut off", errMeta)
		}
		tag, value := b[0], string(b[2:2+int(b[1])])
		b = b[2+len(value):]
		if seen[tag] {
			return fmt.Errorf("%w: field %d is there twice", errMeta, tag)
		}
		seen[tag] = true
		field := metaField(m, tag)
		if field == nil {
			continue
		}
		if !printable(value) {
			return fmt.Errorf("%w: field %d is not printable", errMeta, tag)
		}
		*field = value
	}
	return nil
}

// printable keeps control characters out of logs and listings.
func printable(s string) bool {
	return utf8.ValidString(s) && !strings.ContainsFunc(s, func(r rune) bool { return !unicode.IsPrint(r) })
}
