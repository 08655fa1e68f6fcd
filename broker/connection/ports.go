package connection

import (
	"context"
	"net"

	"github.com/warrenmq/warren/broker/auth"
	"github.com/warrenmq/warren/broker/leader"
	"github.com/warrenmq/warren/broker/queue"
	"github.com/warrenmq/warren/broker/topology"
)

// Publisher is a node's way to all queues.
type Publisher interface {
	// Publish copies m, which is borrowed during the call, into the batch for each
	// group of to, and keeps the order of one caller's calls. r.Confirms, if set,
	// hears r.Tag once: with nil when m is committed and applied in every group,
	// with an error when it never will be. After an error of Publish itself it hears
	// nothing. Publish blocks while too many bytes are unconfirmed, until ctx ends.
	Publish(ctx context.Context, to []queue.ID, m *queue.Message, r Receipt) error
}

// Receipt says who wants to know what became of a publish.
type Receipt struct {
	Confirms Confirms
	Tag      uint64
}

// Confirms hears what became of publishes.
type Confirms interface {
	// Confirmed may be called from any goroutine and does not block; tags are
	// borrowed. Each of them is a Receipt's, told once.
	Confirmed(tags []uint64, err error)
}

// Definitions are the cluster's vhosts, exchanges, queues and bindings.
type Definitions interface {
	// View shows the definitions as this node knows them. They are borrowed and
	// must not be changed.
	View(func(*topology.Topology))
	// Current returns when View shows all that any node's has shown before. It is
	// asked before a refusal that rests on View, and fails without a majority.
	Current(ctx context.Context) error
	// Apply changes the definitions; it returns when that is visible on every
	// live node. It gives a new queue its place. Without a majority it fails with
	// leader.ErrUnavailable, at the latest when ctx ends.
	Apply(ctx context.Context, c topology.Command) (topology.Result, error)
}

// Queues are all queues of the cluster, wherever they are led. Their errors are
// those of broker/leader and broker/topology.
type Queues interface {
	// Subscribe adds a consumer. Its messages may come to sink before Subscribe returns.
	Subscribe(ctx context.Context, q queue.ID, c leader.Consumer, sink Deliveries) (Subscription, error)
	// Get takes one message. held is what to settle it with, nil with noAck.
	Get(ctx context.Context, q queue.ID, noAck bool) (d leader.Delivery, remaining uint64, held Subscription, ok bool, err error)
	// Purge drops the ready messages and counts them.
	Purge(ctx context.Context, q queue.ID) (uint64, error)
	// Counts counts ready messages and consumers.
	Counts(ctx context.Context, q queue.ID) (ready uint64, consumers int, err error)
	// Delete deletes the queue with its definition, if it is unused and empty as
	// far as that is asked for, and counts the ready messages that went with it.
	Delete(ctx context.Context, q topology.Queue, ifUnused, ifEmpty bool, connection string) (uint64, error)
}

// Deliveries is a consumer's end of its subscription. Neither method blocks.
type Deliveries interface {
	// Deliver is called by one goroutine at a time, in order. ds is borrowed,
	// the messages in it are not.
	Deliver(ds []leader.Delivery)
	// Cancelled tells that the queue is gone or the consumer lost its right to it.
	Cancelled(err error)
}

// Subscription is a consumer's hold on its queue. All but Settled and Cancel never block.
type Subscription interface {
	// Settle answers deliveries. It takes over ranges.
	Settle(answer leader.Answer, ranges []queue.Range)
	// Settled returns when the answers given so far are committed and applied.
	Settled(ctx context.Context) error
	// Credit lets the consumer have that much more, or less where it is negative.
	Credit(messages int, bytes int64)
	// Cancel ends the deliveries: when it returns no further one comes. What was
	// delivered stays held.
	Cancel(ctx context.Context) error
	// Active tells whether the queue's messages go to this consumer: false while
	// another is its single active one.
	Active() bool
	// Release ends the subscription: what it still holds is requeued. The last
	// consumer of an auto-delete queue takes the queue with it, as with Cancel.
	Release()
}

// Authenticator knows the users and what they may do. Refusals are *auth.Error,
// with RabbitMQ's text.
type Authenticator interface {
	// Authenticate takes a SASL mechanism's response and names the user.
	Authenticate(mechanism string, response []byte, peer net.Addr) (user string, err error)
	VHostAccess(user, vhost string) error
	CheckAccess(user string, a auth.Access, r auth.Resource) error
	// CheckAnyAccess refuses who may do nothing at all with r.
	CheckAnyAccess(user string, r auth.Resource) error
	// CheckTopicAccess refuses a routing key of a topic exchange.
	CheckTopicAccess(user string, a auth.Access, exchange auth.Resource, routingKey string) error
	// Impersonates tells whether the user may publish in another's name (G8).
	Impersonates(user string) bool
}

// Alarms knows where room is short. Config.Alarms may be nil: nowhere.
type Alarms interface {
	// Blocked tells whether a message for the queues of to has to wait, and why, in
	// RabbitMQ's words: "low on memory", "low on disk", "low on disk & memory".
	// changed is closed when the answer may have become another. Every publish asks,
	// so without an alarm anywhere it must cost next to nothing.
	Blocked(to []queue.ID) (reason string, changed <-chan struct{}, blocked bool)
}

// Admission counts against the limits of vhosts and users (B16, B17).
// Config.Admission may be nil: there are none.
type Admission interface {
	// Admit lets a connection in, or says with RabbitMQ's text (*auth.Error of kind
	// ErrNotAllowed, or *wire.Error) why not. release is called once, when it ends.
	// It comes before the vhost is looked for: an unknown one has no limit.
	Admit(ctx context.Context, c Info) (release func(), err error)
	// MaxChannels is how many channels the user may have open, if there is a limit.
	MaxChannels(user string) (limit int, limited bool)
}
