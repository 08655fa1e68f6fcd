package deadletter

import (
	"cmp"
	"encoding/binary"
	"slices"

	"github.com/warrenmq/warren/broker/wire"
)

// waited has the header x-delay say that the message has waited: its number with
// the sign changed, whatever its type was, and the headers sorted by name, as
// RabbitMQ's plugin leaves them. One beyond 32 bits, which the plugin would write
// as another number, gets 64.
func waited(headers []wire.Entry, ms int64) []wire.Entry {
	value := binary.BigEndian.AppendUint32([]byte{'I'}, uint32(int32(-ms)))
	if int64(int32(-ms)) != -ms {
		value = binary.BigEndian.AppendUint64([]byte{'l'}, uint64(-ms))
	}
	headers = append(without(headers, "x-delay"), wire.Entry{Key: "x-delay", Value: value})
	slices.SortStableFunc(headers, func(a, b wire.Entry) int { return cmp.Compare(a.Key, b.Key) })
	return headers
}
