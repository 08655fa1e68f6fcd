package log

import (
	"cmp"
	"errors"
	"fmt"
	"maps"
	"slices"

	"github.com/hashicorp/raft"
)

const (
	// askMax is how many ordinals a Live is asked for at once: it may hold a lock meanwhile.
	askMax     = 16 << 10
	askEntries = 4 << 10

	// sweepMax is how many live entries a pass asks for in segments that were counted before; the
	// next pass goes on where it ended. Those of which Raft has released something are always counted.
	sweepMax = 64 << 10

	measuresMax = 64 // segments measured in one pass
	samplesMax  = 16 // entries of a group in a segment that are thinned to see what it would save
)

// judged is what was found out about a segment that nothing is written to any more.
type judged struct {
	known bool
	need  int64 // bytes that are needed, about
	live  count // when that was measured

	counted bool
	last    count // when it was counted last
}

// count is how much of a segment is needed, without its sizes.
type count struct {
	entries  uint64 // with live messages
	ordinals uint64 // of those
	kept     uint64 // entries that Raft needs
	fixed    bool   // holds something of a group that cannot be judged now
}

// fewer says that so much went since c that measuring again is worth it.
func (c count) fewer(now count) bool {
	was, is := c.entries+c.ordinals+c.kept, now.entries+now.ordinals+now.kept
	return is < was-was/16 || now.entries+now.kept < c.entries+c.kept-(c.entries+c.kept)/16
}

// view is what a group was at a moment.
type view struct {
	bounds
	group   *Group
	extents []extent
	adopted []extent
	live    Live
	fixed   bool
}

func (g *Group) view() view {
	g.mu.RLock()
	defer g.mu.RUnlock()
	return view{
		bounds: g.bounds, group: g, live: g.live,
		extents: slices.Clone(g.extents), adopted: slices.Clone(g.adopted),
		fixed: g.corrupt != nil || g.live == nil || g.held,
	}
}

// ask calls visit for the live entries of [first, last], a few for each call of Live.
func (v *view) ask(first, last uint64, visit func(index uint64, ordinals []uint32)) {
	for more := true; more && first <= last; {
		more = false
		entries, ordinals := 0, 0
		v.live.LiveEntries(first, last, func(index uint64, live []uint32) bool {
			visit(index, live)
			entries, ordinals = entries+1, ordinals+len(live)
			first = index + 1
			more = entries >= askEntries || ordinals >= askMax
			return !more
		})
	}
}

// counts are of segments in which any group has something.
type counts map[*segment]*count

func (cs counts) of(s *segment) *count {
	c := cs[s]
	if c == nil {
		c = &count{}
		cs[s] = c
	}
	return c
}

// outline adds what Raft needs of each segment, and whether it can be judged.
func (v *view) outline(cs counts) {
	for _, x := range v.extents {
		c := cs.of(x.seg)
		c.fixed = c.fixed || v.fixed
		if x.last > v.released {
			c.kept += x.last - max(x.first, v.released+1) + 1
		}
	}
	for _, x := range v.adopted {
		c := cs.of(x.seg)
		c.fixed = c.fixed || v.fixed || x.last > v.released
	}
}

// count adds the entries with live messages in the segments that are asked for.
func (v *view) count(cs counts, asked map[*segment]bool) {
	if v.fixed {
		return
	}
	for i := 0; i < len(v.extents); {
		j := i // extents of segments that are asked for, which follow each other
		for j < len(v.extents) && asked[v.extents[j].seg] && v.extents[j].first <= v.released {
			j++
		}
		if i < j {
			v.countLive(cs, v.extents[i:j])
		}
		i = max(j, i+1)
	}
	for i, x := range v.adopted {
		if asked[x.seg] && x.first <= v.released {
			v.countLive(cs, v.adopted[i:i+1])
		}
	}
}

// countLive adds the live entries of extents, which ascend.
func (v *view) countLive(cs counts, extents []extent) {
	at := 0
	v.ask(extents[0].first, min(v.released, extents[len(extents)-1].last), func(index uint64, ordinals []uint32) {
		for at < len(extents) && extents[at].last < index {
			at++
		}
		if at < len(extents) && index >= extents[at].first {
			c := cs.of(extents[at].seg)
			c.entries++
			c.ordinals += uint64(len(ordinals))
		}
	})
}

