package alarm

import (
	"context"
	"errors"
	"log/slog"
	"reflect"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/warrenmq/warren/broker/queue"
)

// gauge is a machine as a test wants it.
type gauge struct {
	mu                sync.Mutex
	used, total, free uint64
	err               error
}

func (g *gauge) Memory() (used, total uint64, err error) {
	g.mu.Lock()
	defer g.mu.Unlock()
	return g.used, g.total, g.err
}

func (g *gauge) DiskFree() (uint64, error) {
	g.mu.Lock()
	defer g.mu.Unlock()
	return g.free, g.err
}

func (g *gauge) set(used, free uint64) {
	g.mu.Lock()
	defer g.mu.Unlock()
	g.used, g.free = used, free
}

// The places of the queues: 1 is led by self and replicated to a and b, 2 is led
// by a, 3 is in a's memory, 4 in self's, 5 has a leader that nobody knows.
func locate(id queue.ID) (leader string, replicas []string, ok bool) {
	all := []string{"self", "a", "b"}
	switch id {
	case 1:
		return "self", all, true
	case 2:
		return "a", all, true
	case 3:
		return "a", nil, true
	case 4:
		return "self", nil, true
	case 5:
		return "", all, true
	}
	return "", nil, false
}

func run(t *testing.T, g *gauge, test func(t *testing.T, a *Alarms, told *[]Kind)) {
	t.Helper()
	synctest.Test(t, func(t *testing.T) {
		var told []Kind
		a, err := New(Config{
			Self: "self", Resources: g, Locate: locate, Logger: slog.New(slog.DiscardHandler),
			Tell: func(k Kind) { told = append(told, k) },
		})
		if err != nil {
			t.Fatal(err)
		}
		ctx, cancel := context.WithCancel(t.Context())
		ended := make(chan error, 1)
		go func() { ended <- a.Run(ctx) }()
		synctest.Wait()
		test(t, a, &told)
		cancel()
		if err := <-ended; err != nil {
			t.Error(err)
		}
	})
}

// second lets a second pass, and Run look.
func second() {
	time.Sleep(time.Second)
	synctest.Wait()
}

func reason(a *Alarms, to ...queue.ID) string {
	why, changed, blocked := a.Blocked(to)
	if blocked != (why != "") || blocked != (changed != nil) {
		return "contradiction"
	}
	return why
}

func TestANodeThatIsShortHoldsBackItsOwnQueues(t *testing.T) {
	g := &gauge{used: 600, total: 1000, free: 50_000_000}
	run(t, g, func(t *testing.T, a *Alarms, told *[]Kind) {
		for _, step := range []struct {
			name       string
			used, free uint64
			want       string
		}{
			{"at the limits", 600, 50_000_000, ""},
			{"memory beyond", 601, 50_000_000, "low on memory"},
			{"and disk below", 601, 49_999_999, "low on disk & memory"},
			{"memory back, without hysteresis", 600, 49_999_999, "low on disk"},
			{"all well", 1, 60_000_000, ""},
		} {
			g.set(step.used, step.free)
			second()
			for _, id := range []queue.ID{1, 4} {
				if got := reason(a, id); got != step.want {
					t.Errorf("%s: queue %d is %q, want %q", step.name, id, got, step.want)
				}
			}
			for _, id := range []queue.ID{2, 3, 5, 99} {
				if got := reason(a, id); got != "" {
					t.Errorf("%s: queue %d, of others, is %q", step.name, id, got)
				}
			}
			if got := reason(a, 3, 2, 1); got != step.want {
				t.Errorf("%s: of three queues one is here: %q", step.name, got)
			}
		}
		if want := []Kind{Memory, Memory | Disk, Disk, None}; !reflect.DeepEqual(*told, want) {
			t.Errorf("the others were told %v, want %v", *told, want)
		}
	})
}

func TestAMajorityOfTheReplicasHoldsBackAQueue(t *testing.T) {
	run(t, &gauge{used: 1, total: 1000, free: 1 << 40}, func(t *testing.T, a *Alarms, _ *[]Kind) {
		check := func(want map[queue.ID]string) {
			t.Helper()
			for id := queue.ID(1); id <= 5; id++ {
				if got := reason(a, id); got != want[id] {
					t.Errorf("queue %d is %q, want %q", id, got, want[id])
				}
			}
		}
		check(nil)
		a.Heard("a", Disk) // leads queue 2 and keeps queue 3
		check(map[queue.ID]string{2: "low on disk", 3: "low on disk"})
		a.Heard("b", Memory) // and now two of three replicas
		check(map[queue.ID]string{1: "low on disk & memory", 2: "low on disk & memory", 3: "low on disk", 5: "low on disk & memory"})
		a.Gone("a")
		check(nil)
		if got := a.Nodes(); len(got) != 1 || got["b"] != Memory {
			t.Errorf("short: %v", got)
		}
	})
}

