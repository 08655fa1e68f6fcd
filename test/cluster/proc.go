package cluster

import (
	"fmt"
	"os"
	"strconv"
	"strings"
	"time"
)

// ticksPerSecond is the unit of /proc/<pid>/stat, USER_HZ: 100 on every Linux.
const ticksPerSecond = 100

// Usage is what a node's processes cost so far.
type Usage struct {
	CPU time.Duration
	RSS int64 // bytes
}

// usage sums up a process and what it started in its session.
func usage(pid int) (Usage, error) {
	u, err := usageOf(pid)
	if err != nil {
		return Usage{}, err
	}
	for _, other := range session(pid) {
		if o, err := usageOf(other); err == nil { // it may have ended meanwhile
			u.CPU += o.CPU
			u.RSS += o.RSS
		}
	}
	return u, nil
}

func usageOf(pid int) (Usage, error) {
	f, err := stat(pid)
	if err != nil {
		return Usage{}, err
	}
	user, err1 := strconv.ParseInt(f[11], 10, 64) // utime, field 14 of proc(5)
	system, err2 := strconv.ParseInt(f[12], 10, 64)
	pages, err3 := strconv.ParseInt(f[21], 10, 64)
	if err1 != nil || err2 != nil || err3 != nil {
		return Usage{}, fmt.Errorf("process %d: unreadable stat", pid)
	}
	return Usage{
		CPU: time.Duration(user+system) * time.Second / ticksPerSecond,
		RSS: pages * int64(os.Getpagesize()),
	}, nil
}

// stat is the fields of /proc/<pid>/stat from the third on: the second, the
// program's name, may hold spaces.
func stat(pid int) ([]string, error) {
	b, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", pid))
	if err != nil {
		return nil, fmt.Errorf("process %d: %w", pid, err)
	}
	_, rest, _ := strings.Cut(string(b), ") ")
	f := strings.Fields(rest)
	if len(f) < 22 {
		return nil, fmt.Errorf("process %d: unreadable stat", pid)
	}
	return f, nil
}

// session is the other processes of the session that leader began.
func session(leader int) []int {
	entries, err := os.ReadDir("/proc")
	if err != nil {
		return nil
	}
	var pids []int
	for _, e := range entries {
		pid, err := strconv.Atoi(e.Name())
		if err != nil || pid == leader {
			continue
		}
		if f, err := stat(pid); err == nil && f[3] == strconv.Itoa(leader) {
			pids = append(pids, pid)
		}
	}
	return pids
}
