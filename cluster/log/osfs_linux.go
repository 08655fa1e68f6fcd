package log

import (
	"errors"
	"io"

	"golang.org/x/sys/unix"
)

// vectorMax is the kernel's IOV_MAX.
const vectorMax = 1024

func (f *osFile) WriteV(bufs [][]byte, off int64) error {
	for len(bufs) > 0 {
		part := bufs[:min(len(bufs), vectorMax)]
		n, err := unix.Pwritev(f.fd, part, off)
		switch {
		case errors.Is(err, unix.EINTR):
			continue
		case err != nil:
			return err
		case n == 0:
			return io.ErrShortWrite
		}
		off += int64(n)
		for len(bufs) > 0 && n >= len(bufs[0]) {
			n -= len(bufs[0])
			bufs = bufs[1:]
		}
		if n == 0 {
			continue
		}
		// A short write, as of a signal: the rest of the buffer it ended in goes by itself.
		if _, err := f.WriteAt(bufs[0][n:], off); err != nil {
			return err
		}
		off += int64(len(bufs[0]) - n)
		bufs = bufs[1:]
	}
	return nil
}

func (f *osFile) Allocate(size int64) error {
	for {
		err := unix.Fallocate(f.fd, 0, 0, size)
		switch {
		case errors.Is(err, unix.EINTR):
			continue
		case errors.Is(err, unix.EOPNOTSUPP): // a file system without it: the size alone
			return f.Truncate(size)
		}
		return err
	}
}

func (f *osFile) Sync() error {
	for {
		err := unix.Fdatasync(f.fd)
		if errors.Is(err, unix.EINTR) {
			continue
		}
		return err
	}
}
