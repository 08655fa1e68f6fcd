package membership

import (
	"context"
	"errors"
	"net/netip"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/warrenmq/warren/cluster/membership/memnet"
)

func TestNodesFindEachOtherThroughOneSeed(t *testing.T) {
	bubble(t, func(t *testing.T, net *memnet.Network) {
		a, b, c := trio(t, net)
		got, ok := c.Member(id("beta", 'b'))
		want := Member{
			ID: id("beta", 'b'), Name: "beta", Epoch: 1,
			GossipAddr: "10.0.0.2:7946", PeerAddr: "10.0.0.2:7947", AMQPAddr: "10.0.0.2:5672",
			Zone: "zone-beta", Version: "0.1.0", Alive: true,
		}
		if !ok || got != want {
			t.Errorf("gamma sees %+v, want %+v", got, want)
		}
		if self, _ := b.Member(id("beta", 'b')); self != want {
			t.Errorf("beta sees itself as %+v, want %+v", self, want)
		}
		if addr, ok := a.Address(id("gamma", 'c')); !ok || addr != "10.0.0.3:7947" {
			t.Errorf("Address(gamma) = %q, %v", addr, ok)
		}
		if _, ok := a.Address("nobody@0000000000000000"); ok {
			t.Error("the address of a stranger is known")
		}
		if n := a.log.count("level=WARN"); n != 0 {
			t.Errorf("warnings in a quiet start:\n%s", a.log)
		}
	})
}

func TestADeadNodeIsReportedWithinSixSeconds(t *testing.T) {
	bubble(t, func(t *testing.T, net *memnet.Network) {
		a, b, c := trio(t, net)
		c.kill()
		took := sees(t, 6*time.Second, []*node{a, b}, id("alpha", 'a'), id("beta", 'b'))
		t.Logf("death known after %v", took)
		if last := a.heard()[len(a.heard())-1]; last != "dead "+id("gamma", 'c')+"#1" {
			t.Errorf("alpha heard %q last", last)
		}
		if addr, ok := a.Address(id("gamma", 'c')); !ok || addr != "10.0.0.3:7947" {
			t.Errorf("the last address of a dead node is %q, %v", addr, ok)
		}
	})
}

func TestAStopIsAFarewell(t *testing.T) {
	bubble(t, func(t *testing.T, net *memnet.Network) {
		a, b, c := trio(t, net)
		from := time.Now()
		c.stop()
		if took := time.Since(from); took > time.Second {
			t.Errorf("the stop took %v", took)
		}
		took := sees(t, time.Second, []*node{a, b}, id("alpha", 'a'), id("beta", 'b'))
		t.Logf("farewell known %v after the stop", took)
		for _, n := range []*node{a, b} {
			if last := n.heard()[len(n.heard())-1]; last != "left "+id("gamma", 'c')+"#1" {
				t.Errorf("heard %q last", last)
			}
		}
	})
}

func TestAHealedPartitionMerges(t *testing.T) {
	bubble(t, func(t *testing.T, net *memnet.Network) {
		a, b, c := trio(t, net)
		all := a.alive()
		net.Partition([]string{"10.0.0.1"}, []string{"10.0.0.2", "10.0.0.3"})
		sees(t, 10*time.Second, []*node{a}, id("alpha", 'a'))
		sees(t, 10*time.Second, []*node{b, c}, id("beta", 'b'), id("gamma", 'c'))
		time.Sleep(60 * time.Second)
		net.Heal()
		took := sees(t, 10*time.Second, []*node{a, b, c}, all...)
		t.Logf("merged %v after the healing", took)
	})
}

func TestALongPartitionMergesThroughLastKnownPeers(t *testing.T) {
	bubble(t, func(t *testing.T, net *memnet.Network) {
		a, b, c := trio(t, net)
		all := a.alive()
		net.Partition([]string{"10.0.0.3"}, []string{"10.0.0.1", "10.0.0.2"}) // gamma is nobody's seed
		time.Sleep(time.Hour)
		net.Heal()
		took := sees(t, 10*time.Second, []*node{a, b, c}, all...)
		t.Logf("merged %v after the healing", took)
	})
}

