package alarm

import (
	"os"
	"testing"
	"testing/fstest"
)

func TestTheMemoryThatMayBeUsedIsTheLeastOfMachineAndControlGroups(t *testing.T) {
	const machine, huge = 8 << 30, "9223372036854771712\n"
	for _, c := range []struct {
		name  string
		files map[string]string
		want  uint64
	}{
		{"no control groups", nil, machine},
		{"version 2", map[string]string{"proc/self/cgroup": "0::/a/b\n", "sys/fs/cgroup/a/b/memory.max": "1073741824\n"}, 1 << 30},
		{"version 2: an outer group has less", map[string]string{"proc/self/cgroup": "0::/a/b\n",
			"sys/fs/cgroup/a/b/memory.max": "max\n", "sys/fs/cgroup/a/memory.max": "2147483648\n"}, 2 << 30},
		{"version 2 in a container", map[string]string{"proc/self/cgroup": "0::/\n", "sys/fs/cgroup/memory.max": "536870912\n"}, 512 << 20},
		{"version 2: no limit", map[string]string{"proc/self/cgroup": "0::/\n", "sys/fs/cgroup/memory.max": "max\n"}, machine},
		{"version 1", map[string]string{"proc/self/cgroup": "5:cpu:/\n4:cpuset,memory:/x\n0::/\n",
			"sys/fs/cgroup/memory/x/memory.limit_in_bytes": "1073741824\n", "sys/fs/cgroup/memory/memory.limit_in_bytes": huge}, 1 << 30},
		{"version 1 in a container: the path is the host's", map[string]string{"proc/self/cgroup": "4:memory:/docker/0123\n",
			"sys/fs/cgroup/memory/memory.limit_in_bytes": "1073741824\n"}, 1 << 30},
		{"version 1: no limit", map[string]string{"proc/self/cgroup": "4:memory:/\n", "sys/fs/cgroup/memory/memory.limit_in_bytes": huge}, machine},
	} {
		root := fstest.MapFS{
			"proc/self/statm": {Data: []byte("5000 100 40 5 0 123 0\n")},
			"proc/meminfo":    {Data: []byte("MemTotal:        8388608 kB\nMemFree:         1 kB\n")},
		}
		for name, text := range c.files {
			root[name] = &fstest.MapFile{Data: []byte(text)}
		}
		used, total, err := (&Machine{Root: root}).Memory()
		if err != nil || total != c.want || used != 100*uint64(os.Getpagesize()) {
			t.Errorf("%s: %d of %d, %v; want 100 pages of %d", c.name, used, total, err, c.want)
		}
	}
}

func TestThisMachineIsMeasured(t *testing.T) {
	m := NewMachine(t.TempDir())
	used, total, err := m.Memory()
	if err != nil || used == 0 || used > total {
		t.Errorf("memory: %d of %d, %v", used, total, err)
	}
	if free, err := m.DiskFree(); err != nil || free == 0 {
		t.Errorf("free disk: %d, %v", free, err)
	}
	if _, err := NewMachine("/nowhere").DiskFree(); err == nil {
		t.Error("the disk of a folder that is not there was measured")
	}
}
