package group

import (
	"bytes"
	"encoding/binary"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/warrenmq/warren/broker/queue"
)

// often lets snapshots be taken and shipped after a few entries.
func often(w *world) *world {
	w.limits = SnapshotLimits{Bytes: 8 << 10, Entries: 40, Trailing: 2 << 10, TrailingHeld: 1 << 20}
	return w
}

// paced proposes when everybody has done with what was before: who has less of the
// processor's time would lag, and be sent a snapshot.
func paced(t testing.TB, p *process, batch []byte) {
	t.Helper()
	mustPropose(t, p, batch)
	time.Sleep(10 * time.Millisecond)
}

// padded is a publish batch of one message whose body is n and 200 bytes more.
func padded(n uint64) []byte {
	var b queue.Builder
	body := append(binary.BigEndian.AppendUint64(nil, n), make([]byte, 200)...)
	b.Add([]queue.ID{theQueue}, &queue.Message{Exchange: "e", RoutingKey: "k", Body: body, TTL: queue.NoTTL})
	return b.Seal(queue.Session{Incarnation: 1, Epoch: 1}, n)
}

func settle(first, last uint64) []byte {
	return queue.EncodeCommands(queue.Settle{Queue: theQueue, Kind: queue.Ack, Ranges: []queue.Range{{First: first, Last: last}}, Bytes: queue.UnknownBytes})
}

func logOf(p *process) *reclaiming { return p.group.entries.(*reclaiming) }

func firstIndex(t testing.TB, p *process) uint64 {
	t.Helper()
	first, err := logOf(p).FirstIndex()
	if err != nil {
		t.Fatal(err)
	}
	return first
}

// Raft keeps the trailing bytes and releases what lies before the snapshot; a
// message that is still in its queue stays readable.
func TestSnapshotsReleaseTheLog(t *testing.T) {
	bubble(t, func(t *testing.T) {
		w := often(newWorld(t))
		ps := w.startThree()
		l := awaitLeading(t, ps)
		mustPropose(t, l, configure)
		for i := uint64(1); i <= 400; i++ {
			paced(t, l, padded(i))
			if i > 1 {
				paced(t, l, settle(i, i))
			}
		}
		awaitEqual(t, ps)
		time.Sleep(time.Second) // in a bubble: until nobody is busy
		for _, p := range ps {
			first, last := firstIndex(t, p), p.group.raft.LastIndex()
			if kept := last - first; kept > 100 || kept < 5 {
				t.Errorf("%s keeps %d entries of %d", p.id, kept, last)
			}
			if n := logOf(p).reclaim(); n < 600 {
				t.Errorf("%s reclaims %d entries", p.id, n)
			}
			if got := bodies(t, p); !slices.Equal(got, []uint64{1}) {
				t.Errorf("%s has %v", p.id, got)
			}
		}
	})
}

func TestIdleGroupTakesNoSnapshots(t *testing.T) {
	bubble(t, func(t *testing.T) {
		w := often(newWorld(t))
		ps := w.startThree()
		l := awaitLeading(t, ps)
		mustPropose(t, l, configure)
		time.Sleep(time.Hour)
		for _, p := range ps {
			if taken, _ := w.disks[p.id].snapshots.List(); len(taken) > 0 {
				t.Errorf("%s has taken %d snapshots of nothing", p.id, len(taken))
			}
		}
	})
}

