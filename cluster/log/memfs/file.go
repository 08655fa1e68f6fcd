package memfs

import (
	"fmt"
	"io"
	"io/fs"
	"maps"
	"math/rand/v2"
	"slices"
	"syscall"

	"github.com/warrenmq/warren/cluster/log"
)

const (
	pageBytes   = 4096
	sectorBytes = 512 // what a disk writes wholly or not at all
)

type page [pageBytes]byte

// node is a file's content.
type node struct {
	pages  map[int64]*page // what is not there is zero
	before map[int64]*page // of changed pages, what the disk has; nil for zeros
	size   int64
	synced int64 // size that the disk has
}

var _ log.File = (*file)(nil)

type file struct {
	disk   *FS
	node   *node
	closed bool // guarded by disk.mu
}

// touch returns a page to be changed.
func (n *node) touch(i int64) *page {
	old := n.pages[i]
	if _, ok := n.before[i]; !ok {
		n.before[i] = old
		if old != nil {
			c := *old
			n.pages[i] = &c
		}
	}
	if n.pages[i] == nil {
		n.pages[i] = &page{}
	}
	return n.pages[i]
}

func (n *node) write(b []byte, off int64) {
	for len(b) > 0 {
		at := off % pageBytes
		c := copy(n.touch(off / pageBytes)[at:], b)
		b, off = b[c:], off+int64(c)
	}
	n.size = max(n.size, off)
}

func (n *node) read(b []byte, off int64) int {
	var total int
	for off < n.size && len(b) > 0 {
		at := off % pageBytes
		part := min(int64(len(b)), pageBytes-at, n.size-off)
		if p := n.pages[off/pageBytes]; p != nil {
			copy(b[:part], p[at:])
		} else {
			clear(b[:part])
		}
		b, off, total = b[part:], off+part, total+int(part)
	}
	return total
}

func (n *node) truncate(size int64) {
	for i := range n.pages {
		switch from := i * pageBytes; {
		case from >= size:
			n.touch(i)
			delete(n.pages, i)
		case from+pageBytes > size:
			clear(n.touch(i)[size-from:])
		}
	}
	n.size = size
}

func (n *node) sync() {
	clear(n.before)
	n.synced = n.size
}

// crash returns what is left: of each changed page all, nothing, or some sectors.
func (n *node) crash(rng *rand.Rand, share float64) *node {
	c := &node{pages: maps.Clone(n.pages), before: map[int64]*page{}, size: n.synced}
	if rng.Float64() < share {
		c.size = n.size
	}
	for _, i := range slices.Sorted(maps.Keys(n.before)) {
		c.pages[i] = survive(rng, share, n.before[i], n.pages[i])
		if c.pages[i] == nil {
			delete(c.pages, i)
		}
	}
	c.truncate(c.size)
	c.sync()
	return c
}

func survive(rng *rand.Rand, share float64, before, after *page) *page {
	if rng.IntN(4) > 0 { // the page in one
		if rng.Float64() >= share || after == nil {
			return before
		}
		c := *after // which may be written to further
		return &c
	}
	var torn, b, a page
	if before != nil {
		b = *before
	}
	if after != nil {
		a = *after
	}
	for at := 0; at < pageBytes; at += sectorBytes {
		from := &b
		if rng.Float64() < share {
			from = &a
		}
		copy(torn[at:at+sectorBytes], from[at:])
	}
	return &torn
}

func (n *node) clone() *node {
	c := &node{pages: make(map[int64]*page, len(n.pages)), before: map[int64]*page{}, size: n.size, synced: n.size}
	for i, p := range n.pages {
		q := *p
		c.pages[i] = &q
	}
	return c
}

// check is called with the disk's lock held.
func (f *file) check() error {
	if f.closed {
		return fs.ErrClosed
	}
	return f.disk.check()
}

func (f *file) ReadAt(b []byte, off int64) (int, error) {
	f.disk.mu.Lock()
	defer f.disk.mu.Unlock()
	if err := f.check(); err != nil {
		return 0, err
	}
	if n := f.node.read(b, off); n < len(b) {
		return n, io.EOF
	}
	return len(b), nil
}

func (f *file) WriteV(bufs [][]byte, off int64) error {
	if err := f.disk.hang(); err != nil {
		return err
	}
	f.disk.mu.Lock()
	defer f.disk.mu.Unlock()
	if err := f.check(); err != nil {
		return err
	}
	if f.disk.writeErr != nil {
		return f.disk.writeErr
	}
	end := off
	for _, b := range bufs {
		end += int64(len(b))
	}
	if err := f.disk.reserveLocked(end - f.node.size); err != nil {
		return err
	}
	for _, b := range bufs {
		f.node.write(b, off)
		off += int64(len(b))
	}
	return nil
}

func (f *file) Size() (int64, error) {
	f.disk.mu.Lock()
	defer f.disk.mu.Unlock()
	return f.node.size, f.check()
}

func (f *file) Truncate(size int64) error {
	f.disk.mu.Lock()
	defer f.disk.mu.Unlock()
	if err := f.check(); err != nil {
		return err
	}
	f.node.truncate(size)
	return nil
}

func (f *file) Allocate(size int64) error {
	f.disk.mu.Lock()
	defer f.disk.mu.Unlock()
	if err := f.check(); err != nil {
		return err
	}
	if err := f.disk.reserveLocked(size - f.node.size); err != nil {
		return err
	}
	f.node.size = max(f.node.size, size)
	return nil
}

func (f *file) Sync() error {
	if err := f.disk.wait(); err != nil {
		return err
	}
	f.disk.mu.Lock()
	defer f.disk.mu.Unlock()
	if err := f.check(); err != nil {
		return err
	}
	if f.disk.syncErr != nil {
		return f.disk.syncErr
	}
	f.disk.syncs++
	f.node.sync()
	return nil
}

func (f *file) Close() error {
	f.disk.mu.Lock()
	defer f.disk.mu.Unlock()
	if f.closed {
		return fs.ErrClosed
	}
	f.closed = true
	return nil
}

// reserveLocked refuses to grow by n bytes when the disk has not so many.
func (d *FS) reserveLocked(n int64) error {
	if n <= 0 || d.space < 0 {
		return nil
	}
	used := int64(0)
	for _, node := range d.names {
		used += node.size
	}
	if used+n > d.space {
		return fmt.Errorf("memfs: %w", syscall.ENOSPC)
	}
	return nil
}
