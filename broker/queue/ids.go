package queue

import (
	"fmt"
	"time"
)

// ID names a queue for ever: the meta group gives it when the queue is declared
// and never gives it again. 0 is no queue.
type ID uint64

// Ref says where the body of a message lies: the index of a log entry of the
// queue's group, and the message's number in the batch that the entry carries.
type Ref struct {
	Index   uint64
	Ordinal uint32
}

// Range is a stretch of sequence numbers, both ends included. A Range whose
// Last is lower than its First is empty.
type Range struct{ First, Last uint64 }

// Session is the publishing side of a group: an edge node's incarnation and
// its boot count. A newer epoch of an incarnation replaces the older.
type Session struct{ Incarnation, Epoch uint64 }

// Message is one published message. Its strings and slices are borrowed from
// whoever hands it over, for as long as that function says.
type Message struct {
	Exchange, RoutingKey string
	Properties           []byte // AMQP property flags and list, as on the wire
	Body                 []byte
	Priority             uint8
	// TTL is the message's own expiration. Zero expires it at once unless a
	// consumer waits for it; a message without one has a negative TTL (NoTTL).
	TTL time.Duration
	// What the broker knows of a message beyond what its publisher said, and no client is told.
	Died  bool     // the header x-death is the broker's: a further death adds to it
	Blind []string // the routing keys of the header BCC, which was taken out
	Moves bool     // a dead letter out of a node's memory, which is free again once it has arrived; not kept
	// Passed says that a queue passes it on, dead or delayed, and sends it again until it is told to be safe; not kept.
	Passed bool
}

// NoTTL is the TTL of a message that does not expire by itself.
const NoTTL time.Duration = -1

// SettleKind says why a message is finished with.
type SettleKind uint8

// The ways to finish with a message.
const (
	Ack    SettleKind = iota + 1 // a consumer acknowledged it, or took it without acknowledgement
	Reject                       // a consumer rejected it and did not ask for its return
	Expire                       // its time to live ended
	Drop                         // the queue's limit pushed it out
)

func (k SettleKind) String() string {
	switch k {
	case Ack:
		return "ack"
	case Reject:
		return "reject"
	case Expire:
		return "expire"
	case Drop:
		return "drop"
	default:
		return fmt.Sprintf("SettleKind(%d)", uint8(k))
	}
}

// Status is what became of a command.
type Status uint8

// The outcomes of a command.
const (
	Applied  Status = iota + 1 // done
	Repeated                   // a publish batch that was applied before: confirmed again, not appended again
	Gap                        // a publish batch that skips one: refused, the edge sends again from Answer.Seq + 1
	Stale                      // a publish batch of a session that a newer epoch replaced: refused for good
	NoQueue                    // the command's queue is not in this group
)

func (s Status) String() string {
	switch s {
	case Applied:
		return "applied"
	case Repeated:
		return "repeated"
	case Gap:
		return "gap"
	case Stale:
		return "stale"
	case NoQueue:
		return "no queue"
	default:
		return fmt.Sprintf("Status(%d)", uint8(s))
	}
}

// Answer is what Apply returns for one command.
type Answer struct {
	Status Status
	// Seq is the session's last applied batch (publish).
	Seq uint64
	// Refused are the ordinals that a full queue did not take (publish).
	Refused []uint32
	// Sealed are the queues that took nothing of the batch because they are being
	// deleted, ascending (publish).
	Sealed []ID
	// Count is how many messages the command concerned: settled, requeued, purged or
	// forgotten ones, or dead letters; for Requeue and Seal see there.
	Count uint64
}

// Item is an unsettled message of a queue, without its body.
type Item struct {
	Seq      uint64
	Ref      Ref
	Returned uint32    // how often it was requeued
	Failed   uint32    // how often a delivery of it failed: in a queue that is not Quorum, each return counts
	At       time.Time // when its entry was appended, by the clock of that time's leader
	Priority uint8     // at most the queue's MaxPriority
	Deadline time.Time // when its time to live ends, its own or the queue's; zero: never
}
