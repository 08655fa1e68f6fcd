package log

import (
	"errors"
	"fmt"
	"io"
	"log/slog"
	"maps"
	"path"
	"slices"
	"sync"
	"sync/atomic"
	"time"
)

// Config of a log. The zero value has the defaults.
type Config struct {
	SegmentBytes   int64         // preallocated a segment; 64 MiB
	CacheBytes     int64         // recent entries held in memory, and what was read ahead; 64 MiB
	ReadAheadBytes int           // read at once when a group is read in order; 1 MiB
	OpenFiles      int           // sealed segments held open for reading; 128
	StallTimeout   time.Duration // a write or sync that takes longer ends Run; 3 s
	ReclaimBytes   int64         // read and written a second to reclaim space, about; 64 MiB
	Logger         *slog.Logger

	// Thin returns a payload from which the messages with these ordinals, ascending, can still be
	// read, under the same ordinals. Without it entries are kept whole or not at all.
	Thin func(payload []byte, ordinals []uint32) []byte

	// OnCorrupt is called once when reading finds that a group's entries are damaged. It must
	// not block. What Open has found is in Corrupt.
	OnCorrupt func(group uint64, err error)
}

func (c Config) withDefaults() Config {
	if c.SegmentBytes == 0 {
		c.SegmentBytes = 64 << 20
	}
	if c.CacheBytes == 0 {
		c.CacheBytes = 64 << 20
	}
	if c.ReadAheadBytes == 0 {
		c.ReadAheadBytes = 1 << 20
	}
	if c.OpenFiles == 0 {
		c.OpenFiles = 128
	}
	if c.StallTimeout == 0 {
		c.StallTimeout = 3 * time.Second
	}
	if c.ReclaimBytes == 0 {
		c.ReclaimBytes = 64 << 20
	}
	if c.Logger == nil {
		c.Logger = slog.Default()
	}
	if c.OnCorrupt == nil {
		c.OnCorrupt = func(uint64, error) {}
	}
	return c
}

// Validate reports the first setting that cannot work.
func (c Config) Validate() error {
	c = c.withDefaults()
	switch {
	case c.SegmentBytes < minSegment || c.SegmentBytes > maxSegment:
		return fmt.Errorf("segment size %d is not between %d and %d", c.SegmentBytes, minSegment, maxSegment)
	case c.CacheBytes < 0:
		return fmt.Errorf("cache size %d is negative", c.CacheBytes)
	case c.ReadAheadBytes < blockBytes || c.ReadAheadBytes > 64<<20:
		return fmt.Errorf("read-ahead %d is not between %d and %d", c.ReadAheadBytes, blockBytes, 64<<20)
	case c.OpenFiles < 1:
		return fmt.Errorf("open files %d is less than 1", c.OpenFiles)
	case c.ReclaimBytes < 0:
		return fmt.Errorf("%d bytes a second to reclaim space is negative", c.ReclaimBytes)
	case c.StallTimeout < 0:
		return fmt.Errorf("stall timeout %v is negative", c.StallTimeout)
	}
	return nil
}

var (
	// ErrStopped says that the log does not run any more.
	ErrStopped = errors.New("log has stopped")
	// ErrStalled says that the disk has not answered in time. The process must stop.
	ErrStalled = errors.New("disk does not answer")
	// ErrNoSpace says that an entry was not stored because the disk is full. The log goes on.
	ErrNoSpace = errors.New("no space for a new log segment")
	// ErrOrder says that entries do not follow the group's last one.
	ErrOrder = errors.New("entries out of order")
)

// Log is the shared log of a node.
type Log struct {
	fs    FS
	dir   string
	cfg   Config
	lock  io.Closer
	files *files
	stats stats

	recent *cache // what was stored
	ahead  *cache // what was read from disk

	mu       sync.Mutex
	groups   map[uint64]*Group
	segments []*segment
	damaged  error      // damage of which nobody knows whose it is
	queue    []*request // for the writer
	free     []*request
	buffers  [][]byte // for reading ahead
	err      error    // why it ended

	wake    chan struct{} // one token: the queue is not empty
	ended   chan struct{} // closed when err is set
	offers  chan offer    // from the keeper: the next segment
	sealing chan *segment // to the keeper: segments that the writer has left
	stirred chan struct{} // one token: there may be something to reclaim
	running atomic.Bool

	start recovered // where the writer and the keeper begin
}

