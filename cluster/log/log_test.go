package log_test

import (
	"errors"
	"slices"
	"sync"
	"testing"

	"github.com/hashicorp/raft"

	"github.com/warrenmq/warren/cluster/log"
	"github.com/warrenmq/warren/cluster/log/memfs"
)

var small = log.Config{SegmentBytes: 64 << 10, CacheBytes: 1 << 20, ReadAheadBytes: 16 << 10, OpenFiles: 2}

func TestEntriesSurviveARestart(t *testing.T) {
	for _, fs := range []struct {
		name string
		fs   log.FS
		dir  string
	}{{"memory", memfs.New(1), dir}, {"disk", log.OSFS(), t.TempDir() + "/log"}} {
		t.Run(fs.name, func(t *testing.T) {
			l := start(t, fs.fs, fs.dir, small)
			want := map[uint64][]*raft.Log{}
			for i := range uint64(300) {
				for g := uint64(1); g <= 3; g++ {
					e := entry(g, i+1, 1+i/50, int(100*g+i*7%6000))
					store(t, l.Log, g, []*raft.Log{e})
					want[g] = append(want[g], e)
				}
			}
			for g, es := range want {
				wantLog(t, l.Log, g, es)
			}
			l.mustEnd(t)
			for range 2 { // the second time what was unsealed is sealed
				l = start(t, fs.fs, fs.dir, small)
				for g, es := range want {
					wantLog(t, l.Log, g, es)
					wantLog(t, l.Log, g, es)
				}
				if got := l.Groups(); !slices.Equal(got, []uint64{1, 2, 3}) {
					t.Fatalf("groups %v", got)
				}
				l.mustEnd(t)
			}
		})
	}
}

func TestRangesAreDeleted(t *testing.T) {
	fs := memfs.New(1)
	l := start(t, fs, dir, small)
	check := func(want []*raft.Log) {
		t.Helper()
		wantLog(t, l.Log, 7, want)
		l.mustEnd(t)
		l = start(t, fs, dir, small)
		wantLog(t, l.Log, 7, want)
	}
	del := func(min, max uint64) {
		t.Helper()
		if err := l.Group(7).DeleteRange(min, max); err != nil {
			t.Fatalf("delete %d to %d: %v", min, max, err)
		}
	}
	a := entries(7, 1, 100, 1, 2000)
	store(t, l.Log, 7, a)
	check(a)
	del(61, 100) // conflict
	check(a[:60])
	b := entries(7, 61, 70, 2, 2000)
	store(t, l.Log, 7, b)
	a = append(a[:60:60], b...)
	check(a)
	del(1, 20) // snapshot
	check(a[20:])
	for _, e := range a {
		if p, err := l.Group(7).Payload(e.Index); err != nil || string(p) != string(e.Data) {
			t.Fatalf("payload %d, released or not: %v", e.Index, err)
		}
	}
	if err := l.Group(7).DeleteRange(30, 40); !errors.Is(err, log.ErrOrder) {
		t.Fatalf("delete from the middle: %v", err)
	}
	del(200, 300)
	del(5, 4)
	check(a[20:])
	del(1, 70) // all: a snapshot was installed
	check(nil)
	c := entries(7, 201, 210, 3, 500)
	store(t, l.Log, 7, c) // behind the snapshot
	check(c)
	del(201, 210)
	d := entries(7, 190, 195, 4, 500) // all was a conflict
	store(t, l.Log, 7, d)
	check(d)
	if p, err := l.Group(7).Payload(201); err != raft.ErrLogNotFound {
		t.Fatalf("payload of a void entry: %v %q", err, p)
	}
	for _, wrong := range [][]*raft.Log{entries(7, 195, 196, 4, 10), entries(7, 197, 198, 4, 10),
		{entry(7, 196, 4, 10), entry(7, 198, 4, 10)}, entries(8, 0, 1, 1, 1)} {
		if err := l.Group(7).StoreLogs(wrong); !errors.Is(err, log.ErrOrder) {
			t.Fatalf("store %d: %v", wrong[0].Index, err)
		}
	}
	check(d)
	if err := l.DropGroup(7); err != nil {
		t.Fatal(err)
	}
	check(nil)
	if g := l.Groups(); len(g) > 0 {
		t.Fatalf("groups %v after drop", g)
	}
	e := entries(7, 1, 3, 9, 10)
	store(t, l.Log, 7, e)
	check(e)
	l.mustEnd(t)
}

func TestEntriesOfAnySize(t *testing.T) {
	fs := memfs.New(1)
	l := start(t, fs, dir, small)
	var want []*raft.Log
	for i, size := range []int{0, 1, 7, 8, 4000, 4096, 5000, 64 << 10, 200 << 10, 9 << 20, 0, 40 << 10} {
		e := entry(1, uint64(i)+1, 1, size)
		if size == 0 {
			e.Data = nil
		}
		want = append(want, e)
		store(t, l.Log, 1, want[i:])
	}
	many := entries(1, uint64(len(want))+1, uint64(len(want))+5000, 2, 30) // more than a segment at once
	store(t, l.Log, 1, many)
	want = append(want, many...)
	wantLog(t, l.Log, 1, want)
	l.mustEnd(t)
	l = start(t, fs, dir, small)
	wantLog(t, l.Log, 1, want)
	l.mustEnd(t)
}

