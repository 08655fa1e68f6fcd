package queue

import (
	"encoding/binary"
	"fmt"
)

// Settings are what a queue's group must know about it: the effective ones, from the queue's
// arguments and the policies that match it. Apply reads nothing outside the group's log, so
// they are in it.
type Settings struct {
	VHost, Name string // for inspection

	// Quorum is set for a queue declared with x-queue-type=quorum: of its returned messages
	// only those that were returned as failed come nearer to the delivery limit.
	Quorum bool

	MessageTTL     Limit // milliseconds
	Expires        Limit // milliseconds unused, after which the queue is deleted
	MaxLength      Limit // ready messages
	MaxLengthBytes Limit // bytes of the bodies of ready messages
	Overflow       Overflow

	// DeadLetters is set when there is a dead-letter exchange; its name may be "".
	DeadLetters        bool
	DeadLetterExchange string
	// HasDeadLetterKey is set when DeadLetterKey, which may be "", replaces the messages' own.
	HasDeadLetterKey bool
	DeadLetterKey    string

	MaxPriority     uint8 // 0: the queue has no priorities
	DeliveryLimit   Limit // failed deliveries that a message survives
	SingleActive    bool
	ConsumerTimeout Limit // milliseconds

	// Delays is the x-delayed-message exchange whose delayed messages this queue keeps: one
	// that expires here is routed on. "" for every queue that was declared.
	Delays string

	// Stream is set for a stream: its messages are read and not taken, have no time to live, no
	// priority and no death, and go from its head alone (Purge). Of the limits above it has but
	// MaxLengthBytes, and nobody applies it to single messages: see Queue.Head.
	Stream       bool
	MaxAge       Limit // milliseconds
	SegmentBytes Limit // of the bodies that go from the head together

	unknown string // fields of newer versions, well formed
}

// Limit is a number that may be set. Its zero value is none.
type Limit struct {
	Set bool
	N   int64
}

// get is the limit, unless there is none.
func (l Limit) get() (n uint64, ok bool) {
	if !l.Set || l.N < 0 {
		return 0, false
	}
	return uint64(l.N), true
}

// Overflow says what becomes of a message that finds its queue full.
type Overflow uint8

// The ways to keep to a queue's length limit.
const (
	DropHead         Overflow = iota // the queue's oldest ready messages make room
	RejectPublish                    // the message is refused
	RejectPublishDLX                 // the message is refused, and dead-lettered
)

func (o Overflow) String() string {
	switch o {
	case DropHead:
		return "drop-head"
	case RejectPublish:
		return "reject-publish"
	case RejectPublishDLX:
		return "reject-publish-dlx"
	default:
		return fmt.Sprintf("Overflow(%d)", uint8(o))
	}
}

// deadLetters says whether messages that die of this reason live on as pending dead letters.
func (s *Settings) deadLetters(why Reason) bool {
	return s.DeadLetters || why == Expired && s.Delays != ""
}

// Settings are encoded as vhost and name, each length u32 and bytes, then fields u32, the
// bytes of the fields together: each of them tag u8, length u32, bytes, by ascending tag.
// A field with the zero value is left out, so equal settings have equal encodings: a flag
// has no bytes, a limit has set u8, N i64, a text is itself. Fields of newer versions, whose
// tags are higher than those known, are kept as they came, so that every replica's snapshot
// carries them on.
const (
	fieldQuorum = iota + 1
	fieldMessageTTL
	fieldExpires
	fieldMaxLength
	fieldMaxLengthBytes
	fieldOverflow
	fieldDeadLetters
	fieldDeadLetterExchange
	fieldHasDeadLetterKey
	fieldDeadLetterKey
	fieldMaxPriority
	fieldDeliveryLimit
	fieldSingleActive
	fieldConsumerTimeout
	fieldDelays
	fieldStream
	fieldMaxAge
	fieldSegmentBytes
	fieldsKnown
)

func (s *Settings) append(dst []byte) []byte {
	dst = appendText(appendText(dst, s.VHost), s.Name)
	at := len(dst)
	dst = append(dst, 0, 0, 0, 0)
	dst = appendFlag(dst, fieldQuorum, s.Quorum)
	dst = appendLimit(dst, fieldMessageTTL, s.MessageTTL)
	dst = appendLimit(dst, fieldExpires, s.Expires)
	dst = appendLimit(dst, fieldMaxLength, s.MaxLength)
	dst = appendLimit(dst, fieldMaxLengthBytes, s.MaxLengthBytes)
	dst = appendByte(dst, fieldOverflow, byte(s.Overflow))
	dst = appendFlag(dst, fieldDeadLetters, s.DeadLetters)
	dst = appendName(dst, fieldDeadLetterExchange, s.DeadLetterExchange)
	dst = appendFlag(dst, fieldHasDeadLetterKey, s.HasDeadLetterKey)
	dst = appendName(dst, fieldDeadLetterKey, s.DeadLetterKey)
	dst = appendByte(dst, fieldMaxPriority, s.MaxPriority)
	dst = appendLimit(dst, fieldDeliveryLimit, s.DeliveryLimit)
	dst = appendFlag(dst, fieldSingleActive, s.SingleActive)
	dst = appendLimit(dst, fieldConsumerTimeout, s.ConsumerTimeout)
	dst = appendName(dst, fieldDelays, s.Delays)
	dst = appendFlag(dst, fieldStream, s.Stream)
	dst = appendLimit(dst, fieldMaxAge, s.MaxAge)
	dst = appendLimit(dst, fieldSegmentBytes, s.SegmentBytes)
	dst = append(dst, s.unknown...)
	binary.LittleEndian.PutUint32(dst[at:], uint32(len(dst)-at-4))
	return dst
}

