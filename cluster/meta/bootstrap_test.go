package meta

import (
	"flag"
	"fmt"
	"math/rand/v2"
	"testing"
	"testing/synctest"
	"time"

	"github.com/hashicorp/raft"

	"github.com/warrenmq/warren/broker/level"
	pb "github.com/warrenmq/warren/proto"
)

var seeds = flag.Int("seeds", 25, "schedules of faults for each test that is driven by a seed")

func forSeeds(t *testing.T, f func(t *testing.T, c *simCluster, rng *rand.Rand)) {
	for seed := range *seeds {
		t.Run(fmt.Sprintf("seed=%d", seed), func(t *testing.T) {
			simulate(t, func(t *testing.T, c *simCluster) { f(t, c, rand.New(rand.NewPCG(uint64(seed), 1))) })
		})
	}
}

// The nodes start in any order, links come and go, nodes are killed and started
// again: when all is well at last, all are in one cluster, and there never was another.
func TestOneClusterIsFormedWhateverHappens(t *testing.T) {
	forSeeds(t, func(t *testing.T, c *simCluster, rng *rand.Rand) {
		names := []string{"a", "b", "c", "d", "e"}[:3+rng.IntN(3)] // 5 nodes that expect 3: any two sets of 3 meet
		for _, name := range names {
			c.add(name, nil)
		}
		nodes := c.list()
		rng.Shuffle(len(nodes), func(i, j int) { nodes[i], nodes[j] = nodes[j], nodes[i] })
		if rng.IntN(2) == 0 {
			c.cutRandomly(rng, 0.5)
		}
		c.setLatency(time.Duration(rng.IntN(4)) * 100 * time.Millisecond)
		for steps := 5 + rng.IntN(25); steps > 0; steps-- {
			switch n := nodes[rng.IntN(len(nodes))]; {
			case n.running() == nil:
				n.start()
			case rng.IntN(4) == 0:
				n.stop()
			case rng.IntN(2) == 0:
				c.cutRandomly(rng, 0.4)
			}
			time.Sleep(time.Duration(rng.Int64N(int64(time.Second))))
		}
		c.setLatency(0)
		c.isolate()
		for _, n := range nodes {
			if n.running() == nil {
				n.start()
			}
		}
		c.awaitReady(60 * time.Second)
		if len(c.clusters) != 1 {
			t.Fatalf("cluster ids: %v, want exactly one", c.clusters)
		}
		for _, n := range nodes {
			if !c.clusters[n.running().ClusterID()] {
				t.Fatalf("%s is of cluster %q", n.id(), n.running().ClusterID())
			}
		}
	})
}

func TestNoClusterWithoutTheExpectedNodes(t *testing.T) {
	simulate(t, func(t *testing.T, c *simCluster) {
		nodes := c.addAll(nil, "a", "b")
		time.Sleep(time.Hour)
		if len(c.clusters) != 0 {
			t.Fatalf("two of three nodes formed %v", c.clusters)
		}
		c.addAll(nil, "c")
		c.awaitReady(10 * time.Second)
		if got := nodes[1].running().Status(); got.Leader == "" || len(c.clusters) != 1 {
			t.Fatalf("status %+v, clusters %v", got, c.clusters)
		}
	})
}

func TestOneExpectedNodeFormsAloneAndOthersJoin(t *testing.T) {
	simulate(t, func(t *testing.T, c *simCluster) {
		c.addAll(func(cfg *Config) { cfg.Expect = 1 }, "a")
		c.awaitReady(10 * time.Second)
		c.addAll(func(cfg *Config) { cfg.Expect = 0 }, "b", "c")
		c.awaitReady(20 * time.Second)
		c.awaitVoters(3)
		if len(c.clusters) != 1 {
			t.Fatalf("clusters %v", c.clusters)
		}
	})
}

