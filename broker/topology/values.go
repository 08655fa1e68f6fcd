package topology

import "github.com/warrenmq/warren/broker/queue"

// Arguments is an AMQP field table: bool, int8 to int64, uint8 to uint32, float32,
// float64, Decimal, time.Time (whole seconds), string, []byte, nil, []any and
// nested tables, which are map[string]any.
type Arguments = map[string]any

// Decimal is AMQP's decimal: Value / 10^Scale. Another package's struct of the same
// shape is taken for one, too.
type Decimal struct {
	Scale uint8
	Value int32
}

// VHost is a namespace of exchanges, queues and bindings, and what it says of itself.
type VHost struct {
	Name             string
	Description      string
	Tags             []string
	DefaultQueueType string // of queues that are declared without x-queue-type; "" is classic
	Protected        bool   // from deletion
}

// The limits that a vhost can have.
const (
	MaxQueues      = "max-queues"
	MaxConnections = "max-connections"
)

// Exchange is an exchange as declared.
type Exchange struct {
	VHost, Name, Type string
	Durable           bool
	AutoDelete        bool
	Internal          bool
	Arguments         Arguments

	// Serial is given at apply: it grows with every exchange and binding that is made.
	Serial uint64
	// The hidden queue of an exchange that keeps messages is made at apply, too.
	DelayQueue   queue.ID // x-delayed-message: the messages whose time has not come
	HistoryQueue queue.ID // x-recent-history: the last messages, for new bindings

	alternate    string // the alternate exchange that its policy says
	hasAlternate bool
}

// AlternateExchange is the name of the exchange that takes what x cannot route,
// as its argument or, without one, its policy says.
func (x *Exchange) AlternateExchange() (string, bool) {
	if name, ok := x.Arguments[alternateExchange].(string); ok {
		return name, true
	}
	return x.alternate, x.hasAlternate
}

// Queue is a queue as declared, and where it lives.
type Queue struct {
	ID          queue.ID // given at apply
	VHost, Name string
	Durable     bool
	Exclusive   bool
	AutoDelete  bool
	Arguments   Arguments
	Group       uint64 // replicated: its queue group
	Home        string // transient: ServerID of the node it lives at, "" when replicated
	HomeEpoch   uint64 // transient: that node's epoch at the declaration
	Owner       string // exclusive: unique id of the owning connection

	// A hidden queue belongs to an exchange: clients cannot name it, and Queues does not list it.
	Delays string // the x-delayed-message exchange whose delayed messages it keeps
	Keeps  string // the x-recent-history exchange whose last messages it keeps
}

// Hidden tells the queues that exchanges keep messages in.
func (q *Queue) Hidden() bool { return q.Delays != "" || q.Keeps != "" }

// Type is the queue type that the client asked for; Warren's replicated queue stands behind
// classic and quorum alike.
func (q *Queue) Type() string {
	if s, ok := q.Arguments[queueType].(string); ok {
		return s
	}
	return classic
}

// Stream tells the queues whose messages are read and not taken.
func (q *Queue) Stream() bool { return q.Type() == stream }

// Binding leads messages from an exchange to a queue or to another exchange. What its
// client said, arguments included, is its identity.
type Binding struct {
	VHost       string
	Source      string
	Destination string
	ToExchange  bool // the destination is an exchange
	RoutingKey  string
	Arguments   Arguments
	Serial      uint64 // given at apply, in the order of the bindings; no part of the identity
}
