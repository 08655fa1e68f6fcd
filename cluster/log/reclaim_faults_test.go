package log_test

import (
	"errors"
	"math/rand/v2"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/hashicorp/raft"

	"github.com/warrenmq/warren/cluster/log"
	"github.com/warrenmq/warren/cluster/log/memfs"
)

// filled is a log with one group of several segments.
func filled(t *testing.T, disk *memfs.FS, cfg log.Config, last uint64) (*running, *liveSet, []*raft.Log) {
	t.Helper()
	l := start(t, disk, dir, cfg)
	live := newLiveSet()
	es := live.store(rand.New(rand.NewPCG(1, 1)), entries(1, 1, last, 1, 300))
	for i := range es {
		store(t, l.Log, 1, es[i:i+1])
	}
	return l, live, es
}

// A full disk takes entries again when what is on it was settled.
func TestAFullDiskIsFreed(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		disk := memfs.New(1)
		cfg := small
		cfg.Thin = thin
		l, live, es := filled(t, disk, cfg, 300)
		l.Group(1).SetLive(live)
		time.Sleep(time.Minute)
		_, size := segments(t, disk)
		disk.Limit(size + 16<<10) // no room for a segment, and none to rewrite one
		var full error
		for i := uint64(301); full == nil; i++ {
			es = append(es, live.store(rand.New(rand.NewPCG(i, 1)), entries(1, i, i, 1, 300))...)
			full = l.Group(1).StoreLogs(es[len(es)-1:])
		}
		if !errors.Is(full, log.ErrNoSpace) {
			t.Fatal(full)
		}
		es = es[:len(es)-1]
		live.only(es)
		last := uint64(len(es))
		for n := last - 10; n > 0; n-- {
			live.set(n)
		}
		live.set(5, 0) // is stuck
		for i := uint64(1); i < 40; i++ {
			if err := l.Group(1).DeleteRange(1, i*5); err != nil { // also on a full disk
				t.Fatalf("release to %d: %v", i*5, err)
			}
		}
		if err := l.Group(1).DeleteRange(1, last-5); err != nil {
			t.Fatal(err)
		}
		time.Sleep(time.Minute)
		more := live.store(rand.New(rand.NewPCG(2, 1)), entries(1, last+1, last+200, 1, 300))
		store(t, l.Log, 1, more)
		es = append(es, more...)
		for range 2 {
			wantLog(t, l.Log, 1, es[last-5:])
			for _, e := range es {
				if err := live.check(l.Group(1), e); err != nil {
					t.Fatal(err)
				}
			}
			l.mustEnd(t)
			disk.Limit(-1)
			l = start(t, disk, dir, cfg)
		}
		l.mustEnd(t)
	})
}

// A disk that fails while segments are rewritten ends Run; the next start has all that is live.
func TestFailuresOfRewritingEndTheLog(t *testing.T) {
	for n := range uint64(60) {
		synctest.Test(t, func(t *testing.T) {
			disk := memfs.New(n)
			l, live, es := filled(t, disk, small, 300)
			for _, e := range es {
				if e.Index%10 > 0 {
					live.set(e.Index)
				}
			}
			if err := l.Group(1).DeleteRange(1, 290); err != nil {
				t.Fatal(err)
			}
			time.Sleep(time.Minute) // the writer has made its mark
			l.Group(1).SetLive(live)
			disk.Slow(time.Millisecond)
			time.Sleep(500*time.Millisecond + time.Duration(n)*100*time.Microsecond)
			broken := errors.New("broken")
			fail, heal := disk.FailSync, func() { disk.FailSync(nil) }
			if n%2 == 0 {
				fail, heal = disk.FailWrites, func() { disk.FailWrites(nil) }
			}
			fail(broken)
			time.Sleep(time.Minute)
			select {
			case err := <-l.result:
				if !errors.Is(err, broken) {
					t.Fatal(err)
				}
				l.Close()
			default: // it was done before
				heal()
				if err := l.end(); err != nil {
					t.Fatal(err)
				}
			}
			heal()
			l = start(t, disk.Crash(), dir, small)
			l.Group(1).SetLive(live)
			for range 2 {
				if err := errors.Join(l.Damaged(), corruption(l.Log)); err != nil {
					t.Fatal(err)
				}
				for _, e := range es {
					if err := live.check(l.Group(1), e); err != nil {
						t.Fatal(err)
					}
				}
				wantLog(t, l.Log, 1, es[290:])
				time.Sleep(time.Minute)
			}
			l.mustEnd(t)
		})
	}
}