// A node that restarted while it was cut off knows the others from its seeds alone,
// and they have forgotten none of it.
func TestARestartInAPartitionMergesThroughSeeds(t *testing.T) {
	bubble(t, func(t *testing.T, net *memnet.Network) {
		a, b, c := trio(t, net)
		all := b.alive()
		net.Partition([]string{"10.0.0.1"}, []string{"10.0.0.2", "10.0.0.3"})
		time.Sleep(time.Minute)
		a.kill()
		a = start(t, net, "10.0.0.1", "alpha", 'a', func(cfg *Config) { cfg.Epoch = 2 })
		time.Sleep(time.Minute)
		sees(t, 0, []*node{a}, id("alpha", 'a'))
		net.Heal()
		took := sees(t, 10*time.Second, []*node{a, b, c}, all...)
		t.Logf("merged %v after the healing", took)
	})
}

func TestARestartAtAnotherAddressIsSeenAtOnce(t *testing.T) {
	bubble(t, func(t *testing.T, net *memnet.Network) {
		a, b, c := trio(t, net)
		c.kill()
		again := start(t, net, "10.0.0.33", "gamma", 'c', func(cfg *Config) { cfg.Epoch = 2 })
		took := within(t, 2*time.Second, "the new address", func() bool {
			pa, _ := a.Address(id("gamma", 'c'))
			pb, _ := b.Address(id("gamma", 'c'))
			return pa == "10.0.0.33:7947" && pb == pa
		})
		t.Logf("new address known after %v", took)
		want := []string{"dead " + id("gamma", 'c') + "#1", "joined " + id("gamma", 'c') + "#2"}
		if got := a.heard(); !slices.Equal(got[len(got)-2:], want) {
			t.Errorf("alpha heard %q, want %q last", got, want)
		}
		time.Sleep(time.Minute) // the first process is forgotten without a further event
		if got := a.heard(); !slices.Equal(got[len(got)-2:], want) {
			t.Errorf("later alpha heard %q", got)
		}
		sees(t, time.Second, []*node{a, b, again}, id("alpha", 'a'), id("beta", 'b'), id("gamma", 'c'))
		for _, n := range []*node{a, b, again} {
			if n.log.count("level=WARN") != 0 {
				t.Errorf("warnings:\n%s", n.log)
			}
		}
	})
}

func TestARestartAtTheSameAddressIsSeenAtOnce(t *testing.T) {
	bubble(t, func(t *testing.T, net *memnet.Network) {
		a, b, c := trio(t, net)
		c.kill()
		again := start(t, net, "10.0.0.3", "gamma", 'c', func(cfg *Config) { cfg.Epoch = 2 })
		within(t, 2*time.Second, "epoch 2", func() bool {
			m, _ := b.Member(id("gamma", 'c'))
			return m.Epoch == 2 && m.Alive
		})
		time.Sleep(time.Minute)
		sees(t, 0, []*node{a, b, again}, id("alpha", 'a'), id("beta", 'b'), id("gamma", 'c'))
	})
}

func TestAnotherNodeOfTheSameNameWaitsForTheFirstToDie(t *testing.T) {
	bubble(t, func(t *testing.T, net *memnet.Network) {
		a, b, c := trio(t, net)
		second := start(t, net, "10.0.0.4", "gamma", 'd', nil)
		time.Sleep(30 * time.Second)
		sees(t, 0, []*node{a, b, c}, id("alpha", 'a'), id("beta", 'b'), id("gamma", 'c'))
		sees(t, 0, []*node{second}, id("gamma", 'd'))
		for _, n := range []*node{a, b, second} {
			if got := n.log.count("level=WARN", "refused", id("gamma", 'c'), id("gamma", 'd')); got != 1 {
				t.Errorf("%d lines about the refusal, want 1:\n%s", got, n.log)
			}
			if got := n.log.count("level=WARN"); got != 1 {
				t.Errorf("%d warnings, want 1:\n%s", got, n.log)
			}
		}
		c.kill()
		took := sees(t, 15*time.Second, []*node{a, b, second}, id("alpha", 'a'), id("beta", 'b'), id("gamma", 'd'))
		t.Logf("the second was let in %v after the death of the first", took)
		if _, ok := a.Member(id("gamma", 'c')); ok {
			t.Error("the first, whose name is taken, is still looked for")
		}
	})
}

