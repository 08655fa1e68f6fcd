package leader

// minHeap is a binary heap, what comes before all others on top. Unlike
// container/heap it allocates for room alone: priority queues have all that is
// ready in one, and queues with a TTL all that is timed.
type minHeap[T ordered[T]] []T

// ordered is what a heap can hold.
type ordered[T any] interface{ before(T) bool }

var (
	_ ordered[key]    = key(0)
	_ ordered[mortal] = mortal{}
)

func (h *minHeap[T]) push(x T) {
	*h = append(*h, x)
	h.up(len(*h) - 1)
}

func (h *minHeap[T]) pop() T {
	old := *h
	top, last := old[0], len(old)-1
	old[0] = old[last]
	*h = old[:last]
	h.down(0)
	if cap(old) > 1024 && cap(old) > 4*last { // it was large once
		*h = append(make(minHeap[T], 0, 2*last), (*h)...)
	}
	return top
}

// keep drops what f does not want.
func (h *minHeap[T]) keep(f func(T) bool) {
	kept := (*h)[:0]
	for _, x := range *h {
		if f(x) {
			kept = append(kept, x)
		}
	}
	*h = append(make(minHeap[T], 0, len(kept)), kept...)
	for i := len(kept)/2 - 1; i >= 0; i-- {
		h.down(i)
	}
}

func (h minHeap[T]) up(i int) {
	for i > 0 {
		parent := (i - 1) / 2
		if !h[i].before(h[parent]) {
			return
		}
		h[i], h[parent] = h[parent], h[i]
		i = parent
	}
}

func (h minHeap[T]) down(i int) {
	for {
		least := i
		for _, child := range [2]int{2*i + 1, 2*i + 2} {
			if child < len(h) && h[child].before(h[least]) {
				least = child
			}
		}
		if least == i {
			return
		}
		h[i], h[least] = h[least], h[i]
		i = least
	}
}

// key orders the messages of a queue as they are delivered: by priority, then by
// sequence number. A queue would have to take 2^56 messages to run out of them.
type key uint64

const seqBits = 56

func (k key) before(o key) bool { return k < o }
func (k key) seq() uint64       { return uint64(k) & (1<<seqBits - 1) }

// mortal is a message that ends by itself.
type mortal struct {
	deadline int64 // Unix nanoseconds
	seq      uint64
}

func (m mortal) before(o mortal) bool { return m.deadline < o.deadline }
