package queue

import (
	"math"
	"time"
)

// Entry is one log entry of a group, decoded.
type Entry struct {
	Index      uint64
	Term       uint64    // in which it was appended; 0 in a log of one node
	AppendedAt time.Time // the leader's clock, replicated: the only time that Apply may read
	Commands   []Command
}

// Command is one of Publish, Settle, Requeue, DeadLettered, Configure, Held, Seal,
// Unseal, Forget, Purge, Mark and Level.
type Command interface{ command() }

// Publish appends the messages of a publish batch to their queues.
type Publish struct {
	Session  Session
	Seq      uint64 // the batch's number in its session, from 1
	Sections []Section

	batch []byte // what queues need to know of single messages is read only when one asks
}

// Section is a stretch of a publish batch whose messages all go to the same
// queues: ordinals First to First+Count-1, in the order of their arrival.
type Section struct {
	Queues []ID // ascending
	First  uint32
	Count  uint32
	Bytes  uint64 // of bodies, together
	Timed  bool   // a message in it has a TTL
	Ranked bool   // a message in it has a priority
	Moves  bool   // a message in it is a dead letter out of a node's memory
}

// Settle finishes with messages. Those already settled are passed over. Unless they were
// acknowledged they become pending dead letters, when the queue's settings have a place for them.
type Settle struct {
	Queue  ID
	Kind   SettleKind
	Ranges []Range
	Bytes  uint64 // of their bodies together: the state knows sizes by the run only, the leader has read them
}

// UnknownBytes in Settle.Bytes leaves the account to the state: it is exact in a queue with a
// limit of bytes, and for a batch of a publisher that is settled as a whole.
const UnknownBytes = math.MaxUint64

// Requeue counts a return for each message in Ranges that is not settled. A message that has
// failed more often than the queue's delivery limit allows dies of it. The answer's Count is
// how many went back.
type Requeue struct {
	Queue  ID
	Failed bool // the deliveries failed: they count towards the limit in every queue
	Ranges []Range
}

// DeadLettered drops pending dead letters by their numbers: they are safe where they belong.
type DeadLettered struct {
	Queue  ID
	Ranges []Range
}

// Configure creates the queue in this group or changes its settings.
type Configure struct {
	Queue    ID
	Settings Settings
}

// Held tells what consumers hold unsettled, which a limit on ready messages does not count.
// The leader proposes it before what is published later, for queues that refuse messages.
type Held struct {
	Queue           ID
	Messages, Bytes uint64
}

// Seal makes the queue take no further messages, as the first step of its deletion: what is
// published to it from then on is answered with Answer.Sealed, for its publisher to confirm
// when the deletion has come about. The answer's Count is what the queue
// holds beside Held, which is out with consumers. With IfEmpty it seals only when that is
// nothing, so a Count above zero means that it did not: nothing is lost in between.
type Seal struct {
	Queue   ID
	IfEmpty bool
	Held    []Range
}

// Unseal undoes Seal, when the deletion did not come about.
type Unseal struct{ Queue ID }

// Forget drops the queue with all its messages and pending dead letters.
type Forget struct{ Queue ID }

// Purge settles all messages up to Through but those in Keep, which are out
// with consumers.
type Purge struct {
	Queue   ID
	Through uint64
	Keep    []Range
}

// Mark records that messages up to Seq may have been delivered. With a Term it takes
// back what was reserved and not used: it is the word of that term's leader, who delivers
// nothing more, that none beyond Seq was. In an entry of another term it means nothing:
// there may have been a leader in between.
type Mark struct {
	Queue ID
	Seq   uint64
	Term  uint64
}

// Level turns a level on (broker/level): what follows in the log is applied at it. It concerns no
// queue. The answer's Count is the level that is on now.
type Level struct{ Level uint64 }

func (Publish) command()      {}
func (Settle) command()       {}
func (Requeue) command()      {}
func (DeadLettered) command() {}
func (Configure) command()    {}
func (Held) command()         {}
func (Seal) command()         {}
func (Unseal) command()       {}
func (Forget) command()       {}
func (Purge) command()        {}
func (Mark) command()         {}
func (Level) command()        {}