// A crash between the writes of the first term and the first entry does not keep a
// node from forming its cluster.
func TestFormingSurvivesACrash(t *testing.T) {
	simulate(t, func(t *testing.T, c *simCluster) {
		a := c.add("a", func(cfg *Config) { cfg.Expect = 1 })
		l, err := openLedger(a.disk, 1, level.Known)
		if err != nil {
			t.Fatal(err)
		}
		if _, ok := l.try(); !ok {
			t.Fatal("no attempt")
		}
		if err := l.form("0123456789abcdef0123456789abcdef"); err != nil {
			t.Fatal(err)
		}
		if err := a.disk.SetUint64([]byte("CurrentTerm"), 1); err != nil {
			t.Fatal(err)
		}
		a.start()
		c.awaitReady(10 * time.Second)
		if got := a.running().ClusterID(); got != "0123456789abcdef0123456789abcdef" {
			t.Fatalf("cluster %s", got)
		}
	})
}

func TestNodesOfAnotherClusterAreRefused(t *testing.T) {
	simulate(t, func(t *testing.T, c *simCluster) {
		nodes := c.addAll(func(cfg *Config) { cfg.Expect = 1 }, "a")
		c.awaitReady(10 * time.Second)
		_, err := bootstrapService{m: nodes[0].running()}.Join(t.Context(), &pb.MetaJoinRequest{
			Node: &pb.MetaNode{Id: "x@1", Name: "x", Epoch: 1}, ClusterId: "another"})
		if err == nil {
			t.Fatal("a node of another cluster was let in")
		}
		synctest.Wait()
		if got := nodes[0].running().Nodes(); len(got) != 1 {
			t.Fatalf("nodes %v", got)
		}
	})
}

func TestPromises(t *testing.T) {
	at := func(epoch, number uint64) *pb.MetaAttempt { return &pb.MetaAttempt{Epoch: epoch, Number: number} }
	says := func(id string, a *pb.MetaAttempt, candidate bool) *pb.MetaStatusResponse {
		return &pb.MetaStatusResponse{ServerId: id, Attempt: a, Candidate: candidate}
	}
	store := raft.NewInmemStore()
	l, err := openLedger(store, 1, level.Known)
	if err != nil {
		t.Fatal(err)
	}
	grant := func(candidate string, a *pb.MetaAttempt) bool {
		t.Helper()
		resp, err := l.promise(candidate, a)
		if err != nil {
			t.Fatal(err)
		}
		return resp.GetGranted()
	}
	release := func(s *pb.MetaStatusResponse) string {
		t.Helper()
		if err := l.release(s); err != nil {
			t.Fatal(err)
		}
		return l.promisedTo()
	}
	check := func(what string, ok bool) {
		t.Helper()
		if !ok {
			t.Error(what)
		}
	}
	check("the first candidate is promised", grant("a@1", at(3, 2)))
	check("and again", grant("a@1", at(3, 2)))
	check("no second candidate is", !grant("b@1", at(9, 9)))
	check("nor an attempt that is over", !grant("a@1", at(3, 1)))
	if l, err = openLedger(store, 2, level.Known); err != nil { // a restart
		t.Fatal(err)
	}
	check("a promise survives a restart", l.promisedTo() == "a@1" && !grant("b@1", at(9, 9)))
	_, ok := l.try()
	check("who has promised is no candidate", !ok)
	check("another's word does not release", release(says("b@1", at(9, 9), false)) != "")
	check("a running attempt does not", release(says("a@1", at(3, 2), true)) != "")
	check("an older word does not", release(says("a@1", at(3, 1), false)) != "")
	formed := says("a@1", at(4, 0), false)
	formed.ClusterId = "id"
	check("a formed cluster does not", release(formed) != "")
	check("the end of the attempt does", release(says("a@1", at(3, 2), false)) == "")
	check("another may have it then", grant("b@1", at(1, 1)))
	check("a later epoch ends it, too", release(says("b@1", at(2, 0), false)) == "")
	_, ok = l.try()
	check("who is free is a candidate", ok)
	check("a candidate promises nothing", !grant("a@1", at(8, 8)))
	l.stop()
	check("but after its attempt", grant("a@1", at(8, 8)))
	check("joins what is formed", l.join("x") == nil && l.clusterID() == "x")
	check("for ever", l.join("y") != nil && !grant("a@1", at(8, 9)))
}
