package group

import (
	"errors"
	"slices"
	"testing"
	"time"

	"github.com/warrenmq/warren/broker/queue"
)

var errFlipped = errors.New("a bit is flipped")

// reopened is the group that is open now, after a rebuild.
func (p *process) reopened() *Group {
	g, _ := p.host.Group(theGroup)
	return g
}

// reconcile lets the leader make the members what they should be, until they are.
func reconcile(t *testing.T, ps []*process, target ...string) {
	t.Helper()
	await(t, "the members", 2*time.Minute, func() bool {
		for _, p := range ps {
			if p.group = p.reopened(); p.group == nil {
				return false
			}
		}
		l := leading(ps)
		return l != nil && l.group.Move(t.Context(), target, nil) == nil && len(l.group.Status().Replicas) == len(target)
	})
}

// A replica whose log is damaged is closed, taken out of its group, and comes back
// with everything; the group goes on meanwhile.
func TestDamagedReplicaIsRebuilt(t *testing.T) {
	for _, who := range []string{"follower", "leader"} {
		t.Run(who, func(t *testing.T) {
			bubble(t, func(t *testing.T) {
				w := often(newWorld(t))
				ps := w.startThree()
				l := awaitLeading(t, ps)
				mustPropose(t, l, configure)
				for i := uint64(1); i <= 150; i++ {
					paced(t, l, padded(i))
				}
				mustPropose(t, l, settle(20, 100))
				awaitEqual(t, ps)
				broken := l
				if who == "follower" {
					broken = without(ps, l)[0]
				}
				rest := without(ps, broken)
				if err := broken.host.Rebuild(theGroup, errFlipped); err != nil {
					t.Fatal(err)
				}
				if broken.reopened() != nil {
					t.Error("the damaged replica is still open")
				}
				l = awaitLeading(t, rest)
				mustPropose(t, l, padded(151))
				await(t, "an empty replica", time.Minute, func() bool { return broken.reopened() != nil })
				if n := len(broken.host.Damaged()); n > 0 {
					t.Errorf("%d replicas are damaged", n)
				}
				reconcile(t, ps, three...)
				awaitEqual(t, ps)
				want := bodies(t, awaitLeading(t, ps))
				if got := bodies(t, broken); !slices.Equal(got, want) || len(got) != 151-81 {
					t.Errorf("%d messages, want %d", len(got), len(want))
				}
				// It is as good as any: it comes back after a restart, and leads.
				broken.kill()
				broken = w.start(broken.id, three...)
				ps = append(rest, broken)
				w.prefer(broken.id)
				await(t, "leading", time.Minute, func() bool { return broken.leads.Load() == 1 })
				mustPropose(t, broken, padded(152))
				awaitEqual(t, ps)
			})
		})
	}
}

// While nobody can take it out of the group, a damaged replica gives no vote: it has
// forgotten what it acknowledged, here what the third has never had.
func TestDamagedReplicaDoesNotVote(t *testing.T) {
	bubble(t, func(t *testing.T) {
		w := newWorld(t)
		ps := w.startThree()
		l := awaitLeading(t, ps)
		mustPropose(t, l, configure)
		awaitEqual(t, ps)
		broken, behind := without(ps, l)[0], without(ps, l)[1]
		cut(w.network, behind)
		for i := uint64(1); i <= 20; i++ {
			mustPropose(t, l, numbered(i))
		}
		if err := broken.host.Rebuild(theGroup, errFlipped); err != nil {
			t.Fatal(err)
		}
		l.kill()
		w.network.HealAll()
		time.Sleep(time.Minute)
		if behind.leads.Load() > 0 || broken.reopened() != nil {
			t.Fatalf("a group goes on without its messages: led %d, open %v", behind.leads.Load(), broken.reopened() != nil)
		}
		// Nor after a restart.
		broken.kill()
		broken = w.start(broken.id, three...)
		time.Sleep(time.Minute)
		if behind.leads.Load() > 0 || broken.reopened() != nil {
			t.Fatal("it votes after a restart")
		}
		if err := broken.host.Damaged()[theGroup]; err == nil {
			t.Error("it is not listed as damaged")
		}
		ps = []*process{w.start(l.id, three...), broken, behind}
		awaitLeading(t, []*process{ps[0], behind})
		reconcile(t, ps, three...)
		awaitEqual(t, ps)
		for _, p := range ps {
			if got := bodies(t, p); len(got) != 20 {
				t.Errorf("%s has %d messages of 20", p.id, len(got))
			}
		}
	})
}

