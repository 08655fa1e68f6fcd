package connection

import (
	"time"

	"github.com/warrenmq/warren/broker/queue"
)

// ConsumerInfo is what operators see of a consumer (H21).
type ConsumerInfo struct {
	Connection *Info
	Channel    uint16
	Queue      queue.ID
	Tag        string
	NoAck      bool
	Exclusive  bool
	Prefetch   int            // 0: no limit
	Timeout    time.Duration  // for an answer; 0: none
	Arguments  map[string]any // as the client sent them; not to be changed
	Active     bool           // gets messages: false while another is the queue's single active consumer
}

// Consumers lists those of all open connections, in no order.
func (l *Listener) Consumers() (list []ConsumerInfo) {
	l.mu.Lock()
	conns := make([]*conn, 0, len(l.conns))
	for _, c := range l.conns {
		conns = append(conns, c)
	}
	l.mu.Unlock()
	for _, c := range conns {
		list = c.appendConsumers(list)
	}
	return list
}

// appendConsumers asks the subscriptions only when the outbox is free again: they
// have locks of their own.
func (c *conn) appendConsumers(list []ConsumerInfo) []ConsumerInfo {
	var subs []Subscription
	first := len(list)
	c.out.mu.Lock()
	for k := range c.consuming {
		subs = append(subs, k.sub)
		list = append(list, ConsumerInfo{
			Connection: &c.info, Channel: k.ch.id, Queue: k.id, Tag: k.tag,
			NoAck: k.noAck, Exclusive: k.exclusive, Prefetch: k.prefetch,
			Timeout: time.Duration(k.timeout) * time.Millisecond, Arguments: k.arguments,
		})
	}
	c.out.mu.Unlock()
	for i, sub := range subs {
		list[first+i].Active = sub.Active()
	}
	return list
}
