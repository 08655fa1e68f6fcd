package deadletter

import (
	"github.com/warrenmq/warren/broker/queue"
	"github.com/warrenmq/warren/broker/routing"
	"github.com/warrenmq/warren/broker/wire"
)

// Queues finds where an exchange leads a message that the broker has kept for it. Such
// a message has waited long enough, whatever its header x-delay says.
func Queues(t *routing.Table, vhost, exchange string, m *queue.Message) []queue.ID {
	p, err := wire.SplitProperties(m.Properties)
	if err != nil {
		return nil
	}
	also := append(keysOf(p.Headers, "CC"), m.Blind...)
	way := t.RouteDelayed(vhost, exchange, m.RoutingKey, also, &content{properties: m.Properties})
	return way.Queues
}
