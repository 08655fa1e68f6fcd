package log

import (
	"bytes"
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
		l.start.next = all[n-1].seg.number + 1
	}
	if all, err = l.spares(all); err != nil {
		return err
	}
	for i := range all {
		if err := l.settle(all, i); err != nil {
			return fmt.Errorf("segment %d: %w", all[i].seg.number, err)
		}
		if i > 0 && all[i].seg.number != all[i-1].seg.number+1 {
			l.damageAll(fmt.Errorf("segment %d is missing: %w", all[i-1].seg.number+1, ErrCorrupt))
		}
		l.replay(all[i])
	}
	for _, g := range l.groups {
		g.tail = g.bounds
	}
	return nil
}

// find opens the segments in order: footers of sealed ones, records of the others.
func (l *Log) find() ([]found, error) {
	names, err := l.fs.ReadDir(l.dir)
	if err != nil {
		return nil, fmt.Errorf("read log folder: %w", err)
	}
	slices.Sort(names)
	var all []found
	for _, name := range names {
		if name == spareName {
			if err := l.fs.Remove(path.Join(l.dir, name)); err != nil {
				return nil, fmt.Errorf("remove unfinished segment: %w", err)
			}
		}
		number, ok := segmentNumber(name)
		if !ok {
			continue
		}
		f, err := l.load(number)
		if err != nil {
			return nil, fmt.Errorf("segment %d: %w", number, err)
		}
		all = append(all, f)
	}
	return all, nil
}

func (l *Log) load(number uint64) (found, error) {
	f, err := l.fs.Open(path.Join(l.dir, segmentName(number)))
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
	seg, err := parseHeaderBlock(l.dir, block)
	switch {
	case err != nil:
		return found{}, err
	case seg.number != number:
		return found{}, fmt.Errorf("it says that it is %d: %w", seg.number, ErrCorrupt)
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
				g.replay(f.seg, e.kind, e.first, uint64(e.count))
			}
		}
		return
	}
	for _, it := range f.scan.items {
		switch {
		case it.state == noHead:
			l.damageAll(fmt.Errorf("segment %d at %d, %d bytes: %w", f.seg.number, it.at, it.size, ErrCorrupt))
		case it.kind == kindEntry:
			g := l.groupLocked(it.group)
			if it.state == badBody {
				g.damage(fmt.Errorf("entry %d in segment %d at %d: checksum: %w", it.index, f.seg.number, it.at, ErrCorrupt))
			}
			f.seg.index.group(it.group).entry(it.index, uint32(it.at), it.size)
			g.replay(f.seg, kindEntry, it.index, 1)
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
func (g *Group) replay(seg *segment, k kind, first, count uint64) {
	if k == kindEntry && first != g.last+1 {
		g.damage(fmt.Errorf("segment %d goes on at entry %d after %d: %w", seg.number, first, g.last, ErrCorrupt))
	}
	g.mu.Lock()
	defer g.mu.Unlock()
	if k != kindEntry {
		g.controlLocked(k, first)
		return
	}
	if first <= g.last {
		g.cutLocked(first)
	}
	g.appendedLocked(seg, first, count)
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
