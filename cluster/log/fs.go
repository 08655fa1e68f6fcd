package log

import (
	"errors"
	"io"
)

// FS is all that the log asks of a disk. Names are paths with slashes.
type FS interface {
	// MkdirAll makes a folder and those above it, durably.
	MkdirAll(dir string) error
	// ReadDir returns the names in a folder.
	ReadDir(dir string) ([]string, error)
	// Create makes an empty file or empties the one that is there.
	Create(name string) (File, error)
	// Open opens a file that is there, for reading and writing.
	Open(name string) (File, error)
	Rename(from, to string) error
	Remove(name string) error
	// SyncDir makes the names in a folder durable.
	SyncDir(dir string) error
	// Lock takes a lock that ends with the process; ErrLocked when another holds it.
	Lock(name string) (io.Closer, error)
}

// File is an open file. Reads may run beside each other and beside a write.
type File interface {
	io.ReaderAt
	io.Closer
	// WriteV writes bufs one after another at off.
	WriteV(bufs [][]byte, off int64) error
	Size() (int64, error)
	// Truncate cuts the file to size.
	Truncate(size int64) error
	// Allocate reserves space up to size, which reads as zero where nothing was written.
	Allocate(size int64) error
	// Sync makes all that was written durable.
	Sync() error
}

// ErrLocked says that another process has the folder open.
var ErrLocked = errors.New("log folder is in use by another process")
