package memfs

import (
	"bytes"
	"errors"
	"io/fs"
	"syscall"
	"testing"
	"testing/synctest"
	"time"
)

// ones is a file of n bytes 1.
func ones(n int) [][]byte { return [][]byte{bytes.Repeat([]byte{1}, n)} }

func must(t *testing.T, errs ...error) {
	t.Helper()
	if err := errors.Join(errs...); err != nil {
		t.Fatal(err)
	}
}

func TestCrashLosesWhatWasNotSynced(t *testing.T) {
	var lost, kept, torn int
	for seed := range uint64(200) {
		d := New(seed)
		f, err := d.Create("a/x")
		must(t, err)
		must(t, f.WriteV(ones(100_000), 0), f.Sync(), d.SyncDir("a"))
		must(t, f.WriteV([][]byte{bytes.Repeat([]byte{2}, 50_000)}, 60_000))
		d = d.Crash()
		if _, err := f.Size(); !errors.Is(err, ErrCrashed) {
			t.Fatalf("a file of the crashed machine: %v", err)
		}
		b, err := d.Peek("a/x")
		must(t, err)
		if len(b) < 100_000 || bytes.Count(b[:60_000], []byte{1}) != 60_000 {
			t.Fatalf("seed %d: synced bytes are lost", seed)
		}
		switch n := bytes.Count(b, []byte{2}); n {
		case 0:
			lost++
		case 50_000:
			kept++
		default:
			torn++
		}
	}
	if lost == 0 || kept == 0 || torn == 0 {
		t.Fatalf("%d lost, %d kept, %d torn", lost, kept, torn)
	}
}

func TestCrashLosesNamesInOrder(t *testing.T) {
	seen := map[int]int{}
	for seed := range uint64(100) {
		d := New(seed)
		for _, name := range []string{"a/1", "a/2", "a/3", "a/4"} {
			_, err := d.Create(name)
			must(t, err)
			if name == "a/1" {
				must(t, d.SyncDir("a"))
			}
		}
		names, err := d.Crash().ReadDir("a")
		must(t, err)
		for i, name := range names {
			if want := string(rune('1' + i)); name != want {
				t.Fatalf("seed %d: %v", seed, names)
			}
		}
		seen[len(names)]++
	}
	if len(seen) != 4 || seen[0] > 0 {
		t.Fatalf("%v", seen)
	}
}

func TestRenameSurvivesItsFolderSync(t *testing.T) {
	d := New(1)
	f, err := d.Create("a/x")
	must(t, err)
	must(t, f.WriteV(ones(10), 0), f.Sync(), d.Rename("a/x", "a/y"), d.SyncDir("a"), d.Remove("a/y"))
	if _, err := d.Open("a/y"); !errors.Is(err, fs.ErrNotExist) {
		t.Fatal(err)
	}
	d.pending = nil // the removal is lost
	d = d.Crash()
	b, err := d.Peek("a/y")
	must(t, err)
	if !bytes.Equal(b, ones(10)[0]) {
		t.Fatalf("%v", b)
	}
}

func TestFullDisk(t *testing.T) {
	d := New(1)
	f, err := d.Create("x")
	must(t, err)
	d.Limit(1000)
	must(t, f.Allocate(900), f.WriteV(ones(500), 400))
	if err := f.WriteV(ones(500), 600); !errors.Is(err, syscall.ENOSPC) {
		t.Fatal(err)
	}
	must(t, f.Truncate(100), f.Allocate(1000))
}

func TestSlowAndHangingSync(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		d := New(1)
		f, err := d.Create("x")
		must(t, err)
		d.Slow(time.Minute)
		began := time.Now()
		must(t, f.Sync())
		if time.Since(began) != time.Minute {
			t.Fatal(time.Since(began))
		}
		d.Slow(0)
		d.Hang()
		done := make(chan error)
		go func() { done <- f.Sync() }()
		select {
		case <-done:
			t.Fatal("did not hang")
		case <-time.After(time.Hour):
		}
		d.Release()
		must(t, <-done)
		d.Hang()
		go func() { done <- f.WriteV(ones(1), 0) }()
		synctest.Wait()
		d.Crash()
		if err := <-done; !errors.Is(err, ErrCrashed) {
			t.Fatal(err)
		}
	})
}