// A process that ends between the steps goes on with them.
func TestRebuildGoesOnAfterACrash(t *testing.T) {
	for _, step := range []uint64{stepMarked, stepExpelled, stepWiped} {
		bubble(t, func(t *testing.T) {
			w := often(newWorld(t))
			ps := w.startThree()
			l := awaitLeading(t, ps)
			mustPropose(t, l, configure)
			for i := uint64(1); i <= 100; i++ {
				paced(t, l, padded(i))
			}
			broken := without(ps, l)[0]
			broken.kill()
			if step > stepMarked {
				if err := l.group.expel(broken.id); err != nil {
					t.Fatal(err)
				}
			}
			if step == stepWiped {
				d := w.disks[broken.id]
				fresh := newDisk(9)
				fresh.stable = d.stable
				w.disks[broken.id] = fresh
			}
			if err := w.disks[broken.id].stable.SetUint64(keyLeaving, step); err != nil {
				t.Fatal(err)
			}
			broken = w.start(broken.id, three...)
			ps = append(without(ps, without(ps, l)[0]), broken)
			await(t, "an empty replica", time.Minute, func() bool { return broken.reopened() != nil })
			reconcile(t, ps, three...)
			awaitEqual(t, ps)
			if got := bodies(t, broken); len(got) != 100 {
				t.Errorf("step %d: %d messages of 100", step, len(got))
			}
		})
	}
}

func TestDiscardedReplicaLeavesNothing(t *testing.T) {
	bubble(t, func(t *testing.T) {
		w := often(newWorld(t))
		ps := w.startThree()
		l := awaitLeading(t, ps)
		mustPropose(t, l, configure)
		for i := uint64(1); i <= 100; i++ {
			paced(t, l, padded(i))
		}
		out := without(ps, l)[0]
		await(t, "the end", time.Minute, func() bool {
			if err := out.host.Discard(theGroup); err != nil {
				t.Fatal(err)
			}
			empty, err := out.host.empty(theGroup)
			return empty && err == nil && out.reopened() == nil
		})
		if s := l.group.Status(); len(s.Replicas) != 2 || slices.Contains(s.Replicas, out.id) {
			t.Errorf("replicas are %v", s.Replicas)
		}
		if taken, _ := w.disks[out.id].snapshots.List(); len(taken) > 0 {
			t.Errorf("%d snapshots are left", len(taken))
		}
		if err := out.host.Ensure(theGroup, three); err != nil {
			t.Fatal(err)
		}
		reconcile(t, ps, three...)
		awaitEqual(t, ps)
	})
}

// What is kept of a group may not fit together: that is found before Raft starts.
func TestUnusableDataIsRebuilt(t *testing.T) {
	ways := map[string]func(d *disk){
		"no snapshot":     func(d *disk) { d.snapshots.clear() },
		"broken snapshot": func(d *disk) { d.snapshots.taken[0].data = d.snapshots.taken[0].data[:30] },
	}
	for name, damage := range ways {
		t.Run(name, func(t *testing.T) {
			bubble(t, func(t *testing.T) {
				w := often(newWorld(t))
				ps := w.startThree()
				l := awaitLeading(t, ps)
				mustPropose(t, l, configure)
				for i := uint64(1); i <= 100; i++ {
					paced(t, l, padded(i))
				}
				broken := without(ps, l)[0]
				rest := without(ps, broken)
				broken.kill()
				damage(w.disks[broken.id])
				broken = w.start(broken.id, three...)
				ps = append(rest, broken)
				await(t, "an empty replica", time.Minute, func() bool { return broken.reopened() != nil })
				reconcile(t, ps, three...)
				awaitEqual(t, ps)
				broken.group.Locked(func(s *queue.State) {
					if n := s.Queue(theQueue).Messages(); n != 100 {
						t.Errorf("%d messages of 100", n)
					}
				})
			})
		})
	}
}
