package log_test

import (
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/warrenmq/warren/cluster/log"
	"github.com/warrenmq/warren/cluster/log/memfs"
)

// compacted is a stopped disk with rewritten segments, others and adopted bodies.
func compacted(t *testing.T) *memfs.FS {
	t.Helper()
	disk := memfs.New(1)
	l, live, es := filled(t, disk, small, 400)
	for _, e := range es {
		if e.Index%7 > 0 {
			live.set(e.Index)
		}
	}
	if err := l.Group(1).DeleteRange(1, 300); err != nil {
		t.Fatal(err)
	}
	adopt(t, l.Group(2), entries(2, 5, 9, 1, 50)...)
	l.Group(1).SetLive(live)
	time.Sleep(time.Minute)
	l.mustEnd(t)
	return disk
}

func TestInspectExplainsAFolder(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		disk := compacted(t)
		before, _ := disk.ReadDir(dir)
		r, err := log.Inspect(disk, dir, true)
		if err != nil {
			t.Fatal(err)
		}
		if after, _ := disk.ReadDir(dir); fmt.Sprint(after) != fmt.Sprint(before) {
			t.Fatalf("the folder was changed: %v, was %v", after, before)
		}
		if len(r.Damage) > 0 || len(r.Segments) < 2 || len(r.Removed) > 1 {
			t.Fatalf("%+v", r)
		}
		first := r.Segments[0]
		if first.First != 1 || first.Generation == 0 || !first.Sealed { // how many it stands for is a matter of time
			t.Fatalf("%+v", first)
		}
		if !slices.ContainsFunc(r.Segments, func(s log.SegmentReport) bool { return s.Through > s.First }) {
			t.Fatalf("no segment stands for several: %+v", r.Segments)
		}
		if len(r.Groups) != 2 {
			t.Fatalf("%+v", r.Groups)
		}
		one, two := r.Groups[0], r.Groups[1]
		if one.ID != 1 || one.Released != 300 || one.Last != 400 || one.Kept == 0 || one.Kept >= 300 || one.Bytes == 0 {
			t.Fatalf("%+v", one)
		}
		if two.ID != 2 || two.Adopted != 5 || two.Last != 0 {
			t.Fatalf("%+v", two)
		}
	})
}

func TestInspectFindsDamage(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		disk := compacted(t)
		names, _ := disk.ReadDir(dir)
		for _, name := range names {
			if !strings.HasSuffix(name, ".seg") {
				continue
			}
			b, _ := disk.Peek(dir + "/" + name)
			end := len(strings.TrimRight(string(b), "\x00"))
			if end < 10_000 {
				continue
			}
			broken := disk.Clone()
			flip(t, broken, dir+"/"+name, 9000, 2) // within the entries
			r, err := log.Inspect(broken, dir, true)
			if err != nil || len(r.Damage) == 0 {
				t.Fatalf("%s: %v, %+v", name, err, r)
			}
			gone := disk.Clone()
			if err := gone.Remove(dir + "/" + name); err != nil {
				t.Fatal(err)
			}
			r, err = log.Inspect(gone, dir, false)
			if name != names[len(names)-1] && (err != nil || len(r.Damage) == 0) && !strings.HasPrefix(names[len(names)-2], name) {
				t.Fatalf("%s removed: %v, %+v", name, err, r)
			}
		}
		if _, err := log.Inspect(disk, "elsewhere", false); err == nil {
			t.Fatal("a folder without a log was explained")
		}
	})
}

// The real disk is only read, whatever its files' modes say.
func TestInspectWritesNothing(t *testing.T) {
	folder := t.TempDir() + "/log"
	l := start(t, log.OSFS(), folder, small)
	store(t, l.Log, 1, entries(1, 1, 100, 1, 2000))
	l.mustEnd(t)
	sizes := func() (all string) {
		err := filepath.WalkDir(folder, func(path string, d fs.DirEntry, err error) error {
			if info, err := d.Info(); err == nil && !d.IsDir() {
				all += fmt.Sprintln(path, info.Size(), info.ModTime())
			}
			return err
		})
		if err != nil {
			t.Fatal(err)
		}
		return all
	}
	before := sizes()
	if err := os.Chmod(folder, 0o500); err != nil {
		t.Fatal(err)
	}
	defer os.Chmod(folder, 0o700)
	r, err := log.Inspect(log.ReadOnlyFS(), folder, true)
	if err != nil || len(r.Damage) > 0 || len(r.Groups) != 1 || r.Groups[0].Last != 100 {
		t.Fatalf("%v, %+v", err, r)
	}
	if after := sizes(); after != before {
		t.Fatalf("was\n%s\nis\n%s", before, after)
	}
}
