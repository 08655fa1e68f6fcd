package log_test

import (
	"context"
	"errors"
	"sync"
	"syscall"
	"testing"
	"testing/synctest"
	"time"

	"github.com/hashicorp/raft"

	"github.com/warrenmq/warren/cluster/log"
	"github.com/warrenmq/warren/cluster/log/memfs"
)

func TestHangingDiskEndsTheLog(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		disk := memfs.New(1)
		l := start(t, disk, dir, small)
		store(t, l.Log, 1, entries(1, 1, 5, 1, 100))
		synctest.Wait()
		disk.Hang()
		began := time.Now()
		var callers sync.WaitGroup
		for g := range uint64(13) {
			callers.Go(func() {
				if err := l.Group(g + 1).StoreLogs(entries(g+1, 6*(1-min(g, 1))+min(g, 1), 6, 1, 100)); !errors.Is(err, log.ErrStalled) {
					t.Errorf("store: %v", err)
				}
			})
		}
		if err := <-l.result; !errors.Is(err, log.ErrStalled) {
			t.Errorf("run: %v", err)
		}
		callers.Wait()
		if took := time.Since(began); took < 3*time.Second || took > 3500*time.Millisecond {
			t.Errorf("after %v", took)
		}
		var e raft.Log
		if err := l.Group(1).GetLog(3, &e); err != nil {
			t.Errorf("read from memory: %v", err)
		}
		disk.Release()
		synctest.Wait()
		if last, err := l.Group(1).LastIndex(); last != 6 && last != 5 || err != nil {
			t.Errorf("last %d, %v", last, err)
		}
		l.Close()
	})
}

func TestSlowDiskIsWaitedFor(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		disk := memfs.New(1)
		disk.Slow(2500 * time.Millisecond)
		l := start(t, disk, dir, small)
		began := time.Now()
		for i := range uint64(5) {
			store(t, l.Log, 1, entries(1, i+1, i+1, 1, 100))
		}
		if took := time.Since(began); took < 12500*time.Millisecond {
			t.Errorf("five syncs took %v", took)
		}
		l.mustEnd(t)
	})
}

func TestHangingDiskDoesNotKeepRunFromEnding(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		disk := memfs.New(1)
		l := start(t, disk, dir, small)
		store(t, l.Log, 1, entries(1, 1, 5, 1, 100))
		synctest.Wait()
		disk.Hang()
		l.stop()
		if err := <-l.result; !errors.Is(err, log.ErrStalled) {
			t.Errorf("run: %v", err)
		}
		disk.Release()
		synctest.Wait()
		l.Close()
	})
}

func TestIdleLogSyncsNothing(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		disk := memfs.New(1)
		l := start(t, disk, dir, small)
		store(t, l.Log, 1, entries(1, 1, 5, 1, 100))
		synctest.Wait()
		before := disk.Syncs()
		time.Sleep(time.Hour)
		if after := disk.Syncs(); after != before {
			t.Errorf("%d syncs in an idle hour", after-before)
		}
		l.mustEnd(t)
	})
}

func TestFullDiskRefusesAndRecovers(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		disk := memfs.New(1)
		l := start(t, disk, dir, small)
		store(t, l.Log, 1, entries(1, 1, 5, 1, 100))
		synctest.Wait()
		disk.Limit(3 * 64 << 10)
		want := entries(1, 1, 5, 1, 100)
		var full error
		for i := uint64(6); full == nil; i++ {
			e := entry(1, i, 1, 1000)
			if full = l.Group(1).StoreLog(e); full == nil {
				want = append(want, e)
			}
		}
		if !errors.Is(full, log.ErrNoSpace) || !errors.Is(full, syscall.ENOSPC) {
			t.Fatalf("store: %v", full)
		}
		if !l.Stats().Full || len(want) < 100 {
			t.Fatalf("after %d entries: %+v", len(want), l.Stats())
		}
		wantLog(t, l.Log, 1, want)
		if err := l.Group(1).StoreLogs(entries(1, uint64(len(want))+1, uint64(len(want))+9, 1, 90<<10)); !errors.Is(err, log.ErrNoSpace) {
			t.Fatalf("store: %v", err)
		}
		disk.Limit(-1)
		time.Sleep(2 * time.Second)
		more := entries(1, uint64(len(want))+1, uint64(len(want))+100, 2, 1000)
		store(t, l.Log, 1, more)
		want = append(want, more...)
		wantLog(t, l.Log, 1, want)
		if l.Stats().Full {
			t.Fatal("still full")
		}
		l.mustEnd(t)
		l = start(t, disk, dir, small)
		wantLog(t, l.Log, 1, want)
		l.mustEnd(t)
	})
}

// Raft goes on with a wrong last index when it could not store what replaces a conflict.
func TestFullDiskAfterAConflictEndsTheLog(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		disk := memfs.New(1)
		l := start(t, disk, dir, small)
		store(t, l.Log, 1, entries(1, 1, 50, 1, 1000))
		synctest.Wait()
		disk.Limit(1)
		if err := l.Group(1).DeleteRange(40, 50); err != nil {
			t.Fatal(err)
		}
		if err := l.Group(1).StoreLogs(entries(1, 40, 240, 2, 1000)); !errors.Is(err, log.ErrNoSpace) {
			t.Errorf("store: %v", err)
		}
		if err := <-l.result; !errors.Is(err, log.ErrNoSpace) {
			t.Errorf("run: %v", err)
		}
		l.Close()
	})
}

