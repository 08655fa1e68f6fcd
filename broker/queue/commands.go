package queue

import "time"

// Entry is one log entry of a group, decoded.
type Entry struct {
	Index      uint64
	AppendedAt time.Time // the leader's clock, replicated: the only time that Apply may read
	Commands   []Command
}

// Command is one of Publish, Settle, Requeue, Configure, Seal, Unseal, Forget,
// Purge and Mark.
type Command interface{ command() }

// Publish appends the messages of a publish batch to their queues.
type Publish struct {
	Session  Session
	Seq      uint64 // the batch's number in its session, from 1
	Sections []Section
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
}

// Settle finishes with messages. Those already settled are passed over.
type Settle struct {
	Queue  ID
	Kind   SettleKind
	Ranges []Range
	Bytes  uint64 // of their bodies together: the state knows sizes by the run only, the leader has read them
}

// Requeue counts a return for each message in Ranges that is not settled.
type Requeue struct {
	Queue  ID
	Ranges []Range
}

// Configure creates the queue in this group or changes its settings.
type Configure struct {
	Queue    ID
	Settings Settings
}

// Seal makes the queue take no further messages, as the first step of its deletion: what is
// published to it from then on is confirmed and dropped. The answer's Count is what the queue
// holds beside Held, which is out with consumers. With IfEmpty it seals only when that is
// nothing, so a Count above zero means that it did not: nothing is lost in between.
type Seal struct {
	Queue   ID
	IfEmpty bool
	Held    []Range
}

// Unseal undoes Seal, when the deletion did not come about.
type Unseal struct{ Queue ID }

// Forget drops the queue with all its messages.
type Forget struct{ Queue ID }

// Purge settles all messages up to Through but those in Keep, which are out
// with consumers.
type Purge struct {
	Queue   ID
	Through uint64
	Keep    []Range
}

// Mark records that messages up to Seq may have been delivered.
type Mark struct {
	Queue ID
	Seq   uint64
}

func (Publish) command()   {}
func (Settle) command()    {}
func (Requeue) command()   {}
func (Configure) command() {}
func (Seal) command()      {}
func (Unseal) command()    {}
func (Forget) command()    {}
func (Purge) command()     {}
func (Mark) command()      {}
