package leader

import (
	"errors"
	"time"

	"github.com/warrenmq/warren/broker/queue"
)

var (
	// ErrNoQueue: the group does not hold the queue (any more).
	ErrNoQueue = errors.New("no such queue")
	// ErrExclusive: the queue has an exclusive consumer, or a consumer where an exclusive one was asked for.
	ErrExclusive = errors.New("queue in exclusive use")
	// ErrSingleActive: basic.get of a queue whose single active consumer has it to itself.
	ErrSingleActive = errors.New("queue with a single active consumer")
	// ErrStream: basic.get or a purge of a stream, whose messages nobody takes out.
	ErrStream = errors.New("not for streams")
	// ErrUnavailable: nobody can serve the queue now, or did not in the time given. What was asked may or may not happen.
	ErrUnavailable = errors.New("queue temporarily unavailable")
	// ErrNotLeading: this node does not lead the queue's group (any more).
	ErrNotLeading = errors.New("not the leader of the queue's group")
	// ErrInUse and ErrNotEmpty refuse a delete with if-unused and if-empty.
	ErrInUse    = errors.New("queue in use")
	ErrNotEmpty = errors.New("queue not empty")
)

// EdgeID is one process of a node that AMQP clients are connected to.
type EdgeID struct {
	Node  string // ServerID
	Epoch uint64
}

// Consumer is what basic.consume asked for, with the credit it starts with.
type Consumer struct {
	Tag       string
	NoAck     bool
	Exclusive bool
	Priority  int32     // x-priority, 0 by default
	Messages  int       // first message credit; < 0: not counted
	Bytes     int64     // first byte credit
	Since     time.Time // when it began, by its edge's clock: the order of waiting consumers at a new leader
	Start     Start     // where in a stream it begins
}

// Start is a place in a stream. Its zero value says that the queue is none.
type Start struct {
	From From
	Seq  uint64    // FromSeq
	At   time.Time // FromTime
}

// From says how a Start is meant.
type From uint8

// The places in a stream where a consumer may begin.
const (
	FromFirst From = iota + 1 // the oldest message there is
	FromLast                  // the youngest message there is
	FromNext                  // the next that is published
	FromSeq                   // that message, or the first behind it
	FromTime                  // the oldest message that was appended then or later
)

// Delivery is one message handed to a consumer. Its slices are immutable and may be kept.
type Delivery struct {
	Seq         uint64
	Redelivered bool
	Returned    uint32 // times it was requeued before
	Failed      uint32 // those of them that count against the delivery limit
	Message     queue.Message
}

// Cost is what the delivery takes of its subscription's byte credit: body and
// properties, and a little for what surrounds them. Leader, edge and channel
// must count alike, or credit leaks.
func (d *Delivery) Cost() int64 {
	const surroundings = 64
	return int64(len(d.Message.Body)+len(d.Message.Properties)) + surroundings
}

// Answer is what became of a delivery.
type Answer uint8

const (
	Ack     Answer = iota + 1 // basic.ack
	Reject                    // basic.reject or basic.nack without requeue
	Requeue                   // basic.nack with requeue, basic.recover, or the consumer is gone: returned
	Fail                      // basic.reject with requeue: returned, and counted against the delivery limit
	Unseen                    // never reached a client: back to its place, not counted as a return; the last
)

// fate is what becomes of a message in the log.
type fate uint8

const (
	acked fate = iota + 1
	rejected
	requeued
	failed
	expired
	dropped
	lettered // of a dead letter: it is safe where it belongs
)

// fate is what an answer means; Unseen means nothing to the log.
func (a Answer) fate() (f fate, ok bool) {
	switch a {
	case Ack:
		return acked, true
	case Reject:
		return rejected, true
	case Requeue:
		return requeued, true
	case Fail:
		return failed, true
	default:
		return 0, false
	}
}

// returns tells whether the message is ready again.
func (f fate) returns() bool { return f == requeued || f == failed }

