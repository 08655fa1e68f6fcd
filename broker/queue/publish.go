package queue

import (
	"encoding/binary"
	"fmt"
	"math"
	"time"
)

// publishBatch is a publish batch taken apart as far as its outline.
type publishBatch struct {
	batch    []byte
	trailer  int    // where the messages end
	offsets  []byte // u32 each, by ordinal
	sections reader // from the count of sections on
}

func openPublish(batch []byte) (publishBatch, error) {
	kind, err := kindOf(batch)
	switch {
	case err != nil:
		return publishBatch{}, err
	case kind != kindPublish:
		return publishBatch{}, fmt.Errorf("%w: batch kind %d holds no messages", ErrMalformed, kind)
	case len(batch) < publishHead+12 || len(batch) > MaxBatchBytes:
		return publishBatch{}, malformed("size of a publish batch")
	}
	end := len(batch) - 4
	trailer := binary.LittleEndian.Uint32(batch[end:])
	if trailer < publishHead || uint64(trailer) > uint64(end-8) {
		return publishBatch{}, malformed("offset of the trailer")
	}
	r := reader{b: batch[trailer:end]}
	count := r.count32(4)
	offsets := r.take(4 * uint64(count))
	if r.bad {
		return publishBatch{}, malformed("count of messages")
	}
	return publishBatch{batch: batch, trailer: int(trailer), offsets: offsets, sections: r}, nil
}

func (p *publishBatch) count() int { return len(p.offsets) / 4 }

// decodePublish reads what Apply needs, which is the trailer and not the messages.
func decodePublish(batch []byte) (Publish, error) {
	p, err := openPublish(batch)
	if err != nil {
		return Publish{}, err
	}
	head := reader{b: batch[2:publishHead]}
	c := Publish{Session: Session{Incarnation: head.u64(), Epoch: head.u64()}, Seq: head.u64(), batch: batch}
	if c.Seq == 0 {
		return Publish{}, malformed("batch number 0")
	}
	r := p.sections
	n := r.count32(sectionBytes + 8)
	if r.bad || (len(r.b)-n*sectionBytes)%8 != 0 {
		return Publish{}, malformed("count of sections")
	}
	c.Sections = make([]Section, n)
	ids := make([]ID, 0, (len(r.b)-n*sectionBytes)/8)
	first := uint64(0)
	for i := range c.Sections {
		s := &c.Sections[i]
		from := len(ids)
		if ids, err = r.queueIDs(ids); err != nil {
			return Publish{}, err
		}
		s.Queues = ids[from:len(ids):len(ids)]
		s.First, s.Count, s.Bytes = uint32(first), r.u32(), r.u64()
		flags := r.u8()
		s.Timed, s.Ranked, s.Moves = flags&hasTTL != 0, flags&hasPriority != 0, flags&hasMoves != 0
		first += uint64(s.Count)
		if r.bad || s.Count == 0 || first > uint64(p.count()) || s.Bytes > uint64(len(batch)) || flags&^sectionFlags != 0 {
			return Publish{}, malformed("section")
		}
	}
	if len(r.b) != 0 || first != uint64(p.count()) {
		return Publish{}, malformed("sections do not cover the batch")
	}
	return c, nil
}

// queueIDs appends the ids of one section: at least one, ascending, none twice, none 0.
// The room in ids is what the sections' bytes can hold at most.
func (r *reader) queueIDs(ids []ID) ([]ID, error) {
	n := r.count32(8)
	if r.bad || n == 0 || n > cap(ids)-len(ids) {
		return nil, malformed("queues of a section")
	}
	last := ID(0)
	for range n {
		id := ID(r.u64())
		if id <= last {
			return nil, malformed("order of a section's queues")
		}
		ids = append(ids, id)
		last = id
	}
	return ids, nil
}

// MessageCount is how many messages the publish batch holds.
func MessageCount(batch []byte) (int, error) {
	p, err := openPublish(batch)
	return p.count(), err
}

