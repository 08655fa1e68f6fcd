package routing

import (
	"strings"

	"github.com/warrenmq/warren/broker/queue"
	"github.com/warrenmq/warren/broker/topology"
)

// The bounds of a Cache; beyond either it starts again.
const (
	maxCachedRoutes = 512
	maxCachedQueues = 16 << 10 // in all results together
)

// Cache remembers where one channel's messages went, so that a route that is used
// again costs one lookup and no lock. It is not safe for concurrent use. A result
// is used for as long as no exchange on its way has changed.
type Cache struct {
	table  *Table
	vhost  string
	routes map[routeKey]route
	queues int        // in routes
	fresh  []queue.ID // the last result that is not kept
}

type routeKey struct{ exchange, key string }

// route is a kept result: good while x is of that generation.
type route struct {
	x          *exchange
	generation uint64
	queues     []queue.ID
}

// NewCache returns an empty cache for publishing in a vhost.
func NewCache(t *Table, vhost string) *Cache { return &Cache{table: t, vhost: vhost} }

// Route finds the queues that a message goes to, each once, and the exchange's
// definition, nil when there is none. The queues are shared: they must not be
// changed, and not be used after the next call. The strings are only borrowed.
func (c *Cache) Route(exchange, key string, headers func() topology.Arguments) ([]queue.ID, *topology.Exchange) {
	if r, ok := c.routes[routeKey{exchange, key}]; ok {
		if r.generation == r.x.generation.Load() {
			return r.queues, r.x.definition
		}
		c.drop(routeKey{exchange, key}, r)
	}
	return c.find(exchange, key, headers)
}

func (c *Cache) find(exchange, key string, headers func() topology.Arguments) ([]queue.ID, *topology.Exchange) {
	c.table.mu.RLock()
	defer c.table.mu.RUnlock()
	v := c.table.vhosts[c.vhost]
	if v == nil {
		return nil, nil
	}
	x := v.exchanges[exchange]
	if x == nil {
		return nil, nil
	}
	var on dependence
	c.fresh, on = v.route(x, key, headers, c.fresh[:0])
	if on == 0 && len(c.fresh) <= maxCachedQueues/4 {
		c.keep(exchange, key, x)
	}
	return c.fresh, x.definition
}

// keep files the fresh result. The table's lock is held, so the generation is the one it was made in.
func (c *Cache) keep(exchange, key string, x *exchange) {
	if c.routes == nil || len(c.routes) >= maxCachedRoutes || c.queues+len(c.fresh) > maxCachedQueues {
		c.routes, c.queues = make(map[routeKey]route), 0
	}
	at := routeKey{strings.Clone(exchange), strings.Clone(key)}
	c.routes[at] = route{x, x.generation.Load(), append([]queue.ID(nil), c.fresh...)}
	c.queues += len(c.fresh)
}

func (c *Cache) drop(at routeKey, r route) {
	delete(c.routes, at)
	c.queues -= len(r.queues)
}
