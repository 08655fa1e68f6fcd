package routing

import (
	"math"
	"strconv"
	"time"

	"github.com/warrenmq/warren/broker/topology"
)

// The headers that exchanges with hidden queues look at.
const (
	delayHeader   = "x-delay" // milliseconds
	noStoreHeader = "x-recent-history-no-store"
)

// waits has a message with a delay wait at an x-delayed-message exchange.
func (w *walk) waits(x *exchange) bool {
	id := x.definition.DelayQueue
	if id == 0 || w.waited || w.delay() <= 0 {
		return false
	}
	w.delayed = append(w.delayed, id)
	w.arrivals++
	return true
}

// delay is how long the message asks to wait; beyond what RabbitMQ's plugin can, it
// does not wait at all.
func (w *walk) delay() time.Duration {
	ms, ok := Delay(w.readHeaders())
	if !ok || ms <= 0 || ms > math.MaxUint32 {
		return 0
	}
	return time.Duration(ms) * time.Millisecond
}

// Delay reads the header x-delay, in milliseconds: a number of any kind, or a string of digits.
func Delay(headers topology.Arguments) (ms int64, ok bool) {
	if ms, ok := topology.Integer(headers[delayHeader]); ok {
		return ms, true
	}
	switch v := headers[delayHeader].(type) {
	case float32:
		return truncate(float64(v))
	case float64:
		return truncate(v)
	case string:
		ms, err := strconv.ParseInt(v, 10, 64)
		return ms, err == nil
	}
	return 0, false
}

func truncate(f float64) (int64, bool) {
	if !(math.Abs(f) < math.MaxInt64) {
		return 0, false
	}
	return int64(f), true
}

// remember has an x-recent-history exchange keep the message for bindings to come.
func (w *walk) remember(x *exchange) {
	if id := x.definition.HistoryQueue; id != 0 && w.readHeaders()[noStoreHeader] != true {
		w.histories = append(w.histories, id)
	}
}
