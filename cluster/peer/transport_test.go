package peer

import (
	"bytes"
	"testing"
	"time"

	"github.com/hashicorp/raft"

	"github.com/warrenmq/warren/cluster/peer/memconn"
)

func TestKilledLeaderIsSucceededAtOnce(t *testing.T) {
	bubble(t, func(t *testing.T) {
		network := memconn.New()
		members := cluster(t, network)
		leader := awaitLeader(t, members)
		if err := leader.raft.Apply([]byte("x"), time.Second).Error(); err != nil {
			t.Fatalf("Apply: %v", err)
		}
		time.Sleep(2 * time.Second)
		rest := without(members, leader)
		start := time.Now()
		leader.kill(network)
		await(t, "a new leader", time.Second, func() bool { return leaderOf(rest) != nil })
		if took := time.Since(start); took > 500*time.Millisecond {
			t.Errorf("a new leader after %v, want it without waiting for the heartbeat timeout", took)
		}
		if err := leaderOf(rest).raft.Apply([]byte("y"), time.Second).Error(); err != nil {
			t.Errorf("Apply at the new leader: %v", err)
		}
	})
}

func TestVanishedLeaderIsSucceededWithinThreeSeconds(t *testing.T) {
	bubble(t, func(t *testing.T) {
		network := memconn.New()
		members := cluster(t, network)
		leader := awaitLeader(t, members)
		time.Sleep(2 * time.Second)
		network.Vanish(nodeName(leader.id))
		rest := without(members, leader)
		await(t, "a new leader", 4*time.Second, func() bool { return leaderOf(rest) != nil })
		if lease := leader.transport.Lease(); lease.After(time.Now()) {
			t.Errorf("the vanished leader has a lease until %v from now", time.Until(lease))
		}
		network.Return(nodeName(leader.id))
		await(t, "the old leader following", 5*time.Second, func() bool {
			_, id := leader.raft.LeaderWithID()
			return leader.raft.State() == raft.Follower && id == raft.ServerID(leaderOf(rest).id)
		})
	})
}

func TestReturnedNodeCatchesUpAtOnce(t *testing.T) {
	bubble(t, func(t *testing.T) {
		network := memconn.New()
		members := cluster(t, network)
		leader := awaitLeader(t, members)
		gone := without(members, leader)[0]
		time.Sleep(2 * time.Second)
		gone.kill(network)
		payload := bytes.Repeat([]byte("m"), 3000)
		for range 200 {
			if err := leader.raft.Apply(payload, time.Second).Error(); err != nil {
				t.Fatalf("Apply: %v", err)
			}
		}
		time.Sleep(10 * time.Minute) // long enough for any back-off to have grown
		back := startMember(t, startNode(t, network, gone.id, 2), 1, voters, gone.store)
		took := await(t, "the log of the returned node", 5*time.Second, func() bool { return back.fsm.count() == 200 })
		if took > 2*time.Second {
			t.Errorf("caught up after %v", took)
		}
	})
}

func TestLeaseEndsBeforeAnotherLeaderCanBe(t *testing.T) {
	bubble(t, func(t *testing.T) {
		network := memconn.New()
		members := cluster(t, network)
		leader := awaitLeader(t, members)
		await(t, "a lease", time.Second, func() bool { return leader.transport.Lease().After(time.Now()) })
		for range 100 { // while all is well it is never lost
			time.Sleep(17 * time.Millisecond)
			if !leader.transport.Lease().After(time.Now()) {
				t.Fatalf("no lease in a healthy group")
			}
		}
		for _, m := range without(members, leader) {
			if m.transport.Lease().After(time.Now()) {
				t.Errorf("follower %s has a lease", m.id)
			}
		}
		name := nodeName(leader.id)
		cut := time.Now()
		network.Partition([]string{name}, []string{"a", "b", "c"})
		await(t, "the end of the lease", 600*time.Millisecond, func() bool { return !leader.transport.Lease().After(time.Now()) })
		if took := time.Since(cut); took > 510*time.Millisecond {
			t.Errorf("a leader that hears nobody has a lease for %v", took)
		}
		if leaderOf(without(members, leader)) != nil {
			t.Errorf("two leaders at once")
		}
	})
}

