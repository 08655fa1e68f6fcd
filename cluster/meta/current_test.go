package meta

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"testing"
	"time"

	"github.com/hashicorp/raft"
)

// What one node has seen another one sees after Current, though it lagged behind.
func TestCurrentShowsWhatOthersHaveSeen(t *testing.T) {
	simulate(t, func(t *testing.T, c *simCluster) {
		c.addAll(nil, "a", "b", "c")
		c.awaitReady(20 * time.Second)
		c.awaitVoters(3)
		for round := range 50 {
			from, to := c.list()[round%3], c.list()[(round+1)%3]
			name := fmt.Sprint("q", round)
			if _, _, err := from.running().Propose(t.Context(), declare(name)); err != nil {
				t.Fatal(err)
			}
			if err := to.running().Current(t.Context()); err != nil {
				t.Fatal(err)
			}
			if !to.has(name) {
				t.Fatalf("round %d: %s has not what %s had", round, to.id(), from.id())
			}
		}
	})
}

// A new leader's first entry changes nothing, and a snapshot may hold all that does.
func TestCurrentAfterANewLeader(t *testing.T) {
	simulate(t, func(t *testing.T, c *simCluster) {
		c.addAll(nil, "a", "b", "c")
		c.awaitReady(20 * time.Second)
		c.awaitVoters(3)
		for range 3 {
			old := c.leader()
			old.stop()
			eventually(t, 20*time.Second, "another leader", func() bool { return c.leader() != nil })
			for _, n := range c.list() {
				if n == old {
					continue
				}
				start := time.Now()
				if err := n.running().Current(t.Context()); err != nil || time.Since(start) > 3*time.Second {
					t.Fatalf("%s: %v after %v", n.id(), err, time.Since(start))
				}
			}
			old.start()
			c.awaitReady(20 * time.Second)
		}
	})
}

func TestCurrentFailsInAMinority(t *testing.T) {
	simulate(t, func(t *testing.T, c *simCluster) {
		c.addAll(nil, "a", "b", "c")
		c.awaitReady(20 * time.Second)
		c.awaitVoters(3)
		for _, n := range []*simNode{c.leader(), c.follower()} {
			c.isolate(n)
			ctx, cancel := context.WithTimeout(t.Context(), 3*time.Second)
			err := n.running().Current(ctx)
			cancel()
			if !errors.Is(err, ErrUnavailable) {
				t.Errorf("%s alone: %v", n.id(), err)
			}
			c.isolate()
			eventually(t, 20*time.Second, "current again", func() bool { return n.running().Current(t.Context()) == nil })
		}
	})
}

// However many are refused at once, the leader is asked seldom, and nothing is written.
func TestCurrentIsSharedAndWritesNothing(t *testing.T) {
	simulate(t, func(t *testing.T, c *simCluster) {
		c.addAll(nil, "a", "b", "c")
		c.awaitReady(20 * time.Second)
		c.awaitVoters(3)
		m := c.follower().running()
		before, start := m.Status().Applied, time.Now()
		var calls sync.WaitGroup
		for range 1000 {
			calls.Go(func() {
				if err := m.Current(t.Context()); err != nil {
					t.Error(err)
				}
			})
		}
		calls.Wait()
		if took := time.Since(start); took > 100*time.Millisecond {
			t.Errorf("took %v", took)
		}
		if written := m.Status().Applied - before; written > 10 { // the cluster's own
			t.Errorf("%d entries were written", written)
		}
	})
}

// slowReads is a log that takes its time.
type slowReads struct{ raft.LogStore }

func (l slowReads) GetLog(index uint64, e *raft.Log) error {
	time.Sleep(time.Second)
	return l.LogStore.GetLog(index, e)
}

// The end of a leader leaves nobody behind who asks it just then.
func TestCurrentWhileTheLeaderEnds(t *testing.T) {
	simulate(t, func(t *testing.T, c *simCluster) {
		c.addAll(nil, "a", "b", "c")
		c.awaitReady(20 * time.Second)
		c.awaitVoters(3)
		l := c.leader()
		m := l.running()
		m.cfg.Stores.Log = slowReads{m.cfg.Stores.Log}
		var readers sync.WaitGroup
		for range 20 {
			readers.Go(func() {
				if index, err := m.committedIndex(t.Context()); err == nil {
					t.Errorf("a leader that has ended knows of %d", index)
				}
			})
		}
		time.Sleep(time.Second / 2)
		l.stop()
		readers.Wait()
	})
}
