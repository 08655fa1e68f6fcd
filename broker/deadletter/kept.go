package deadletter

import (
	"github.com/warrenmq/warren/broker/queue"
	"github.com/warrenmq/warren/broker/routing"
)

// Queues finds where an exchange leads a message that the broker has kept for it. Such
// a message has waited long enough, whatever its header x-delay says.
func Queues(t *routing.Table, vhost, exchange string, m *queue.Message) []queue.ID {
	p, err := split(m.Properties)
	if err != nil {
		return nil
	}
	also := append(keysOf(p.headers, "CC"), m.Blind...)
	way := t.RouteDelayed(vhost, exchange, m.RoutingKey, also, &content{properties: m.Properties})
	return way.Queues
}
