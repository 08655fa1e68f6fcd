package log

import (
	"bytes"
	"cmp"
	"errors"
	"fmt"
	"path"
	"slices"
)

// recovered is where the writer and the keeper begin.
type recovered struct {
	tail  *segment   // the last segment with records
	end   int64      // of its records
	open  bool       // it can be written to
	next  uint64     // number for a new segment
	spare *segment   // an empty one
	seal  []*segment // left by the writer and not yet sealed
}

func (r *recovered) hand(w *writer, k *keeper) {
	k.next, k.spare, k.queue = r.next, r.spare, r.seal
	w.seg, w.pos, w.synced, w.start = r.tail, r.end, r.end, r.end
	if r.open {
		w.file = r.tail.handle.file // acquired by open
	}
}

// found is a segment's file as recovery sees it.
type found struct {
	seg  *segment
	scan *scan // nil: sealed

	prev, prevEnd uint64 // what its begin record says, if it is whole
}

// recover reads the folder and brings groups and tail up to it.
func (l *Log) recover() error {
	all, err := l.find()
	if err != nil {
		return err
	}
	l.start.next = 1
	if n := len(all); n > 0 {
		l.start.next = all[n-1].seg.through + 1
	}
	if all, err = l.spares(all); err != nil {
		return err
	}
	next := uint64(1)
	for i := range all {
		if err := l.settle(all, i); err != nil {
			return fmt.Errorf("segment %d: %w", all[i].seg.number, err)
		}
		if all[i].seg.number != next {
			l.damageAll(fmt.Errorf("segment %d is missing: %w", next, ErrCorrupt))
		}
		next = all[i].seg.through + 1
		l.replay(all[i])
	}
	for _, g := range l.groups {
		g.whole()
		g.tail = g.bounds
	}
	l.mended(all)
	return nil
}

// mended lets damaged segments be sealed of which all groups whose entries are damaged were dropped
// since: what is damaged is void, and nothing else of them is in doubt.
func (l *Log) mended(all []found) {
	for _, f := range all {
		if f.scan == nil || f.seg == l.start.tail || f.seg.lost || !f.scan.damaged() {
			continue
		}
		mended := true
		for _, it := range f.scan.items {
			if it.state == badBody && l.groups[it.group].check() != nil {
				mended = false
			}
		}
		if mended {
			l.start.seal = append(l.start.seal, f.seg)
		}
	}
}

// whole checks that nothing is missing of what Raft needs.
func (g *Group) whole() {
	for _, x := range g.extents {
		if x.span && x.last > g.released {
			g.damage(fmt.Errorf("entries %d to %d in segment %d are reclaimed, Raft needs those from %d on: %w",
				x.first, x.last, x.seg.number, g.released+1, ErrCorrupt))
			return
		}
	}
}

// find opens the segments in order: footers of sealed ones, records of the others.
func (l *Log) find() ([]found, error) {
	names, err := l.fs.ReadDir(l.dir)
	if err != nil {
		return nil, fmt.Errorf("read log folder: %w", err)
	}
	current, old, err := survey(l.fs, l.dir, names)
	if err != nil {
		return nil, err
	}
	for _, name := range names {
		if name == spareName || name == rewriteName {
			old = append(old, name)
		}
	}
	for _, name := range old {
		if err := l.fs.Remove(path.Join(l.dir, name)); err != nil {
			return nil, fmt.Errorf("remove what is not needed: %w", err)
		}
	}
	var all []found
	for _, c := range current {
		f, err := load(l.fs, l.dir, c.number, c.generation)
		if err != nil {
			return nil, fmt.Errorf("segment %d: %w", c.number, err)
		}
		all = append(all, f)
	}
	return all, nil
}

// survey finds the segments in order, and the names of those that others stand for: a rewritten
// one was whole before it had its name, and what it stands for was to be removed.
func survey(fs FS, dir string, names []string) (current []*segment, old []string, err error) {
	for _, name := range names {
		number, generation, ok := segmentNumber(name)
		if !ok {
			continue
		}
		s := newRewritten(dir, number, number, generation, 0, 0)
		if generation > 0 {
			if s, err = readHeader(fs, dir, number, generation); err != nil {
				return nil, nil, fmt.Errorf("segment %d: %w", number, err)
			}
		}
		current = append(current, s)
	}
	slices.SortFunc(current, func(a, b *segment) int {
		return cmp.Or(cmp.Compare(a.number, b.number), -cmp.Compare(a.generation, b.generation))
	})
	var last *segment
	current = slices.DeleteFunc(current, func(s *segment) bool {
		if last != nil && s.number <= last.through && s.generation < last.generation {
			old = append(old, path.Base(s.name))
			return true
		}
		last = s
		return false
	})
	return current, old, nil
}

