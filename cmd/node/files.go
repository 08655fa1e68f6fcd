package node

import (
	"os"

	"golang.org/x/sys/unix"
)

// openFiles counts this process's open files, and how many it may have.
func openFiles() (open, most uint64) {
	if entries, err := os.ReadDir("/proc/self/fd"); err == nil {
		open = uint64(len(entries))
	}
	var limit unix.Rlimit
	if err := unix.Getrlimit(unix.RLIMIT_NOFILE, &limit); err == nil {
		most = uint64(limit.Cur)
	}
	return open, most
}
