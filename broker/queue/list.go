package queue

import (
	"slices"
	"sort"
)

// list is a list of runs in the order of their numbers: a queue's unsettled messages, by
// sequence number, or its pending dead letters, by the numbers they got as such.
type list struct {
	chunks   []*chunk // none is empty
	spare    *chunk   // an empty one, for the next message
	messages uint64
	timed    int // runs with a time to live

	read  position // where reading was last
	write position // where settling was last
}

// position is a run's place. Removals move runs, so a kept one is only a hint.
type position struct{ chunk, run int }

// seek moves p to the first run that ends at seq or behind it; false when there is none.
// It tries where p was, the run behind that, and the front, before it searches.
func (l *list) seek(seq uint64, p *position) bool {
	if n := len(l.chunks); n == 0 || l.chunks[n-1].last() < seq {
		return false
	}
	if l.isAt(*p, seq) {
		return true
	}
	if next := l.behind(*p); l.isAt(next, seq) {
		*p = next
		return true
	}
	if l.chunks[0].runs[0].last() >= seq {
		*p = position{}
		return true
	}
	p.chunk = sort.Search(len(l.chunks), func(i int) bool { return l.chunks[i].last() >= seq })
	runs := l.chunks[p.chunk].runs
	p.run = sort.Search(len(runs), func(i int) bool { return runs[i].last() >= seq })
	return true
}

func (l *list) behind(p position) position {
	if p.chunk < len(l.chunks) && p.run+1 < len(l.chunks[p.chunk].runs) {
		return position{p.chunk, p.run + 1}
	}
	return position{p.chunk + 1, 0}
}

// isAt says whether p is where seek(seq) ends.
func (l *list) isAt(p position, seq uint64) bool {
	if p.chunk >= len(l.chunks) || p.run >= len(l.chunks[p.chunk].runs) {
		return false
	}
	runs := l.chunks[p.chunk].runs
	switch {
	case runs[p.run].last() < seq:
		return false
	case p.run > 0:
		return runs[p.run-1].last() < seq
	default:
		return p.chunk == 0 || l.chunks[p.chunk-1].last() < seq
	}
}

// push appends a run; its numbers are already given.
func (l *list) push(r run, x *extra) {
	n := len(l.chunks)
	if n == 0 || len(l.chunks[n-1].runs) == chunkRuns {
		c := l.spare
		if c == nil {
			c = &chunk{}
		}
		l.spare = nil
		l.chunks = append(l.chunks, c)
		n++
	}
	l.chunks[n-1].push(r, x)
	l.messages += uint64(r.live)
	l.timed += x.timed()
}

// extend appends a run, to the last one if it goes on with that and is like it. Only runs that
// the same entry made may become one: what others have become like depends on a replica's restarts.
func (l *list) extend(r run, x *extra) {
	if n := len(l.chunks); n > 0 {
		c := l.chunks[n-1]
		i := len(c.runs) - 1
		last := &c.runs[i]
		if last.index == r.index && last.at == r.at && last.ordinal+last.count == r.ordinal && last.first+uint64(last.count) == r.first && x.like(c.extra(i)) {
			last.count += r.count // nothing of it can be settled yet
			last.live += r.count
			last.bytes = clamp32(uint64(last.bytes) + uint64(r.bytes))
			l.messages += uint64(r.count)
			return
		}
	}
	l.push(r, x)
}

// lastRun is the last run of a list that is not empty.
func (l *list) lastRun() *run {
	runs := l.chunks[len(l.chunks)-1].runs
	return &runs[len(runs)-1]
}

// settle finishes with the messages of one range, in O(runs that it meets).
func (l *list) settle(r Range, total *removed) {
	if r.First > r.Last || !l.seek(r.First, &l.write) {
		return
	}
	messages, timed := total.messages, total.timed
	from, to := 0, 0 // chunks that became empty; they are neighbours
	run := l.write.run
	for i := l.write.chunk; i < len(l.chunks); i++ {
		c := l.chunks[i]
		more := c.settle(run, r.First, r.Last, total)
		if len(c.runs) == 0 {
			if from == to {
				from = i
			}
			to = i + 1
		}
		if !more {
			break
		}
		run = 0
	}
	if from < to {
		l.removeChunks(from, to)
	}
	l.messages -= total.messages - messages
	l.timed -= total.timed - timed
}

// removeChunks drops empty chunks, moving the shorter side: a queue that is consumed behind
// one message which is held for long must not move all its chunks for each that it finishes.
func (l *list) removeChunks(from, to int) {
	if c := l.chunks[to-1]; cap(c.runs) <= spareRuns {
		c.extras = nil
		l.spare = c
	}
	if from < len(l.chunks)-to {
		copy(l.chunks[to-from:to], l.chunks[:from])
		clear(l.chunks[:to-from])
		l.chunks = l.chunks[to-from:]
	} else {
		l.chunks = slices.Delete(l.chunks, from, to)
	}
	if len(l.chunks) == 0 && cap(l.chunks) > spareRuns {
		l.chunks = nil
	}
}

// runsIn calls visit for each run that has messages in the range, with the part of the range
// that lies in it. Visit must not add or remove runs.
func (l *list) runsIn(r Range, visit func(c *chunk, i int, first, last uint64)) {
	if r.First > r.Last || !l.seek(r.First, &l.write) {
		return
	}
	for p := l.write; p.chunk < len(l.chunks); p = l.behind(p) {
		c := l.chunks[p.chunk]
		run := &c.runs[p.run]
		if run.first > r.Last {
			break
		}
		visit(c, p.run, max(r.First, run.first), min(r.Last, run.last()))
	}
}

// live counts the unsettled messages of one range.
func (l *list) live(r Range) (n uint64) {
	l.runsIn(r, func(c *chunk, i int, first, last uint64) { n += uint64(c.liveIn(i, first, last)) })
	return n
}
