package meta

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/warrenmq/warren/broker/topology"
	pb "github.com/warrenmq/warren/proto"
)

// obey does what the groups' leaders do: it makes the replicas what they shall be, and
// reports it, until the test ends.
func (c *simCluster) obey(t *testing.T) {
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan struct{})
	t.Cleanup(func() { cancel(); <-done })
	go func() {
		defer close(done)
		for index := uint64(1); ctx.Err() == nil; index++ {
			pause(ctx, 100*time.Millisecond)
			l := c.leader()
			if l == nil {
				continue
			}
			m := l.running()
			if m == nil {
				continue
			}
			for _, g := range m.Groups() {
				if !g.settled() || g.Term == 0 {
					m.SetReplicas(ctx, g.ID, slices.Sorted(slices.Values(g.Target)), 1, index)
				}
			}
		}
	}()
}

// amiss says what is wrong with the placement on the nodes of these names, as one of
// them sees it; "" when they share all groups evenly and nothing is left of others.
func amiss(m *Meta, groups int, names ...string) string {
	nodes := m.Nodes()
	ids := make(map[string]string)
	for _, n := range nodes {
		ids[n.ID] = n.Name
	}
	s := m.Status()
	switch {
	case len(nodes) != len(names):
		return fmt.Sprintf("%d nodes", len(nodes))
	case len(s.Voters) != min(5, len(names)) || len(s.Voters)+len(s.NonVoters) != len(names):
		return fmt.Sprintf("voters %v and %v", s.Voters, s.NonVoters)
	case len(m.Groups()) != groups:
		return fmt.Sprintf("%d groups", len(m.Groups()))
	}
	load, leads := map[string]int{}, map[string]int{}
	for _, g := range m.Groups() {
		if !g.settled() || len(g.Target) != min(3, len(names)) || !slices.Contains(g.Target, g.Preferred) {
			return fmt.Sprintf("group %+v", g)
		}
		leads[ids[g.Preferred]]++
		for _, id := range g.Target {
			load[ids[id]]++
		}
	}
	for _, name := range names {
		if want := groups / len(names); leads[name] < want || leads[name] > want+1 {
			return fmt.Sprintf("%d groups prefer %s: %v", leads[name], name, leads)
		}
		if want := groups * min(3, len(names)) / len(names); load[name] < want-1 || load[name] > want+2 {
			return fmt.Sprintf("%s holds %d replicas: %v", name, load[name], load)
		}
	}
	return ""
}

// comes waits until all nodes of these names see the placement as it should be.
func (c *simCluster) comes(t *testing.T, groups int, names ...string) {
	t.Helper()
	why := "nobody leads"
	defer func() {
		if t.Failed() {
			t.Log(strings.Join(names, " "), why)
		}
	}()
	eventually(t, 3*time.Minute, "all is placed on "+strings.Join(names, " "), func() bool {
		for _, n := range c.list() {
			m := n.running()
			if m == nil {
				continue
			}
			if why = amiss(m, groups, names...); why != "" {
				why = n.cfg.Self.Name + ": " + why
				return false
			}
		}
		return true
	})
}

func (c *simCluster) named(name string) (node *simNode) {
	for _, n := range c.list() {
		if n.cfg.Self.Name == name && n.running() != nil {
			node = n
		}
	}
	return node
}

func TestNodesComeAndGo(t *testing.T) {
	simulate(t, func(t *testing.T, c *simCluster) {
		c.obey(t)
		c.addAll(nil, "a", "b", "c")
		c.comes(t, 12, "a", "b", "c")
		c.addAll(nil, "d", "e")
		c.comes(t, 20, "a", "b", "c", "d", "e")
		for i, name := range []string{"e", "d"} {
			n := c.named(name)
			if err := c.named("a").running().Forget(t.Context(), name, false); !errors.Is(err, ErrAlive) {
				t.Errorf("forget of a node that runs: %v", err)
			}
			n.stop()
			time.Sleep(time.Second)
			if err := c.named("b").running().Forget(t.Context(), name, false); err != nil {
				t.Fatal(err)
			}
			if err := c.named("b").running().Forget(t.Context(), name, false); !errors.Is(err, ErrNotFound) {
				t.Errorf("forget again: %v", err)
			}
			c.comes(t, 20, []string{"a", "b", "c", "d"}[:4-i]...)
		}
		// Whoever comes takes over what the others have too many of.
		c.addAll(nil, "f", "g")
		c.comes(t, 20, "a", "b", "c", "f", "g")
	})
}

