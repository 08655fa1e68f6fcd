package log

import (
	"context"
	"crypto/rand"
	"encoding/binary"
	"errors"
	"fmt"
	"maps"
	"math"
	"path"
	"slices"
)

// rewriting is a segment in the making that will stand for several.
type rewriting struct {
	r     *reclaimer
	segs  []*segment
	files []File
	out   *segment
	file  File
	pos   int64 // behind what is in buf
	from  int64 // where buf goes
	since int64 // written and not synced
	buf   []byte
	moved map[uint64]move
}

// move is what becomes of a group's extents.
type move struct {
	spanned uint64 // entries up to here are in spans now, those above are as they were
	gone    uint64 // nothing is left up to here
}

// rewrite writes what is needed of the segments, which follow each other, to a new one, and puts
// that in their place. ErrNoSpace, errFixed and ErrCorrupt mean that nothing has changed.
func (r *reclaimer) rewrite(ctx context.Context, from []candidate) (*segment, error) {
	w := &rewriting{r: r, moved: map[uint64]move{}}
	defer func() {
		for _, s := range w.segs[:len(w.files)] {
			r.l.files.release(s)
		}
	}()
	var generation uint32
	var freed int64
	for _, c := range from {
		w.segs = append(w.segs, c.segment)
		generation = max(generation, c.generation)
		freed += c.size
		f, err := r.l.files.acquire(c.segment)
		if err != nil {
			return nil, err
		}
		w.files = append(w.files, f)
	}
	var nonce [8]byte
	rand.Read(nonce[:]) // never fails
	first, last := w.segs[0], w.segs[len(w.segs)-1]
	w.out = newRewritten(r.l.dir, first.number, last.through, generation+1, binary.LittleEndian.Uint64(nonce[:]), 0)
	if err := r.prepare(); err != nil {
		return nil, err
	}
	if r.spare == nil {
		return nil, fmt.Errorf("rewrite segments: %w", ErrNoSpace)
	}
	w.file, w.pos, w.from = r.spare, blockBytes, blockBytes
	if err := w.write(ctx); err != nil {
		return nil, w.abandon(err)
	}
	if err := w.name(); err != nil {
		return nil, err
	}
	w.swap()
	r.l.stats.reclaimed.Add(uint64(len(w.segs)))
	r.l.stats.rewritten.Add(uint64(w.out.size))
	r.l.cfg.Logger.Debug("log segments rewritten", "first", first.number, "through", last.through, "segments", len(w.segs),
		"bytes", freed, "left", w.out.size)
	if err := w.remove(); err != nil {
		return nil, err
	}
	return w.out, r.prepare()
}

// abandon gives up what was written; the file keeps no more than is reserved for the next one.
func (w *rewriting) abandon(err error) error {
	r := w.r
	name := path.Join(r.l.dir, rewriteName)
	failed := errors.Join(r.spare.Close(), r.l.fs.Remove(name))
	r.spare = nil
	if failed != nil {
		return fmt.Errorf("give up a rewritten segment: %w", errors.Join(failed, err))
	}
	return errors.Join(err, r.prepare())
}

// write writes the whole file, durably.
func (w *rewriting) write(ctx context.Context) error {
	ids := map[uint64]bool{}
	for _, s := range w.segs {
		s.mu.RLock()
		for id := range s.index {
			ids[id] = true
		}
		s.mu.RUnlock()
	}
	for _, id := range slices.Sorted(maps.Keys(ids)) {
		if err := w.group(ctx, id); err != nil {
			return err
		}
	}
	record, trailer := w.out.footer(w.out.index, w.pos)
	w.out.end = w.pos
	w.buf = append(append(w.buf, record...), trailer...)
	w.pos += int64(len(record) + len(trailer))
	if err := w.flush(0); err != nil {
		return err
	}
	w.out.size, w.out.allocated = w.pos, w.pos
	w.out.index.forget()
	w.out.sealed = true
	return spaceError(w.r.pulse.Each(
		func() error { return w.file.WriteV([][]byte{w.out.headerBlock()}, 0) },
		func() error { return w.file.Truncate(w.pos) },
		w.file.Sync,
	))
}

// group writes what is left of a group.
func (w *rewriting) group(ctx context.Context, id uint64) error {
	g := w.r.l.Group(id)
	v := g.view()
	all, err := v.survivors(w.segs, w.files)
	if err != nil {
		return err
	}
	split, _ := slices.BinarySearchFunc(all, true, func(c survivor, adopted bool) int {
		if c.adopted {
			return 0
		}
		return -1
	})
	own, adopted := all[:split], all[split:]
	var p program
	for _, s := range w.segs {
		s.mu.RLock()
		if x := s.index[id]; x != nil {
			for _, e := range x.events {
				p.add(e)
			}
		}
		s.mu.RUnlock()
	}
	m := move{spanned: v.released}
	if w.out.number == 1 {
		firstLeft := uint64(math.MaxUint64)
		if len(own) > 0 {
			firstLeft = own[0].index
		}
		p.head(v.released, firstLeft)
		m.gone = math.MaxUint64
		for _, s := range p {
			if s.kind == kindSpan {
				m.gone = min(m.gone, s.first-1)
			}
		}
	}
	w.moved[id] = m
	for i, s := range p {
		if s.kind != kindSpan {
			w.control(head{kind: s.kind, group: id, index: s.first})
			w.out.index.group(id).control(s.kind, s.first)
			continue
		}
		if err := w.span(ctx, g, s, v.released, p.survivors(i, own)); err != nil {
			return err
		}
	}
	for i := range adopted {
		if err := w.entry(ctx, g, &adopted[i]); err != nil {
			return err
		}
	}
	return nil
}