// A node that lost its disk comes back at its old address, before its death is known.
func TestAWipedNodeReturnsAtItsAddress(t *testing.T) {
	bubble(t, func(t *testing.T, net *memnet.Network) {
		a, b, c := trio(t, net)
		c.kill()
		wiped := start(t, net, "10.0.0.3", "gamma", 'd', nil)
		took := sees(t, 15*time.Second, []*node{a, b, wiped}, id("alpha", 'a'), id("beta", 'b'), id("gamma", 'd'))
		t.Logf("let in after %v", took)
	})
}

func TestANodeOfAnotherClusterIsRefused(t *testing.T) {
	bubble(t, func(t *testing.T, net *memnet.Network) {
		a, b, c := trio(t, net)
		for _, n := range []*node{a, b, c} {
			n.found(clusterX)
		}
		within(t, 2*time.Second, "the cluster's id", func() bool {
			m, _ := a.Member(id("beta", 'b'))
			return m.ClusterID == clusterX
		})
		stranger := start(t, net, "10.0.0.4", "delta", 'd', func(cfg *Config) {
			cfg.ClusterID = func() string { return clusterY }
		})
		time.Sleep(30 * time.Second)
		sees(t, 0, []*node{a, b, c}, id("alpha", 'a'), id("beta", 'b'), id("gamma", 'c'))
		sees(t, 0, []*node{stranger}, id("delta", 'd'))
		if got := a.log.count("level=WARN", "refused", id("delta", 'd'), clusterX, clusterY); got != 1 {
			t.Errorf("%d lines at alpha, want 1:\n%s", got, a.log)
		}
		if got := stranger.log.count("level=WARN", "another cluster", clusterX, clusterY); got == 0 {
			t.Errorf("no line at the stranger:\n%s", stranger.log)
		}
		newcomer := start(t, net, "10.0.0.5", "epsilon", 'e', nil) // of no cluster yet
		sees(t, 6*time.Second, []*node{a, b, c, newcomer},
			id("alpha", 'a'), id("beta", 'b'), id("epsilon", 'e'), id("gamma", 'c'))
		newcomer.found(clusterX)
		within(t, 2*time.Second, "the newcomer's cluster", func() bool {
			m, _ := a.Member(id("epsilon", 'e'))
			return m.ClusterID == clusterX && slices.Contains(a.heard(), "updated "+id("epsilon", 'e')+"#1")
		})
	})
}

// Two nodes met before either had a cluster, and then joined different ones.
func TestMembersThatJoinAnotherClusterAreDropped(t *testing.T) {
	bubble(t, func(t *testing.T, net *memnet.Network) {
		a, b, c := trio(t, net)
		a.found(clusterX)
		b.found(clusterX)
		c.found(clusterY)
		sees(t, 5*time.Second, []*node{a, b}, id("alpha", 'a'), id("beta", 'b'))
		sees(t, 5*time.Second, []*node{c}, id("gamma", 'c'))
	})
}

func TestAWrongSecretIsRefusedOnBothSides(t *testing.T) {
	bubble(t, func(t *testing.T, net *memnet.Network) {
		a, b, c := trio(t, net)
		wrong := start(t, net, "10.0.0.4", "delta", 'd', func(cfg *Config) { cfg.Key = otherKey })
		none := start(t, net, "10.0.0.5", "epsilon", 'e', func(cfg *Config) { cfg.Key = nil })
		time.Sleep(30 * time.Second)
		sees(t, 0, []*node{a, b, c}, id("alpha", 'a'), id("beta", 'b'), id("gamma", 'c'))
		sees(t, 0, []*node{wrong}, id("delta", 'd'))
		sees(t, 0, []*node{none}, id("epsilon", 'e'))
		for _, host := range []string{"10.0.0.4", "10.0.0.5"} {
			if got := a.log.count("level=WARN", "refused", "from="+host); got != 1 {
				t.Errorf("%d lines about %s at alpha, want 1:\n%s", got, host, a.log)
			}
		}
		for _, n := range []*node{wrong, none} {
			if got := n.log.count("level=WARN", "secret"); got != 1 {
				t.Errorf("%d lines at the stranger, want 1:\n%s", got, n.log)
			}
		}
	})
}

