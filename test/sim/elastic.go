package sim

import (
	"context"
	"fmt"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/warrenmq/warren/cmd/control"
)

// elasticTime is how long the cluster may take to be as it should be after nodes came,
// went, or lost their disks, with faults in between.
const elasticTime = 2 * time.Minute

// Elastic lets nodes come, go, lose their disks and be forgotten under load, in an order
// and with faults that the seed decides. It is called in a bubble.
func Elastic(tb testing.TB, seed uint64, trace bool) {
	rng := rand.New(rand.NewPCG(seed, 2))
	c := NewCluster(tb, seed, 3)
	defer c.Close()
	summary := c.elastic(rng)
	failures := c.Failed()
	if len(failures) > 0 || trace {
		tb.Logf("seed %d: %s", seed, summary)
	}
	if len(failures) > 0 {
		tb.Errorf("seed %d fails:\n%s", seed, strings.Join(failures, "\n"))
	}
	if trace {
		tb.Log("\n" + c.log.String())
	}
}

func (c *Cluster) elastic(rng *rand.Rand) string {
	began := time.Now()
	c.Start()
	if !c.AwaitReady(time.Minute) || !c.awaitShared() {
		return "the cluster does not form"
	}
	w, err := NewWorkload(c, 4)
	if err != nil {
		c.failure("queues cannot be declared: %v", err)
		return "no queues"
	}
	w.Start(rng, 3, 6)
	defer w.End()
	over := w.h.trouble()
	joined := []*Machine{c.Spare(), c.Spare()}
	changes := []func() bool{
		func() bool { return w.welcome(rng, joined[:1]) },
		func() bool { return w.welcome(rng, joined[1:]) },
		func() bool { return w.replaceDisk(rng, c.Machines[rng.IntN(3)]) },
		func() bool { return w.rolling(rng) },
		func() bool { return w.dismiss(rng, joined[1]) },
		func() bool { return w.replaceDisk(rng, c.Machines[rng.IntN(3)]) },
		func() bool { return w.dismiss(rng, joined[0]) },
	}
	if rng.IntN(2) == 0 { // both at once
		changes = slices.Replace(changes, 0, 2, func() bool { return w.welcome(rng, joined) })
	}
	for _, change := range changes {
		if !change() {
			return "a change does not come about"
		}
	}
	over()
	w.Drain()
	w.h.judgeThefts()
	c.VerifyReplicas()
	w.judgeDelivered()
	published, confirmed, deliveries := w.h.counts()
	return fmt.Sprintf("%d published, %d confirmed, %d deliveries, %v in all", published, confirmed, deliveries, time.Since(began))
}

// disturbed lets a fault come and go while nodes change, or not.
func (w *Workload) disturbed(rng *rand.Rand) {
	time.Sleep(time.Duration(rng.Int64N(int64(3 * time.Second))))
	kinds := []string{"kill", "powercut", "restart", "isolate", "slowdisk", ""}
	f := Fault{Kind: kinds[rng.IntN(len(kinds))], On: rng.IntN(3), For: 200*time.Millisecond + time.Duration(rng.Int64N(int64(3*time.Second))), With: 50 * time.Millisecond}
	if f.Kind != "" {
		w.Suffer(f)
	}
}

func (w *Workload) welcome(rng *rand.Rand, machines []*Machine) bool {
	for _, m := range machines {
		m.Start()
	}
	w.disturbed(rng)
	return w.c.awaitShared()
}

// replaceDisk lets a machine come back with nothing.
func (w *Workload) replaceDisk(rng *rand.Rand, m *Machine) bool {
	if rng.IntN(2) == 0 {
		m.Kill()
	} else {
		m.Crash()
	}
	time.Sleep(time.Duration(rng.Int64N(int64(20 * time.Second))))
	m.Wipe()
	m.Start()
	return w.c.awaitShared() // with two replicas of three left, another fault would be one too many
}