// A follower that was away comes back to a log that is gone, and gets the state and
// the bodies, among them those of dead letters.
func TestFollowerThatLagsGetsSnapshotAndBodies(t *testing.T) {
	for _, wiped := range []bool{false, true} {
		t.Run(fmt.Sprintf("wiped %v", wiped), func(t *testing.T) {
			bubble(t, func(t *testing.T) {
				w := often(newWorld(t))
				ps := w.startThree()
				l := awaitLeading(t, ps)
				mustPropose(t, l, queue.EncodeCommands(queue.Configure{Queue: theQueue, Settings: queue.Settings{VHost: "/", Name: "q", DeadLetters: true}}))
				next := uint64(1)
				publish := func(n int) {
					for range n {
						paced(t, l, padded(next))
						next++
					}
				}
				publish(60)
				away := without(ps, l)[0]
				awaitEqual(t, ps)
				away.kill()
				publish(100)
				mustPropose(t, l, settle(10, 20)) // it holds these
				mustPropose(t, l, settle(90, 140))
				mustPropose(t, l, queue.EncodeCommands(queue.Settle{Queue: theQueue, Kind: queue.Reject, Ranges: []queue.Range{{First: 30, Last: 31}, {First: 80, Last: 80}}, Bytes: queue.UnknownBytes}))
				publish(100)
				mustPropose(t, l, settle(200, 210))
				awaitEqual(t, without(ps, away))
				time.Sleep(time.Second)
				logOf(l).reclaim()
				if wiped {
					delete(w.disks, away.id)
				}
				before := logOf(l).first()
				initial := three
				if wiped {
					initial = nil
				}
				back := w.start(away.id, initial...)
				ps = append(without(ps, away), back)
				awaitEqual(t, ps)
				if before < 65 {
					t.Fatalf("the leader's log begins with %d: no snapshot was needed", before)
				}
				want, got := bodies(t, l), bodies(t, back)
				if !slices.Equal(got, want) || len(want) != 260-11-51-3-11 {
					t.Errorf("%d messages, want %d", len(got), len(want))
				}
				back.group.Locked(func(s *queue.State) {
					for _, d := range s.Queue(theQueue).DeadLetters(0, 9) {
						if !logOf(back).Has(d.Ref.Index) {
							t.Errorf("dead letter %d has no body", d.Number)
						}
					}
				})
				if n, have := logOf(back).count, len(want); !wiped && n > have-40 {
					t.Errorf("%d bodies of %d were sent, though most were there", n, have)
				}
				// It leads on with what it has.
				w.prefer(back.id)
				await(t, "leading", time.Minute, func() bool { return back.leads.Load() == 1 })
				mustPropose(t, back, settle(1, 5))
				awaitEqual(t, ps)
				back.stop()
				back = w.start(back.id, three...)
				ps = append(without(ps, ps[2]), back)
				awaitEqual(t, ps)
				if got := bodies(t, back); !slices.Equal(got, want[5:]) {
					t.Errorf("after a restart %d messages, want %d", len(got), len(want)-5)
				}
			})
		})
	}
}

func (r *reclaiming) first() uint64 {
	first, _ := r.FirstIndex()
	return first
}

// What a snapshot counts as live may be settled and reclaimed before its body is
// read: it is left out, and the receiver does not serve before it knows.
func TestBodyReclaimedSinceTheSnapshotIsLeftOut(t *testing.T) {
	bubble(t, func(t *testing.T) {
		w := often(newWorld(t))
		ps := w.startThree()
		l := awaitLeading(t, ps)
		mustPropose(t, l, configure)
		away := without(ps, l)[0]
		away.kill()
		for i := uint64(1); i <= 100; i++ {
			paced(t, l, padded(i))
		}
		time.Sleep(time.Second)
		taken, _ := w.disks[l.id].snapshots.List()
		snapshotted := taken[0].Index
		if first := firstIndex(t, l); first < 10 {
			t.Fatalf("the log still begins with %d", first)
		}
		var from, through queue.Item
		l.group.Locked(func(s *queue.State) {
			from, _ = s.Queue(theQueue).Lookup(1)
			through, _ = s.Queue(theQueue).Lookup(40)
		})
		mustPropose(t, l, settle(1, 40)) // after the snapshot
		if logOf(l).reclaim() < 5 {
			t.Fatal("nothing is reclaimed")
		}
		if again, _ := w.disks[l.id].snapshots.List(); again[0].Index != snapshotted {
			t.Fatalf("a newer snapshot than up to %d", snapshotted)
		}
		w.network.Partition([]string{away.id[:1]}, []string{without(ps, l)[1].id[:1]})
		back := w.start(away.id, three...)
		await(t, "the state of the leader", time.Minute, func() bool { return hash(back) == hash(l) })
		for i := from.Ref.Index; i <= through.Ref.Index; i++ {
			if logOf(back).Has(i) {
				t.Errorf("entry %d was sent", i)
			}
		}
		back.group.fsm.mu.Lock()
		if a := back.group.fsm.awaited; a.settledBy != 0 || a.entries != nil {
			t.Errorf("still awaited: %+v", a)
		}
		back.group.fsm.mu.Unlock()
		if got := bodies(t, back); len(got) != 60 || got[0] != 41 {
			t.Errorf("%d messages from %d on", len(got), got[0])
		}
		w.network.HealAll()
		awaitEqual(t, append(without(ps, away), back))
	})
}