func readHeader(fs FS, dir string, number uint64, generation uint32) (*segment, error) {
	f, err := fs.Open(path.Join(dir, segmentName(number, generation)))
	if err != nil {
		return nil, err
	}
	defer f.Close() // only read from
	size, err := f.Size()
	if err != nil {
		return nil, err
	}
	block := make([]byte, min(size, blockBytes))
	if err := readFull(f, block, 0); err != nil {
		return nil, fmt.Errorf("read header: %w", err)
	}
	return parseHeaderBlock(dir, block)
}

func load(fs FS, dir string, number uint64, generation uint32) (found, error) {
	f, err := fs.Open(path.Join(dir, segmentName(number, generation)))
	if err != nil {
		return found{}, err
	}
	defer f.Close() // only read from
	size, err := f.Size()
	if err != nil {
		return found{}, err
	}
	block := make([]byte, min(size, blockBytes+headBytes))
	if err := readFull(f, block, 0); err != nil {
		return found{}, fmt.Errorf("read header: %w", err)
	}
	seg, err := parseHeaderBlock(dir, block)
	switch {
	case err != nil:
		return found{}, err
	case seg.number != number || seg.generation != generation:
		return found{}, fmt.Errorf("it says that it is %d, rewritten %d times: %w", seg.number, seg.generation, ErrCorrupt)
	case size > maxFileBytes:
		return found{}, fmt.Errorf("%d bytes: %w", size, ErrCorrupt)
	}
	out := found{seg: seg}
	if h, ok := parseHead(block[min(size, blockBytes):], seg.seed); ok && h.kind == kindBegin {
		out.prev, out.prevEnd = h.index, h.term
	}
	if ok, err := seg.loadFooter(f, size); err != nil || ok {
		return out, err
	}
	seg.size, seg.end = size, size
	if out.scan, err = scanSegment(f, seg.seed, size); err != nil {
		return found{}, err
	}
	out.scan.short = size < seg.allocated
	if generation > 0 { // it was synced as a whole before it had its name
		out.scan.synced = max(out.scan.synced, out.scan.end)
		if n := len(out.scan.items); n > 0 {
			last := out.scan.items[n-1]
			out.scan.synced = max(out.scan.synced, last.at+last.size)
		}
		out.scan.short = true // its footer is gone, and nobody knows what else
	}
	return out, nil
}

// spares takes off the segments at the end that hold nothing: one is kept, made clean.
func (l *Log) spares(all []found) ([]found, error) {
	for len(all) > 0 {
		last := all[len(all)-1]
		if last.scan == nil {
			break
		}
		last.scan.cut()
		if len(last.scan.items) > 0 || last.scan.damaged() {
			break
		}
		all = all[:len(all)-1]
		if l.start.spare != nil {
			if err := l.fs.Remove(l.start.spare.name); err != nil {
				return nil, fmt.Errorf("remove spare segment: %w", err)
			}
		}
		l.start.spare, l.start.next = last.seg, last.seg.number+1
	}
	if s := l.start.spare; s != nil {
		if err := l.clean(s, blockBytes); err != nil {
			return nil, fmt.Errorf("spare segment %d: %w", s.number, err)
		}
	}
	return all, nil
}

// settle decides what of an unsealed segment counts, and makes that durable.
func (l *Log) settle(all []found, i int) error {
	seg, sc := all[i].seg, all[i].scan
	isTail := i == len(all)-1
	if isTail {
		l.start.tail = seg
	}
	if sc == nil {
		if isTail {
			l.start.end = seg.end
		}
		return nil
	}
	if !isTail {
		if next := all[i+1]; next.prev == seg.number {
			sc.synced = max(sc.synced, int64(min(next.prevEnd, maxFileBytes)))
		}
	}
	proven := sc.synced
	if sc.cut() {
		l.cfg.Logger.Info("torn tail cut", "segment", seg.number, "at", sc.end)
	}
	seg.end = sc.end
	switch {
	case isTail:
		return l.settleTail(seg, sc, proven)
	case !sc.damaged():
		l.start.seal = append(l.start.seal, seg)
	}
	return nil
}

// settleTail makes durable what counts, wipes what does not, and makes the tail ready for the
// writer. A damaged one stays as it is, and the writer begins another.
func (l *Log) settleTail(seg *segment, sc *scan, proven int64) error {
	if err := l.rewrite(seg, proven, sc.end); err != nil {
		return err
	}
	if sc.stray {
		if err := l.clean(seg, sc.end); err != nil {
			return err
		}
	}
	l.start.end = sc.end
	if sc.damaged() {
		return nil
	}
	if _, err := l.files.acquire(seg); err != nil {
		return err
	}
	seg.end = seg.size
	l.start.open = true
	return nil
}

// rewrite writes again what may have been only in the page cache, such as after a sync that failed,
// and syncs.
func (l *Log) rewrite(seg *segment, from, to int64) error {
	return l.walk(seg, from, to, func(f File, b []byte, at int64) error {
		return f.WriteV([][]byte{b}, at)
	})
}

