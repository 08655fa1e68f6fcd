package meta

import (
	"errors"
	"fmt"
	"slices"
	"testing"
	"time"

	"github.com/warrenmq/warren/broker/auth"
	"github.com/warrenmq/warren/broker/topology"
)

func TestFirstGroupsHaveAllTheirReplicas(t *testing.T) {
	simulate(t, func(t *testing.T, c *simCluster) {
		c.addAll(nil, "a", "b", "c")
		c.awaitReady(20 * time.Second)
		eventually(t, 20*time.Second, "12 groups", func() bool { return len(c.list()[0].running().Groups()) == 12 })
		preferred := map[string]int{}
		for _, g := range c.list()[2].running().Groups() {
			preferred[g.Preferred]++
			if len(g.Initial) != 3 || !slices.Equal(g.Initial, g.Target) || g.Initial[0] != g.Preferred {
				t.Errorf("group %+v", g)
			}
		}
		for _, n := range c.list() {
			if preferred[n.id()] != 4 {
				t.Errorf("%d groups prefer %s", preferred[n.id()], n.id())
			}
		}
	})
}

func TestGroupsOfASmallClusterGrow(t *testing.T) {
	simulate(t, func(t *testing.T, c *simCluster) {
		a := c.addAll(func(cfg *Config) { cfg.Expect = 1 }, "a")[0]
		c.awaitReady(20 * time.Second)
		eventually(t, 20*time.Second, "4 groups", func() bool { return len(a.running().Groups()) == 4 })
		var seen []GroupInfo
		a.running().WatchGroups(func(gs []GroupInfo) { seen = gs })
		c.addAll(func(cfg *Config) { cfg.Expect = 0 }, "b", "c", "d")
		c.awaitReady(20 * time.Second)
		eventually(t, 20*time.Second, "16 groups of 3", func() bool {
			gs := a.running().Groups()
			return len(gs) == 16 && !slices.ContainsFunc(gs, func(g GroupInfo) bool { return len(g.Target) != 3 })
		})
		load := map[string]int{}
		for _, g := range a.running().Groups() {
			for _, id := range g.Target {
				load[id]++
			}
		}
		for id, n := range load {
			if n < 4 || n > 16 { // who joins last gets what is not placed yet
				t.Errorf("%s holds %d of 48 replicas", id, n)
			}
		}
		g, _ := a.running().Group(1)
		if len(g.Initial) != 1 || len(g.Replicas) != 1 {
			t.Errorf("group 1 is %+v before its leader reported", g)
		}
		if err := c.follower().running().SetReplicas(t.Context(), 1, g.Target, 2, 10); err != nil {
			t.Fatal(err)
		}
		if g, _ = c.follower().running().Group(1); !slices.Equal(g.Replicas, g.Target) {
			t.Errorf("group 1 is %+v", g)
		}
		eventually(t, time.Second, "the watcher has seen it", func() bool { return len(seen) == 16 && len(seen[0].Replicas) == 3 })
	})
}

func TestDeadVoterIsReplaced(t *testing.T) {
	simulate(t, func(t *testing.T, c *simCluster) {
		c.addAll(nil, "a", "b", "c", "d", "e", "f", "g")
		c.awaitReady(60 * time.Second)
		c.awaitVoters(5)
		time.Sleep(time.Minute)
		if s := c.leader().running().Status(); len(s.Voters) != 5 || len(s.NonVoters) != 2 {
			t.Fatalf("%d voters, %d non-voters", len(s.Voters), len(s.NonVoters))
		}
		for range 2 {
			l := c.leader()
			var dead *simNode
			for _, n := range c.list() {
				if n != l && n.running() != nil && slices.Contains(l.running().Status().Voters, n.id()) {
					dead = n
				}
			}
			dead.stop()
			eventually(t, 2*time.Minute, "another votes", func() bool {
				l := c.leader()
				if l == nil {
					return false
				}
				s := l.running().Status()
				return len(s.Voters) == 5 && !slices.Contains(s.Voters, dead.id())
			})
		}
	})
}

// A node that comes back with an empty disk is a new server: it takes over the old
// one's vote, its groups and its replicas.
func TestWipedNodeTakesOver(t *testing.T) {
	simulate(t, func(t *testing.T, c *simCluster) {
		nodes := c.addAll(nil, "a", "b", "c")
		c.awaitReady(20 * time.Second)
		c.awaitVoters(3)
		eventually(t, 20*time.Second, "12 groups", func() bool { return len(nodes[0].running().Groups()) == 12 })
		old := nodes[2]
		old.stop()
		c.addAll(nil, "c")
		eventually(t, 30*time.Second, "the new c has taken over", func() bool {
			l := c.leader()
			if l == nil {
				return false
			}
			m := l.running()
			s := m.Status()
			return len(s.Voters) == 3 && !slices.Contains(s.Voters, old.id()) &&
				len(m.Groups()) == 12 && !slices.ContainsFunc(m.Groups(), func(g GroupInfo) bool {
				return g.Preferred == old.id() || slices.Contains(g.Target, old.id()) || len(g.Target) != 3
			})
		})
		if len(c.clusters) != 1 {
			t.Errorf("clusters %v", c.clusters)
		}
	})
}

