package leader

import (
	"container/heap"
	"time"
)

// clock is the timers of one engine behind a single one, so that a hundred
// thousand queues that wait for something cost one. It belongs to Run's goroutine.
type clock struct {
	timer *time.Timer
	rings time.Time // when the timer goes off; zero: it does not
	set   alarms
}

// alarm is something to do at a time. Its zero value with do is ready.
type alarm struct {
	do    func()
	at    time.Time
	place int // in the heap, from 1; 0: not set
}

func newClock() clock {
	t := time.NewTimer(time.Hour)
	t.Stop()
	return clock{timer: t}
}

// at sets a, or moves it.
func (c *clock) at(a *alarm, at time.Time) {
	a.at = at
	if a.place == 0 {
		heap.Push(&c.set, a)
		return
	}
	heap.Fix(&c.set, a.place-1)
}

// by sees that a goes off at that time, or sooner.
func (c *clock) by(a *alarm, at time.Time) {
	if a.place == 0 || at.Before(a.at) {
		c.at(a, at)
	}
}

// stop unsets a.
func (c *clock) stop(a *alarm) {
	if a.place > 0 {
		heap.Remove(&c.set, a.place-1)
	}
}

// arm lets the timer go off with the first alarm.
func (c *clock) arm() {
	switch {
	case len(c.set) == 0:
		if !c.rings.IsZero() {
			c.timer.Stop()
			c.rings = time.Time{}
		}
	case !c.set[0].at.Equal(c.rings):
		c.rings = c.set[0].at
		c.timer.Reset(time.Until(c.rings))
	}
}

// ring does what is due.
func (c *clock) ring() {
	c.rings = time.Time{}
	now := time.Now()
	for len(c.set) > 0 && !c.set[0].at.After(now) {
		a := heap.Pop(&c.set).(*alarm)
		a.do()
	}
}

// alarms is a heap, the first to go off first.
type alarms []*alarm

func (h alarms) Len() int           { return len(h) }
func (h alarms) Less(i, j int) bool { return h[i].at.Before(h[j].at) }
func (h alarms) Swap(i, j int) {
	h[i], h[j] = h[j], h[i]
	h[i].place, h[j].place = i+1, j+1
}

func (h *alarms) Push(x any) {
	a := x.(*alarm)
	a.place = len(*h) + 1
	*h = append(*h, a)
}

func (h *alarms) Pop() any {
	old := *h
	a := old[len(old)-1]
	old[len(old)-1] = nil
	*h = old[:len(old)-1]
	a.place = 0
	return a
}
