package connection

import (
	"encoding/binary"

	"github.com/warrenmq/warren/broker/leader"
	"github.com/warrenmq/warren/broker/queue"
	"github.com/warrenmq/warren/broker/wire"
)

// counted tells which queues say how often a message came before (G13).
func counted(s *queue.Settings) bool { return s.Quorum || s.DeliveryLimit.Set }

// withCounts adds to a redelivered message's headers how often it came before,
// and, if any, how many of those deliveries failed; all else stays as it was sent.
// Properties that cannot be changed go out as they are.
func withCounts(properties []byte, d *leader.Delivery) []byte {
	p, err := wire.SplitProperties(properties)
	if err != nil {
		return properties
	}
	p.SetHeader("x-acquired-count", longlong(uint64(d.Returned)))
	if d.Failed > 0 {
		p.SetHeader("x-delivery-count", longlong(uint64(d.Failed)))
	}
	const entry = 1 + len("x-delivery-count") + 9
	out, err := p.Join(make([]byte, 0, len(properties)+4+2*entry))
	if err != nil {
		return properties
	}
	return out
}

// longlong is n as a header's value.
func longlong(n uint64) []byte {
	return binary.BigEndian.AppendUint64([]byte{'l'}, n)
}
