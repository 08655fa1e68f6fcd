package queue

import (
	"fmt"
	"time"
)

// Reason is why a message died.
type Reason uint8

// The reasons of dead letters.
const (
	Rejected        Reason = iota + 1 // a consumer rejected it and did not ask for its return
	Expired                           // its time to live ended
	MaxLen                            // the queue was full
	DeliveryLimited                   // its deliveries failed too often
)

// String is the reason as x-death has it.
func (r Reason) String() string {
	switch r {
	case Rejected:
		return "rejected"
	case Expired:
		return "expired"
	case MaxLen:
		return "maxlen"
	case DeliveryLimited:
		return "delivery_limit"
	default:
		return fmt.Sprintf("Reason(%d)", uint8(r))
	}
}

// DeadLetter is a message that died and is not known to be safe in its targets yet: until
// DeadLettered says so, its body stays readable. Of its Item, Priority and Deadline are not
// kept; its Seq is 0 when the queue refused it and never had it.
type DeadLetter struct {
	Number uint64 // the queue's dead letters have numbers of their own, from 1
	Item
	Reason Reason
	Died   time.Time // when the entry that killed it was appended
}

// DeadLetters lists up to limit pending dead letters whose numbers are above after, ascending.
func (q *Queue) DeadLetters(after uint64, limit int) []DeadLetter { return nil }

// PendingDeadLetters is how many dead letters are pending.
func (q *Queue) PendingDeadLetters() uint64 { return 0 }

// Timed says whether a message in the queue has a time to live of its own. It may stay true
// for a while after the last of them has gone.
func (q *Queue) Timed() bool { return false }
