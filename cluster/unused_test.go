package cluster

import (
	"context"
	"errors"
	"log/slog"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/warrenmq/warren/broker/queue"
)

// running runs an unused in virtual time and ends it.
func runUnused(t *testing.T, try func(context.Context, queue.ID, bool) error, f func(*unused)) {
	t.Helper()
	synctest.Test(t, func(t *testing.T) {
		u := newUnused(try, slog.New(slog.DiscardHandler))
		ctx, cancel := context.WithCancel(t.Context())
		ended := make(chan struct{})
		go func() {
			defer close(ended)
			_ = u.run(ctx)
		}()
		f(u)
		cancel()
		<-ended
		time.Sleep(time.Hour) // timers that were left do nothing
	})
}

func TestAnUnusedQueueIsTriedUntilItIsDeleted(t *testing.T) {
	var mu sync.Mutex
	var at []time.Time
	runUnused(t, func(context.Context, queue.ID, bool) error {
		mu.Lock()
		defer mu.Unlock()
		if at = append(at, time.Now()); len(at) < 10 {
			return errors.New("no majority")
		}
		return nil
	}, func(u *unused) {
		for range 50 { // an engine tells again and again
			u.add(1, false)
			time.Sleep(5 * time.Second)
		}
		synctest.Wait()
		u.mu.Lock()
		defer u.mu.Unlock()
		if len(u.ready) != 0 {
			t.Errorf("%d left", len(u.ready))
		}
	})
	for i := 1; i < 10; i++ {
		if pause := at[i].Sub(at[i-1]); pause < firstUnusedPause || pause > lastUnusedPause {
			t.Errorf("pause %d is %v", i, pause)
		}
	}
}

func TestAQueueThatBecomesUnusedWhileItIsLookedAtIsLookedAtAgain(t *testing.T) {
	var mu sync.Mutex
	tries := 0
	runUnused(t, func(context.Context, queue.ID, bool) error {
		mu.Lock()
		tries++
		mu.Unlock()
		time.Sleep(time.Second) // finds that it is used
		return nil
	}, func(u *unused) {
		u.add(1, false)
		time.Sleep(time.Millisecond)
		u.add(1, false) // not any more
		time.Sleep(10 * time.Second)
	})
	if tries != 2 {
		t.Errorf("%d tries, want 2", tries)
	}
}

func TestManyUnusedQueuesAreAllDeleted(t *testing.T) {
	var mu sync.Mutex
	seen := make(map[queue.ID]int)
	runUnused(t, func(_ context.Context, id queue.ID, _ bool) error {
		time.Sleep(time.Millisecond)
		mu.Lock()
		defer mu.Unlock()
		seen[id]++
		return nil
	}, func(u *unused) {
		for id := range queue.ID(1000) {
			u.add(id, false)
		}
		time.Sleep(10 * time.Second)
	})
	if len(seen) != 1000 {
		t.Errorf("%d of 1000 were tried", len(seen))
	}
}