// clean makes the file zero from end on, and syncs it.
func (l *Log) clean(seg *segment, end int64) error {
	zeros := make([]byte, min(scanWindow, max(0, seg.size-end)))
	return l.walk(seg, end, seg.size, func(f File, b []byte, at int64) error {
		if bytes.Equal(b, zeros[:len(b)]) {
			return nil
		}
		return f.WriteV([][]byte{zeros[:len(b)]}, at)
	})
}

// walk calls do for stretches of a file one after another, and syncs.
func (l *Log) walk(seg *segment, from, to int64, do func(f File, b []byte, at int64) error) error {
	f, err := l.files.acquire(seg)
	if err != nil {
		return err
	}
	defer l.files.release(seg)
	buf := make([]byte, min(scanWindow, max(0, to-from)))
	for ; from < to; from += int64(len(buf)) {
		buf = buf[:min(int64(len(buf)), to-from)]
		if err := readFull(f, buf, from); err != nil {
			return fmt.Errorf("read tail: %w", err)
		}
		if err := do(f, buf, from); err != nil {
			return fmt.Errorf("write tail: %w", err)
		}
	}
	if err := f.Sync(); err != nil {
		return fmt.Errorf("sync tail: %w", err)
	}
	return nil
}

// replay applies what a segment holds to the groups.
func (l *Log) replay(f found) {
	l.adopt(f.seg)
	if f.scan == nil {
		for id, x := range f.seg.index {
			g := l.groupLocked(id)
			for _, e := range x.events {
				g.replay(f.seg, e.kind, e.first, e.last)
			}
			if a := x.adopted; a.kind != 0 {
				g.replay(f.seg, a.kind, a.first, a.last)
			}
		}
		return
	}
	f.seg.lost = f.scan.short || f.scan.end < f.scan.synced
	for _, it := range f.scan.items {
		switch {
		case it.state == noHead:
			f.seg.lost = true
			l.damageAll(fmt.Errorf("segment %d at %d, %d bytes: %w", f.seg.number, it.at, it.size, ErrCorrupt))
		case it.kind == kindEntry, it.kind == kindAdopted:
			g := l.groupLocked(it.group)
			if it.state == badBody {
				g.damage(fmt.Errorf("entry %d in segment %d at %d: checksum: %w", it.index, f.seg.number, it.at, ErrCorrupt))
			}
			if it.kind == kindAdopted {
				f.seg.index.group(it.group).adopt(it.index, uint32(it.at), it.size)
			} else if n := len(g.extents); n > 0 && g.extents[n-1].span && g.extents[n-1].seg == f.seg && it.index <= g.extents[n-1].last {
				f.seg.index.group(it.group).entry(it.index, uint32(it.at), it.size)
				continue // what is left of a span
			} else {
				f.seg.index.group(it.group).entry(it.index, uint32(it.at), it.size)
			}
			g.replay(f.seg, it.kind, it.index, it.index)
		case it.kind == kindSpan:
			f.seg.index.group(it.group).span(it.index, it.last)
			l.groupLocked(it.group).replay(f.seg, it.kind, it.index, it.last)
		case it.kind == kindTruncate, it.kind == kindRelease, it.kind == kindDrop:
			f.seg.index.group(it.group).control(it.kind, it.index)
			l.groupLocked(it.group).replay(f.seg, it.kind, it.index, 0)
		}
	}
	switch sc := f.scan; {
	case sc.end < sc.synced:
		l.damageAll(fmt.Errorf("segment %d: records end at %d before %d: %w", f.seg.number, sc.end, sc.synced, ErrCorrupt))
	case sc.short:
		l.damageAll(fmt.Errorf("segment %d: file cut short: %w", f.seg.number, ErrCorrupt))
	}
}

// replay applies an event. A run that does not follow the last entry means that some are lost.
func (g *Group) replay(seg *segment, k kind, first, last uint64) {
	if lost := g.log.damaged; lost != nil && !g.used() && k != kindDrop && first != 1 {
		g.damage(lost) // its beginning may have been there
	}
	if (k == kindEntry || k == kindSpan) && first != g.last+1 {
		g.damage(fmt.Errorf("segment %d goes on at entry %d after %d: %w", seg.number, first, g.last, ErrCorrupt))
	}
	g.mu.Lock()
	defer g.mu.Unlock()
	switch {
	case k == kindAdopted:
		g.adoptedLocked(seg, first, last)
		return
	case k != kindEntry && k != kindSpan:
		g.controlLocked(k, first)
		return
	}
	if first <= g.last {
		g.cutLocked(first)
	}
	if k == kindSpan {
		g.spannedLocked(seg, first, last)
		return
	}
	g.appendedLocked(seg, first, last-first+1)
}

// damageAll makes all groups known so far corrupt: nobody can tell whose records are lost.
func (l *Log) damageAll(err error) {
	l.damaged = errors.Join(l.damaged, err)
	for _, g := range l.groups {
		if g.used() {
			g.damage(err)
		}
	}
}

// adopt counts a segment.
func (l *Log) adopt(seg *segment) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.segments = append(l.segments, seg)
}
