package log

import (
	"errors"
	"fmt"
	"path"
	"slices"
)

// Report is what Inspect found in a folder.
type Report struct {
	Segments []SegmentReport
	Groups   []GroupReport
	Removed  []string // files that the next start removes: others stand for them, or they are unfinished
	Damage   []string // what is damaged or missing
}

// SegmentReport is one file.
type SegmentReport struct {
	Name           string
	First, Through uint64 // the segments that it stands for
	Generation     uint32 // how often its content was rewritten; 0: as it was appended
	Bytes          int64
	Sealed         bool // it has a footer
	Torn           bool // a torn tail, which the next start cuts, stands behind its records
	Ranges         []RangeReport
}

// RangeReport is what a segment has of a group, or what a record says of it.
type RangeReport struct {
	Group       uint64
	Kind        string // entries, span, adopted, truncate, release, drop
	First, Last uint64
	Count       uint32 // of entries that are here
}

// GroupReport is what replaying all segments leads to.
type GroupReport struct {
	ID             uint64
	Released, Last uint64 // Raft sees the entries between
	Kept           uint64 // released entries that are there, as far as footers tell: live ones, and others not reclaimed yet
	Bytes          uint64 // of all its entries in all segments, void ones among them
	Adopted        uint64 // bodies of snapshots
	Corrupt        string
}

func (k kind) String() string {
	return []string{"", "entries", "truncate", "release", "drop", "mark", "begin", "footer", "span", "adopted"}[k]
}

var errNoLog = errors.New("there is no log segment in this folder")

// Inspect explains a folder without changing anything in it, and without its lock: while a node
// runs on it, files may vanish, and what is being written may look torn. With verify it reads every entry; else it reads what Open reads. An
// error means that the folder cannot be explained at all; damage is in the report.
func Inspect(fs FS, dir string, verify bool) (*Report, error) {
	l := &Log{fs: fs, dir: dir, cfg: Config{}.withDefaults(), files: newFiles(fs, 16), groups: map[uint64]*Group{},
		recent: newCache(0), ahead: newCache(0), stirred: make(chan struct{}, 1)}
	defer l.files.close() // only read from
	names, err := fs.ReadDir(dir)
	if err != nil {
		return nil, fmt.Errorf("read log folder: %w", err)
	}
	slices.Sort(names)
	r := &Report{}
	current, old, err := survey(fs, dir, names)
	if err != nil {
		return nil, err
	}
	r.Removed = old
	for _, name := range names {
		if name == spareName || name == rewriteName {
			r.Removed = append(r.Removed, name)
		}
	}
	var all []found
	for _, c := range current {
		f, err := load(fs, dir, c.number, c.generation)
		switch {
		case errors.Is(err, ErrCorrupt):
			r.damage("segment %d: %v", c.number, err)
			continue
		case err != nil:
			return nil, fmt.Errorf("segment %d: %w", c.number, err)
		}
		all = append(all, f)
	}
	if len(all) == 0 && len(r.Damage) == 0 {
		return nil, fmt.Errorf("%s: %w", dir, errNoLog)
	}
	r.replay(l, all)
	if verify {
		for _, f := range all {
			if err := r.verify(l, f); err != nil {
				return nil, err
			}
		}
	}
	r.groups(l)
	return r, nil
}

func (r *Report) damage(format string, args ...any) {
	r.Damage = append(r.Damage, fmt.Sprintf(format, args...))
}

// replay does what recovery does, without writing.
func (r *Report) replay(l *Log, all []found) {
	next := uint64(1)
	for i, f := range all {
		torn := false
		if f.scan != nil {
			if i+1 < len(all) && all[i+1].prev == f.seg.number {
				f.scan.synced = max(f.scan.synced, int64(min(all[i+1].prevEnd, maxFileBytes)))
			}
			torn = f.scan.cut()
			f.seg.end = f.scan.end
		}
		empty := f.scan != nil && len(f.scan.items) == 0 && !f.scan.damaged()
		if f.seg.number != next && !(empty && i == len(all)-1) {
			l.damageAll(fmt.Errorf("segments %d to %d are missing: %w", next, f.seg.number-1, ErrCorrupt))
		}
		next = f.seg.through + 1
		l.replay(f)
		s := SegmentReport{
			Name: path.Base(f.seg.name), First: f.seg.number, Through: f.seg.through, Generation: f.seg.generation,
			Bytes: f.seg.size, Sealed: f.scan == nil, Torn: torn,
		}
		for id, x := range f.seg.index {
			for _, e := range x.events {
				s.Ranges = append(s.Ranges, rangeReport(id, &e))
			}
			if x.adopted.kind != 0 {
				s.Ranges = append(s.Ranges, rangeReport(id, &x.adopted))
			}
		}
		slices.SortStableFunc(s.Ranges, func(a, b RangeReport) int { return comparePair(pair{index: a.Group}, b.Group) })
		r.Segments = append(r.Segments, s)
	}
	for _, g := range l.allGroups() {
		g.whole()
	}
	if l.damaged != nil {
		r.damage("%v", l.damaged)
	}
}

func rangeReport(group uint64, e *event) RangeReport {
	return RangeReport{Group: group, Kind: e.kind.String(), First: e.first, Last: max(e.first, e.last), Count: e.count}
}

// groups reports what replaying has led to.
func (r *Report) groups(l *Log) {
	for _, g := range l.allGroups() {
		out := GroupReport{ID: g.id, Released: g.released, Last: g.last}
		for _, s := range l.segments {
			x := s.index[g.id]
			if x == nil {
				continue
			}
			out.Bytes += x.bytes
			out.Adopted += uint64(x.adopted.count)
		}
		for _, x := range g.extents {
			if x.first > g.released {
				continue
			}
			last := min(x.last, g.released)
			if !x.span {
				out.Kept += last - x.first + 1
				continue
			}
			for _, e := range x.seg.index[g.id].events {
				if e.kind == kindSpan && e.first >= x.first && e.last <= x.last {
					out.Kept += uint64(e.count)
				}
			}
		}
		if g.corrupt != nil {
			out.Corrupt = g.corrupt.Error()
			r.damage("%s", out.Corrupt)
		}
		if g.used() {
			r.Groups = append(r.Groups, out)
		}
	}
}

// verify reads all entries of a segment. What was made void later is not looked at.
func (r *Report) verify(l *Log, f found) error {
	if f.scan != nil {
		return nil // it was read as a whole
	}
	file, err := l.files.acquire(f.seg)
	if err != nil {
		return err
	}
	defer l.files.release(f.seg)
	read := &reclaimer{l: l}
	for id := range f.seg.index {
		g := l.Group(id)
		own, adopted, err := f.seg.catalog(file, id)
		if err != nil {
			g.damage(err)
			continue
		}
		check := func(found []survivor) {
			for i := range found {
				if _, err := read.read(file, g, &found[i]); err != nil {
					g.damage(fmt.Errorf("entry %d: %w", found[i].index, err))
				}
			}
		}
		check(collect(nil, f.seg, g.extents, own, false))
		check(collect(nil, f.seg, g.adopted, adopted, true))
	}
	return nil
}
