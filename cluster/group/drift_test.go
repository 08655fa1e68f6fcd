package group

import (
	"testing"
	"time"
)

// Several groups that begin to be led at once come to move at once: each waits
// until another has moved, and not for its next look.
func TestLeadershipDriftsOnceAnotherGroupHasMoved(t *testing.T) {
	bubble(t, func(t *testing.T) {
		w := newWorld(t)
		ps := w.startThree()
		l := awaitLeading(t, ps)
		other := ps[0]
		if other == l {
			other = ps[1]
		}
		w.prefer(other.id)
		l.host.moving.Lock()
		time.Sleep(settleTime + 2*driftEvery + 100*time.Millisecond)
		l.host.moving.Unlock()
		await(t, "leading at "+other.id, time.Second, func() bool { return other.leads.Load() == 1 })
	})
}
