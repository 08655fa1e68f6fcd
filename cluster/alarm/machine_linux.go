package alarm

import (
	"fmt"

	"golang.org/x/sys/unix"
)

// DiskFree is what an unprivileged process can still write to the data folder.
func (m *Machine) DiskFree() (uint64, error) {
	var s unix.Statfs_t
	if err := unix.Statfs(m.DataDir, &s); err != nil {
		return 0, fmt.Errorf("free disk of %s: %w", m.DataDir, err)
	}
	return s.Bavail * uint64(s.Bsize), nil
}
