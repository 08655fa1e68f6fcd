//go:build unix

package log

import (
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"

	"golang.org/x/sys/unix"
)

// OSFS returns the real disk.
func OSFS() FS { return osFS{} }

// ReadOnlyFS returns the real disk for Inspect: nothing can be changed through it.
func ReadOnlyFS() FS { return readOnlyFS{} }

type readOnlyFS struct{ osFS }

var errReadOnly = errors.New("opened for reading only")

func (readOnlyFS) Open(name string) (File, error)      { return openFile(name, os.O_RDONLY) }
func (readOnlyFS) MkdirAll(string) error               { return errReadOnly }
func (readOnlyFS) Create(string) (File, error)         { return nil, errReadOnly }
func (readOnlyFS) Rename(string, string) error         { return errReadOnly }
func (readOnlyFS) Remove(string) error                 { return errReadOnly }
func (readOnlyFS) Lock(name string) (io.Closer, error) { return nil, errReadOnly }

type osFS struct{}

func (osFS) MkdirAll(dir string) error {
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return err
	}
	return osFS{}.SyncDir(filepath.Dir(dir))
}

func (osFS) ReadDir(dir string) ([]string, error) {
	entries, err := os.ReadDir(dir)
	if err != nil {
		return nil, err
	}
	names := make([]string, len(entries))
	for i, e := range entries {
		names[i] = e.Name()
	}
	return names, nil
}

func (osFS) Create(name string) (File, error) {
	return openFile(name, os.O_RDWR|os.O_CREATE|os.O_TRUNC)
}

func (osFS) Open(name string) (File, error) { return openFile(name, os.O_RDWR) }

func openFile(name string, flag int) (File, error) {
	f, err := os.OpenFile(name, flag, 0o600)
	if err != nil {
		return nil, err
	}
	return &osFile{File: f, fd: int(f.Fd())}, nil
}

func (osFS) Rename(from, to string) error { return os.Rename(from, to) }
func (osFS) Remove(name string) error     { return os.Remove(name) }

func (osFS) SyncDir(dir string) error {
	d, err := os.Open(dir)
	if err != nil {
		return err
	}
	defer d.Close()
	return d.Sync()
}

func (osFS) Lock(name string) (io.Closer, error) {
	f, err := os.OpenFile(name, os.O_RDWR|os.O_CREATE, 0o600)
	if err != nil {
		return nil, err
	}
	if err := unix.Flock(int(f.Fd()), unix.LOCK_EX|unix.LOCK_NB); err != nil {
		f.Close()
		if errors.Is(err, unix.EWOULDBLOCK) {
			return nil, fmt.Errorf("%s: %w", name, ErrLocked)
		}
		return nil, fmt.Errorf("lock %s: %w", name, err)
	}
	return f, nil
}

// osFile knows its descriptor, so that no call of it allocates.
type osFile struct {
	*os.File
	fd int
}

func (f *osFile) Size() (int64, error) {
	info, err := f.Stat()
	if err != nil {
		return 0, err
	}
	return info.Size(), nil
}

// Reserve gives a file that others write, a database's, blocks of the disk for all that it has
// grown to, and for size bytes at least: so much of it can be written when the disk is full.
func Reserve(name string, size int64) (err error) {
	f, err := openFile(name, os.O_RDWR)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, f.Close()) }()
	has, err := f.Size()
	if err != nil {
		return err
	}
	return f.Allocate(max(has, size))
}
