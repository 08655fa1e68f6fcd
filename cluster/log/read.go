package log

import (
	"errors"
	"fmt"
	"math"

	"github.com/hashicorp/raft"
)

const (
	firstRead    = 4 << 10 // a head and a small body at once
	aheadEntries = 256

	readBuffersMax = 16
)

var (
	errShort = errors.New("record reaches beyond what was read")
	// errReclaimed says that an entry is not here any more.
	errReclaimed = fmt.Errorf("entry was reclaimed: %w", raft.ErrLogNotFound)
	errPair      = fmt.Errorf("footer: %w", ErrCorrupt)
)

// fetch returns an entry from memory or from disk.
func (l *Log) fetch(p place) (raft.Log, error) {
	key := cacheKey{p.group.id, p.index, p.adopted}
	if e, ok := l.recent.get(key); ok {
		l.stats.hits.Add(1)
		return e, nil
	}
	inOrder := p.group.inOrder(p.index)
	if e, ok := l.ahead.get(key); ok {
		l.stats.hits.Add(1)
		return e, nil
	}
	l.stats.misses.Add(1)
	e, err := l.read(p, inOrder)
	switch {
	case err == raft.ErrLogNotFound, err == errReclaimed, err == errGone: // Raft compares the first
		return raft.Log{}, err
	case err != nil:
		return raft.Log{}, fmt.Errorf("group %d entry %d: %w", p.group.id, p.index, err)
	}
	return e, nil
}

// read reads an entry from disk and, for a reader in order, those that follow.
func (l *Log) read(p place, inOrder bool) (raft.Log, error) {
	n, window := 1, firstRead
	if inOrder {
		n, window = int(min(aheadEntries, p.last-p.index+1)), l.cfg.ReadAheadBytes
	}
	f, err := l.files.acquire(p.seg)
	if err != nil {
		return raft.Log{}, err
	}
	defer l.files.release(p.seg)
	places, limit, err := p.seg.places(f, p, n)
	if err != nil {
		return raft.Log{}, l.damage(p, err)
	}
	if err := checkOffset(places[0].offset, limit); err != nil {
		return raft.Log{}, l.damage(p, err)
	}
	buf := l.buffer(window)
	defer l.putBuffer(buf)
	base := int64(places[0].offset)
	buf = buf[:min(int64(len(buf)), limit-base)]
	if err := readFull(f, buf, base); err != nil {
		return raft.Log{}, fmt.Errorf("read segment %d: %w", p.seg.number, err)
	}
	first, err := p.seg.entry(f, buf, base, p, limit)
	if err != nil {
		return raft.Log{}, l.damage(p, err)
	}
	logs := make([]*raft.Log, 1, len(places))
	logs[0] = &first
	for _, next := range places[1:] {
		at := int64(next.offset) - base
		if at < 0 || at >= int64(len(buf)) || next.index > p.last {
			break
		}
		q := p
		q.index = next.index
		e, err := p.seg.entry(nil, buf[at:], int64(next.offset), q, limit)
		if err != nil {
			break // not all in the window, or damaged: found when it is asked for
		}
		logs = append(logs, &e)
	}
	p.group.keep(p, logs)
	return first, nil
}

// keep puts what was read into memory, unless a truncate may have made it void meanwhile.
func (g *Group) keep(p place, logs []*raft.Log) {
	g.mu.RLock()
	defer g.mu.RUnlock()
	if g.changed == p.changed {
		g.log.ahead.add(g.id, p.adopted, logs...)
	}
}

// places returns where up to n entries from p on are, at least p's, and the bound for their ends.
func (s *segment) places(f File, p place, n int) ([]pair, int64, error) {
	s.mu.RLock()
	limit, sealed := s.end, s.sealed
	e, next, ok := s.event(p)
	var places []pair
	var err error
	if ok && !sealed { // in memory, and growing
		places, err = e.places(nil, s.seed, p.index, next, n)
	}
	s.mu.RUnlock()
	if !ok { // made void since it was looked up
		return nil, 0, raft.ErrLogNotFound
	}
	if sealed {
		places, err = e.places(f, s.seed, p.index, next, n)
	}
	switch {
	case err != nil:
		return nil, 0, fmt.Errorf("read footer of segment %d: %w", s.number, err)
	case len(places) == 0 || places[0].index != p.index:
		return nil, 0, errReclaimed
	}
	return places, limit, nil
}

// event returns what holds the entry of p; s.mu is held.
func (s *segment) event(p place) (e event, next uint64, ok bool) {
	if !p.adopted {
		return s.index.find(p.group.id, p.index)
	}
	if g := s.index[p.group.id]; g != nil && g.adopted.kind != 0 {
		return g.adopted, math.MaxUint64, true
	}
	return event{}, 0, false
}

func checkOffset(offset uint32, limit int64) error {
	if offset < blockBytes || int64(offset)+headBytes > limit {
		return fmt.Errorf("offset %d outside of the segment: %w", offset, ErrCorrupt)
	}
	return nil
}

// entry returns the entry of p, of which b holds the beginning; the rest is read from f, if that is given.
func (s *segment) entry(f File, b []byte, offset int64, p place, limit int64) (raft.Log, error) {
	h, ok := parseHead(b, s.seed)
	want := kindEntry
	if p.adopted {
		want = kindAdopted
	}
	if !ok || h.kind != want || h.group != p.group.id || h.index != p.index ||
		offset+headBytes+int64(h.bodyBytes) > limit {
		return raft.Log{}, fmt.Errorf("segment %d at %d: %w", s.number, offset, ErrCorrupt)
	}
	have := b[headBytes:min(int64(len(b)), headBytes+int64(h.bodyBytes))]
	if f == nil && len(have) < int(h.bodyBytes) {
		return raft.Log{}, errShort
	}
	body := make([]byte, h.bodyBytes)
	n := copy(body, have)
	if n < len(body) {
		if err := readFull(f, body[n:], offset+headBytes+int64(n)); err != nil {
			return raft.Log{}, fmt.Errorf("read segment %d: %w", s.number, err)
		}
	}
	if checksum(body) != h.bodyCRC {
		return raft.Log{}, fmt.Errorf("segment %d at %d: checksum: %w", s.number, offset, ErrCorrupt)
	}
	return h.entry(body), nil
}

// damage marks the group of p when err is corruption, and returns err.
func (l *Log) damage(p place, err error) error {
	if !errors.Is(err, ErrCorrupt) {
		return err
	}
	if p.group.damage(err) {
		l.cfg.Logger.Error("log entry is damaged", "group", p.group.id, "index", p.index, "error", err)
		l.cfg.OnCorrupt(p.group.id, err)
	}
	return err
}

// buffer returns n bytes for reading.
func (l *Log) buffer(n int) []byte {
	l.mu.Lock()
	defer l.mu.Unlock()
	if last := len(l.buffers) - 1; last >= 0 && n > firstRead {
		b := l.buffers[last]
		l.buffers = l.buffers[:last]
		return b[:n]
	}
	return make([]byte, n)
}

func (l *Log) putBuffer(b []byte) {
	b = b[:cap(b)]
	l.mu.Lock()
	defer l.mu.Unlock()
	if len(b) == l.cfg.ReadAheadBytes && len(l.buffers) < readBuffersMax {
		l.buffers = append(l.buffers, b)
	}
}
