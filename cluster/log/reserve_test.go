package log_test

import (
	"bytes"
	"os"
	"path/filepath"
	"syscall"
	"testing"

	"github.com/warrenmq/warren/cluster/log"
)

// What a database has grown to without blocks of its own gets them, and what is in it stays.
func TestReserveGivesAFileItsBlocks(t *testing.T) {
	name := filepath.Join(t.TempDir(), "db")
	if err := os.WriteFile(name, []byte("what was there"), 0o600); err != nil {
		t.Fatal(err)
	}
	if err := os.Truncate(name, 3<<20); err != nil {
		t.Fatal(err)
	}
	for _, want := range []int64{3 << 20, 4 << 20} {
		if err := log.Reserve(name, max(want, 2<<20)); err != nil {
			t.Fatal(err)
		}
		info, err := os.Stat(name)
		if err != nil {
			t.Fatal(err)
		}
		if blocks := info.Sys().(*syscall.Stat_t).Blocks * 512; info.Size() != want || blocks < want {
			t.Errorf("size %d, %d on the disk; want %d", info.Size(), blocks, want)
		}
	}
	if b, err := os.ReadFile(name); err != nil || !bytes.HasPrefix(b, []byte("what was there\x00")) {
		t.Errorf("it begins with %q, %v", b[:min(len(b), 20)], err)
	}
}