// survivor is an entry that a rewritten segment keeps.
type survivor struct {
	pair
	seg      *segment
	adopted  bool
	whole    bool     // not to be thinned: Raft needs it, or all of it is live
	ordinals []uint32 // of its live messages, when it is not whole
}

// catalog returns where all entries of a group are in a segment that nothing is written to any
// more: void ones among them, those of one event override those of an earlier one.
func (s *segment) catalog(f File, group uint64) (own, adopted []pair, err error) {
	s.mu.RLock()
	var events []event
	var bodies event
	if g := s.index[group]; g != nil {
		events, bodies = slices.Clone(g.events), g.adopted
	}
	s.mu.RUnlock()
	for _, e := range events {
		switch e.kind {
		case kindDrop:
			own = own[:0]
			continue
		case kindRelease:
			continue
		}
		at, _ := slices.BinarySearchFunc(own, e.first, comparePair)
		own = own[:at]
		if e.count == 0 {
			continue
		}
		places, err := e.all(f, s.seed)
		if err != nil {
			return nil, nil, fmt.Errorf("read footer of segment %d: %w", s.number, err)
		}
		own = append(own, places...)
	}
	if bodies.count > 0 {
		if adopted, err = bodies.all(f, s.seed); err != nil {
			return nil, nil, fmt.Errorf("read footer of segment %d: %w", s.number, err)
		}
	}
	return own, adopted, nil
}

// all returns where all entries of the event are.
func (e *event) all(f File, seed uint32) ([]pair, error) {
	if e.kind != kindEntry && e.pairs == nil {
		return e.readPairs(f, seed, 0, int(e.count))
	}
	return e.places(f, seed, e.first, e.last+1, int(e.count))
}

func comparePair(p pair, index uint64) int { return cmp.Compare(p.index, index) }

// within returns the pairs of [first, last].
func within(pairs []pair, first, last uint64) []pair {
	from, _ := slices.BinarySearchFunc(pairs, first, comparePair)
	to, there := slices.BinarySearchFunc(pairs, last, comparePair)
	if there {
		to++
	}
	return pairs[from:max(from, to)]
}

var errFixed = errors.New("cannot be judged now")

// survivors returns what must stay of a group's entries in the segments, by index; the adopted
// bodies behind the others. files are the segments' files.
func (v *view) survivors(segs []*segment, files []File) ([]survivor, error) {
	var own, bodies []survivor
	for i, s := range segs {
		o, a, err := s.catalog(files[i], v.group.id)
		in := func(x extent) bool { return x.seg == s }
		if err != nil && (slices.ContainsFunc(v.extents, in) || slices.ContainsFunc(v.adopted, in)) {
			return nil, v.group.log.damage(place{group: v.group}, err)
		}
		if err != nil {
			return nil, err
		}
		own = collect(own, s, v.extents, o, false)
		bodies = collect(bodies, s, v.adopted, a, true)
	}
	if len(own)+len(bodies) == 0 {
		return nil, nil
	}
	if v.fixed {
		return nil, errFixed
	}
	slices.SortStableFunc(own, compareSurvivor) // a later segment may have lower indexes
	slices.SortStableFunc(bodies, compareSurvivor)
	if n := len(bodies); n > 0 && bodies[n-1].index > v.released {
		return nil, errFixed
	}
	return append(v.judge(own), v.judge(bodies)...), nil
}

func compareSurvivor(a, b survivor) int { return cmp.Compare(a.index, b.index) }

func collect(to []survivor, s *segment, extents []extent, pairs []pair, adopted bool) []survivor {
	for _, x := range extents {
		if x.seg != s {
			continue
		}
		for _, p := range within(pairs, x.first, x.last) {
			to = append(to, survivor{pair: p, seg: s, adopted: adopted})
		}
	}
	return to
}

