package cluster

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"syscall"
)

// diskBlock is the unit of st_blocks, whatever the file system's own.
const diskBlock = 512

// Disk is the bytes that the node's data folder takes on its disk.
func (n *Node) Disk() (bytes int64, err error) {
	err = filepath.WalkDir(n.Dir, func(_ string, d fs.DirEntry, err error) error {
		if errors.Is(err, fs.ErrNotExist) {
			return nil // deleted while we looked
		}
		if err != nil || d.IsDir() {
			return err
		}
		info, err := d.Info()
		if errors.Is(err, fs.ErrNotExist) {
			return nil
		}
		if err != nil {
			return err
		}
		if s, ok := info.Sys().(*syscall.Stat_t); ok {
			bytes += s.Blocks * diskBlock
		}
		return nil
	})
	if err != nil {
		return 0, fmt.Errorf("%s: size of the data folder: %w", n.Name, err)
	}
	return bytes, nil
}

// OpenFiles is how many files and sockets the process has open.
func (n *Node) OpenFiles() (int, error) {
	entries, err := os.ReadDir(fmt.Sprintf("/proc/%d/fd", n.PID()))
	if err != nil {
		return 0, fmt.Errorf("%s: %w", n.Name, err)
	}
	return len(entries), nil
}