// Before a crash more may have been settled, and reclaimed, than the last snapshot
// knows of: the log behind it says so.
func TestRestartAfterReclaimingWhatTheSnapshotCounts(t *testing.T) {
	bubble(t, func(t *testing.T) {
		w := often(newWorld(t))
		ps := w.startThree()
		l := awaitLeading(t, ps)
		mustPropose(t, l, configure)
		for i := uint64(1); i <= 100; i++ {
			paced(t, l, padded(i))
		}
		time.Sleep(time.Second)
		paced(t, l, settle(1, 40))
		awaitEqual(t, ps)
		for _, p := range ps {
			if logOf(p).reclaim() < 5 {
				t.Fatal("nothing is reclaimed")
			}
			p.kill()
		}
		ps = w.startThree()
		l = awaitLeading(t, ps)
		mustPropose(t, l, padded(101))
		awaitEqual(t, ps)
		for _, p := range ps {
			if got := bodies(t, p); len(got) != 61 {
				t.Errorf("%s has %d messages of 61", p.id, len(got))
			}
			if n := len(p.host.Damaged()); n > 0 {
				t.Errorf("%s calls %d replicas damaged", p.id, n)
			}
		}
	})
}

// A leader that finds a body missing which nothing has settled does not serve: its
// replica is rebuilt.
func TestLeaderWithoutABodyIsRebuilt(t *testing.T) {
	bubble(t, func(t *testing.T) {
		w := often(newWorld(t))
		ps := w.startThree()
		l := awaitLeading(t, ps)
		mustPropose(t, l, configure)
		for i := uint64(1); i <= 100; i++ {
			paced(t, l, padded(i))
		}
		awaitEqual(t, ps)
		w.disks[l.id].adopted.gone[20] = true
		w.prefer(l.id)
		l.kill()
		broken := w.start(l.id, three...)
		ps = append(without(ps, l), broken)
		first := broken.group
		await(t, "another replica", time.Minute, func() bool { return broken.reopened() != nil && broken.reopened() != first })
		if broken.led.Load() > 0 {
			t.Error("it has led")
		}
		reconcile(t, ps, three...)
		awaitEqual(t, ps)
		if got := bodies(t, broken); len(got) != 100 {
			t.Errorf("%d messages of 100", len(got))
		}
	})
}

// A state that is restored without bodies that nothing has settled is refused.
func TestStateWithoutItsBodiesIsRefused(t *testing.T) {
	bubble(t, func(t *testing.T) {
		w := often(newWorld(t))
		p := w.start("a@1", "a@1")
		awaitLeading(t, []*process{p})
		mustPropose(t, p, configure)
		for i := uint64(1); i <= 100; i++ {
			mustPropose(t, p, padded(i))
		}
		f, entries := p.group.fsm, logOf(p)
		snap, err := f.Snapshot()
		if err != nil {
			t.Fatal(err)
		}
		var state bytes.Buffer
		taken := snap.(*snapshot)
		for taken.frozen.Encode(1) {
		}
		if err := taken.write(&state, taken.frozen.Size()); err != nil {
			t.Fatal(err)
		}
		taken.Release()
		restore := func(settledBy uint64) (*fsm, error) {
			broken := make(chan error, 1)
			other := newFSM(theGroup, entries, newGrowth(SnapshotLimits{}.withDefaults(), func(uint64, uint64) {}), func(uint64, []queue.ID) {}, func(err error) { broken <- err }, nil)
			other.await(settledBy)
			return other, other.Restore(reader(state.Bytes()))
		}
		if _, err := restore(0); err != nil {
			t.Errorf("whole: %v", err)
		}
		entries.mu.Lock()
		entries.gone[50] = true
		entries.mu.Unlock()
		if _, err := restore(0); err == nil || !strings.Contains(err.Error(), "entry 50") {
			t.Errorf("without a body: %v", err)
		}
		settledLater, err := restore(f.position() + 2)
		if err != nil {
			t.Errorf("settled by what follows: %v", err)
		}
		if _, err := settledLater.liveIn(&window{next: 1, last: 10}); err == nil {
			t.Error("it would send bodies on that it may lack")
		}
	})
}
