package queue

import "encoding/binary"

// Thin returns a batch from which ReadMessage still reads the messages with these ordinals, which
// ascend, under the same ordinals; of another ordinal it says ErrMalformed. It is for bodies in
// the log alone: no replica can apply it, nor is that ever asked. A batch that would not become
// shorter comes back itself, and so does one that holds no messages.
func Thin(batch []byte, keep []uint32) []byte {
	p, err := openPublish(batch)
	if err != nil {
		return batch
	}
	count, bytes := 0, publishHead+3*4
	for _, ordinal := range keep {
		m, err := p.message(ordinal)
		if err != nil { // nobody can read it here either
			continue
		}
		count = int(ordinal) + 1
		bytes += m.end - p.offset(ordinal)
	}
	if bytes += 4 * count; bytes >= len(batch) {
		return batch
	}
	thin := append(make([]byte, 0, bytes), batch[:publishHead]...)
	offsets := make([]byte, 4*count) // 0 is no message's
	for _, ordinal := range keep {
		if m, err := p.message(ordinal); err == nil {
			binary.LittleEndian.PutUint32(offsets[4*int(ordinal):], uint32(len(thin)))
			thin = append(thin, batch[p.offset(ordinal):m.end]...)
		}
	}
	trailer := uint32(len(thin))
	thin = binary.LittleEndian.AppendUint32(thin, uint32(count))
	thin = append(thin, offsets...)
	thin = binary.LittleEndian.AppendUint32(thin, 0) // sections
	return binary.LittleEndian.AppendUint32(thin, trailer)
}

func (p *publishBatch) offset(ordinal uint32) int {
	return int(binary.LittleEndian.Uint32(p.offsets[4*int(ordinal):]))
}