// span writes a span: what Raft has released with gaps, what it still needs as it was.
func (w *rewriting) span(ctx context.Context, g *Group, s step, released uint64, left []survivor) error {
	next := s.first
	gap := func(last uint64) {
		if next > last {
			return
		}
		w.control(head{kind: kindSpan, group: g.id, index: next, term: last})
		w.out.index.group(g.id).span(next, last)
		next = last + 1
	}
	gap(min(s.last, released))
	for i := range left {
		c := &left[i]
		if c.index > released {
			gap(c.index - 1) // what is void is not there: a later truncate says so
			next = c.index + 1
		}
		if err := w.entry(ctx, g, c); err != nil {
			return err
		}
	}
	gap(s.last)
	return nil
}

func (w *rewriting) entry(ctx context.Context, g *Group, c *survivor) error {
	if err := ctx.Err(); err != nil {
		return err
	}
	e, err := w.r.read(w.files[slices.Index(w.segs, c.seg)], g, c)
	if err != nil {
		return err
	}
	if !c.whole && w.r.l.cfg.Thin != nil {
		e.Data = w.r.l.cfg.Thin(e.Data, c.ordinals)
	}
	h := entryHead(g.id, &e)
	if c.adopted {
		h.kind = kindAdopted
	}
	at := w.pos
	if at+h.size() > maxFileBytes/2 {
		return fmt.Errorf("rewritten segment %d becomes too large: %w", w.out.number, errFixed)
	}
	w.control(h)
	w.buf = append(append(w.buf, e.Extensions...), e.Data...)
	w.buf = append(w.buf, padding[:h.size()-headBytes-int64(h.bodyBytes)]...)
	w.pos = at + h.size()
	if x := w.out.index.group(g.id); c.adopted {
		x.adopt(c.index, uint32(at), h.size())
	} else {
		x.entry(c.index, uint32(at), h.size())
	}
	w.r.pace.add(h.size())
	return w.flush(writeMax / 4)
}

// control writes a head.
func (w *rewriting) control(h head) {
	var b [headBytes]byte
	h.put(b[:])
	stamp(b[:], w.out.seed, blockBytes)
	w.buf = append(w.buf, b[:]...)
	w.pos += headBytes
}

// flush writes what is gathered if that is more than a number of bytes, and syncs a part at a time: a
// large sync would hold up the writer's.
func (w *rewriting) flush(atLeast int) error {
	if len(w.buf) <= atLeast {
		return nil
	}
	err := w.r.pulse.Each(func() error { return w.file.WriteV([][]byte{w.buf}, w.from) })
	if err != nil {
		return spaceError(err)
	}
	w.since += int64(len(w.buf))
	w.from, w.buf = w.pos, w.buf[:0]
	if w.since < writeMax {
		return nil
	}
	w.since = 0
	return w.r.pulse.Each(w.file.Sync)
}

// name gives the file its name, durably. From then on it stands for the others.
func (w *rewriting) name() error {
	l := w.r.l
	err := w.r.pulse.Each(
		w.r.spare.Close,
		func() error { return l.fs.Rename(path.Join(l.dir, rewriteName), w.out.name) },
		func() error { return l.fs.SyncDir(l.dir) },
	)
	w.r.spare = nil
	if err != nil {
		return fmt.Errorf("name rewritten segment %d: %w", w.out.number, err)
	}
	return nil
}

// swap makes the groups look into the new segment.
func (w *rewriting) swap() {
	l := w.r.l
	for _, g := range l.allGroups() {
		g.moved(w)
	}
	l.mu.Lock()
	at := slices.Index(l.segments, w.segs[0])
	l.segments = slices.Replace(l.segments, at, at+len(w.segs), w.out)
	l.mu.Unlock()
	for _, s := range w.segs {
		l.files.retire(s)
	}
}

// moved makes the group's extents those of the new segment.
func (g *Group) moved(w *rewriting) {
	g.mu.Lock()
	defer g.mu.Unlock()
	m := w.moved[g.id]
	here := func(x extent) bool { return slices.Contains(w.segs, x.seg) }
	if slices.ContainsFunc(g.extents, here) {
		var extents []extent
		for _, x := range g.extents {
			if !here(x) {
				extents = append(extents, x)
				continue
			}
			x.seg, x.first = w.out, max(x.first, m.gone+1)
			if x.first > x.last {
				continue
			}
			if x.first <= m.spanned {
				extents = appendExtent(extents, extent{w.out, x.first, min(x.last, m.spanned), true})
				x.first = m.spanned + 1
			}
			if x.first <= x.last {
				extents = appendExtent(extents, extent{w.out, x.first, x.last, false})
			}
		}
		g.extents = extents
	}
	if slices.ContainsFunc(g.adopted, here) {
		var left event
		if x := w.out.index[g.id]; x != nil {
			left = x.adopted
		}
		var adopted []extent
		for _, x := range g.adopted {
			if !here(x) {
				adopted = append(adopted, x)
			} else if n := len(adopted); left.count > 0 && (n == 0 || adopted[n-1].seg != w.out) {
				adopted = append(adopted, extent{w.out, left.first, left.last, true})
			}
		}
		g.adopted = adopted
	}
}

func appendExtent(extents []extent, x extent) []extent {
	if n := len(extents); n > 0 {
		if last := &extents[n-1]; last.seg == x.seg && last.span == x.span && last.last+1 == x.first {
			last.last = x.last
			return extents
		}
	}
	return append(extents, x)
}

// remove removes the files that nobody needs any more. Should the machine crash before that is
// durable, the next start does it.
func (w *rewriting) remove() error {
	for _, s := range w.segs {
		if err := w.r.l.fs.Remove(s.name); err != nil {
			return fmt.Errorf("remove segment %d: %w", s.number, err)
		}
	}
	return nil
}
