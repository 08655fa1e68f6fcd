package log

import (
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
	seg := newSegment(l.dir, number, 0)
	f, err := l.fs.Open(seg.name)
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
	inside, nonce, err := parseHeaderBlock(block)
	switch {
	case err != nil:
		return found{}, err
	case inside != number:
		return found{}, fmt.Errorf("it says that it is %d: %w", inside, ErrCorrupt)
	case size > maxFileBytes:
		return found{}, fmt.Errorf("%d bytes: %w", size, ErrCorrupt)
	}
	out := found{seg: newSegment(l.dir, number, nonce)}
	if h, ok := parseHead(block[min(size, blockBytes):], out.seg.seed); ok && h.kind == kindBegin {
		out.prev, out.prevEnd = h.index, h.term
	}
	if ok, err := out.seg.loadFooter(f, size); err != nil || ok {
		return out, err
	}
	out.seg.size, out.seg.end = size, size
	out.scan, err = scanSegment(f, out.seg.seed, size)
	return out, err
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
		if err := l.clean(s, true, blockBytes); err != nil {
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

// settleTail makes durable what counts, cuts what does not, and makes the tail ready for the
// writer. A damaged one stays as it is, and the writer begins another.
func (l *Log) settleTail(seg *segment, sc *scan, proven int64) error {
	if err := l.rewrite(seg, proven, sc.end); err != nil {
		return err
	}
	if err := l.clean(seg, sc.stray, sc.end); err != nil {
		return err
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

// rewrite writes again what may have been only in the page cache, such as after a sync that failed.
func (l *Log) rewrite(seg *segment, from, to int64) error {
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
		if err := f.WriteV([][]byte{buf}, from); err != nil {
			return fmt.Errorf("write tail: %w", err)
		}
	}
	return nil
}

// clean syncs the file after making it zero behind end, as far as a segment reaches. On a full
// disk the file stays short, and the writer goes on in another one.
func (l *Log) clean(seg *segment, stray bool, end int64) error {
	f, err := l.files.acquire(seg)
	if err != nil {
		return err
	}
	defer l.files.release(seg)
	if stray {
		if err := f.Truncate(end); err != nil {
			return fmt.Errorf("cut: %w", err)
		}
		seg.size = end
	}
	if seg.size < l.cfg.SegmentBytes {
		if err := f.Allocate(l.cfg.SegmentBytes); err == nil {
			seg.size = l.cfg.SegmentBytes
		} else if err = spaceError(err); !errors.Is(err, ErrNoSpace) {
			return fmt.Errorf("allocate: %w", err)
		}
	}
	if err := f.Sync(); err != nil {
		return fmt.Errorf("sync: %w", err)
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
	if sc := f.scan; sc.end < sc.synced {
		l.damageAll(fmt.Errorf("segment %d ends at %d before %d: %w", f.seg.number, sc.end, sc.synced, ErrCorrupt))
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
