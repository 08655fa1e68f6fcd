package meta

import (
	"errors"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/warrenmq/warren/broker/level"
	pb "github.com/warrenmq/warren/proto"
)

// replica applies one command an entry.
type replica struct {
	*state
	index uint64
}

func (r *replica) apply(c *pb.MetaCommand) error {
	r.index++
	c.Number = r.index
	answers := r.state.apply(r.index, &pb.MetaEntry{Batches: []*pb.MetaBatch{{Origin: "o", Epoch: 1, Commands: []*pb.MetaCommand{c}}}}).answers
	if len(answers) == 0 {
		return errors.New("nothing is applied")
	}
	return answers[0].err
}

func (r *replica) register(name string, epoch, knows uint64) error {
	return r.apply(&pb.MetaCommand{Body: &pb.MetaCommand_Register{Register: &pb.MetaRegister{
		Node: &pb.MetaNode{Id: name + "@1", Name: name, Epoch: epoch, Level: knows}}}})
}

func (r *replica) raise(to uint64) error {
	return r.apply(&pb.MetaCommand{Body: &pb.MetaCommand_Raise{Raise: to}})
}

func TestALevelIsTurnedOnOnceEveryNodeKnowsIt(t *testing.T) {
	check := func(r *replica, got, want error, at uint64) {
		t.Helper()
		if !errors.Is(got, want) || r.level != at {
			t.Errorf("%v at level %d, want %v at %d", got, r.level, want, at)
		}
	}
	r := &replica{state: newState()}
	r.known = 3
	check(r, r.raise(2), errLevel, 1) // there is nobody
	for _, name := range []string{"a", "b", "c"} {
		check(r, r.register(name, 1, 2), nil, 1)
	}
	check(r, r.raise(3), errLevel, 1)
	check(r, r.register("c", 2, 1), nil, 1) // it goes back
	check(r, r.raise(2), errLevel, 1)
	check(r, r.register("c", 3, 3), nil, 1)
	check(r, r.raise(2), nil, 2)
	check(r, r.raise(1), nil, 2) // never back
	check(r, r.register("c", 4, 1), level.ErrUnknown, 2)
	check(r, r.register("d", 1, 1), level.ErrUnknown, 2)
	check(r, r.register("d", 2, 2), nil, 2)
	if n := r.nodes["c@1"]; n.Epoch != 3 || n.Level != 3 {
		t.Errorf("a refused process was entered: %+v", n)
	}
	// Who is forgotten does not count.
	for _, name := range []string{"a", "b"} {
		check(r, r.register(name, 9, 3), nil, 2)
	}
	check(r, r.raise(3), errLevel, 2)
	check(r, r.apply(&pb.MetaCommand{Body: &pb.MetaCommand_Forget{Forget: "d@1"}}), nil, 2)
	check(r, r.raise(3), nil, 3)
}

// A build that does not know a level goes on as long as it is not turned on, and applies
// nothing of the entry that does it, nor behind it.
func TestAnOlderBuildStopsAtTheLevel(t *testing.T) {
	r := &replica{state: newState()}
	r.known = 1
	r.register("a", 1, 2)
	r.register("b", 1, 1)
	if err := r.raise(2); !errors.Is(err, errLevel) || r.beyond != nil {
		t.Fatalf("refused with %v, beyond is %v", err, r.beyond)
	}
	r.register("b", 2, 2)
	before, err := r.snapshot()
	if err != nil {
		t.Fatal(err)
	}
	if err := r.raise(2); err == nil || r.level != 1 {
		t.Fatalf("%v at level %d", err, r.level)
	}
	const want = "was written at level 2, this build knows 1"
	if !errors.Is(r.beyond, level.ErrUnknown) || !strings.Contains(r.beyond.Error(), want) {
		t.Fatalf("beyond is %v", r.beyond)
	}

	r.state, err = restoreState(before, 2)
	if err != nil || r.raise(2) != nil || r.level != 2 {
		t.Fatalf("a build that knows it: %v at level %d", err, r.level)
	}
	after, err := r.snapshot()
	if err != nil {
		t.Fatal(err)
	}
	if again, err := restoreState(after, 2); err != nil || again.level != 2 || again.nodes["b@1"].Level != 2 {
		t.Errorf("restored: %+v, %v", again, err)
	}
	if _, err := restoreState(after, 1); !errors.Is(err, level.ErrUnknown) || !strings.Contains(err.Error(), want) {
		t.Errorf("an older build takes the snapshot: %v", err)
	}
}