func TestTransientQueuesGoWithTheirNode(t *testing.T) {
	simulate(t, func(t *testing.T, c *simCluster) {
		nodes := c.addAll(nil, "a", "b", "c")
		c.awaitReady(20 * time.Second)
		c.awaitVoters(3)
		transient := func(n *simNode, name string) {
			t.Helper()
			q := topology.Queue{VHost: "/", Name: name, Home: n.id(), HomeEpoch: n.epoch}
			if _, err := n.running().Apply(t.Context(), topology.DeclareQueue{Queue: q}); err != nil {
				t.Fatal(err)
			}
		}
		home := c.follower()
		other := nodes[0]
		if other == home {
			other = nodes[1]
		}
		transient(home, "restarted")
		home.stop()
		time.Sleep(time.Second)
		home.start()
		eventually(t, 9*time.Second, "a restart drops them", func() bool { return !other.has("restarted") })
		c.awaitReady(20 * time.Second)

		transient(home, "dead")
		transient(other, "alive")
		home.stop()
		time.Sleep(8 * time.Second)
		if !other.has("dead") {
			t.Error("dropped before the time")
		}
		eventually(t, 10*time.Second, "death drops them", func() bool { return !other.has("dead") })
		if !other.has("alive") {
			t.Error("dropped with a living home")
		}

		home.start()
		c.awaitReady(20 * time.Second)
		transient(home, "refused")
		home.stop()
		home.sawEnd()
		c.leader().running().Look()
		eventually(t, 3*time.Second, "an end that was seen drops them soon", func() bool { return !other.has("refused") })
	})
}

func TestUsers(t *testing.T) {
	simulate(t, func(t *testing.T, c *simCluster) {
		c.addAll(func(cfg *Config) { cfg.Expect = 1 }, "a")
		c.awaitReady(20 * time.Second)
		m := c.leader().running()
		u, _ := m.User("guest")
		u.Name = "eve"
		if err := m.PutUser(t.Context(), u); err != nil {
			t.Fatal(err)
		}
		p, _ := m.Permission("guest", "/")
		p.User = "eve"
		if err := m.SetPermission(t.Context(), p); err != nil {
			t.Fatal(err)
		}
		if _, ok := m.Permission("eve", "/"); !ok {
			t.Error("no permission")
		}
		p.User = "nobody"
		if err := m.SetPermission(t.Context(), p); err == nil {
			t.Error("a permission for nobody")
		}
		p.User, p.VHost = "eve", "none"
		if err := m.SetPermission(t.Context(), p); fmt.Sprint(err) != "vhost none: not found" {
			t.Errorf("a permission in no vhost: %v", err)
		}
		p.VHost, p.Write = "/", "("
		if err := m.SetPermission(t.Context(), p); !errors.Is(err, ErrInvalid) {
			t.Errorf("a permission that is no expression: %v", err)
		}
		if err := m.SetUserLimits(t.Context(), "eve", map[string]int64{"max-hats": 1}); !errors.Is(err, ErrInvalid) {
			t.Errorf("a limit that is none: %v", err)
		}
		if err := m.SetUserLimits(t.Context(), "eve", map[string]int64{MaxChannels: 5}); err != nil || m.UserLimits("eve")[MaxChannels] != 5 {
			t.Errorf("limits %v, %v", m.UserLimits("eve"), err)
		}
		topic := auth.TopicPermission{User: "eve", VHost: "/", Exchange: "x", Write: "^a", Read: "^b"}
		if err := m.SetTopicPermission(t.Context(), topic); err != nil {
			t.Fatal(err)
		}
		if got, ok := m.TopicPermission("eve", "/", "x"); !ok || got != topic {
			t.Errorf("topic permission %+v, %v", got, ok)
		}
		if err := m.ClearTopicPermission(t.Context(), "eve", "/", ""); err != nil || len(m.TopicPermissions()) != 0 {
			t.Errorf("topic permissions %v, %v", m.TopicPermissions(), err)
		}
		if err := m.SetTopicPermission(t.Context(), topic); err != nil {
			t.Fatal(err)
		}
		if users, permissions := m.Users(), m.Permissions(); len(users) != 2 || users[0].Name != "eve" || len(permissions) != 2 {
			t.Errorf("users %v, permissions %v", users, permissions)
		}
		var deleted []string
		m.WatchDeleted(func(user string) { deleted = append(deleted, user) })
		if err := m.DeleteUser(t.Context(), "eve"); err != nil {
			t.Fatal(err)
		}
		if len(deleted) != 1 || len(m.TopicPermissions()) != 0 || m.UserLimits("eve") != nil {
			t.Errorf("told of %v, left %v, %v", deleted, m.TopicPermissions(), m.UserLimits("eve"))
		}
		if _, ok := m.Permission("eve", "/"); ok {
			t.Error("the permission outlived its user")
		}
		if err := m.DeleteUser(t.Context(), "eve"); fmt.Sprint(err) != "user eve: not found" {
			t.Errorf("deleted twice: %v", err)
		}
		for _, c := range []topology.Command{topology.DeclareVHost{VHost: topology.VHost{Name: "v"}}, topology.DeleteVHost{Name: "v"}} {
			if _, err := m.Apply(t.Context(), c); err != nil {
				t.Fatal(err)
			}
			if err := m.SetPermission(t.Context(), auth.Permission{User: "guest", VHost: "v"}); (err == nil) != (m.hasVHost("v")) {
				t.Errorf("a permission in v: %v", err)
			}
		}
		if _, ok := m.Permission("guest", "v"); ok {
			t.Error("the permission outlived its vhost")
		}
		if err := m.ClearPermission(t.Context(), "guest", "/"); err != nil {
			t.Fatal(err)
		}
		if _, ok := m.Permission("guest", "/"); ok {
			t.Error("the permission is there still")
		}
	})
}

func (m *Meta) hasVHost(name string) (ok bool) {
	m.View(func(t *topology.Topology) { ok = t.VHost(name) != nil })
	return ok
}