func appendText(dst []byte, v string) []byte {
	return append(binary.LittleEndian.AppendUint32(dst, uint32(len(v))), v...)
}

func appendFlag(dst []byte, tag byte, v bool) []byte {
	if !v {
		return dst
	}
	return append(dst, tag, 0, 0, 0, 0)
}

func appendByte(dst []byte, tag, v byte) []byte {
	if v == 0 {
		return dst
	}
	return append(dst, tag, 1, 0, 0, 0, v)
}

func appendName(dst []byte, tag byte, v string) []byte {
	if v == "" {
		return dst
	}
	return appendText(append(dst, tag), v)
}

func appendLimit(dst []byte, tag byte, v Limit) []byte {
	if v == (Limit{}) {
		return dst
	}
	return binary.LittleEndian.AppendUint64(appendBool(append(dst, tag, 9, 0, 0, 0), v.Set), uint64(v.N))
}

func (r *reader) settings() Settings {
	vhost := r.take(uint64(r.u32()))
	s := Settings{Name: string(r.take(uint64(r.u32())))}
	if string(vhost) != r.vhost { // a batch or snapshot names few vhosts and many queues
		r.vhost = string(vhost)
	}
	s.VHost = r.vhost
	fields := reader{b: r.take(uint64(r.u32()))}
	for before := byte(0); len(fields.b) > 0 && !fields.bad; {
		rest := fields.b
		tag := fields.u8()
		value := reader{b: fields.take(uint64(fields.u32()))}
		switch {
		case fields.bad, tag <= before:
			fields.fail()
		case tag >= fieldsKnown:
			s.unknown += string(rest[:len(rest)-len(fields.b)])
		default:
			s.field(tag, &value)
			if value.bad || len(value.b) > 0 {
				fields.fail()
			}
		}
		before = tag
	}
	if fields.bad {
		r.fail()
	}
	if r.bad {
		return Settings{}
	}
	return s
}

// field reads one known field, of which a zero value is malformed.
func (s *Settings) field(tag byte, v *reader) {
	switch tag {
	case fieldQuorum:
		s.Quorum = true
	case fieldMessageTTL:
		s.MessageTTL = v.limit()
	case fieldExpires:
		s.Expires = v.limit()
	case fieldMaxLength:
		s.MaxLength = v.limit()
	case fieldMaxLengthBytes:
		s.MaxLengthBytes = v.limit()
	case fieldOverflow:
		if s.Overflow = Overflow(v.nonzero()); s.Overflow > RejectPublishDLX {
			v.fail()
		}
	case fieldDeadLetters:
		s.DeadLetters = true
	case fieldDeadLetterExchange:
		s.DeadLetterExchange = v.name()
	case fieldHasDeadLetterKey:
		s.HasDeadLetterKey = true
	case fieldDeadLetterKey:
		s.DeadLetterKey = v.name()
	case fieldMaxPriority:
		s.MaxPriority = v.nonzero()
	case fieldDeliveryLimit:
		s.DeliveryLimit = v.limit()
	case fieldSingleActive:
		s.SingleActive = true
	case fieldConsumerTimeout:
		s.ConsumerTimeout = v.limit()
	case fieldDelays:
		s.Delays = v.name()
	case fieldStream:
		s.Stream = true
	case fieldMaxAge:
		s.MaxAge = v.limit()
	case fieldSegmentBytes:
		s.SegmentBytes = v.limit()
	}
}

func (r *reader) nonzero() uint8 {
	v := r.u8()
	if v == 0 {
		r.fail()
	}
	return v
}

func (r *reader) limit() Limit {
	v := Limit{Set: r.boolean(), N: int64(r.u64())}
	if v == (Limit{}) {
		r.fail()
	}
	return v
}

// name is all that is left, and something.
func (r *reader) name() string {
	v := r.take(uint64(len(r.b)))
	if len(v) == 0 {
		r.fail()
	}
	return string(v)
}
