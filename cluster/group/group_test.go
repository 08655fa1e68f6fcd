package group

import (
	"encoding/binary"
	"errors"
	"fmt"
	"slices"
	"testing"
	"time"

	"github.com/warrenmq/warren/broker/queue"
	"github.com/warrenmq/warren/cluster/peer/memconn"
)

func TestAnswersComeInTheOrderOfTheCalls(t *testing.T) {
	bubble(t, func(t *testing.T) {
		w := newWorld(t)
		ps := w.startThree()
		l := awaitLeading(t, ps)
		mustPropose(t, l, configure)
		const n = 500
		type answer struct {
			i, seq uint64
			err    error
		}
		done := make(chan answer, n)
		for i := uint64(1); i <= n; i++ {
			l.group.Propose(numbered(i), func(answers []queue.Answer, err error) {
				a := answer{i: i, err: err}
				if err == nil && answers[0].Status == queue.Applied {
					a.seq = answers[0].Seq
				}
				done <- a
			})
		}
		for i := uint64(1); i <= n; i++ {
			if a := <-done; a.err != nil || a.i != i || a.seq != i {
				t.Fatalf("answer %d is %+v", i, a)
			}
		}
		awaitEqual(t, ps)
		for _, p := range ps {
			got := bodies(t, p)
			if len(got) != n || !slices.IsSorted(got) {
				t.Errorf("%s: %d messages, in order: %v", p.id, len(got), slices.IsSorted(got))
			}
			if p.touched.Load() == 0 {
				t.Errorf("%s: nobody heard of what was applied", p.id)
			}
		}
	})
}

func TestFollowerRefusesAndSaysSo(t *testing.T) {
	bubble(t, func(t *testing.T) {
		w := newWorld(t)
		ps := w.startThree()
		l := awaitLeading(t, ps)
		for _, p := range without(ps, l) {
			if r := propose(t, p, configure); !notLeading(r.err) {
				t.Errorf("propose at follower %s = %v, want that it surely was not appended", p.id, r.err)
			}
			if p.group.Leased() {
				t.Errorf("follower %s is leased", p.id)
			}
		}
		await(t, "the leader's lease", time.Second, l.group.Leased)
		if got, hosted := ps[0].host.Leader(theGroup); got != l.id || !hosted {
			t.Errorf("Leader = %q, %v, want %q", got, hosted, l.id)
		}
	})
}

func TestBatchThatNobodyCouldApplyNeverEntersTheLog(t *testing.T) {
	bubble(t, func(t *testing.T) {
		w := newWorld(t)
		ps := w.startThree()
		l := awaitLeading(t, ps)
		for _, batch := range [][]byte{nil, {1}, {99, 1, 2, 3}, numbered(1)[:20]} {
			if r := propose(t, l, batch); !notLeading(r.err) || !errors.Is(r.err, queue.ErrMalformed) && !errors.Is(r.err, queue.ErrVersion) {
				t.Errorf("propose(% x) = %v", batch, r.err)
			}
		}
		mustPropose(t, l, configure)
	})
}

func TestConfirmedSurvivesEveryLeadersDeath(t *testing.T) {
	bubble(t, func(t *testing.T) {
		w := newWorld(t)
		ps := w.startThree()
		var confirmed []uint64
		for round := range uint64(12) {
			l := awaitLeading(t, ps)
			mustPropose(t, l, configure)
			var last uint64
			l.group.Locked(func(s *queue.State) { last = s.LastSeq(queue.Session{Incarnation: 1, Epoch: 1}) })
			results := make(chan uint64, 20)
			for i := last + 1; i <= last+20; i++ {
				l.group.Propose(numbered(i), func(answers []queue.Answer, err error) {
					if err == nil && answers[0].Status == queue.Applied {
						results <- i
					} else {
						results <- 0
					}
				})
			}
			time.Sleep(time.Duration(round) * 100 * time.Microsecond) // some are under way
			start := time.Now()
			l.kill()
			for range 20 {
				if n := <-results; n > 0 {
					confirmed = append(confirmed, n)
				}
			}
			rest := without(ps, l)
			awaitLeading(t, rest)
			if took := time.Since(start); took > time.Second {
				t.Errorf("round %d: led again after %v", round, took)
			}
			ps = append(rest, w.start(l.id, three...))
			time.Sleep(3 * time.Second)
		}
		awaitLeading(t, ps)
		awaitEqual(t, ps)
		got := bodies(t, ps[0])
		if !slices.IsSorted(got) || len(slices.Compact(slices.Clone(got))) != len(got) {
			t.Errorf("messages out of order or twice: %v", got)
		}
		for _, n := range confirmed {
			if _, found := slices.BinarySearch(got, n); !found {
				t.Errorf("confirmed message %d is lost", n)
			}
		}
		if len(confirmed) < 20 {
			t.Errorf("only %d messages were confirmed", len(confirmed))
		}
	})
}

