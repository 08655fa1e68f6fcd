package meta

import (
	"testing"
	"time"

	"github.com/warrenmq/warren/broker/topology"
)

// volatile declares an exchange that is not durable.
func (c *simCluster) volatile(name string) {
	c.t.Helper()
	x := topology.Exchange{VHost: "/", Name: name, Type: topology.Fanout}
	if _, err := c.leader().running().Apply(c.t.Context(), topology.DeclareExchange{Exchange: x}); err != nil {
		c.t.Fatal(err)
	}
}

func (n *simNode) hasExchange(name string) (ok bool) {
	n.running().View(func(t *topology.Topology) { ok = t.Exchange("/", name) != nil })
	return ok
}

func TestVolatileExchangesSurviveARollingRestart(t *testing.T) {
	simulate(t, func(t *testing.T, c *simCluster) {
		nodes := c.addAll(nil, "a", "b", "c")
		c.awaitReady(20 * time.Second)
		c.awaitVoters(3)
		c.volatile("x")
		for range 2 {
			for _, n := range nodes {
				n.stop()
				time.Sleep(2 * time.Second)
				n.start()
				c.awaitReady(20 * time.Second)
				time.Sleep(2 * time.Second)
			}
		}
		for _, n := range nodes {
			if !n.hasExchange("x") {
				t.Errorf("%s has lost the exchange", n.id())
			}
		}
	})
}

func TestVolatileExchangesGoWithTheCluster(t *testing.T) {
	for _, tt := range []struct {
		name   string
		missed int // nodes that do not come back
		within time.Duration
	}{
		{"all come back", 0, 5 * time.Second},
		{"one does not", 1, 20 * time.Second},
	} {
		t.Run(tt.name, func(t *testing.T) {
			simulate(t, func(t *testing.T, c *simCluster) {
				nodes := c.addAll(nil, "a", "b", "c")
				c.awaitReady(20 * time.Second)
				c.awaitVoters(3)
				c.volatile("before")
				c.stopAll()
				time.Sleep(5 * time.Second)
				back := nodes[tt.missed:]
				for _, n := range back {
					n.start()
				}
				eventually(t, 20*time.Second, "the nodes are back", func() bool {
					for _, n := range back {
						if !isReady(n.running()) {
							return false
						}
					}
					return true
				})
				c.volatile("after")
				eventually(t, tt.within, "what was before is gone", func() bool { return !back[0].hasExchange("before") && !back[1].hasExchange("before") })
				time.Sleep(30 * time.Second)
				if !back[0].hasExchange("after") || !back[1].hasExchange("after") {
					t.Error("what came after is gone, too")
				}
			})
		})
	}
}

// A process that nobody has seen for long, and that lives after all, has shared what
// it vouches for with those that it met before.
func TestVolatileExchangesSurviveAPartition(t *testing.T) {
	simulate(t, func(t *testing.T, c *simCluster) {
		c.addAll(nil, "a", "b", "c")
		c.awaitReady(20 * time.Second)
		c.awaitVoters(3)
		c.volatile("x")
		alone := c.follower()
		c.isolate(alone)
		time.Sleep(30 * time.Second)
		c.isolate()
		c.awaitReady(20 * time.Second)
		for _, n := range c.list() {
			if !n.hasExchange("x") {
				t.Errorf("%s has lost the exchange", n.id())
			}
		}
	})
}
