// Package policy turns policies, operator policies and x-arguments into what is
// in force for a queue or an exchange.
//
// It knows patterns, keys and the rules by which they meet; where policies are
// kept and whom a change must be told to is topology's. Its promises: it is pure,
// so that every node gets the same from the same definitions; no pattern makes a
// match cost more than a fixed number of steps; and what it refuses it refuses in
// RabbitMQ's words.
package policy

// ApplyTo says what a policy is for.
type ApplyTo string

const (
	Queues        ApplyTo = "queues"
	ClassicQueues ApplyTo = "classic_queues"
	QuorumQueues  ApplyTo = "quorum_queues"
	Streams       ApplyTo = "streams"
	Exchanges     ApplyTo = "exchanges"
	All           ApplyTo = "all" // also what "" means
)

// Policy is a policy, or an operator policy, of one vhost. It is not changed once it is made.
type Policy struct {
	Name     string
	Pattern  string // a regular expression, which is looked for anywhere in the name
	ApplyTo  ApplyTo
	Priority int64
	// Definition has JSON's values: string, int64, float64, bool, nil, []any, map[string]any.
	Definition map[string]any
}

// Kind is what a policy may be for.
type Kind uint8

const (
	ClassicQueue Kind = iota + 1
	QuorumQueue
	Stream
	Exchange
)