func TestAllKilledAtOnceComeBackWithEverything(t *testing.T) {
	bubble(t, func(t *testing.T) {
		w := newWorld(t)
		ps := w.startThree()
		l := awaitLeading(t, ps)
		mustPropose(t, l, configure)
		for i := uint64(1); i <= 1500; i++ { // more than a snapshot's threshold
			mustPropose(t, l, numbered(i))
			if i%100 == 0 {
				time.Sleep(2 * time.Second)
			}
		}
		taken, err := w.disks[l.id].snapshots.List()
		if err != nil || len(taken) == 0 {
			t.Errorf("%d snapshots after 1500 entries: %v", len(taken), err)
		}
		for _, p := range ps {
			p.kill()
		}
		ps = w.startThree()
		start := time.Now()
		awaitLeading(t, ps)
		if took := time.Since(start); took > 5*time.Second {
			t.Errorf("led again after %v", took)
		}
		awaitEqual(t, ps)
		if got := bodies(t, ps[2]); len(got) != 1500 {
			t.Errorf("%d messages of 1500", len(got))
		}
	})
}

// A message that died is in no queue any more; until it is safe elsewhere it must outlive
// whatever happens to the replicas.
func TestDeadLettersSurviveTheDeathOfAll(t *testing.T) {
	bubble(t, func(t *testing.T) {
		w := newWorld(t)
		ps := w.startThree()
		l := awaitLeading(t, ps)
		mustPropose(t, l, queue.EncodeCommands(queue.Configure{Queue: theQueue, Settings: queue.Settings{
			VHost: "/", Name: "q", DeadLetters: true, DeliveryLimit: queue.Limit{Set: true, N: 0},
		}}))
		mustPropose(t, l, numbered(1))
		mustPropose(t, l, numbered(2))
		all := []queue.Range{{First: 1, Last: 600}}
		for i := uint64(3); i <= 600; i++ { // more than a snapshot's threshold
			mustPropose(t, l, numbered(i))
		}
		mustPropose(t, l, queue.EncodeCommands(
			queue.Settle{Queue: theQueue, Kind: queue.Reject, Ranges: []queue.Range{{First: 2, Last: 2}}, Bytes: 8},
			queue.Requeue{Queue: theQueue, Ranges: []queue.Range{{First: 1, Last: 1}}},
			queue.Settle{Queue: theQueue, Kind: queue.Ack, Ranges: all, Bytes: queue.UnknownBytes}))
		await(t, "a snapshot", time.Minute, func() bool {
			taken, err := w.disks[l.id].snapshots.List()
			return err == nil && len(taken) > 0
		})
		for _, p := range ps {
			p.kill()
		}
		ps = w.startThree()
		l = awaitLeading(t, ps)
		awaitEqual(t, ps)
		for _, p := range ps {
			var letters []queue.DeadLetter
			p.group.Locked(func(s *queue.State) { letters = s.Queue(theQueue).DeadLetters(0, 9) })
			var got []string
			for _, d := range letters {
				m, err := p.group.Message(d.Ref)
				if err != nil {
					t.Fatalf("dead letter %d at %s: %v", d.Number, p.id, err)
				}
				got = append(got, fmt.Sprint(binary.BigEndian.Uint64(m.Body), " ", d.Reason))
			}
			if want := []string{"2 rejected", "1 delivery_limit"}; !slices.Equal(got, want) {
				t.Errorf("dead letters at %s: %q, want %q", p.id, got, want)
			}
		}
		if a := mustPropose(t, l, queue.EncodeCommands(queue.DeadLettered{Queue: theQueue, Ranges: all})); a[0].Count != 2 {
			t.Errorf("DeadLettered: %+v", a[0])
		}
	})
}

func TestLeaderWithoutMajorityConfirmsNothing(t *testing.T) {
	bubble(t, func(t *testing.T) {
		w := newWorld(t)
		ps := w.startThree()
		l := awaitLeading(t, ps)
		mustPropose(t, l, configure)
		rest := without(ps, l)
		for _, p := range rest {
			p.kill()
		}
		r := propose(t, l, numbered(1))
		if r.err == nil {
			t.Fatal("confirmed by a minority")
		}
		if notLeading(r.err) {
			t.Errorf("%v: it was appended and may yet be committed", r.err)
		}
		await(t, "the end of leading", 5*time.Second, func() bool { return l.leads.Load() == 0 && !l.group.Leased() })
		ps = []*process{l}
		for _, p := range rest {
			ps = append(ps, w.start(p.id, three...))
		}
		mustPropose(t, awaitLeading(t, ps), configure)
		awaitEqual(t, ps)
	})
}

