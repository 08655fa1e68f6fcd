package connection

import (
	"math/rand/v2"
	"slices"
	"testing"
)

// Random answers against a plain list of what is outstanding.
func TestUnackedFollowsModel(t *testing.T) {
	rng := rand.New(rand.NewPCG(1, 2))
	var u unacked
	var model []uint64
	h := &holder{}
	tag := uint64(0)
	for step := range 200_000 {
		switch op := rng.IntN(10); {
		case op < 6 && len(model) < 3000:
			tag += 1 + uint64(rng.IntN(3)) // tags of consumers without acknowledgement are missing
			u.add(tag, tag*10, h, 0)
			model = append(model, tag)
		case op < 9:
			want := uint64(rng.Int64N(int64(tag) + 2))
			if len(model) > 0 && rng.IntN(4) > 0 {
				want = model[rng.IntN(min(len(model), 1+rng.IntN(len(model))))]
			}
			i := slices.Index(model, want)
			d, ok := u.take(want)
			if ok != (i >= 0) || ok && (d.tag != want || d.seq != want*10) {
				t.Fatalf("step %d: take(%d) = %v %v, want %v", step, want, d, ok, i >= 0)
			}
			if ok {
				model = slices.Delete(model, i, i+1)
			}
		case len(model) > 0 && rng.IntN(20) == 0:
			i := rng.IntN(len(model))
			var got []uint64
			if !u.takeThrough(model[i], func(d outstanding) { got = append(got, d.tag) }) || !slices.Equal(got, model[:i+1]) {
				t.Fatalf("step %d: takeThrough(%d) = %v, want %v", step, model[i], got, model[:i+1])
			}
			model = slices.Delete(model, 0, i+1)
		}
		if u.len() != len(model) || len(u.list) > 2*len(model)+2*gapsMin+1 {
			t.Fatalf("step %d: %d outstanding in %d places, want %d", step, u.len(), len(u.list), len(model))
		}
	}
}

// A prefetch that is always used up costs no memory for each delivery.
func TestUnackedSteadyStateAllocatesNothing(t *testing.T) {
	var u unacked
	h := &holder{}
	tag := uint64(0)
	deliver := func() {
		tag++
		u.add(tag, tag, h, 0)
		if tag > 100 {
			u.take(tag - 100)
		}
	}
	for range 10_000 {
		deliver()
	}
	if n := testing.AllocsPerRun(10_000, deliver); n > 0 {
		t.Errorf("%v allocations a delivery", n)
	}
}

func TestUnackedRestore(t *testing.T) {
	var u unacked
	h := &holder{}
	for tag := range uint64(5) {
		u.add(tag+1, tag, h, 0)
	}
	var taken []outstanding
	for _, tag := range []uint64{4, 2} {
		d, _ := u.take(tag)
		taken = append(taken, d)
	}
	u.restore(taken)
	var got []uint64
	u.takeThrough(0, func(d outstanding) { got = append(got, d.tag) })
	if want := []uint64{1, 2, 3, 4, 5}; !slices.Equal(got, want) {
		t.Errorf("outstanding %v, want %v", got, want)
	}
	u.add(6, 5, h, 0)
	if _, ok := u.take(6); !ok {
		t.Error("nothing can be added after restore")
	}
}
