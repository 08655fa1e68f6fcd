package group

import (
	"context"
	"errors"
	"slices"
	"testing"
	"time"
)

// A node that yields leads nothing, whatever the others prefer, until it yields no more.
func TestANodeThatYieldsLeadsNothing(t *testing.T) {
	bubble(t, func(t *testing.T) {
		w := newWorld(t)
		ps := w.startThree()
		l := awaitLeading(t, ps)
		mustPropose(t, l, configure)
		w.prefer(l.id)
		l.host.Yield(true)
		start := time.Now()
		ctx, cancel := context.WithTimeout(t.Context(), 5*time.Second)
		defer cancel()
		if left := l.host.HandOver(ctx); left != 0 {
			t.Errorf("%d leaderships are left", left)
		}
		awaitLeading(t, without(ps, l))
		if took := time.Since(start); took > 500*time.Millisecond {
			t.Errorf("handed over after %v", took)
		}
		led := l.led.Load()
		for range 60 {
			time.Sleep(time.Second)
		}
		mustPropose(t, awaitLeading(t, without(ps, l)), configure)
		if l.led.Load() != led {
			t.Error("a node that yields has led")
		}
		l.host.Yield(false)
		if took := await(t, "leading where it should be", time.Minute, func() bool { return l.leads.Load() == 1 }); took > 20*time.Second {
			t.Errorf("leads again after %v", took)
		}
	})
}

func TestHandOverEndsWhenNobodyTakesOver(t *testing.T) {
	bubble(t, func(t *testing.T) {
		w := newWorld(t)
		ps := w.startThree()
		l := awaitLeading(t, ps)
		mustPropose(t, l, configure)
		for _, p := range ps {
			p.host.Yield(true)
		}
		start := time.Now()
		if left := l.host.HandOver(t.Context()); left != 1 {
			t.Errorf("%d leaderships are left", left)
		}
		if took := time.Since(start); took > 3*time.Second {
			t.Errorf("given up after %v", took)
		}
		mustPropose(t, l, configure)
	})
}

// Whoever is known to yield is not asked: the leader does not resign for nothing, and
// serves on without a break.
func TestNobodyIsAskedWhoIsKnownToYield(t *testing.T) {
	bubble(t, func(t *testing.T) {
		w := newWorld(t)
		ps := w.startThree()
		l := awaitLeading(t, ps)
		mustPropose(t, l, configure)
		w.yield(three...)
		for _, p := range ps {
			p.host.Yield(true)
		}
		if left := l.host.HandOver(t.Context()); left != 1 || l.resigned.Load() != 0 {
			t.Errorf("%d leaderships are left, it resigned %d times", left, l.resigned.Load())
		}
		mustPropose(t, l, numbered(1))
		to := without(ps, l)[1]
		to.host.Yield(false)
		w.yield(l.id, without(ps, l)[0].id)
		if left := l.host.HandOver(t.Context()); left != 0 {
			t.Errorf("%d leaderships are left", left)
		}
		await(t, "leading where somebody takes it", 5*time.Second, func() bool { return to.leads.Load() == 1 })
	})
}

// Who refused the leadership may take it later, in the same term.
func TestARefusalIsNotForTheTerm(t *testing.T) {
	bubble(t, func(t *testing.T) {
		w := newWorld(t)
		ps := w.startThree()
		l := awaitLeading(t, ps)
		mustPropose(t, l, configure)
		for _, p := range ps {
			p.host.Yield(true)
		}
		if left := l.host.HandOver(t.Context()); left != 1 {
			t.Fatalf("%d leaderships are left", left)
		}
		term := l.group.Status().Term
		for _, p := range without(ps, l) {
			p.host.Yield(false)
		}
		time.Sleep(refusedPause + time.Second)
		if now := l.group.Status().Term; now != term || l.leads.Load() != 1 {
			t.Fatalf("term %d, before %d; leads: %d", now, term, l.leads.Load())
		}
		if left := l.host.HandOver(t.Context()); left != 0 {
			t.Errorf("%d leaderships are left", left)
		}
		awaitLeading(t, without(ps, l))
	})
}

// A member that is gone for good is removed at once, also while what replaces it has not
// come yet.
func TestAForgottenMemberIsRemovedFirst(t *testing.T) {
	bubble(t, func(t *testing.T) {
		w := newWorld(t)
		ps := w.startThree()
		l := awaitLeading(t, ps)
		mustPropose(t, l, configure)
		dead := without(ps, l)[0]
		dead.kill()
		target := []string{l.id, without(ps, l)[1].id, "d@1"} // d does not run
		deadline := time.Now().Add(10 * time.Second)
		for time.Now().Before(deadline) {
			if err := l.group.Move(t.Context(), target, []string{dead.id}); err != nil && !errors.Is(err, ErrMoving) {
				t.Fatalf("Move: %v", err)
			}
			time.Sleep(100 * time.Millisecond)
		}
		s := l.group.Status()
		if len(s.Replicas) != 2 || slices.Contains(s.Replicas, dead.id) || !slices.Equal(s.Learners, []string{"d@1"}) {
			t.Errorf("replicas %v, learners %v", s.Replicas, s.Learners)
		}
		mustPropose(t, l, numbered(1))
		d := w.start("d@1")
		await(t, "the move", 30*time.Second, func() bool { return l.group.Move(t.Context(), target, nil) == nil })
		awaitEqual(t, []*process{l, d})
		voters, term, index, err := l.group.Members()
		if err != nil || len(voters) != 3 || !slices.Contains(voters, "d@1") || term == 0 || index == 0 {
			t.Errorf("Members: %v %d %d %v", voters, term, index, err)
		}
	})
}

// Any node may drive a move: the leader dies in the middle of it, and the next goes on.
func TestAMoveOutlivesItsDriver(t *testing.T) {
	bubble(t, func(t *testing.T) {
		w := newWorld(t)
		ps := w.startThree()
		l := awaitLeading(t, ps)
		mustPropose(t, l, configure)
		for i := uint64(1); i <= 50; i++ {
			mustPropose(t, l, numbered(i))
		}
		rest := without(ps, l)
		d := w.start("d@1")
		target := []string{rest[0].id, rest[1].id, "d@1"} // the leader itself goes
		if err := l.group.Move(t.Context(), target, nil); !errors.Is(err, ErrMoving) {
			t.Fatalf("the first step: %v", err)
		}
		l.kill()
		all := append(slices.Clone(rest), d)
		await(t, "the move", time.Minute, func() bool {
			now := leading(all)
			return now != nil && now.group.Move(t.Context(), target, nil) == nil && len(now.group.Status().Replicas) == 3
		})
		awaitEqual(t, all)
		if got := bodies(t, d); len(got) != 50 {
			t.Errorf("the new replica has %d messages of 50", len(got))
		}
	})
}
