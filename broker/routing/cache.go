package routing

import (
	"slices"
	"strings"

	"github.com/warrenmq/warren/broker/queue"
	"github.com/warrenmq/warren/broker/topology"
)

// The bounds of a Cache; beyond either it starts again.
const (
	maxCachedRoutes = 512
	maxCachedQueues = 16 << 10 // in all results together
)

// admitEvery is how many new routes are found for each that is kept: a route that is
// used often is kept soon, and keys that never come again cost little.
const admitEvery = 4

// Cache remembers where one channel's messages went, so that a route that is used
// again costs one lookup and no lock. It is not safe for concurrent use. A result
// is used for as long as no exchange on its way has changed.
type Cache struct {
	table  *Table
	vhost  string
	routes map[routeKey]*route
	queues int        // in routes
	missed int        // new routes found
	fresh  []queue.ID // the last result that had to be found
}

type routeKey struct{ exchange, key string }

// route is a kept result: good while x is of that generation. Only results that are
// nothing but queues are kept.
type route struct {
	x          *exchange
	definition *topology.Exchange
	generation uint64
	queues     []queue.ID
}

// NewCache returns an empty cache for publishing in a vhost.
func NewCache(t *Table, vhost string) *Cache { return &Cache{table: t, vhost: vhost} }

// Route is Table.Route in the cache's vhost. The result's slices are shared: they must
// not be changed, and not be used after the next call. The strings are only borrowed.
func (c *Cache) Route(exchange, key string, also []string, m Message) Result {
	at := routeKey{exchange, key}
	r := request{key: key, also: also, message: m}
	if len(also) > 0 {
		out, _, _, _ := c.find(exchange, &r)
		return out
	}
	old := c.routes[at]
	if old != nil && old.generation == old.x.generation.Load() {
		return Result{Exchange: old.definition, Queues: old.queues}
	}
	out, x, generation, keep := c.find(exchange, &r)
	switch {
	case old != nil && keep:
		c.queues += len(c.fresh) - len(old.queues)
		*old = route{x, out.Exchange, generation, append(old.queues[:0], c.fresh...)}
	case old != nil:
		c.queues -= len(old.queues)
		delete(c.routes, at)
	case keep:
		if c.missed++; c.missed%admitEvery == 0 {
			c.admit(at, &route{x, out.Exchange, generation, slices.Clone(c.fresh)})
		}
	}
	if c.queues > maxCachedQueues {
		c.routes, c.queues = nil, 0
	}
	return out
}

// find routes by the table into fresh, and says in which generation of the exchange, and whether to keep the result.
func (c *Cache) find(name string, r *request) (out Result, x *exchange, generation uint64, keep bool) {
	out.Queues = c.fresh[:0]
	c.table.mu.RLock()
	defer c.table.mu.RUnlock()
	v := c.table.vhosts[c.vhost]
	if v == nil {
		return Result{}, nil, 0, false
	}
	x = v.exchanges[name]
	if x == nil {
		return Result{}, nil, 0, false
	}
	on := c.table.route(v, x, r, &out)
	c.fresh = out.Queues
	return out, x, x.generation.Load(), on == 0 && len(c.fresh) <= maxCachedQueues/4
}

func (c *Cache) admit(at routeKey, r *route) {
	if c.routes == nil || len(c.routes) >= maxCachedRoutes {
		c.routes, c.queues = make(map[routeKey]*route), 0
	}
	c.routes[routeKey{strings.Clone(at.exchange), strings.Clone(at.key)}] = r
	c.queues += len(r.queues)
}
