package group

import (
	"sort"
	"sync"
)

// growth counts what a group's log has grown by since the last snapshot, and where
// in the log how many bytes lie: to say when a snapshot is due, and which entries
// are kept behind it. An idle group costs nothing.
type growth struct {
	limits SnapshotLimits
	due    chan struct{} // has one when a snapshot is due
	// cut hears with each snapshot up to which entry nothing needs to be kept for
	// followers that lag, and up to which nothing may be kept for any; 0: all is.
	cut func(index, atLeast uint64)

	mu    sync.Mutex
	end   mark   // of what was applied
	last  mark   // of the last snapshot
	size  int    // its bytes
	marks []mark // now and then, ascending
}

// mark is a place in the log: what was applied up to there, since the start.
type mark struct {
	index   uint64
	bytes   int64
	entries uint64
}

const (
	entryBytes = 64 // what an entry costs beside its data, about
	// marksKept is how many parts the trailing bytes are told apart in.
	marksKept = 32
	// stateShare is how many bytes of a snapshot are worth one entry to be read at
	// the start: a large state is written less often.
	stateShare = 256
)

func newGrowth(limits SnapshotLimits, cut func(index, atLeast uint64)) *growth {
	return &growth{limits: limits, due: make(chan struct{}, 1), cut: cut}
}

// add notes an entry that was applied.
func (g *growth) add(index uint64, bytes int) {
	g.mu.Lock()
	defer g.mu.Unlock()
	g.end.index = index
	g.end.bytes += int64(bytes) + entryBytes
	g.end.entries++
	if n := len(g.marks); n == 0 || g.end.bytes-g.marks[n-1].bytes >= g.limits.Trailing/marksKept {
		g.marks = append(g.marks, g.end)
	}
}

// tell lets the group know when a snapshot is due.
func (g *growth) tell() {
	g.mu.Lock()
	defer g.mu.Unlock()
	if g.end.bytes-g.last.bytes < max(g.limits.Bytes, int64(g.size)) &&
		g.end.entries-g.last.entries < max(g.limits.Entries, uint64(g.size/stateShare)) {
		return
	}
	select {
	case g.due <- struct{}{}:
	default:
	}
}

// grown tells whether anything was applied since the last snapshot.
func (g *growth) grown() bool {
	g.mu.Lock()
	defer g.mu.Unlock()
	return g.end.entries > g.last.entries
}

// now is where a snapshot is taken.
func (g *growth) now() mark {
	g.mu.Lock()
	defer g.mu.Unlock()
	return g.end
}

// taken notes a snapshot that is durable, and cuts.
func (g *growth) taken(at mark, size int) {
	g.mu.Lock()
	g.last, g.size = at, size
	index := g.before(g.limits.Trailing)
	atLeast := g.before(g.limits.TrailingHeld)
	for len(g.marks) > 1 && g.marks[1].index <= atLeast {
		g.marks = g.marks[1:]
	}
	g.mu.Unlock()
	g.cut(index, atLeast)
}

// before is the last entry that lies so many bytes before the end, 0 when that is
// not known. The caller holds mu.
func (g *growth) before(bytes int64) uint64 {
	n := sort.Search(len(g.marks), func(i int) bool { return g.end.bytes-g.marks[i].bytes < bytes })
	if n == 0 {
		return 0
	}
	return g.marks[n-1].index
}

// restored notes that the log goes on behind a snapshot of this size.
func (g *growth) restored(index uint64, size int) {
	g.mu.Lock()
	defer g.mu.Unlock()
	g.end.index = index
	g.last, g.size, g.marks = g.end, size, nil
}