// Open takes the folder's lock and recovers what is in it. Groups whose entries are damaged are
// in Corrupt; an error means that nothing can be used: ErrLocked, ErrNewer, ErrCorrupt for a
// segment that cannot be read at all, or the disk's own.
func Open(fs FS, dir string, cfg Config) (*Log, error) {
	if err := cfg.Validate(); err != nil {
		return nil, fmt.Errorf("log configuration: %w", err)
	}
	cfg = cfg.withDefaults()
	if err := fs.MkdirAll(dir); err != nil {
		return nil, fmt.Errorf("make log folder: %w", err)
	}
	lock, err := fs.Lock(path.Join(dir, lockName))
	if err != nil {
		return nil, fmt.Errorf("lock log folder: %w", err)
	}
	l := &Log{
		fs: fs, dir: dir, cfg: cfg, lock: lock,
		files:   newFiles(fs, cfg.OpenFiles),
		recent:  newCache(cfg.CacheBytes * 3 / 4),
		ahead:   newCache(cfg.CacheBytes / 4),
		groups:  map[uint64]*Group{},
		wake:    make(chan struct{}, 1),
		ended:   make(chan struct{}),
		offers:  make(chan offer),
		sealing: make(chan *segment, sealingMax),
		stirred: make(chan struct{}, 1),
	}
	began := time.Now()
	if err := l.recover(); err != nil {
		return nil, errors.Join(fmt.Errorf("recover log: %w", err), l.Close())
	}
	cfg.Logger.Info("log opened", "folder", dir, "segments", len(l.segments),
		"groups", len(l.Groups()), "corrupt", len(l.Corrupt()), "took", time.Since(began))
	return l, nil
}

// Close ends all calls with ErrStopped, closes the files and gives the lock back. Run must have
// returned; after a stall all of that is left to the process's end, which needs no disk.
func (l *Log) Close() error {
	l.end(ErrStopped)
	if errors.Is(l.err, ErrStalled) {
		return nil
	}
	return errors.Join(l.files.close(), l.lock.Close())
}

// Group returns the log of one group, which is empty when it has stored nothing. While the log is
// Damaged, an unknown group is corrupt until DropGroup: all it had may be lost.
func (l *Log) Group(id uint64) *Group {
	l.mu.Lock()
	defer l.mu.Unlock()
	_, known := l.groups[id]
	g := l.groupLocked(id)
	if !known && l.damaged != nil {
		g.corrupt = fmt.Errorf("group %d may have been lost: %w", id, l.damaged)
	}
	return g
}

func (l *Log) groupLocked(id uint64) *Group {
	g := l.groups[id]
	if g == nil {
		g = &Group{log: l, id: id}
		l.groups[id] = g
	}
	return g
}

// Groups returns the groups that have something in the log, in order.
func (l *Log) Groups() []uint64 {
	return slices.Collect(func(yield func(uint64) bool) {
		for _, g := range l.allGroups() {
			if g.used() && !yield(g.id) {
				return
			}
		}
	})
}

func (l *Log) allGroups() []*Group {
	l.mu.Lock()
	defer l.mu.Unlock()
	return slices.SortedFunc(maps.Values(l.groups), func(a, b *Group) int {
		if a.id < b.id {
			return -1
		}
		return 1
	})
}

// Corrupt returns the groups whose entries are damaged, with what was found. They refuse
// everything until DropGroup.
func (l *Log) Corrupt() map[uint64]error {
	corrupt := map[uint64]error{}
	for _, g := range l.allGroups() {
		if err := g.check(); err != nil {
			corrupt[g.id] = err
		}
	}
	return corrupt
}

// Damaged returns an error when something is damaged of which nobody knows whose it was. All
// groups that were not dropped since are corrupt then.
func (l *Log) Damaged() error {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.damaged
}

// DropGroup makes everything of a group void, durably, and its corruption with it. The group may
// be used again and is empty.
func (l *Log) DropGroup(id uint64) error {
	r := l.request(l.Group(id))
	r.kind = requestDrop
	return l.submit(r)
}

// submit hands a request to the writer and waits for its answer.
func (l *Log) submit(r *request) error {
	l.mu.Lock()
	if err := l.err; err != nil {
		l.mu.Unlock()
		return err
	}
	l.queue = append(l.queue, r)
	l.mu.Unlock()
	select {
	case l.wake <- struct{}{}:
	default:
	}
	select {
	case err := <-r.done:
		l.recycle(r)
		return err
	case <-l.ended: // the writer may hang with r in its hands: r is not used again
		l.mu.Lock()
		defer l.mu.Unlock()
		return l.err
	}
}

// end lets every caller go with err; the first call counts.
func (l *Log) end(err error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.err == nil {
		l.err = err
		close(l.ended)
	}
}
