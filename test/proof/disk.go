package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"syscall"
)

// fillStep is the least that is tried when a disk is filled.
const fillStep = int64(4) << 10

// disk is a file system of its own in a file.
type disk struct{ image, dir string }

// mount puts a file system of its own, of a size as in 1G, over a folder. It needs to be root.
func mount(ctx context.Context, dir, size string) (*disk, error) {
	d := &disk{image: dir + ".img", dir: dir}
	for _, argv := range [][]string{
		{"truncate", "-s", size, d.image},
		{"mkfs.ext4", "-q", d.image},
		{"mount", "-o", "loop", d.image, dir},
	} {
		if err := system(ctx, argv...); err != nil {
			return nil, errors.Join(err, os.Remove(d.image))
		}
	}
	return d, nil
}

func (d *disk) freeze(ctx context.Context) error { return system(ctx, "fsfreeze", "-f", d.dir) }

func (d *disk) thaw() error { return system(context.Background(), "fsfreeze", "-u", d.dir) }

func (d *disk) unmount() error {
	return errors.Join(system(context.Background(), "umount", "-l", d.dir), os.Remove(d.image))
}

// other is a file of somebody else's on the disk.
func (d *disk) other() string { return filepath.Join(d.dir, "other") }

// fill lets somebody else's file grow until so much is free for anybody; 0: until nothing
// is left for root either.
func (d *disk) fill(leave int64) (err error) {
	f, err := os.OpenFile(d.other(), os.O_CREATE|os.O_WRONLY, 0o600)
	if err != nil {
		return fmt.Errorf("fill a disk: %w", err)
	}
	defer func() { err = errors.Join(err, f.Close()) }()
	info, err := f.Stat()
	if err != nil {
		return fmt.Errorf("fill a disk: %w", err)
	}
	var s syscall.Statfs_t
	if err := syscall.Statfs(d.dir, &s); err != nil {
		return fmt.Errorf("fill a disk: %w", err)
	}
	size, grow := info.Size(), int64(s.Bavail)*s.Bsize-leave
	if leave == 0 {
		grow = int64(s.Bfree) * s.Bsize
	}
	for grow >= fillStep {
		err := syscall.Fallocate(int(f.Fd()), 0, size, grow)
		switch {
		case err == nil && leave > 0:
			return nil
		case err == nil:
			size += grow
		case errors.Is(err, syscall.EINTR):
		case errors.Is(err, syscall.ENOSPC) && leave == 0:
			grow /= 2
		default:
			return fmt.Errorf("fill a disk: %w", err)
		}
	}
	return nil
}

// clear takes that file away.
func (d *disk) clear() error { return os.Remove(d.other()) }
