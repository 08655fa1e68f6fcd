package group

import "testing"

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
	tried.fail(3, "b")
	may(3, "b", false)
	may(3, "c", true)
	tried.fail(3, "c")
	may(3, "b", false)
	may(4, "b", true)
	tried.fail(4, "c")
	may(4, "b", true)
	may(4, "c", false)
}
