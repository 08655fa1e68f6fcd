package connection

import "github.com/warrenmq/warren/broker/wire"

// withCounts adds to a redelivered message's headers how often it came before
// (G13). Properties that cannot be changed go out as they are.
func withCounts(properties []byte, returned uint32) []byte {
	p, err := wire.ParseProperties(properties)
	if err != nil {
		return properties
	}
	if p.Headers == nil {
		p.Headers = make(wire.Table, 2)
	}
	p.Headers["x-delivery-count"] = int64(returned)
	p.Headers["x-acquired-count"] = int64(returned)
	out, err := p.Append(nil)
	if err != nil {
		return properties
	}
	return out
}