// Log is where a group's batches go and its messages are read from: a Raft
// group, or the memory of one node.
type Log interface {
	// Propose appends batch, whose ownership it takes. done is called once,
	// from any goroutine, in the order of the calls: with one answer a command
	// when the batch is committed and applied on this node, else with an error:
	// ErrNotLeading when it surely was not appended, any other when that is not known.
	Propose(batch []byte, done func(answers []queue.Answer, err error))
	// Message reads the message at ref. Its slices are immutable.
	Message(ref queue.Ref) (queue.Message, error)
	// Locked runs f while nothing is applied to the state. f must not block.
	Locked(f func(*queue.State))
	// Leased tells whether nobody else can be leading the group at this instant.
	Leased() bool
}

// Outlet carries an engine's events to one edge, in order. Send never blocks:
// what can be in it is bounded by the credit the edge gave.
type Outlet interface {
	Send(Event)
}

// Event is what an engine tells an edge.
type Event interface{ event() }

// Deliveries hands messages to a subscription, in order.
type Deliveries struct {
	Sub  uint64
	List []Delivery
}

// Subscribed answers Subscribe: Err is nil when the consumer stands. Active is
// false when another is the single active consumer of the queue. Next is the message
// that a stream's consumer begins with.
type Subscribed struct {
	Sub    uint64
	Active bool
	Next   uint64
	Err    error
}

// Got answers Get. Without a message OK is false.
type Got struct {
	Sub       uint64
	OK        bool
	Delivery  Delivery
	Remaining uint64 // ready messages left
	Err       error
}

// Cancelled ends a subscription: asked for (Err nil), or because the queue is gone.
// No Deliveries for Sub follow.
type Cancelled struct {
	Sub uint64
	Err error
}

// Active says whether from now on Sub is the one consumer that a queue with a
// single active one delivers to.
type Active struct {
	Sub    uint64
	Active bool
}

// Settled says that every settlement up to and including Number is committed.
type Settled struct{ Number uint64 }

func (Deliveries) event() {}
func (Subscribed) event() {}
func (Got) event()        {}
func (Cancelled) event()  {}
func (Active) event()     {}
func (Settled) event()    {}

// Request is what an edge asks of an engine through its attachment.
type Request interface{ request() }

// Subscribe adds a consumer under an edge-wide unique number.
type Subscribe struct {
	Sub      uint64
	Queue    queue.ID
	Consumer Consumer
}

// Resume takes a subscription up again at a new leader or over a new stream.
// Held is what the edge's channels hold unsettled; every other delivery that
// the leader remembers for Sub was never seen by a client.
type Resume struct {
	Sub       uint64
	Queue     queue.ID
	Consumer  Consumer // with the credit that is left
	Cancelled bool     // no further deliveries, but Held is still to be settled
	Get       bool     // what is held came by basic.get: there never was a consumer
	Active    bool     // what Subscribed or Active said last
	Held      []queue.Range
}

// Resumed ends the Resumes of an attachment.
type Resumed struct{}

// Get asks for one message; what is delivered is held under Sub.
type Get struct {
	Sub   uint64
	Queue queue.ID
	NoAck bool
}

// Settle answers deliveries of Sub. Number counts an edge's settlements to this group.
type Settle struct {
	Sub    uint64
	Queue  queue.ID
	Number uint64
	Answer Answer
	Ranges []queue.Range
}

// Credit lets Sub have that much more, or less where it is negative.
type Credit struct {
	Sub      uint64
	Messages int
	Bytes    int64
}

// Cancel ends the deliveries of Sub; what it holds stays held.
type Cancel struct{ Sub uint64 }

// Release ends Sub: what it holds is requeued.
type Release struct{ Sub uint64 }

func (Subscribe) request() {}
func (Resume) request()    {}
func (Resumed) request()   {}
func (Get) request()       {}
func (Settle) request()    {}
func (Credit) request()    {}
func (Cancel) request()    {}
func (Release) request()   {}
