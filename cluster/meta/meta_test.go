package meta

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"testing"
	"time"

	"github.com/warrenmq/warren/broker/topology"
)

func TestDeclareIsVisibleEverywhereAtOnce(t *testing.T) {
	simulate(t, func(t *testing.T, c *simCluster) {
		c.addAll(nil, "a", "b", "c")
		c.awaitReady(20 * time.Second)
		c.awaitVoters(3)
		for _, n := range c.list() {
			for i := range 20 {
				name := fmt.Sprintf("%s-%d", n.cfg.Self.Name, i)
				start := time.Now()
				res, err := n.running().Apply(t.Context(), declare(name))
				if err != nil || !res.Created {
					t.Fatalf("declare %s: %+v, %v", name, res, err)
				}
				if took := time.Since(start); took > 100*time.Millisecond {
					t.Errorf("declare %s took %v of virtual time: the notice did not come", name, took)
				}
				for _, other := range c.list() {
					if !other.has(name) {
						t.Fatalf("%s is not visible at %s", name, other.id())
					}
				}
			}
		}
	})
}

func TestRefusalsComeBackToTheOrigin(t *testing.T) {
	simulate(t, func(t *testing.T, c *simCluster) {
		c.addAll(nil, "a", "b", "c")
		c.awaitReady(20 * time.Second)
		m := c.follower().running()
		_, err := m.Apply(t.Context(), topology.Bind{Binding: topology.Binding{VHost: "/", Source: "amq.direct", Destination: "none"}})
		if !errors.Is(err, topology.ErrNotFound) {
			t.Errorf("bind of a missing queue: %v, want ErrNotFound", err)
		}
		if u, ok := m.User("guest"); !ok || !u.CheckPassword("guest") {
			t.Errorf("guest is %+v, %v", u, ok)
		}
		if p, ok := m.Permission("guest", "/"); !ok || p.Read != ".*" {
			t.Errorf("guest may %+v, %v", p, ok)
		}
	})
}

func TestLeaderLoss(t *testing.T) {
	simulate(t, func(t *testing.T, c *simCluster) {
		c.addAll(nil, "a", "b", "c")
		c.awaitReady(20 * time.Second)
		c.awaitVoters(3)
		for round := range 6 {
			old := c.leader()
			old.stop()
			n := c.list()[0]
			if n == old {
				n = c.list()[1]
			}
			name := fmt.Sprintf("after-%d", round)
			start := time.Now()
			if _, err := n.running().Apply(t.Context(), declare(name)); err != nil {
				t.Fatalf("round %d: %v after %v", round, err, time.Since(start))
			}
			old.start()
			c.awaitReady(20 * time.Second)
			if !old.has(name) {
				t.Fatalf("%s is ready without %s", old.id(), name)
			}
		}
	})
}

func TestMinorityFailsInTime(t *testing.T) {
	simulate(t, func(t *testing.T, c *simCluster) {
		c.addAll(nil, "a", "b", "c")
		c.awaitReady(20 * time.Second)
		c.awaitVoters(3)
		for _, n := range []*simNode{c.leader(), c.follower()} {
			c.isolate(n)
			start := time.Now()
			_, err := n.running().Apply(t.Context(), declare("minority"))
			if took := time.Since(start); !errors.Is(err, ErrUnavailable) || took > 5*time.Second {
				t.Errorf("in a minority: %v after %v", err, took)
			}
			start = time.Now()
			_, err = n.running().Apply(t.Context(), declare("minority"))
			if took := time.Since(start); !errors.Is(err, ErrNoQuorum) || took > 5*time.Second {
				t.Errorf("without a leader: %v after %v", err, took)
			}
			for _, other := range c.list() {
				if other == n {
					continue
				}
				if _, err := other.running().Apply(t.Context(), declare("majority-"+n.cfg.Self.Name)); err != nil {
					t.Errorf("in the majority: %v", err)
				}
			}
			c.isolate()
			if _, err := n.running().Apply(t.Context(), declare("healed-"+n.cfg.Self.Name)); err != nil {
				t.Errorf("healed: %v", err)
			}
			if !n.has("majority-" + n.cfg.Self.Name) {
				t.Errorf("healed, but without what the majority declared")
			}
		}
	})
}

func TestManyDeclaresAtOnceShareEntries(t *testing.T) {
	simulate(t, func(t *testing.T, c *simCluster) {
		c.addAll(nil, "a", "b", "c")
		c.awaitReady(20 * time.Second)
		c.awaitVoters(3)
		m := c.follower().running()
		before := m.Status().Applied
		var calls sync.WaitGroup
		for i := range 2000 {
			calls.Go(func() {
				if _, err := m.Apply(t.Context(), declare(fmt.Sprintf("q%d", i))); err != nil {
					t.Errorf("declare %d: %v", i, err)
				}
			})
		}
		calls.Wait()
		if entries := m.Status().Applied - before; entries > 200 {
			t.Errorf("2000 commands took %d entries", entries)
		}
		for _, n := range c.list() {
			if !n.has("q0") || !n.has("q1999") {
				t.Errorf("%s lacks queues", n.id())
			}
		}
	})
}

// A node that is alive by gossip but does not answer costs a second once.
func TestSilentNodeIsPassedOver(t *testing.T) {
	simulate(t, func(t *testing.T, c *simCluster) {
		c.addAll(nil, "a", "b", "c")
		c.awaitReady(20 * time.Second)
		c.awaitVoters(3)
		l := c.leader()
		var mute *simNode
		for _, n := range c.list() {
			if n != l {
				mute = n
			}
		}
		// Deaf to Raft, but answering calls: it applies nothing.
		for _, n := range c.list() {
			if n != mute {
				n.transport.Disconnect(mute.transport.LocalAddr())
			}
		}
		for i, most := range []time.Duration{1100 * time.Millisecond, 100 * time.Millisecond, 100 * time.Millisecond} {
			start := time.Now()
			if _, err := l.running().Apply(t.Context(), declare(fmt.Sprintf("q%d", i))); err != nil {
				t.Fatal(err)
			}
			if took := time.Since(start); took > most {
				t.Errorf("declare %d took %v, want at most %v", i, took, most)
			}
		}
		c.connect()
		eventually(t, 10*time.Second, "waited for again", func() bool {
			name := fmt.Sprint("again-", time.Now().UnixNano())
			if _, err := l.running().Apply(t.Context(), declare(name)); err != nil {
				t.Fatal(err)
			}
			return mute.has(name)
		})
	})
}

func TestHangingDiskEndsRun(t *testing.T) {
	simulate(t, func(t *testing.T, c *simCluster) {
		c.addAll(nil, "a", "b", "c")
		c.awaitReady(20 * time.Second)
		c.awaitVoters(3)
		l := c.leader()
		hang := make(chan struct{})
		l.disk.mu.Lock()
		l.disk.hang = hang
		l.disk.mu.Unlock()
		ctx, cancel := context.WithTimeout(t.Context(), time.Second)
		defer cancel()
		l.running().Apply(ctx, declare("stalled"))
		select {
		case err := <-l.ended:
			if err == nil {
				t.Error("Run ended without an error over a hanging disk")
			}
			l.ended <- err
		case <-time.After(5 * time.Second):
			t.Error("Run goes on over a hanging disk")
		}
		l.disk.mu.Lock()
		l.disk.hang = nil
		l.disk.mu.Unlock()
		close(hang)
	})
}
