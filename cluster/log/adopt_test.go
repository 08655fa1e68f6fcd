package log_test

import (
	"bytes"
	"errors"
	"testing"
	"testing/synctest"
	"time"

	"github.com/hashicorp/raft"

	"github.com/warrenmq/warren/cluster/log"
	"github.com/warrenmq/warren/cluster/log/memfs"
)

func adopt(t testing.TB, g *log.Group, es ...*raft.Log) {
	t.Helper()
	for _, e := range es {
		if err := g.Adopt(e.Index, e.Term, e.Data); err != nil {
			t.Fatalf("adopt %d: %v", e.Index, err)
		}
	}
	if err := g.SyncAdopted(); err != nil {
		t.Fatal(err)
	}
}

func wantBody(t testing.TB, g *log.Group, e *raft.Log) {
	t.Helper()
	term, data, err := g.Body(e.Index)
	if err != nil || term != e.Term || !bytes.Equal(data, e.Data) {
		t.Fatalf("body %d: term %d, %d bytes, %v; want term %d, %d bytes", e.Index, term, len(data), err, e.Term, len(e.Data))
	}
}

// A group that was empty gets bodies with a snapshot and goes on behind it.
func TestAdoptedBodiesAreReleasedEntries(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		disk := memfs.New(1)
		cfg := small
		cfg.CacheBytes = 1 // all is read from disk
		l := start(t, disk, dir, cfg)
		g := l.Group(1)
		live := newLiveSet()
		bodies := entries(1, 3, 400, 2, 900)
		adopt(t, g, bodies...)
		g.SetLive(live) // of the state before the snapshot
		wantLog(t, l.Log, 1, nil)
		time.Sleep(time.Minute)
		check := func() {
			t.Helper()
			for _, e := range bodies {
				wantBody(t, l.Group(1), e)
			}
			for _, index := range []uint64{1, 2, 401} {
				if _, _, err := l.Group(1).Body(index); !errors.Is(err, raft.ErrLogNotFound) {
					t.Fatalf("body %d: %v", index, err)
				}
			}
		}
		check()
		l.mustEnd(t)
		l = start(t, disk, dir, cfg)
		check()
		if got := l.Groups(); len(got) != 1 {
			t.Fatalf("groups %v", got)
		}
		for _, e := range bodies { // the snapshot is restored
			live.set(e.Index, 0)
		}
		l.Group(1).SetLive(live)
		own := entries(1, 500, 520, 3, 900)
		store(t, l.Log, 1, own)
		check()
		wantLog(t, l.Log, 1, own)
		for _, e := range bodies[:len(bodies)-1] {
			live.set(e.Index)
		}
		bodies = bodies[len(bodies)-1:]
		if err := l.Group(1).DeleteRange(500, 510); err != nil {
			t.Fatal(err)
		}
		time.Sleep(time.Minute)
		if st := l.Stats(); st.Reclaimed == 0 {
			t.Fatal("nothing was reclaimed")
		}
		for range 2 {
			wantBody(t, l.Group(1), bodies[0])
			if _, _, err := l.Group(1).Body(3); !errors.Is(err, raft.ErrLogNotFound) {
				t.Fatalf("body of a settled message: %v", err)
			}
			wantLog(t, l.Log, 1, own[11:])
			l.mustEnd(t)
			l = start(t, disk, dir, cfg)
		}
		if err := l.DropGroup(1); err != nil {
			t.Fatal(err)
		}
		if _, _, err := l.Group(1).Body(bodies[0].Index); !errors.Is(err, raft.ErrLogNotFound) {
			t.Fatalf("body after drop: %v", err)
		}
		l.mustEnd(t)
	})
}

// Entries that were never committed stand where a snapshot has others.
func TestAnAdoptedBodyComesBeforeAnUncommittedEntry(t *testing.T) {
	disk := memfs.New(1)
	l := start(t, disk, dir, small)
	own := entries(1, 1, 100, 2, 100)
	store(t, l.Log, 1, own)
	committed := entries(1, 90, 95, 3, 100)
	adopt(t, l.Group(1), append(entries(1, 1, 10, 2, 5), committed...)...) // of what is there, a part
	for range 2 {
		wantLog(t, l.Log, 1, own)
		for _, e := range own[:89] {
			wantBody(t, l.Group(1), e)
		}
		for _, e := range committed {
			wantBody(t, l.Group(1), e)
		}
		l.mustEnd(t)
		l = start(t, disk, dir, small)
	}
	if err := l.Group(1).DeleteRange(1, 100); err != nil { // Raft has restored the snapshot at 95
		t.Fatal(err)
	}
	more := entries(1, 96, 110, 3, 100)
	store(t, l.Log, 1, more)
	for range 2 {
		wantLog(t, l.Log, 1, more)
		for _, e := range append(own[:89:89], committed...) {
			wantBody(t, l.Group(1), e)
		}
		l.mustEnd(t)
		l = start(t, disk, dir, small)
	}
	l.mustEnd(t)
}

func TestAdoptedIsDurableWhenSynced(t *testing.T) {
	for s := range uint64(30) {
		synctest.Test(t, func(t *testing.T) {
			disk := memfs.New(s)
			l := start(t, disk, dir, small)
			bodies := entries(1, 10, 60, 2, 3000)
			adopt(t, l.Group(1), bodies...)
			next := disk.Crash()
			l.end() // the disk is gone: there is no good end
			l = start(t, next, dir, small)
			for _, e := range bodies {
				wantBody(t, l.Group(1), e)
			}
			l.mustEnd(t)
		})
	}
}

// What Raft has deleted with an uncommitted end counts as released, whatever the state knows of it:
// bodies that come for those indexes stay until Raft goes on.
func TestAdoptedBodiesStayUntilRaftGoesOn(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		l := start(t, memfs.New(1), dir, small)
		store(t, l.Log, 1, entries(1, 1, 100, 2, 100))
		if err := l.Group(1).DeleteRange(1, 100); err != nil {
			t.Fatal(err)
		}
		live := newLiveSet()
		l.Group(1).SetLive(live)
		l.Group(2).SetLive(live)
		body := entry(1, 98, 3, 100)
		adopt(t, l.Group(1), body)
		churn := func(first uint64) {
			for i := range uint64(300) {
				store(t, l.Log, 2, entries(2, first+i, first+i, 1, 1000))
			}
			if err := l.Group(2).DeleteRange(1, first+298); err != nil {
				t.Fatal(err)
			}
			time.Sleep(time.Minute)
		}
		churn(1)
		wantBody(t, l.Group(1), body)
		live.set(98, 0) // restored
		store(t, l.Log, 1, entries(1, 101, 101, 3, 100))
		churn(301)
		wantBody(t, l.Group(1), body)
		live.set(98)
		churn(601)
		if _, _, err := l.Group(1).Body(98); !errors.Is(err, raft.ErrLogNotFound) {
			t.Fatalf("a settled body: %v", err)
		}
		l.mustEnd(t)
	})
}
