package bench

import (
	"math/bits"
	"time"
)

// histogram counts times in buckets of at most 1/16 error, in a fixed space.
type histogram struct {
	counts [64 * 16]uint64
	total  uint64
}

func (h *histogram) add(d time.Duration) {
	h.counts[bucket(uint64(max(d, 0)))]++
	h.total++
}

func (h *histogram) merge(o *histogram) {
	for i, c := range o.counts {
		h.counts[i] += c
	}
	h.total += o.total
}

// quantile is the time that a share q of the samples does not exceed.
func (h *histogram) quantile(q float64) time.Duration {
	left := uint64(q * float64(h.total))
	for i, c := range h.counts {
		if c > left {
			return time.Duration(value(i))
		}
		left -= c
	}
	return 0
}

// bucket: the position of the highest bit, and the four bits below it.
func bucket(v uint64) int {
	if v < 16 {
		return int(v)
	}
	exp := bits.Len64(v) - 5
	return exp*16 + int(v>>exp)
}

func value(b int) uint64 {
	if b < 32 {
		return uint64(b)
	}
	exp := b/16 - 1
	return uint64(b-exp*16) << exp
}