// A follower with a full disk takes a snapshot in and cannot store what comes behind it: Raft counts
// on nothing that is gone, so the log goes on, and stores it when there is room.
func TestFullDiskBehindASnapshotRefusesAndRecovers(t *testing.T) {
	for _, first := range []uint64{51, 60} {
		synctest.Test(t, func(t *testing.T) {
			disk := memfs.New(1)
			l := start(t, disk, dir, small)
			store(t, l.Log, 1, entries(1, 1, 50, 1, 1000))
			synctest.Wait()
			disk.Limit(1)
			if err := l.Group(1).DeleteRange(1, 50); err != nil {
				t.Fatal(err)
			}
			for range 2 {
				if err := l.Group(1).StoreLogs(entries(1, first, first+200, 2, 1000)); !errors.Is(err, log.ErrNoSpace) {
					t.Errorf("store: %v", err)
				}
			}
			err := errors.Join(l.Group(1).Adopt(45, 2, make([]byte, 200<<10)), l.Group(1).SyncAdopted())
			if !errors.Is(err, log.ErrNoSpace) {
				t.Errorf("adopt, of the next snapshot: %v", err)
			}
			disk.Limit(-1)
			time.Sleep(2 * time.Second)
			want := entries(1, first, first+200, 2, 1000)
			store(t, l.Log, 1, want)
			wantLog(t, l.Log, 1, want)
			l.mustEnd(t)
		})
	}
}

// What replaces everything, a conflict with the first entry, must be stored all the same.
func TestFullDiskAfterAConflictWithTheFirstEntryEndsTheLog(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		disk := memfs.New(1)
		l := start(t, disk, dir, small)
		store(t, l.Log, 1, entries(1, 1, 50, 1, 1000))
		synctest.Wait()
		disk.Limit(1)
		if err := l.Group(1).DeleteRange(1, 50); err != nil {
			t.Fatal(err)
		}
		if err := l.Group(1).StoreLogs(entries(1, 1, 240, 2, 1000)); !errors.Is(err, log.ErrNoSpace) {
			t.Errorf("store: %v", err)
		}
		if err := <-l.result; !errors.Is(err, log.ErrNoSpace) {
			t.Errorf("run: %v", err)
		}
		l.Close()
	})
}

func TestRestartOnAFullDisk(t *testing.T) {
	disk := memfs.New(1)
	l := start(t, disk, dir, small)
	store(t, l.Log, 1, entries(1, 1, 50, 1, 1000))
	l.mustEnd(t)
	disk.Limit(1)
	l = start(t, disk, dir, small)
	wantLog(t, l.Log, 1, entries(1, 1, 50, 1, 1000))
	store(t, l.Log, 1, entries(1, 51, 55, 1, 1000)) // there is room in the segment
	l.mustEnd(t)
}

// A process whose sync failed may find unsynced entries in the page cache when it starts again.
func TestRecoveredTailIsSyncedBeforeItIsServed(t *testing.T) {
	for s := range uint64(40) {
		synctest.Test(t, func(t *testing.T) {
			disk := memfs.New(s)
			l := start(t, disk, dir, small)
			store(t, l.Log, 1, entries(1, 1, 5, 1, 3000))
			synctest.Wait() // the next segment is made
			disk.FailSync(errors.New("broken"))
			if err := l.Group(1).StoreLogs(entries(1, 6, 8, 1, 3000)); err == nil {
				t.Fatal("stored without a sync")
			}
			<-l.result
			l.Close()
			disk.FailSync(nil)
			r := open(t, disk, dir, small)
			want := entries(1, 1, 8, 1, 3000)
			wantLog(t, r, 1, want)
			disk = disk.Crash() // without Run
			r.Close()
			l = start(t, disk, dir, small)
			wantLog(t, l.Log, 1, want)
			l.mustEnd(t)
		})
	}
}

func TestRaftRunsOnIt(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		disk := memfs.New(1)
		l := start(t, disk, dir, small)
		stable := raft.NewInmemStore()
		snapshots := raft.NewInmemSnapshotStore()
		_, transport := raft.NewInmemTransport("a")
		cfg := raft.DefaultConfig()
		cfg.LocalID, cfg.LogLevel, cfg.TrailingLogs = "a", "ERROR", 0
		if err := raft.BootstrapCluster(cfg, l.Group(1), stable, snapshots, transport,
			raft.Configuration{Servers: []raft.Server{{ID: "a", Address: "a"}}}); err != nil {
			t.Fatal(err)
		}
		for life := range 3 {
			r, err := raft.NewRaft(cfg, &raft.MockFSM{}, l.Group(1), stable, snapshots, transport)
			if err != nil {
				t.Fatal(err)
			}
			<-r.LeaderCh()
			for range 100 {
				if err := r.Apply(content(1, 1, 1, 2000), time.Second).Error(); err != nil {
					t.Fatalf("life %d: %v", life, err)
				}
			}
			if err := r.Snapshot().Error(); err != nil {
				t.Fatal(err)
			}
			if err := r.Shutdown().Error(); err != nil {
				t.Fatal(err)
			}
			l.mustEnd(t)
			l = start(t, disk, dir, small)
		}
		l.mustEnd(t)
	})
}

func TestRunEndsWithItsContext(t *testing.T) {
	l := open(t, memfs.New(1), dir, small)
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if err := l.Run(ctx); err != nil {
		t.Fatal(err)
	}
	if err := l.Group(1).StoreLogs(entries(1, 1, 1, 1, 1)); !errors.Is(err, log.ErrStopped) {
		t.Fatalf("store: %v", err)
	}
	l.Close()
}
