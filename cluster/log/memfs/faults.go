package memfs

import (
	"fmt"
	"io/fs"
	"path"
	"time"
)

// Slow makes every sync take d.
func (d *FS) Slow(delay time.Duration) {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.delay = delay
}

// Hang makes writes and syncs wait until Release or Crash.
func (d *FS) Hang() {
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.hung == nil {
		d.hung = make(chan struct{})
	}
}

// Release ends Hang.
func (d *FS) Release() {
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.hung != nil {
		close(d.hung)
		d.hung = nil
	}
}

// FailSync makes every sync return err, nil for none. What was written before stays unsynced.
func (d *FS) FailSync(err error) {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.syncErr = err
}

// FailWrites makes every write return err, nil for none.
func (d *FS) FailWrites(err error) {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.writeErr = err
}

// Limit bounds the sizes of all files together; more is ENOSPC. A negative number is no bound.
func (d *FS) Limit(bytes int64) {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.space = bytes
}

// Syncs returns how many syncs of files there were.
func (d *FS) Syncs() uint64 {
	d.mu.Lock()
	defer d.mu.Unlock()
	return d.syncs
}

// Peek returns a file's bytes.
func (d *FS) Peek(name string) ([]byte, error) {
	d.mu.Lock()
	defer d.mu.Unlock()
	n := d.names[path.Clean(name)]
	if n == nil {
		return nil, fmt.Errorf("peek %s: %w", name, fs.ErrNotExist)
	}
	b := make([]byte, n.size)
	n.read(b, 0)
	return b, nil
}

// Poke changes bytes of a file, durably: what a bad disk does.
func (d *FS) Poke(name string, b []byte, off int64) error {
	d.mu.Lock()
	defer d.mu.Unlock()
	n := d.names[path.Clean(name)]
	if n == nil {
		return fmt.Errorf("poke %s: %w", name, fs.ErrNotExist)
	}
	n.write(b, off)
	n.sync()
	return nil
}

// Cut shortens a file, durably.
func (d *FS) Cut(name string, size int64) error {
	d.mu.Lock()
	defer d.mu.Unlock()
	n := d.names[path.Clean(name)]
	if n == nil {
		return fmt.Errorf("cut %s: %w", name, fs.ErrNotExist)
	}
	n.truncate(size)
	n.sync()
	return nil
}

// hang waits while the disk hangs.
func (d *FS) hang() error {
	d.mu.Lock()
	hung, err := d.hung, d.check()
	d.mu.Unlock()
	if err != nil {
		return err
	}
	if hung != nil {
		<-hung
	}
	return nil
}

// wait takes the time of a sync.
func (d *FS) wait() error {
	if err := d.hang(); err != nil {
		return err
	}
	d.mu.Lock()
	delay := d.delay
	d.mu.Unlock()
	if delay > 0 {
		time.Sleep(delay)
	}
	return nil
}