func TestAWordThatIsNotRepeatedCountsNoMore(t *testing.T) {
	run(t, &gauge{used: 1, total: 1000, free: 1 << 40}, func(t *testing.T, a *Alarms, _ *[]Kind) {
		a.Heard("a", Memory)
		for range 10 {
			second()
			a.Heard("a", Memory)
			if got := reason(a, 3); got != "low on memory" {
				t.Fatalf("repeated, and %q", got)
			}
		}
		time.Sleep(forgetAfter + time.Second)
		synctest.Wait()
		if got := reason(a, 3); got != "" {
			t.Errorf("%v after the last word: %q", forgetAfter, got)
		}
	})
}

func TestWhoWaitsLooksAgainWithinASecond(t *testing.T) {
	run(t, &gauge{used: 1, total: 1000, free: 1 << 40}, func(t *testing.T, a *Alarms, _ *[]Kind) {
		a.Heard("a", Memory)
		_, changed, _ := a.Blocked([]queue.ID{3})
		begin := time.Now()
		a.Heard("a", Memory)
		select {
		case <-changed:
			t.Error("the same word again woke who waits")
		default:
		}
		<-changed
		if passed := time.Since(begin); passed > time.Second {
			t.Errorf("woken after %v: the queue may have moved", passed)
		}
		_, changed, _ = a.Blocked([]queue.ID{3})
		a.Heard("a", None)
		select {
		case <-changed:
		default:
			t.Error("nobody was told that the alarm is over")
		}
	})
}

func TestLimitsCanBeChanged(t *testing.T) {
	g := &gauge{used: 500, total: 1000, free: 1 << 30}
	run(t, g, func(t *testing.T, a *Alarms, _ *[]Kind) {
		for _, step := range []struct {
			name string
			set  func()
			want string
		}{
			{"a lower watermark", func() { a.SetWatermark(Limit{Relative: true, Fraction: 0.4}) }, "low on memory"},
			{"an absolute one", func() { a.SetWatermark(Limit{Bytes: 501}) }, ""},
			{"more free disk", func() { a.SetDiskFreeLimit(Limit{Bytes: 1<<30 + 1}) }, "low on disk"},
			{"as much as memory", func() { a.SetDiskFreeLimit(Limit{Relative: true, Fraction: 1}) }, ""},
		} {
			step.set()
			synctest.Wait() // at once, not with the next measurement
			if got := reason(a, 1); got != step.want {
				t.Errorf("%s: %q, want %q", step.name, got, step.want)
			}
		}
	})
}

// A limit below what the node needs to go on would be no warning.
func TestTheDiskLimitIsAtLeastWhatTheNodeNeeds(t *testing.T) {
	g := &gauge{used: 1, total: 1000, free: 149}
	for _, c := range []struct {
		limit, want uint64
	}{{50, 150}, {200, 200}, {0, 0}} {
		limit := Limit{Bytes: c.limit}
		if c.limit == 0 {
			limit = Limit{Relative: true}
		}
		a, err := New(Config{Self: "self", Resources: g, Locate: locate, DiskFreeLimit: limit, DiskNeeded: 150, Logger: slog.New(slog.DiscardHandler)})
		if err != nil {
			t.Fatal(err)
		}
		a.look()
		s := a.Status()
		if alarmed := s.Alarms&Disk != 0; s.DiskFreeLimit != c.want || alarmed != (c.want > 0) || a.Short("self") != s.Alarms || a.Short("a") != None {
			t.Errorf("limit %d: used is %d, want %d; alarms %v", c.limit, s.DiskFreeLimit, c.want, s.Alarms)
		}
	}
}

func TestWhatCannotBeMeasuredRaisesNoAlarm(t *testing.T) {
	g := &gauge{err: errors.New("no such file")}
	run(t, g, func(t *testing.T, a *Alarms, _ *[]Kind) {
		if got := reason(a, 1, 4); got != "" {
			t.Error(got)
		}
	})
}

func TestWithoutAnAlarmAPublishCostsNoAllocation(t *testing.T) {
	a, err := New(Config{Self: "self", Resources: &gauge{}, Locate: func(queue.ID) (string, []string, bool) {
		t.Error("a queue was looked up")
		return "", nil, false
	}})
	if err != nil {
		t.Fatal(err)
	}
	to := []queue.ID{1}
	if n := testing.AllocsPerRun(100, func() { a.Blocked(to) }); n != 0 {
		t.Errorf("%v allocations", n)
	}
}
