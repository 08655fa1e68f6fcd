package sim

import (
	"flag"
	"fmt"
	"testing"
	"testing/synctest"
	"time"

	"github.com/warrenmq/warren/broker/wire"
	"github.com/warrenmq/warren/cmd/control"
)

var elastics = flag.Int("elastics", 2, "how many schedules of nodes that come and go to run")

// Nodes join, lose their disks, are restarted, drained and forgotten under load.
func TestNodesComeAndGo(t *testing.T) {
	if *seed != 0 {
		synctest.Test(t, func(t *testing.T) { Elastic(t, *seed, true) })
		return
	}
	for i := range *elastics {
		n := *from + uint64(i)
		t.Run(fmt.Sprint(n), func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) { Elastic(t, n, false) })
		})
	}
}

// A queue gets a group of the size that it asks for, and one that the cluster is too small
// for grows with it.
func TestQueuesChooseTheirGroupsSize(t *testing.T) {
	directed(t, func(t *testing.T, c *Cluster) {
		group := func(queue string) (found control.Group) {
			s := c.Machines[0].Node().Status()
			for _, q := range s.Queues {
				for _, g := range s.Groups {
					if q.Name == queue && g.ID == q.Group {
						found = g
					}
				}
			}
			return found
		}
		s := c.Connect("setup", c.Machines[1])
		for _, q := range []struct {
			name     string
			size     any
			replicas int
		}{{"usual", nil, 3}, {"single", int32(1), 1}, {"five", int64(5), 3}, {"another single", int8(1), 1}} {
			args := wire.Table{"x-queue-type": "quorum"}
			if q.size != nil {
				args["x-quorum-initial-group-size"] = q.size
			}
			s.Must(&wire.QueueDeclare{Queue: q.name, Durable: true, Arguments: args})
			if g := group(q.name); len(g.Target) != q.replicas || g.Leader == "" && q.replicas == 3 {
				t.Errorf("%s has the group %+v", q.name, g)
			}
			s.Must(&wire.ConfirmSelect{})
			s.PublishTo(q.name, "m")
			s.AwaitConfirms(10 * time.Second)
		}
		if a, b := group("single"), group("another single"); a.ID != b.ID {
			t.Errorf("two groups of one replica at one node: %d and %d", a.ID, b.ID)
		}
		s.Abort()
		refused, err := c.Dial("refused", c.Machines[0], events{})
		if err != nil {
			t.Fatal(err)
		}
		_, err = refused.Call(&wire.QueueDeclare{Queue: "none", Durable: true, Arguments: wire.Table{"x-queue-type": "quorum", "x-quorum-initial-group-size": int32(0)}})
		if codeOf(err) != wire.PreconditionFailed {
			t.Errorf("a group of no replicas: %v", err)
		}
		refused.Abort()
		for range 2 {
			c.Spare().Start()
		}
		c.Await(elasticTime, "the group of five has five replicas", func() bool { return len(group("five").Replicas) == 5 })
		if g := group("single"); len(g.Replicas) != 1 {
			t.Errorf("the group of one has become %+v", g)
		}
	})
}
