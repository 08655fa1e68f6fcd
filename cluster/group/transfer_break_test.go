package group

import (
	"slices"
	"testing"
	"time"

	"github.com/warrenmq/warren/broker/queue"
)

// A transfer that breaks goes on where it ended, the group goes on meanwhile, and the
// follower, who hears its leader all the time, does not stand for election.
func TestBrokenTransferGoesOnWhereItEnded(t *testing.T) {
	bubble(t, func(t *testing.T) {
		w := often(newWorld(t))
		w.segments, w.rate = 16<<20, 4<<20
		ps := w.startThree()
		l := awaitLeading(t, ps)
		mustPropose(t, l, configure)
		away := without(ps, l)[0]
		away.kill()
		const backlog = 600 // of 64 KiB: ten seconds at the rate
		for i := uint64(1); i <= backlog; i++ {
			mustPropose(t, l, large(i))
		}
		time.Sleep(time.Second)
		back := w.start(away.id, three...)
		rest := without(ps, away)
		term := l.group.Status().Term
		adopts := func() int { // in messages of the backlog
			entries := logOf(back)
			entries.mu.Lock()
			defer entries.mu.Unlock()
			return entries.bytes / (64 << 10)
		}
		var slowest time.Duration
		next, breaks := uint64(backlog), 0
		start := time.Now()
		await(t, "the follower", 5*time.Minute, func() bool {
			next++
			began := time.Now()
			mustPropose(t, l, numbered(next))
			slowest = max(slowest, time.Since(began))
			time.Sleep(20 * time.Millisecond)
			if n := adopts(); breaks == 0 && n > 200 || breaks == 1 && n > 400 {
				breaks++
				w.network.Partition([]string{back.id[:1]}, []string{l.id[:1]})
				time.Sleep(8 * time.Second) // until the silent connection is given up
				w.network.HealAll()
			}
			return logOf(back).first() > 0 && back.group.fsm.position() >= backlog
		})
		if breaks != 2 {
			t.Errorf("the transfer was broken %d times", breaks)
		}
		if n := adopts(); n < backlog-60 || n > backlog+2*adoptBytes/(64<<10)+20 {
			t.Errorf("%d bodies were adopted of %d", n, backlog)
		}
		if took, least := time.Since(start), time.Duration(backlog-60)*64<<10*time.Second/(4<<20); took < least {
			t.Errorf("it took %v, less than %v at the rate", took, least)
		}
		if slowest > 500*time.Millisecond {
			t.Errorf("a proposal took %v meanwhile", slowest)
		}
		ps = append(rest, back)
		awaitEqual(t, ps)
		if now := l.group.Status(); now.Term != term || now.State != "Leader" {
			t.Errorf("term %d became %d, %s is %s", term, now.Term, l.id, now.State)
		}
		if got, want := bodies(t, back), bodies(t, l); !slices.Equal(got, want) || len(got) != int(next) {
			t.Errorf("%d messages of %d", len(got), next)
		}
	})
}

// large is a publish batch of one message of 64 KiB.
func large(n uint64) []byte {
	var b queue.Builder
	body := make([]byte, 64<<10)
	for i := range 8 {
		body[7-i] = byte(n >> (8 * i))
	}
	b.Add([]queue.ID{theQueue}, &queue.Message{RoutingKey: "k", Body: body, TTL: queue.NoTTL})
	return b.Seal(queue.Session{Incarnation: 1, Epoch: 1}, n)
}
