package bench

import (
	"math/rand/v2"
	"slices"
	"testing"
	"time"
)

func TestQuantilesAreWithinASixteenth(t *testing.T) {
	rng := rand.New(rand.NewPCG(1, 2))
	var h histogram
	var all []time.Duration
	for range 10_000 {
		d := time.Duration(rng.ExpFloat64() * 5e6)
		h.add(d)
		all = append(all, d)
	}
	slices.Sort(all)
	for _, q := range []float64{0, 0.5, 0.99, 0.999} {
		want := all[int(q*float64(len(all)))]
		got := h.quantile(q)
		if got > want || float64(got) < float64(want)*15/16-1 {
			t.Errorf("quantile(%v): %v, want %v", q, got, want)
		}
	}
}

func TestBucketsRiseWithTheirValues(t *testing.T) {
	for _, v := range []uint64{0, 1, 15, 16, 17, 31, 32, 33, 1000, 1 << 40, 1<<63 - 1, 1<<64 - 1} {
		b := bucket(v)
		if low := value(b); low > v || b+1 < len(histogram{}.counts) && v < 1<<62 && value(b+1) <= v {
			t.Errorf("value %d in bucket %d, which begins at %d", v, b, low)
		}
	}
}