// Of a log that was rewritten, a lost or damaged file is found.
func TestDamageToRewrittenSegmentsIsFound(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		disk := memfs.New(1)
		l, live, es := filled(t, disk, small, 400)
		for _, e := range es {
			if e.Index%7 > 0 || e.Index > 150 && e.Index < 250 {
				live.set(e.Index)
			}
		}
		if err := l.Group(1).DeleteRange(1, 300); err != nil {
			t.Fatal(err)
		}
		l.Group(1).SetLive(live)
		time.Sleep(time.Minute)
		l.mustEnd(t)
		names, err := disk.ReadDir(dir)
		if err != nil {
			t.Fatal(err)
		}
		rewritten := 0
		rng := rand.New(rand.NewPCG(3, 3))
		check := func(disk *memfs.FS, what string) (found bool) {
			t.Helper()
			l, err := log.Open(disk, dir, small)
			if err != nil {
				if !errors.Is(err, log.ErrCorrupt) {
					t.Fatalf("%s: %v", what, err)
				}
				return true
			}
			defer l.Close()
			for _, e := range es {
				err := live.check(l.Group(1), e)
				if err != nil && !errors.Is(err, log.ErrCorrupt) {
					t.Fatalf("%s: %v", what, err)
				}
				found = found || err != nil
			}
			return found
		}
		for _, name := range names {
			if !strings.HasSuffix(name, ".seg") {
				continue
			}
			whole, err := disk.Peek(dir + "/" + name)
			if err != nil {
				t.Fatal(err)
			}
			if !strings.Contains(name, "-") {
				continue
			}
			rewritten++
			lost := disk.Clone()
			if err := lost.Remove(dir + "/" + name); err != nil {
				t.Fatal(err)
			}
			if !check(lost, name+" removed") {
				t.Fatalf("%s was removed, and nobody says so", name)
			}
			for range 300 {
				d, at := disk.Clone(), rng.Int64N(int64(len(whole)))
				flip(t, d, dir+"/"+name, at, rng.IntN(8))
				check(d, name)
			}
			for range 20 {
				d := disk.Clone()
				if err := d.Cut(dir+"/"+name, rng.Int64N(int64(len(whole)))); err != nil {
					t.Fatal(err)
				}
				if !check(d, name+" cut") {
					t.Fatalf("%s was cut, and nobody says so", name)
				}
			}
		}
		if rewritten == 0 {
			t.Fatal("nothing was rewritten")
		}
	})
}

// Space that a damaged entry takes comes back when its group was dropped.
func TestADamagedSegmentGoesWithItsGroup(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := writeGroups(t, 12, 60)
		b, err := w.disk.Peek(w.segments[0])
		if err != nil {
			t.Fatal(err)
		}
		flip(t, w.disk, w.segments[0], int64(strings.Index(string(b), string(content(3, 5, 1, 60))))+30, 3)
		l := start(t, w.disk, dir, small)
		if err := l.DropGroup(3); err != nil {
			t.Fatal(err)
		}
		l.mustEnd(t)
		l = start(t, w.disk, dir, small)
		live := newLiveSet()
		for _, g := range []uint64{1, 2} {
			last := w.want[g][len(w.want[g])-1].Index
			if g == 2 {
				last = 11
			}
			if err := l.Group(g).DeleteRange(1, last-1); err != nil {
				t.Fatal(err)
			}
			store(t, l.Log, g, entries(g, last+1, last+100, 1, 1000))
			if err := l.Group(g).DeleteRange(1, last+90); err != nil {
				t.Fatal(err)
			}
			l.Group(g).SetLive(live)
		}
		time.Sleep(time.Minute)
		if _, err := w.disk.Peek(w.segments[0]); err == nil {
			t.Fatalf("the damaged segment is still there: %+v", l.Usage())
		}
		l.mustEnd(t)
		l = start(t, w.disk, dir, small)
		if err := errors.Join(l.Damaged(), corruption(l.Log)); err != nil {
			t.Fatal(err)
		}
		l.mustEnd(t)
	})
}
