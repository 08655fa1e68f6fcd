package group

import (
	"testing"
	"time"
)

// A follower that the leadership could not be handed to is tried again in another term alone.
func TestATransferThatFailedIsNotTriedAgainInItsTerm(t *testing.T) {
	var tried transfers
	may := func(term uint64, to string, want bool) {
		t.Helper()
		if got := tried.mayTry(term, to); got != want {
			t.Errorf("term %d, %s: may try %v, want %v", term, to, got, want)
		}
	}
	may(3, "b", true)
	tried.fail(3, "b", time.Time{})
	may(3, "b", false)
	may(3, "c", true)
	tried.fail(3, "c", time.Time{})
	may(3, "b", false)
	may(4, "b", true)
	tried.fail(4, "c", time.Time{})
	may(4, "b", true)
	may(4, "c", false)
}

// The leader resigns while it still leads, before another takes over: when a node stops
// in good order, and when the leadership drifts.
func TestALeaderResignsBeforeItHandsOver(t *testing.T) {
	bubble(t, func(t *testing.T) {
		w := newWorld(t)
		ps := w.startThree()
		first := awaitLeading(t, ps)
		rest := without(ps, first)
		w.prefer(rest[0].id)
		await(t, "leading at "+rest[0].id, time.Minute, func() bool { return rest[0].leads.Load() == 1 })
		if first.resigned.Load() != 1 || first.stayed.Load() != 0 {
			t.Errorf("it resigned %d times, stayed %d times", first.resigned.Load(), first.stayed.Load())
		}
		rest[0].stop()
		if rest[0].resigned.Load() != 1 || rest[0].stayed.Load() != 0 || rest[0].leads.Load() != 0 {
			t.Errorf("a node that stopped resigned %d times, stayed %d times", rest[0].resigned.Load(), rest[0].stayed.Load())
		}
		awaitLeading(t, without(ps, rest[0]))
	})
}