// judge drops what is dead of candidates, which ascend.
func (v *view) judge(candidates []survivor) []survivor {
	if len(candidates) == 0 {
		return nil
	}
	kept := candidates[:0]
	var released []survivor
	for i, c := range candidates {
		if c.index > v.released {
			released, candidates = candidates[:i:i], candidates[i:]
			break
		}
	}
	if released == nil && candidates[len(candidates)-1].index <= v.released {
		released, candidates = candidates, nil
	}
	if len(released) > 0 {
		at := 0
		v.ask(released[0].index, released[len(released)-1].index, func(index uint64, ordinals []uint32) {
			for at < len(released) && released[at].index < index {
				at++
			}
			for ; at < len(released) && released[at].index == index; at++ {
				c := released[at]
				c.ordinals, c.whole = slices.Clone(ordinals), ordinals == nil
				kept = append(kept, c)
			}
		})
	}
	for _, c := range candidates {
		c.whole = true
		kept = append(kept, c)
	}
	return kept
}

// measure finds out how many bytes of a segment are needed.
func (r *reclaimer) measure(s *segment) (int64, error) {
	f, err := r.l.files.acquire(s)
	if err != nil {
		return 0, err
	}
	defer r.l.files.release(s)
	s.mu.RLock()
	ids := slices.Sorted(maps.Keys(s.index))
	end := s.end
	s.mu.RUnlock()
	offsets := []uint32{uint32(end)}
	var all [][]survivor
	for _, id := range ids {
		v := r.l.Group(id).view()
		live, err := v.survivors([]*segment{s}, []File{f})
		if err != nil {
			return 0, err
		}
		own, adopted, err := s.catalog(f, id)
		if err != nil {
			return 0, err
		}
		for _, p := range slices.Concat(own, adopted) {
			offsets = append(offsets, p.offset)
		}
		all = append(all, live)
	}
	slices.Sort(offsets)
	var need int64
	for i, live := range all {
		whole, thin := int64(0), int64(0)
		for _, c := range live {
			at, _ := slices.BinarySearch(offsets, c.offset)
			size := int64(0)
			if at+1 < len(offsets) {
				size = int64(offsets[at+1] - c.offset)
			}
			if c.whole {
				whole += size
			} else {
				thin += size
			}
		}
		if thin > 0 {
			share, err := r.sample(f, r.l.Group(ids[i]), live)
			if err != nil {
				return 0, err
			}
			thin = int64(share * float64(thin))
		}
		need += whole + thin
	}
	return need, nil
}

// sample returns about which share of the entries' bytes is left when they are thinned.
func (r *reclaimer) sample(f File, g *Group, live []survivor) (float64, error) {
	if r.l.cfg.Thin == nil {
		return 1, nil
	}
	before, after := 1, 1
	step := max(1, len(live)/samplesMax)
	for i := 0; i < len(live); i += step {
		if live[i].whole {
			continue
		}
		e, err := r.read(f, g, &live[i])
		if err != nil {
			return 0, err
		}
		before += len(e.Data) + headBytes
		after += len(r.l.cfg.Thin(e.Data, live[i].ordinals)) + headBytes
	}
	return float64(after) / float64(before), nil
}

// read reads a survivor. When it cannot be read, its group is corrupt.
func (r *reclaimer) read(f File, g *Group, c *survivor) (raft.Log, error) {
	p := place{group: g, index: c.index, seg: c.seg, adopted: c.adopted}
	c.seg.mu.RLock()
	limit := c.seg.end
	c.seg.mu.RUnlock()
	if err := checkOffset(c.offset, limit); err != nil {
		return raft.Log{}, r.l.damage(p, err)
	}
	head := make([]byte, min(firstRead, limit-int64(c.offset)))
	if err := readFull(f, head, int64(c.offset)); err != nil {
		return raft.Log{}, r.l.damage(p, fmt.Errorf("read segment %d: %w: %w", c.seg.number, ErrCorrupt, err))
	}
	e, err := c.seg.entry(f, head, int64(c.offset), p, limit)
	if err != nil {
		return raft.Log{}, r.l.damage(p, fmt.Errorf("%w: %w", ErrCorrupt, err))
	}
	r.pace.add(int64(headBytes + len(e.Data) + len(e.Extensions)))
	return e, nil
}