func TestForgottenNodeCannotComeBack(t *testing.T) {
	simulate(t, func(t *testing.T, c *simCluster) {
		c.obey(t)
		nodes := c.addAll(nil, "a", "b", "c", "d")
		c.comes(t, 16, "a", "b", "c", "d")
		nodes[3].stop()
		time.Sleep(time.Second)
		if err := nodes[0].running().Forget(t.Context(), "d", false); err != nil {
			t.Fatal(err)
		}
		c.comes(t, 16, "a", "b", "c")
		nodes[3].start()
		select {
		case err := <-nodes[3].ended:
			nodes[3].ended <- err
			if !errors.Is(err, ErrForgotten) {
				t.Errorf("the forgotten node ends with %v", err)
			}
		case <-time.After(time.Minute):
			t.Error("the forgotten node runs")
		}
		nodes[3].stop()
		if why := amiss(nodes[0].running(), 16, "a", "b", "c"); why != "" {
			t.Error(why)
		}
	})
}

// A node that comes back with an empty disk is another server, and nothing is left of
// the one it was.
func TestWipedNodeLeavesNoGhost(t *testing.T) {
	simulate(t, func(t *testing.T, c *simCluster) {
		c.obey(t)
		nodes := c.addAll(nil, "a", "b", "c")
		c.comes(t, 12, "a", "b", "c")
		if _, _, err := nodes[0].running().Propose(t.Context(), topology.DeclareQueue{Queue: topology.Queue{VHost: "/", Name: "t", Home: nodes[2].id(), HomeEpoch: 1}}); err != nil {
			t.Fatal(err)
		}
		for range 3 {
			old := c.named("c")
			old.stop()
			c.addAll(nil, "c")
			c.comes(t, 12, "a", "b", "c")
			for _, g := range nodes[1].running().Groups() {
				if slices.Contains(g.Initial, old.id()) || g.Hosts(old.id()) || g.Preferred == old.id() {
					t.Errorf("group %+v still names %s", g, old.id())
				}
			}
		}
		if nodes[1].has("t") {
			t.Error("what was in the memory of the old node is still defined")
		}
	})
}

func TestReplicasOfALostNodeAreMadeElsewhere(t *testing.T) {
	for _, after := range []time.Duration{2 * time.Minute, -1} {
		t.Run(after.String(), func(t *testing.T) {
			simulate(t, func(t *testing.T, c *simCluster) {
				c.obey(t)
				c.addAll(func(cfg *Config) { cfg.RebuildAfter = after }, "a", "b", "c", "d")
				c.comes(t, 16, "a", "b", "c", "d")
				lost := c.named("d")
				held := func() (n int) {
					for _, g := range c.leader().running().Groups() {
						if slices.Contains(g.Target, lost.id()) {
							n++
						}
					}
					return n
				}
				before := held()
				lost.stop()
				time.Sleep(90 * time.Second)
				if n := held(); n != before {
					t.Errorf("after 90 s %d of %d replicas are still to be at the lost node", n, before)
				}
				time.Sleep(2 * time.Minute)
				if n, want := held(), map[bool]int{true: 0, false: before}[after > 0]; n != want {
					t.Errorf("after 210 s %d replicas are to be at the lost node, want %d", n, want)
				}
				if got := len(c.leader().running().Nodes()); got != 4 {
					t.Errorf("%d nodes: a lost one is not forgotten", got)
				}
				lost.start()
				c.comes(t, 16, "a", "b", "c", "d")
			})
		})
	}
}

// With three nodes nobody can take over: the lost node's replicas wait for it.
func TestReplicasWaitWhileNobodyCanTakeThem(t *testing.T) {
	simulate(t, func(t *testing.T, c *simCluster) {
		c.obey(t)
		c.addAll(func(cfg *Config) { cfg.RebuildAfter = time.Minute }, "a", "b", "c")
		c.comes(t, 12, "a", "b", "c")
		lost := c.named("c")
		lost.stop()
		time.Sleep(3 * time.Minute)
		for _, g := range c.leader().running().Groups() {
			if len(g.Target) != 3 || !slices.Contains(g.Target, lost.id()) {
				t.Errorf("group %+v", g)
			}
		}
	})
}

func TestDeadNodeIsForgottenWhenThatIsWanted(t *testing.T) {
	simulate(t, func(t *testing.T, c *simCluster) {
		c.obey(t)
		c.addAll(func(cfg *Config) { cfg.ForgetAfter = time.Minute }, "a", "b", "c", "d")
		c.comes(t, 16, "a", "b", "c", "d")
		c.named("d").stop()
		time.Sleep(50 * time.Second)
		if got := len(c.leader().running().Nodes()); got != 4 {
			t.Errorf("%d nodes after 50 s", got)
		}
		c.comes(t, 16, "a", "b", "c")
	})
}

