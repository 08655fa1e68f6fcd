package leader

import (
	"math/rand/v2"
	"slices"
	"testing"
	"testing/synctest"
	"time"
)

func TestHeapGivesTheLeastFirst(t *testing.T) {
	rng := rand.New(rand.NewPCG(1, 1))
	var h minHeap[key]
	var model []key
	for range 20_000 {
		switch n := rng.IntN(100); {
		case n < 55 || len(model) == 0:
			k := key(rng.Uint64())
			h.push(k)
			model = append(model, k)
		case n < 99:
			least := slices.Min(model)
			if got := h.pop(); got != least {
				t.Fatalf("pop = %d, want %d", got, least)
			}
			model = slices.DeleteFunc(model, func(k key) bool { return k == least })
		default:
			odd := func(k key) bool { return k%2 == 1 }
			h.keep(odd)
			model = slices.DeleteFunc(model, func(k key) bool { return !odd(k) })
		}
		if len(h) != len(model) {
			t.Fatalf("%d in the heap, want %d", len(h), len(model))
		}
	}
}

// A heap that was large once gives its memory back.
func TestHeapShrinks(t *testing.T) {
	var h minHeap[key]
	for i := range 100_000 {
		h.push(key(i))
	}
	for len(h) > 10 {
		h.pop()
	}
	if cap(h) > 1024 {
		t.Errorf("room for %d when there are %d", cap(h), len(h))
	}
}

func TestKeysOrderByPriorityThenNumber(t *testing.T) {
	q := &served{}
	q.settings.MaxPriority = 255
	order := []key{q.key(1, 255), q.key(1<<seqBits-1, 255), q.key(2, 1), q.key(1, 0), q.key(7, 0)}
	if !slices.IsSorted(order) || order[1].seq() != 1<<seqBits-1 || order[4].seq() != 7 {
		t.Errorf("keys are %x", order)
	}
	q.settings.MaxPriority = 0
	if k := q.key(9, 200); k != 9 {
		t.Errorf("key of a queue without priorities: %x", k)
	}
}

func TestClockRingsInOrder(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := newClock()
		start := time.Now()
		var rung []int
		alarms := make([]alarm, 6)
		for i := range alarms {
			alarms[i].do = func() { rung = append(rung, i) }
			c.at(&alarms[i], start.Add(time.Duration(10-i)*time.Second))
		}
		c.by(&alarms[0], start.Add(20*time.Second)) // later than it is set for: stays
		c.by(&alarms[1], start.Add(time.Second))
		c.at(&alarms[2], start.Add(30*time.Second))
		c.stop(&alarms[3])
		c.stop(&alarms[3])
		for len(c.set) > 0 {
			c.arm()
			<-c.timer.C
			c.ring()
		}
		c.arm()
		if want := []int{1, 5, 4, 0, 2}; !slices.Equal(rung, want) || time.Since(start) != 30*time.Second {
			t.Errorf("rung %v after %v, want %v", rung, time.Since(start), want)
		}
	})
}