// ReadMessage reads one message of a publish batch. Its slices point into batch;
// its strings are copies.
func ReadMessage(batch []byte, ordinal uint32) (Message, error) {
	p, err := openPublish(batch)
	if err != nil {
		return Message{}, err
	}
	raw, err := p.message(ordinal)
	if err != nil {
		return Message{}, err
	}
	m := raw.Message
	m.Exchange, m.RoutingKey = string(raw.exchange), string(raw.key)
	return m, nil
}

// rawMessage is a message whose strings are still bytes of the batch.
type rawMessage struct {
	Message
	exchange, key []byte
	flags         byte
	end           int // where the next one begins in the batch
}

func (p *publishBatch) message(ordinal uint32) (rawMessage, error) {
	if uint64(ordinal) >= uint64(p.count()) {
		return rawMessage{}, fmt.Errorf("%w: message %d of %d", ErrMalformed, ordinal, p.count())
	}
	offset := binary.LittleEndian.Uint32(p.offsets[4*int(ordinal):])
	if offset < publishHead || uint64(offset) > uint64(p.trailer) {
		return rawMessage{}, malformed("offset of a message")
	}
	r := reader{b: p.batch[offset:p.trailer]}
	m := rawMessage{Message: Message{TTL: NoTTL}, flags: r.u8()}
	if m.flags&hasTTL != 0 {
		ttl := r.uvarint()
		if ttl > math.MaxInt64 {
			r.fail()
		}
		m.TTL = time.Duration(ttl)
	}
	if m.flags&hasPriority != 0 {
		m.Priority = r.u8()
	}
	m.Died = m.flags&hasDied != 0
	if m.flags&hasBlind != 0 {
		m.Blind = r.keys()
	}
	m.exchange = r.take(r.uvarint())
	m.key = r.take(r.uvarint())
	m.Properties = r.take(r.uvarint())
	m.Body = r.take(r.uvarint())
	if r.bad || m.flags > allFlags {
		return rawMessage{}, fmt.Errorf("%w: message %d", ErrMalformed, ordinal)
	}
	m.end = p.trailer - len(r.b)
	return m, nil
}

// keys reads routing keys. Each takes a byte at least, so that a count costs no more than its batch.
func (r *reader) keys() []string {
	n := r.uvarint()
	if n == 0 || n > uint64(len(r.b)) {
		r.fail()
		return nil
	}
	var keys []string
	for range n {
		keys = append(keys, string(r.take(r.uvarint())))
		if r.bad {
			return nil
		}
	}
	return keys
}

// Verify checks a batch to its last byte: that every message can be read and that the
// sections tell the truth about them. A leader does it before it proposes a batch that
// came from elsewhere, for what is committed must be readable for ever.
func Verify(batch []byte) error {
	commands, err := Decode(batch)
	if err != nil || batch[1] != kindPublish {
		return err
	}
	p, err := openPublish(batch)
	if err != nil {
		return err
	}
	total := 0
	for _, s := range commands[0].(Publish).Sections {
		n, err := p.verifySection(s)
		if err != nil {
			return err
		}
		total += n
	}
	if total != p.trailer-publishHead {
		return malformed("bytes between messages")
	}
	return nil
}

// verifySection returns how many bytes the section's messages take.
func (p *publishBatch) verifySection(s Section) (int, error) {
	var (
		total  int
		body   uint64
		flags  byte
		before = 0 // within a section messages keep the order of arrival
	)
	for i := range s.Count {
		m, err := p.message(s.First + i)
		if err != nil {
			return 0, err
		}
		offset := int(binary.LittleEndian.Uint32(p.offsets[4*int(s.First+i):]))
		if offset < before {
			return 0, malformed("order of messages")
		}
		before = m.end
		total += m.end - offset
		body += uint64(len(m.Body))
		flags |= m.flags
	}
	if body != s.Bytes || s.Timed != (flags&hasTTL != 0) || s.Ranked != (flags&hasPriority != 0) || s.Moves != (flags&hasMoves != 0) {
		return 0, malformed("totals of a section")
	}
	return total, nil
}
