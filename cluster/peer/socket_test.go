package peer

import (
	"testing"
	"time"

	"github.com/hashicorp/raft"
)

// Over real sockets: the kernel's refusal is the one that succession looks for.
func TestKilledLeaderIsSucceededAtOnceOverSockets(t *testing.T) {
	nodes := loopbackNodes(t, func(id string) nodeOption { return withSecret(t, id, "the cluster's long secret") })
	elected := make(chan *member, 8)
	var members []*member
	for _, n := range nodes {
		m := startMember(t, n, 1, voters, raft.NewInmemStore())
		members = append(members, m)
		go func() {
			for {
				select {
				case leads := <-m.raft.LeaderCh():
					if leads {
						elected <- m
					}
				case <-t.Context().Done():
					return
				}
			}
		}()
	}
	leader := next(t, elected)
	linked := make(chan struct{}, 8)
	for _, m := range without(members, leader) {
		m.conns.Watch(func(id string, up bool) {
			if up && id == leader.id {
				linked <- struct{}{}
			}
		})
		if m.conns.Up(leader.id) {
			linked <- struct{}{}
		}
	}
	<-linked
	<-linked
	start := time.Now()
	leader.stop() // closes its sockets as the end of a process does
	leader.leave()
	if m := next(t, elected); m == leader {
		t.Fatalf("%s leads again", m.id)
	}
	if took := time.Since(start); took > 900*time.Millisecond {
		t.Errorf("a new leader after %v: the heartbeat timeout was waited for", took)
	} else {
		t.Logf("a new leader after %v", took)
	}
}

func next(t *testing.T, elected <-chan *member) *member {
	t.Helper()
	select {
	case m := <-elected:
		return m
	case <-time.After(20 * time.Second):
		t.Fatal("no leader")
		return nil
	}
}
