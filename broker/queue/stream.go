package queue

import "time"

// Head is a stretch at the front of a stream that goes as a whole, as a segment of RabbitMQ's does.
type Head struct {
	Last   uint64    // its last message
	Bytes  uint64    // of its bodies
	Newest time.Time // when the last of its entries was appended
}

// headRuns is how many entries a head has at most: RabbitMQ begins a new segment after so many chunks.
const headRuns = 256_000

// Head is the shortest front of the queue, whole entries of the log, whose bodies have so many
// bytes, or which has headRuns entries; false when the queue is not longer than that: its last
// segment is never complete. It costs O(entries in the head), and O(1) where there surely is none.
func (q *Queue) Head(bytes uint64) (h Head, ok bool) {
	if q.bytes <= bytes && len(q.chunks)*chunkRuns <= headRuns {
		return h, false
	}
	runs, last := 0, q.next-1
	for _, c := range q.chunks {
		for i := range c.runs {
			r := &c.runs[i]
			h = Head{Last: r.last(), Bytes: h.Bytes + uint64(r.bytes), Newest: time.Unix(0, r.at)}
			if runs++; h.Bytes >= bytes || runs == headRuns {
				return h, h.Last < last
			}
		}
	}
	return Head{}, false
}

// First is the number of the oldest message, or of the next one when there is none.
func (q *Queue) First() uint64 {
	if len(q.chunks) == 0 {
		return q.next
	}
	return q.chunks[0].runs[0].first
}

// Since is the number of the oldest message that was appended at t or later, or of the next one
// when there is none. The clocks of successive leaders differ, so all entries are looked at.
func (q *Queue) Since(t time.Time) uint64 {
	for _, c := range q.chunks {
		for i := range c.runs {
			if !time.Unix(0, c.runs[i].at).Before(t) {
				return c.runs[i].first
			}
		}
	}
	return q.next
}

// List appends the messages with numbers above seq to items, n at most.
func (q *Queue) List(items []Item, seq uint64, n int) []Item {
	for range n {
		it, ok := q.After(seq)
		if !ok {
			break
		}
		items = append(items, it)
		seq = it.Seq
	}
	return items
}
