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

// VHost is a namespace of exchanges, queues and bindings.
type VHost struct {
	Name string
}

// Exchange is an exchange as declared.
type Exchange struct {
	VHost, Name, Type string
	Durable           bool
	AutoDelete        bool
	Internal          bool
	Arguments         Arguments
}

// The exchange types that can be declared.
const (
	Direct  = "direct"
	Fanout  = "fanout"
	Topic   = "topic"
	Headers = "headers"
)

// AlternateExchange is the name of the exchange that takes what x cannot route.
func (x *Exchange) AlternateExchange() (string, bool) {
	name, ok := x.Arguments[alternateExchange].(string)
	return name, ok
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
}

// Type is the queue type that the client asked for; Warren's replicated queue stands behind all but streams.
func (q *Queue) Type() string {
	if s, ok := q.Arguments[queueType].(string); ok {
		return s
	}
	return classic
}

// Binding leads messages from an exchange to a queue or to another exchange. All
// its fields, arguments included, are its identity.
type Binding struct {
	VHost       string
	Source      string
	Destination string
	ToExchange  bool // the destination is an exchange
	RoutingKey  string
	Arguments   Arguments
}
