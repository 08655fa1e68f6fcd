package alarm

import (
	"bytes"
	"errors"
	"fmt"
	"io/fs"
	"math"
	"os"
	"path"
	"strconv"
	"strings"
)

// Machine measures the real process. Root stands for "/" (tests bring their own);
// DataDir is the data folder.
type Machine struct {
	Root    fs.FS
	DataDir string
}

// NewMachine measures this process and the file system of its data folder.
func NewMachine(dataDir string) *Machine { return &Machine{Root: os.DirFS("/"), DataDir: dataDir} }

// Memory is the resident set of the process, and the least of the memory of the
// machine and the limits of the control groups that it is in.
func (m *Machine) Memory() (used, total uint64, err error) {
	statm, err := fs.ReadFile(m.Root, "proc/self/statm")
	if err != nil {
		return 0, 0, err
	}
	fields := bytes.Fields(statm)
	if len(fields) < 2 {
		return 0, 0, fmt.Errorf("/proc/self/statm has %d fields", len(fields))
	}
	pages, err := strconv.ParseUint(string(fields[1]), 10, 64)
	if err != nil {
		return 0, 0, fmt.Errorf("/proc/self/statm: %w", err)
	}
	machine, err := m.machineMemory()
	if err != nil {
		return 0, 0, err
	}
	return pages * uint64(os.Getpagesize()), min(machine, m.groupLimit()), nil
}

var errNoTotal = errors.New("/proc/meminfo has no MemTotal")

func (m *Machine) machineMemory() (uint64, error) {
	meminfo, err := fs.ReadFile(m.Root, "proc/meminfo")
	if err != nil {
		return 0, err
	}
	for line := range strings.Lines(string(meminfo)) {
		if rest, ok := strings.CutPrefix(line, "MemTotal:"); ok {
			kib, err := strconv.ParseUint(strings.TrimSuffix(strings.TrimSpace(rest), " kB"), 10, 64)
			if err != nil {
				return 0, fmt.Errorf("/proc/meminfo: %w", err)
			}
			return kib << 10, nil
		}
	}
	return 0, errNoTotal
}

// groupLimit is the least memory limit of the process's control groups, of
// version 2 and of version 1. In a container the path may be the host's, while
// the files that can be seen are the container's own: then the root's counts.
func (m *Machine) groupLimit() uint64 {
	limit := uint64(math.MaxUint64)
	groups, err := fs.ReadFile(m.Root, "proc/self/cgroup")
	if err != nil {
		return limit
	}
	for line := range strings.Lines(string(groups)) {
		parts := strings.SplitN(strings.TrimSpace(line), ":", 3) // hierarchy:controllers:path
		if len(parts) != 3 {
			continue
		}
		switch {
		case parts[0] == "0":
			limit = min(limit, m.leastUpwards("sys/fs/cgroup", parts[2], "memory.max"))
		case strings.Contains(","+parts[1]+",", ",memory,"):
			limit = min(limit, m.leastUpwards("sys/fs/cgroup/memory", parts[2], "memory.limit_in_bytes"))
		}
	}
	return limit
}

// leastUpwards reads a limit of a group and of all that it is in.
func (m *Machine) leastUpwards(mount, group, file string) uint64 {
	limit := uint64(math.MaxUint64)
	for dir := path.Clean("/" + group); ; dir = path.Dir(dir) {
		if b, err := fs.ReadFile(m.Root, path.Join(mount, dir, file)); err == nil {
			if n, err := strconv.ParseUint(strings.TrimSpace(string(b)), 10, 64); err == nil && n > 0 { // else: max
				limit = min(limit, n)
			}
		}
		if dir == "/" {
			return limit
		}
	}
}