// rolling stops and starts one node after the other.
func (w *Workload) rolling(rng *rand.Rand) bool {
	for _, m := range w.c.all() {
		m.Stop()
		time.Sleep(time.Duration(rng.Int64N(int64(3 * time.Second))))
		m.Start()
		if !w.c.awaitShared() {
			return false
		}
	}
	return true
}

// dismiss takes a node away for good, drained or not.
func (w *Workload) dismiss(rng *rand.Rand, m *Machine) bool {
	if n := m.Node(); n != nil && rng.IntN(2) == 0 {
		if err := n.Drain(context.Background()); err != nil {
			w.c.failure("%s cannot be drained: %v", m.Name, err)
			return false
		}
		m.Stop()
	} else {
		m.Crash()
	}
	last := "nobody was asked"
	ok := w.c.Await(30*time.Second, m.Name+" is forgotten", func() bool {
		n := w.c.Machines[0].Node()
		if n == nil {
			return false
		}
		err := n.Forget(context.Background(), m.Name, false)
		last = fmt.Sprint(err)
		return err == nil
	})
	if !ok {
		w.c.failure("%s is not forgotten: %s", m.Name, last)
	}
	w.disturbed(rng)
	return ok && w.c.awaitShared()
}

// awaitShared waits until the nodes that run share all groups, each with its replicas,
// led where it should be, and nothing is left of others.
func (c *Cluster) awaitShared() bool {
	why := ""
	ok := c.Await(elasticTime, "the nodes share all groups", func() bool {
		var running []*control.Status
		for _, m := range c.all() {
			if m.running() == nil {
				continue
			}
			n := m.Node()
			if n == nil {
				why = m.Name + " is not ready"
				return false
			}
			s := n.Status()
			running = append(running, &s)
		}
		for _, s := range running {
			if why = unshared(s, running); why != "" {
				why = s.Name + " sees " + why
				return false
			}
		}
		return true
	})
	if !ok {
		c.failure("%s", why)
	}
	return ok
}

func unshared(s *control.Status, running []*control.Status) string {
	ids := make(map[string]bool)
	for _, other := range running {
		ids[other.ID] = true
	}
	if len(s.Nodes) != len(ids) || len(s.Meta.Voters) != len(ids) || len(s.Meta.NonVoters) > 0 {
		return fmt.Sprintf("nodes %v, voters %v, non-voters %v", s.Nodes, s.Meta.Voters, s.Meta.NonVoters)
	}
	if len(s.Groups) < 4*len(ids) {
		return fmt.Sprintf("%d groups", len(s.Groups))
	}
	load := make(map[string]int)
	for _, g := range s.Groups {
		if !slices.Equal(slices.Sorted(slices.Values(g.Replicas)), slices.Sorted(slices.Values(g.Target))) || len(g.Target) != 3 {
			return fmt.Sprintf("group %d on %v, to be on %v", g.ID, g.Replicas, g.Target)
		}
		for _, id := range g.Target {
			if load[id]++; !ids[id] {
				return fmt.Sprintf("group %d on %s", g.ID, id)
			}
		}
		if slices.Contains(g.Target, s.ID) && g.Leader != g.Preferred {
			return fmt.Sprintf("group %d led by %q, which prefers %s", g.ID, g.Leader, g.Preferred)
		}
	}
	for id, n := range load {
		if want := 3 * len(s.Groups) / len(ids); n < want-1 || n > want+2 {
			return fmt.Sprintf("%d replicas at %s: %v", n, id, load)
		}
	}
	return ""
}

// judgeDelivered looks for what was confirmed and has never come.
func (w *Workload) judgeDelivered() {
	w.h.mu.Lock()
	defer w.h.mu.Unlock()
	for _, m := range w.h.messages {
		for _, name := range m.queues {
			if !m.confirmed.IsZero() && m.copies[name].times == 0 {
				w.c.failure("%s was confirmed by %s and was never delivered by %s", m.id, m.machine.Name, name)
			}
		}
	}
}
