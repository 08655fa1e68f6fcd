package group

import (
	"errors"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/hashicorp/raft"

	"github.com/warrenmq/warren/broker/level"
	"github.com/warrenmq/warren/broker/queue"
)

// A replica that meets a level that its build does not know stops as it is: it applies nothing
// from there on, says why, and keeps all of its log for a build that does.
func TestReplicaOfAnOlderBuildStopsAndKeepsAll(t *testing.T) {
	bubble(t, func(t *testing.T) {
		w := newWorld(t)
		ps := w.startThree()
		l := awaitLeading(t, ps)
		mustPropose(t, l, configure)
		for i := uint64(1); i <= 5; i++ {
			mustPropose(t, l, numbered(i))
		}
		if r := propose(t, l, queue.EncodeCommands(queue.Level{Level: level.Known + 1})); !errors.Is(r.err, level.ErrUnknown) {
			t.Fatalf("an older build proposes a newer level: %v", r.err)
		}
		awaitEqual(t, ps)
		before, last := hash(l), l.group.raft.LastIndex()

		// As a newer build that led the group would have it.
		future := l.group.raft.ApplyLog(raft.Log{Data: queue.EncodeCommands(queue.Level{Level: level.Known + 1})}, time.Second)
		if err := future.Error(); err != nil {
			t.Fatal(err)
		}
		if err, ok := future.Response().(error); !ok || !errors.Is(err, level.ErrUnknown) {
			t.Fatalf("the entry is answered with %v", future.Response())
		}
		if r := propose(t, l, numbered(6)); r.err == nil {
			t.Error("what follows is confirmed")
		}
		open := func(p *process) bool {
			_, ok := p.host.Group(theGroup)
			return ok
		}
		// A third one alone may never hear that the entry is committed.
		await(t, "two replicas are closed", time.Minute, func() bool {
			return !open(l) && slices.ContainsFunc(without(ps, l), func(p *process) bool { return !open(p) })
		})
		time.Sleep(10 * time.Second) // and they stay so
		for _, p := range ps {
			if len(p.host.Damaged()) > 0 || hash(p) != before {
				t.Errorf("%s: damaged %v, state %x, was %x", p.id, p.host.Damaged(), hash(p), before)
			}
			if open(p) {
				continue
			}
			err := p.host.Ensure(theGroup, three)
			if !errors.Is(err, level.ErrUnknown) || !strings.Contains(err.Error(), "was written at level") {
				t.Errorf("%s is opened again: %v", p.id, err)
			}
			if index, err := p.log.Group(theGroup).LastIndex(); err != nil || index <= last {
				t.Errorf("%s keeps its log up to %d (%v), it had %d and the level", p.id, index, err, last)
			}
			if step, err := storedNumber(w.disks[p.id].stable, keyLeaving); step != 0 || err != nil {
				t.Errorf("%s gives its replica up: step %d, %v", p.id, step, err)
			}
		}
		l.stop()
		ended := slices.IndexFunc(w.disks[l.id].snapshots.taken, func(s *shelved) bool { return s.meta.Index > last })
		if ended >= 0 {
			t.Error("a snapshot says that the level is applied")
		}
	})
}

// A snapshot of a newer build is no damage: the replica is not made anew.
func TestSnapshotOfANewerBuildIsNoDamage(t *testing.T) {
	damaged, unknown := make(chan error, 1), make(chan error, 1)
	f := newFSM(theGroup, entries{raft.NewInmemStore()}, newGrowth(SnapshotLimits{}.withDefaults(), func(uint64, uint64) {}),
		func(uint64, []queue.ID) {}, func(err error) { damaged <- err }, func(err error) { unknown <- err })
	f.ApplyBatch([]*raft.Log{{Index: 2, Data: configure}})
	taken, err := f.Snapshot()
	if err != nil {
		t.Fatal(err)
	}
	sink := &shelfSink{shelf: &shelf{}}
	if err := taken.Persist(sink); err != nil {
		t.Fatal(err)
	}
	taken.Release()
	newer := slices.Clone(sink.data)
	newer[snapshotHead+1] = level.Known + 1

	err = f.Restore(reader(newer))
	if !errors.Is(err, level.ErrUnknown) || !strings.Contains(err.Error(), "a snapshot was written at level") {
		t.Fatalf("refused with %v", err)
	}
	if len(damaged) > 0 || len(unknown) != 1 {
		t.Errorf("%d times damaged, %d unknown", len(damaged), len(unknown))
	}
	if answer := f.Apply(&raft.Log{Index: 3, Data: numbered(1)}); !errors.Is(answer.(error), level.ErrUnknown) {
		t.Errorf("an entry behind it is answered with %v", answer)
	}
	if _, err := f.Snapshot(); !errors.Is(err, level.ErrUnknown) {
		t.Errorf("a snapshot of it: %v", err)
	}
}