func (c *simCluster) comesTo(t *testing.T, at uint64) {
	t.Helper()
	eventually(t, time.Minute, fmt.Sprintf("all are ready at level %d", at), func() bool {
		for _, n := range c.list() {
			if m := n.running(); m != nil && (!isReady(m) || m.Level() != at) {
				return false
			}
		}
		return true
	})
}

// become restarts a node as a build that knows a level.
func (n *simNode) become(knows uint64) {
	n.stop()
	n.cfg.Self.Level = knows
	n.start()
}

func knows(n uint64) func(*Config) { return func(c *Config) { c.Self.Level = n } }

func TestARollingUpgradeRaisesTheLevel(t *testing.T) {
	simulate(t, func(t *testing.T, c *simCluster) {
		nodes := c.addAll(knows(1), "a", "b", "c")
		c.comesTo(t, 1)
		nodes[0].become(2)
		c.comesTo(t, 1)
		nodes[1].become(2)
		c.comesTo(t, 1)
		time.Sleep(time.Minute) // two of three are no reason
		nodes[0].become(1)      // and one may go back
		c.comesTo(t, 1)
		nodes[2].become(2)
		c.comesTo(t, 1)
		time.Sleep(time.Minute)
		c.comesTo(t, 1)
		nodes[0].become(2)
		c.comesTo(t, 2)

		// From here on an older build is refused where it comes from nothing,
		fresh := c.add("d", knows(1))
		fresh.start()
		if err := <-fresh.ended; !errors.Is(err, level.ErrUnknown) || !strings.Contains(err.Error(), "was written at level 2, this build knows 1") {
			t.Errorf("a new node of an older build: %v", err)
		}
		fresh.ended <- nil
		if _, registered := nodes[1].running().Node(fresh.id()); registered {
			t.Error("it was registered")
		}
		fresh.become(2)
		c.comesTo(t, 2)
		// and where it has seen the level.
		nodes[2].stop()
		if _, err := openLedger(nodes[2].disk, 99, 1); !errors.Is(err, level.ErrUnknown) {
			t.Errorf("an older build on a data folder of level 2: %v", err)
		}
		nodes[2].start()
		c.comesTo(t, 2)
	})
}

// A node that was down when the level was raised comes back as an older build: whatever it hears
// first, it ends, and says why.
func TestAnOlderBuildComesBackLate(t *testing.T) {
	simulate(t, func(t *testing.T, c *simCluster) {
		nodes := c.addAll(knows(2), "a", "b")
		nodes = append(nodes, c.addAll(knows(1), "c")...)
		c.comesTo(t, 1)
		eventually(t, time.Minute, "all vote", func() bool { return len(nodes[1].running().Status().Voters) == 3 })
		late := nodes[0]
		late.stop()
		time.Sleep(time.Second)
		nodes[2].become(2) // the last to learn it, while a is down
		c.comesTo(t, 2)
		late.cfg.Self.Level = 1
		late.start()
		if err := <-late.ended; !errors.Is(err, level.ErrUnknown) {
			t.Errorf("it ended with %v", err)
		}
		late.ended <- nil
		late.become(2)
		c.comesTo(t, 2)
	})
}

// A cluster that forms of different builds waits for all that are expected.
func TestAClusterFormsOfDifferentBuilds(t *testing.T) {
	simulate(t, func(t *testing.T, c *simCluster) {
		c.addAll(knows(2), "a", "b")
		c.addAll(knows(1), "c")
		c.comesTo(t, 1)
		time.Sleep(time.Minute)
		c.comesTo(t, 1)
	})
}