func TestNothingIsPlacedOnADrainedNode(t *testing.T) {
	simulate(t, func(t *testing.T, c *simCluster) {
		c.obey(t)
		c.addAll(nil, "a", "b", "c", "d")
		c.comes(t, 16, "a", "b", "c", "d")
		d := c.named("d")
		if err := d.running().Maintain(t.Context(), true); err != nil {
			t.Fatal(err)
		}
		if n, _ := c.named("a").running().Node(d.id()); !n.Drained {
			t.Errorf("%+v is not drained", n)
		}
		held := func() (n int) {
			for _, g := range c.named("a").running().Groups() {
				if slices.Contains(g.Target, d.id()) {
					n++
				}
			}
			return n
		}
		before := held()
		c.named("c").stop()
		c.addAll(nil, "e")
		time.Sleep(time.Minute)
		if now := held(); now > before {
			t.Errorf("the drained node holds %d replicas, %d before", now, before)
		}
		d.stop()
		d.start() // a node that starts serves
		eventually(t, 20*time.Second, "it is not drained any more", func() bool {
			n, ok := c.named("a").running().Node(d.id())
			return ok && !n.Drained && n.Epoch == 2
		})
	})
}

func TestReportsOfEarlierLeadersArePassedOver(t *testing.T) {
	s := newState()
	s.groups[1] = GroupInfo{ID: 1, Initial: []string{"a"}, Replicas: []string{"a"}, Target: []string{"a"}}
	for _, report := range []struct {
		replicas    []string
		term, index uint64
		want        []string
	}{
		{[]string{"b"}, 2, 5, []string{"b"}},
		{[]string{"c"}, 2, 4, []string{"b"}},
		{[]string{"c"}, 1, 9, []string{"b"}},
		{[]string{"d"}, 3, 1, []string{"d"}},
	} {
		if err := s.setReplicas(&pb.MetaSetReplicas{Group: 1, Replicas: report.replicas, Term: report.term, Index: report.index}); err != nil {
			t.Fatal(err)
		}
		if g := s.groups[1]; !slices.Equal(g.Replicas, report.want) || g.Initial != nil {
			t.Errorf("after %+v: %+v", report, g)
		}
	}
}

// A node without which messages cannot be had any more is forgotten only by force.
func TestANodeThatIsNeededIsNotForgotten(t *testing.T) {
	simulate(t, func(t *testing.T, c *simCluster) {
		c.obey(t)
		c.addAll(func(cfg *Config) { cfg.ForgetAfter = time.Minute }, "a", "b", "c", "d", "e")
		c.comes(t, 20, "a", "b", "c", "d", "e")
		c.named("d").stop()
		c.named("e").stop()
		time.Sleep(2 * time.Minute)
		m := c.named("a").running()
		if got := len(m.Nodes()); got != 5 {
			t.Fatalf("%d nodes: one that is needed was forgotten", got)
		}
		if err := m.Forget(t.Context(), "e", false); !errors.Is(err, ErrNeeded) {
			t.Errorf("forget of a node with the majority of groups: %v", err)
		}
		if err := m.Forget(t.Context(), "e", true); err != nil {
			t.Error(err)
		}
	})
}

// A replica that was to come to a node which dies before is made elsewhere soon.
func TestReplicasThatDidNotComeAreMadeElsewhere(t *testing.T) {
	simulate(t, func(t *testing.T, c *simCluster) {
		c.addAll(nil, "a", "b", "c")
		c.awaitReady(20 * time.Second)
		c.awaitVoters(3)
		eventually(t, 20*time.Second, "12 groups", func() bool { return len(c.named("a").running().Groups()) == 12 })
		d := c.addAll(nil, "d")[0]
		held := func() (n int) {
			for _, g := range c.named("a").running().Groups() {
				if g.Initial == nil && slices.Contains(g.Target, d.id()) {
					n++
				}
			}
			return n
		}
		for _, g := range c.named("a").running().Groups() {
			if err := c.named("a").running().SetReplicas(t.Context(), g.ID, g.Replicas, 1, 1); err != nil {
				t.Fatal(err)
			}
		}
		eventually(t, time.Minute, "a group is to move to d", func() bool { return held() > 0 })
		d.stop()
		time.Sleep(25 * time.Second)
		if held() == 0 {
			t.Error("a node that is away for a moment loses what is to come to it")
		}
		eventually(t, time.Minute, "nothing is to move to d", func() bool { return held() == 0 })
	})
}