func TestLeadershipDriftsToThePreferredNode(t *testing.T) {
	bubble(t, func(t *testing.T) {
		w := newWorld(t)
		ps := w.startThree()
		awaitLeading(t, ps)
		for _, p := range ps {
			w.prefer(p.id)
			await(t, "leading at "+p.id, 20*time.Second, func() bool { return p.leads.Load() == 1 })
		}
		before := ps[2].led.Load()
		time.Sleep(time.Minute)
		if ps[2].led.Load() != before || leading(ps) != ps[2] {
			t.Errorf("the preferred leader does not stay")
		}
	})
}

func TestStoppingHandsTheLeadershipOver(t *testing.T) {
	bubble(t, func(t *testing.T) {
		w := newWorld(t)
		ps := w.startThree()
		l := awaitLeading(t, ps)
		w.prefer(l.id)
		mustPropose(t, l, configure)
		start := time.Now()
		stopped := make(chan struct{})
		go func() { l.stop(); close(stopped) }()
		rest := without(ps, l)
		awaitLeading(t, rest)
		if took := time.Since(start); took > 500*time.Millisecond {
			t.Errorf("led again after %v", took)
		}
		<-stopped
		if r := propose(t, l, configure); !notLeading(r.err) {
			t.Errorf("propose at a stopped replica = %v", r.err)
		}
	})
}

func TestReplicasMoveOneStepAtATime(t *testing.T) {
	bubble(t, func(t *testing.T) {
		w := newWorld(t)
		ps := w.startThree()
		l := awaitLeading(t, ps)
		mustPropose(t, l, configure)
		for i := uint64(1); i <= 200; i++ {
			mustPropose(t, l, numbered(i))
		}
		removed := without(ps, l)[0]
		added := w.start("d@1", three...)
		target := []string{l.id, without(ps, l)[1].id, "d@1"}
		await(t, "the move", 30*time.Second, func() bool {
			replicas, err := l.group.Move(t.Context(), target)
			if err != nil && !errors.Is(err, ErrMoving) {
				t.Fatalf("Move: %v", err)
			}
			if len(replicas) < 3 {
				t.Fatalf("only %v vote", replicas)
			}
			return err == nil
		})
		awaitEqual(t, []*process{l, added})
		if got := bodies(t, added); len(got) != 200 {
			t.Errorf("the new replica has %d messages of 200", len(got))
		}
		s := l.group.Status()
		slices.Sort(s.Replicas)
		slices.Sort(target)
		if !slices.Equal(s.Replicas, target) || len(s.Learners) != 0 {
			t.Errorf("replicas %v, learners %v, want %v", s.Replicas, s.Learners, target)
		}
		term := s.Term
		time.Sleep(time.Minute)
		if s := l.group.Status(); s.Term != term {
			t.Errorf("the removed replica %s disturbs the group: term %d, then %d", removed.id, term, s.Term)
		}
	})
}

func TestGroupOfOneLeadsItself(t *testing.T) {
	bubble(t, func(t *testing.T) {
		w := newWorld(t)
		p := w.start("a@1", "a@1")
		awaitLeading(t, []*process{p})
		mustPropose(t, p, configure)
		mustPropose(t, p, numbered(1))
		if !p.group.Leased() {
			t.Error("alone and not leased")
		}
		p.kill()
		p = w.start("a@1", "a@1")
		awaitLeading(t, []*process{p})
		if got := bodies(t, p); len(got) != 1 {
			t.Errorf("%d messages of 1", len(got))
		}
	})
}

func TestPartitionedLeaderIsReplacedAndRejoins(t *testing.T) {
	bubble(t, func(t *testing.T) {
		w := newWorld(t)
		ps := w.startThree()
		l := awaitLeading(t, ps)
		mustPropose(t, l, configure)
		cut(w.network, l)
		rest := without(ps, l)
		start := time.Now()
		next := awaitLeading(t, rest)
		if took := time.Since(start); took > 4*time.Second {
			t.Errorf("replaced after %v", took)
		}
		if l.group.Leased() {
			t.Error("two leased leaders")
		}
		mustPropose(t, next, numbered(1))
		w.network.HealAll()
		start = time.Now()
		awaitEqual(t, ps)
		if took := time.Since(start); took > 5*time.Second {
			t.Errorf("caught up after %v", took)
		}
	})
}

func cut(network *memconn.Network, p *process) {
	host := p.id[:1]
	network.Partition([]string{host}, slices.DeleteFunc([]string{"a", "b", "c"}, func(h string) bool { return h == host }))
}