func TestHandingOverGivesUpTheLease(t *testing.T) {
	bubble(t, func(t *testing.T) {
		network := memconn.New()
		members := cluster(t, network)
		leader := awaitLeader(t, members)
		target := without(members, leader)[0]
		time.Sleep(2 * time.Second)
		done := leader.raft.LeadershipTransferToServer(raft.ServerID(target.id), raft.ServerAddress(target.id))
		for leader.raft.State() == raft.Leader && target.raft.State() != raft.Leader {
			time.Sleep(time.Millisecond)
		}
		if target.raft.State() == raft.Leader && leader.transport.Lease().After(time.Now()) {
			t.Errorf("the old leader still has a lease when there is a new one")
		}
		if err := done.Error(); err != nil {
			t.Errorf("transfer: %v", err)
		}
		target.transport.Yield(true)
		time.Sleep(3 * time.Second)
		next := awaitLeader(t, members)
		if next != target {
			t.Fatalf("leader is %s, want %s", next.id, target.id)
		}
		leader.transport.Yield(true)
		if err := next.raft.LeadershipTransferToServer(raft.ServerID(leader.id), raft.ServerAddress(leader.id)).Error(); err == nil {
			t.Errorf("a node that yields took the leadership")
		}
	})
}

func TestHeartbeatsOfManyGroupsTravelTogether(t *testing.T) {
	bubble(t, func(t *testing.T) {
		network := memconn.New()
		var nodes []*node
		for _, v := range voters {
			nodes = append(nodes, startNode(t, network, v, 1))
		}
		const groups = 40
		byGroup := make([][]*member, groups)
		for g := range groups {
			for _, n := range nodes {
				byGroup[g] = append(byGroup[g], startMember(t, n, uint64(g+1), voters, raft.NewInmemStore()))
			}
		}
		for g := range groups {
			awaitLeader(t, byGroup[g])
		}
		time.Sleep(2 * time.Second)
		sent := func() (total uint64) {
			for _, n := range nodes {
				for _, v := range voters {
					if v != n.id {
						c, _ := n.conns.conn(v)
						c.link.mu.Lock()
						total += c.link.number
						c.link.mu.Unlock()
					}
				}
			}
			return total
		}
		before := sent()
		time.Sleep(10 * time.Second)
		perSecond := float64(sent()-before) / 10 / 6
		if perSecond > 51 {
			t.Errorf("%.0f messages of heartbeats a second on a link, want one in 20 ms at most", perSecond)
		}
		for g := range groups {
			if n := byGroup[g][0].raft.CurrentTerm(); n > 3 {
				t.Errorf("group %d is in term %d: heartbeats were lost", g+1, n)
			}
		}
	})
}

func TestLargeEntriesArriveInChunks(t *testing.T) {
	bubble(t, func(t *testing.T) {
		network := memconn.New()
		members := cluster(t, network)
		leader := awaitLeader(t, members)
		large := make([]byte, 16<<20)
		for i := range large {
			large[i] = byte(i * 7 >> 3)
		}
		var futures []raft.ApplyFuture
		for i := range 4 {
			futures = append(futures, leader.raft.Apply(large[i*100:], 0), leader.raft.Apply([]byte{byte(i)}, 0))
		}
		for _, f := range futures {
			if err := f.Error(); err != nil {
				t.Fatalf("Apply: %v", err)
			}
		}
		await(t, "all followers", 5*time.Second, func() bool {
			for _, m := range members {
				if m.fsm.count() != len(futures) {
					return false
				}
			}
			return true
		})
		for _, m := range members {
			for i := range 4 {
				if !bytes.Equal(m.fsm.applied[2*i], large[i*100:]) || !bytes.Equal(m.fsm.applied[2*i+1], []byte{byte(i)}) {
					t.Errorf("%s: entry %d differs", m.id, i)
				}
			}
		}
	})
}
