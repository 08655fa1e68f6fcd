package traffic

import "time"

// gap is the longest time without a confirm since Watch.
type gap struct {
	on      bool
	last    time.Time
	longest time.Duration
}

func (g *gap) confirm(at time.Time) {
	if g.on {
		g.longest = max(g.longest, at.Sub(g.last))
		g.last = at
	}
}

// Watch begins to measure the time between confirms.
func (l *Ledger) Watch() {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.gap = gap{on: true, last: time.Now()}
}

// LongestGap ends it: the longest time without a confirm since Watch, also
// one that still lasts.
func (l *Ledger) LongestGap() time.Duration {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.gap.confirm(time.Now())
	l.gap.on = false
	return l.gap.longest
}