func TestManyGroupsAtOnce(t *testing.T) {
	fs := memfs.New(1)
	l := start(t, fs, dir, small)
	const groups, rounds = 13, 60
	want := make([][]*raft.Log, groups)
	var wg sync.WaitGroup
	for g := range uint64(groups) {
		wg.Go(func() {
			var next uint64 = 1
			for i := range uint64(rounds) {
				n := 1 + i%4
				es := entries(g, next, next+n-1, i, int(i*g*13%5000))
				if err := l.Group(g).StoreLogs(es); err != nil {
					t.Errorf("store: %v", err)
					return
				}
				want[g] = append(want[g], es...)
				next += n
				if i%10 == 9 {
					cut := next - 3
					if err := l.Group(g).DeleteRange(cut, next-1); err != nil {
						t.Errorf("delete: %v", err)
						return
					}
					want[g], next = want[g][:cut-1], cut
				}
				var e raft.Log
				for _, at := range []uint64{1, next / 2, next - 1} {
					if err := l.Group(g).GetLog(at, &e); err != nil || !same(&e, want[g][at-1]) {
						t.Errorf("group %d entry %d: %v", g, at, err)
						return
					}
				}
			}
		})
	}
	wg.Wait()
	for g := range uint64(groups) {
		wantLog(t, l.Log, g, want[g])
	}
	st := l.Stats()
	if st.Syncs == 0 || st.Entries < groups*rounds || st.CommitP99 < st.CommitP50 {
		t.Fatalf("stats %+v", st)
	}
	l.mustEnd(t)
	l = start(t, fs, dir, small)
	for g := range uint64(groups) {
		wantLog(t, l.Log, g, want[g])
	}
	l.mustEnd(t)
}

func TestSecondProcessIsRefused(t *testing.T) {
	for name, fs := range map[string]log.FS{"memory": memfs.New(1), "disk": log.OSFS()} {
		dir := t.TempDir() + "/log"
		l := start(t, fs, dir, small)
		if _, err := log.Open(fs, dir, small); !errors.Is(err, log.ErrLocked) {
			t.Fatalf("%s: second open: %v", name, err)
		}
		l.mustEnd(t)
		start(t, fs, dir, small).mustEnd(t)
	}
}

func TestCacheStaysInItsBudget(t *testing.T) {
	cfg := small
	cfg.CacheBytes = 100 << 10
	l := start(t, memfs.New(1), dir, cfg)
	want := entries(1, 1, 500, 1, 3000)
	for _, e := range want {
		store(t, l.Log, 1, []*raft.Log{e})
	}
	wantLog(t, l.Log, 1, want)
	wantLog(t, l.Log, 1, want)
	st := l.Stats()
	if st.CacheBytes > cfg.CacheBytes || st.CacheHits == 0 || st.CacheMisses == 0 || st.CacheMisses > 500 {
		t.Fatalf("%+v", st)
	}
	l.mustEnd(t)
}

func TestCacheForgetsWhatIsCutOff(t *testing.T) {
	l := start(t, memfs.New(1), dir, small)
	for i := range uint64(200) {
		store(t, l.Log, 1, entries(1, 1, 100, i, 10))
		if err := l.Group(1).DeleteRange(1, 100); err != nil {
			t.Fatal(err)
		}
	}
	last := entries(1, 1, 50, 200, 10)
	store(t, l.Log, 1, last)
	wantLog(t, l.Log, 1, last)
	if st := l.Stats(); st.CacheMisses > 0 || st.CacheBytes > 50*(200+64) {
		t.Fatalf("%+v", st)
	}
	l.mustEnd(t)
}

func TestConfigIsChecked(t *testing.T) {
	for _, c := range []log.Config{{SegmentBytes: 1}, {CacheBytes: -1}, {ReadAheadBytes: 1}, {OpenFiles: -1}, {StallTimeout: -1}} {
		if _, err := log.Open(memfs.New(1), dir, c); err == nil {
			t.Errorf("%+v accepted", c)
		}
	}
}

func TestStoppedLogRefuses(t *testing.T) {
	l := start(t, memfs.New(1), dir, small)
	store(t, l.Log, 1, entries(1, 1, 2, 1, 10))
	l.mustEnd(t)
	if err := l.Group(1).StoreLogs(entries(1, 3, 3, 1, 10)); !errors.Is(err, log.ErrStopped) {
		t.Fatalf("store: %v", err)
	}
	if err := l.Run(t.Context()); err == nil {
		t.Fatal("ran twice")
	}
}
