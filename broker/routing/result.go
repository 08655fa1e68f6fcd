package routing

import (
	"time"

	"github.com/warrenmq/warren/broker/queue"
	"github.com/warrenmq/warren/broker/topology"
)

// Result says where a message goes.
type Result struct {
	// Exchange is what it was published to, nil when there is no such exchange.
	Exchange *topology.Exchange
	// Queues are the queues that it goes to, each once. The slice is borrowed.
	Queues []queue.ID
	// Silent is how many of Queues are not those of clients but the histories of
	// x-recent-history exchanges, which are the last: a message that has only such
	// queues, and is not delayed, is unroutable.
	Silent int
	// Delayed are the hidden queues of x-delayed-message exchanges that it waits in
	// before it is routed on: it is published to them with Delay as its time to live,
	// whatever its expiration says. The slice is borrowed.
	Delayed []queue.ID
	Delay   time.Duration
}

// Unroutable reports whether the message goes to no queue of a client, now or later.
func (r *Result) Unroutable() bool { return len(r.Queues) == r.Silent && len(r.Delayed) == 0 }