func TestTwoOfFiveDieAtOnce(t *testing.T) {
	bubble(t, func(t *testing.T, net *memnet.Network) {
		a, b, c := trio(t, net)
		d := start(t, net, "10.0.0.4", "delta", 'd', nil)
		e := start(t, net, "10.0.0.5", "epsilon", 'e', nil)
		sees(t, 6*time.Second, []*node{a, b, c, d, e},
			id("alpha", 'a'), id("beta", 'b'), id("delta", 'd'), id("epsilon", 'e'), id("gamma", 'c'))
		d.transport.Crash()
		e.transport.Crash()
		took := sees(t, 10*time.Second, []*node{a, b, c}, id("alpha", 'a'), id("beta", 'b'), id("gamma", 'c'))
		t.Logf("deaths known after %v", took)
	})
}

// A headless service names pods as they become ready; a file may be written late.
func TestSeedsMayComeLate(t *testing.T) {
	bubble(t, func(t *testing.T, net *memnet.Network) {
		var ready atomic.Bool
		names := dns(map[string][]string{"warren": {"10.0.0.1", "10.0.0.2"}})
		byName := func(cfg *Config) {
			cfg.Seeds = []string{"warren"}
			cfg.Resolve = func(ctx context.Context, host string) ([]netip.Addr, error) {
				if !ready.Load() {
					return nil, errors.New("no such host")
				}
				return names(ctx, host)
			}
		}
		file := filepath.Join(t.TempDir(), "seeds")
		a := start(t, net, "10.0.0.1", "alpha", 'a', byName)
		b := start(t, net, "10.0.0.2", "beta", 'b', byName)
		c := start(t, net, "10.0.0.3", "gamma", 'c', func(cfg *Config) { cfg.Seeds = []string{"file:" + file} })
		time.Sleep(time.Minute)
		sees(t, 0, []*node{a}, id("alpha", 'a'))
		ready.Store(true)
		sees(t, 6*time.Second, []*node{a, b}, id("alpha", 'a'), id("beta", 'b'))
		if err := os.WriteFile(file, []byte("10.0.0.2\n"), 0o600); err != nil {
			t.Fatal(err)
		}
		sees(t, 6*time.Second, []*node{a, b, c}, id("alpha", 'a'), id("beta", 'b'), id("gamma", 'c'))
	})
}

func TestOneWayCutsDoNotSplitTheRest(t *testing.T) {
	bubble(t, func(t *testing.T, net *memnet.Network) {
		a, b, c := trio(t, net)
		net.Cut("10.0.0.1", "10.0.0.2") // alpha reaches beta through gamma alone
		time.Sleep(2 * time.Minute)
		net.Heal()
		sees(t, 15*time.Second, []*node{a, b, c}, id("alpha", 'a'), id("beta", 'b'), id("gamma", 'c'))
		for _, e := range c.heard() {
			if strings.HasPrefix(e, "dead") {
				t.Logf("gamma, which reached both, heard %q", e)
			}
		}
	})
}

func TestLostPacketsKillNobody(t *testing.T) {
	bubble(t, func(t *testing.T, net *memnet.Network) {
		net.SetLoss(0.1)
		net.SetDelay(10*time.Millisecond, 40*time.Millisecond)
		a, b, c := trio(t, net)
		time.Sleep(10 * time.Minute)
		for _, n := range []*node{a, b, c} {
			for _, e := range n.heard() {
				if strings.HasPrefix(e, "dead") {
					t.Errorf("heard %q", e)
				}
			}
		}
	})
}

func TestALoneNodeSaysSoOnceAMinute(t *testing.T) {
	bubble(t, func(t *testing.T, net *memnet.Network) {
		a := start(t, net, "10.0.0.1", "alpha", 'a', nil)
		time.Sleep(59 * time.Second)
		if got := a.log.count("level=WARN", "no seed answers yet"); got != 1 {
			t.Errorf("%d lines, want 1:\n%s", got, a.log)
		}
	})
}
