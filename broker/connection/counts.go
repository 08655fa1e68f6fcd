package connection

import (
	"github.com/warrenmq/warren/broker/leader"
	"github.com/warrenmq/warren/broker/queue"
	"github.com/warrenmq/warren/broker/wire"
)

// counted tells which queues say how often a message came before (G13).
func counted(s *queue.Settings) bool { return s.Quorum || s.DeliveryLimit.Set }

// withCounts adds to a redelivered message's headers how often it came before,
// and, if any, how many of those deliveries failed. Properties that cannot be
// changed go out as they are.
func withCounts(properties []byte, d *leader.Delivery) []byte {
	p, err := wire.ParseProperties(properties)
	if err != nil {
		return properties
	}
	if p.Headers == nil {
		p.Headers = make(wire.Table, 2)
	}
	if d.Failed > 0 {
		p.Headers["x-delivery-count"] = int64(d.Failed)
	}
	p.Headers["x-acquired-count"] = int64(d.Returned)
	out, err := p.Append(nil)
	if err != nil {
		return properties
	}
	return out
}
