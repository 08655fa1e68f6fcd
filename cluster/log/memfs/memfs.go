// Package memfs is a disk in memory for tests and simulations: what was not synced is lost in a
// crash, except for a random share of its blocks, some of them torn.
//
// It holds the faults a disk may have (slow, hanging, failing, full) and takes them back on
// demand. It blocks on channels and timers only, so that it works inside testing/synctest.
package memfs

import (
	"errors"
	"fmt"
	"io"
	"io/fs"
	"maps"
	"math/rand/v2"
	"path"
	"slices"
	"sync"
	"time"

	"github.com/warrenmq/warren/cluster/log"
)

// ErrCrashed is what every call on a disk returns after Crash: the machine it belonged to is gone.
var ErrCrashed = errors.New("memfs: machine crashed")

var _ log.FS = (*FS)(nil)

// FS is a disk. Names of folders are not kept track of, beyond what is in them.
type FS struct {
	mu      sync.Mutex
	rng     *rand.Rand
	names   map[string]*node // as a running process sees them
	durable map[string]*node // as they are after a crash
	pending []change         // of names, not yet synced, in order
	locks   map[string]bool
	crashed bool
	faults
}

// faults are what the disk does wrong at the moment.
type faults struct {
	delay    time.Duration
	hung     chan struct{} // not nil: writes and syncs wait until it is closed
	syncErr  error
	writeErr error
	space    int64 // bytes for all files; negative: no bound
	syncs    uint64
}

// change is a name that was given or taken; node nil takes it.
type change struct {
	name string
	node *node
}

// New returns an empty disk. The seed decides what survives crashes.
func New(seed uint64) *FS {
	return &FS{
		rng:     rand.New(rand.NewPCG(seed, 0)),
		names:   map[string]*node{},
		durable: map[string]*node{},
		locks:   map[string]bool{},
		faults:  faults{space: -1},
	}
}

// Crash ends the machine: all its calls fail from now on. It returns the disk as the next start
// finds it. Changes of names survive in order up to a random one; of what was written and not
// synced, a random share.
func (d *FS) Crash() *FS {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.crashed = true
	if d.hung != nil {
		close(d.hung)
		d.hung = nil
	}
	return d.forkLocked()
}

// Fork returns the disk as Crash does, and this one goes on: for the rest of a process that
// nobody hears any more.
func (d *FS) Fork() *FS {
	d.mu.Lock()
	defer d.mu.Unlock()
	return d.forkLocked()
}

func (d *FS) forkLocked() *FS {
	next := New(d.rng.Uint64())
	durable := maps.Clone(d.durable)
	for _, c := range d.pending[:d.rng.IntN(len(d.pending)+1)] {
		apply(durable, c)
	}
	share := []float64{0, 1, d.rng.Float64()}[d.rng.IntN(3)]
	for _, name := range slices.Sorted(maps.Keys(durable)) {
		n := durable[name].crash(d.rng, share)
		next.names[name], next.durable[name] = n, n
	}
	return next
}

// Clone returns a second disk with all that this one's processes see, as if it were synced.
func (d *FS) Clone() *FS {
	d.mu.Lock()
	defer d.mu.Unlock()
	next := New(d.rng.Uint64())
	for name, n := range d.names {
		c := n.clone()
		next.names[name], next.durable[name] = c, c
	}
	return next
}

func apply(names map[string]*node, c change) {
	if c.node == nil {
		delete(names, c.name)
		return
	}
	names[c.name] = c.node
}

// changeLocked changes what processes see at once and what survives later.
func (d *FS) changeLocked(name string, n *node) {
	apply(d.names, change{name, n})
	d.pending = append(d.pending, change{name, n})
}

func (d *FS) check() error {
	if d.crashed {
		return ErrCrashed
	}
	return nil
}

// MkdirAll implements log.FS. Every folder is there.
func (d *FS) MkdirAll(string) error {
	d.mu.Lock()
	defer d.mu.Unlock()
	return d.check()
}

// ReadDir implements log.FS.
func (d *FS) ReadDir(dir string) ([]string, error) {
	d.mu.Lock()
	defer d.mu.Unlock()
	var in []string
	for name := range d.names {
		if path.Dir(name) == path.Clean(dir) {
			in = append(in, path.Base(name))
		}
	}
	slices.Sort(in)
	return in, d.check()
}

// Create implements log.FS.
func (d *FS) Create(name string) (log.File, error) {
	d.mu.Lock()
	defer d.mu.Unlock()
	if err := d.check(); err != nil {
		return nil, err
	}
	n := &node{pages: map[int64]*page{}, before: map[int64]*page{}}
	d.changeLocked(path.Clean(name), n)
	return &file{disk: d, node: n}, nil
}

// Open implements log.FS.
func (d *FS) Open(name string) (log.File, error) {
	d.mu.Lock()
	defer d.mu.Unlock()
	if err := d.check(); err != nil {
		return nil, err
	}
	n := d.names[path.Clean(name)]
	if n == nil {
		return nil, fmt.Errorf("open %s: %w", name, fs.ErrNotExist)
	}
	return &file{disk: d, node: n}, nil
}

// Rename implements log.FS.
func (d *FS) Rename(from, to string) error {
	d.mu.Lock()
	defer d.mu.Unlock()
	from, to = path.Clean(from), path.Clean(to)
	n := d.names[from]
	if n == nil {
		return fmt.Errorf("rename %s: %w", from, fs.ErrNotExist)
	}
	if err := d.check(); err != nil {
		return err
	}
	d.changeLocked(to, n) // never both or neither: the new name first
	d.changeLocked(from, nil)
	return nil
}

// Remove implements log.FS.
func (d *FS) Remove(name string) error {
	d.mu.Lock()
	defer d.mu.Unlock()
	name = path.Clean(name)
	if d.names[name] == nil {
		return fmt.Errorf("remove %s: %w", name, fs.ErrNotExist)
	}
	if err := d.check(); err != nil {
		return err
	}
	d.changeLocked(name, nil)
	return nil
}

// SyncDir implements log.FS.
func (d *FS) SyncDir(dir string) error {
	if err := d.wait(); err != nil {
		return err
	}
	d.mu.Lock()
	defer d.mu.Unlock()
	if err := errors.Join(d.check(), d.syncErr); err != nil {
		return err
	}
	var rest []change
	for _, c := range d.pending {
		if path.Dir(c.name) == path.Clean(dir) {
			apply(d.durable, c)
		} else {
			rest = append(rest, c)
		}
	}
	d.pending = rest
	return nil
}

// Lock implements log.FS.
func (d *FS) Lock(name string) (io.Closer, error) {
	d.mu.Lock()
	defer d.mu.Unlock()
	if err := d.check(); err != nil {
		return nil, err
	}
	if d.locks[name] {
		return nil, fmt.Errorf("%s: %w", name, log.ErrLocked)
	}
	d.locks[name] = true
	return &unlock{disk: d, name: name}, nil
}

type unlock struct {
	disk *FS
	name string
}

func (u *unlock) Close() error {
	u.disk.mu.Lock()
	defer u.disk.mu.Unlock()
	delete(u.disk.locks, u.name)
	return nil
}
