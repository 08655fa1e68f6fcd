package log

import "slices"

// step is what a rewritten segment has to say of a group: a span, release, truncate or drop.
type step struct {
	kind        kind
	first, last uint64 // last: of a span
}

// program is what several segments say of a group, one after another, without what cancels out.
// To replay it must have the same effect, whatever was replayed before.
type program []step

func (p *program) add(e event) {
	switch e.kind {
	case kindEntry, kindSpan:
		p.span(e.first, e.last)
	case kindRelease:
		p.release(e.first)
	case kindTruncate:
		p.truncate(e.first)
	case kindDrop:
		*p = program{{kind: kindDrop}}
	}
}

// tail returns the last step, and the span that it concerns: itself, or the one that it has released
// a part of. Such a release says the same behind what follows.
func (p program) tail() (last, span *step) {
	n := len(p)
	if n == 0 {
		return nil, nil
	}
	last = &p[n-1]
	switch {
	case last.kind == kindSpan:
		span = last
	case last.kind == kindRelease && n > 1 && p[n-2].kind == kindSpan && last.first <= p[n-2].last:
		span = &p[n-2]
	}
	return last, span
}

func (p *program) span(first, last uint64) {
	if _, s := p.tail(); s != nil && s.last+1 == first {
		s.last = last
		return
	}
	*p = append(*p, step{kindSpan, first, last})
}

func (p *program) release(index uint64) {
	if last, _ := p.tail(); last != nil && last.kind == kindRelease {
		last.first = index
		return
	}
	*p = append(*p, step{kind: kindRelease, first: index})
}

func (p *program) truncate(index uint64) {
	for {
		last, s := p.tail()
		switch {
		case last == nil:
		case last.kind == kindDrop: // there is nothing
			return
		case last.kind == kindTruncate:
			last.first = min(last.first, index)
			return
		case s == nil, last.kind == kindRelease && last.first >= index:
		case index > s.last:
			return
		case index > s.first:
			s.last = index - 1
			return
		default: // all of the span is void
			at := len(*p) - 1
			if s != last {
				at--
			}
			*p = slices.Delete(*p, at, at+1)
			continue
		}
		*p = append(*p, step{kind: kindTruncate, first: index})
		return
	}
}

// head takes off what says nothing when nothing is replayed before it, and makes released spans,
// up to the first entry that is left, a release.
func (p *program) head(released, firstLeft uint64) {
	for len(*p) > 0 && ((*p)[0].kind == kindDrop || (*p)[0].kind == kindTruncate) {
		*p = (*p)[1:]
	}
	for i := 0; i < len(*p); i++ {
		s := &(*p)[i]
		if s.kind == kindRelease {
			continue
		}
		if s.kind != kindSpan || s.first > min(released, firstLeft-1) {
			break
		}
		to := min(s.last, released, firstLeft-1)
		if to < s.last {
			s.first = to + 1
			*p = slices.Insert(*p, i, step{kind: kindRelease, first: to})
			break
		}
		*s = step{kind: kindRelease, first: to}
	}
	for len(*p) > 1 && (*p)[0].kind == kindRelease && (*p)[1].kind == kindRelease {
		(*p)[1].first = max((*p)[0].first, (*p)[1].first)
		*p = (*p)[1:]
	}
}

// survivors returns those of ascending ones that belong to step i: a later step may take over.
func (p program) survivors(i int, all []survivor) []survivor {
	s := p[i]
	last := s.last
	for _, later := range p[i+1:] {
		if later.kind == kindTruncate && later.first <= last {
			last = later.first - 1
		}
	}
	from, _ := slices.BinarySearchFunc(all, s.first, func(c survivor, index uint64) int { return comparePair(c.pair, index) })
	to, there := slices.BinarySearchFunc(all, last, func(c survivor, index uint64) int { return comparePair(c.pair, index) })
	if there {
		to++
	}
	return all[from:max(from, to)]
}
