package topology

import (
	"maps"
	"slices"
)

// Limits bound what a whole cluster may have (K9); 0 is no limit. They are settings
// of each node, as in RabbitMQ: a declaration is judged by those of the node that it
// was made at, which travel with it, so that every replica judges alike.
type Limits struct {
	VHosts    uint64 // vhost_max
	Queues    uint64 // cluster_queue_limit
	Exchanges uint64 // cluster_exchange_limit, with the predeclared ones of all vhosts
}

// Attach gives a declaration the limit that it is judged by; other commands stay as they are.
func (l Limits) Attach(c Command) Command {
	switch c := c.(type) {
	case DeclareVHost:
		c.Max = l.VHosts
		return c
	case DeclareExchange:
		c.Max = l.Exchanges
		return c
	case DeclareQueue:
		c.Max = l.Queues
		return c
	default:
		return c
	}
}

// checkVHostLimit refuses one more vhost than the cluster may have.
func (t *Topology) checkVHostLimit(c DeclareVHost) error {
	if c.Max != 0 && uint64(len(t.vhosts)) >= c.Max {
		return refuse(ErrPreconditionFailed, "cannot create vhost '%s': vhost limit of %d is reached", c.VHost.Name, c.Max)
	}
	return nil
}

// checkExchangeLimit refuses one more exchange than the cluster may have. A new
// vhost brings its predeclared ones whatever the limit is.
func (t *Topology) checkExchangeLimit(c DeclareExchange) error {
	if c.Max == 0 {
		return nil
	}
	var have uint64
	for _, v := range t.vhosts {
		have += uint64(len(v.exchanges))
	}
	if have < c.Max {
		return nil
	}
	return refuse(ErrPreconditionFailed, "cannot declare %v: exchange limit of %d is reached",
		exchangeNamed(c.Exchange.VHost, c.Exchange.Name), c.Max)
}

// checkQueueLimits refuses one more queue than the vhost or the cluster may have (E36).
func (t *Topology) checkQueueLimits(v *vhost, c DeclareQueue) error {
	name := c.Queue.Name
	if IsReplyQueue(name) {
		return nil
	}
	limit, limited := v.limits[MaxQueues]
	if limited && limit >= 0 && int64(v.countedQueues()) >= limit {
		return refuse(ErrPreconditionFailed, "cannot declare queue '%s': queue limit in vhost '%s' (%d) is reached", name, v.name, limit)
	}
	if c.Max == 0 {
		return nil
	}
	var have uint64
	for _, v := range t.vhosts {
		have += uint64(v.countedQueues())
	}
	if have < c.Max {
		return nil
	}
	return refuse(ErrPreconditionFailed, "cannot declare queue '%s': queue limit in cluster (%d) is reached", name, c.Max)
}

// countedQueues are those that limits count.
func (v *vhost) countedQueues() int { return len(v.queues) - v.replies }

func (t *Topology) setVHostLimits(c SetVHostLimits) (Result, error) {
	v, err := t.vhost(c.VHost)
	if err != nil {
		return Result{}, err
	}
	for _, name := range slices.Sorted(maps.Keys(c.Limits)) {
		if name != MaxQueues && name != MaxConnections {
			return Result{}, refuse(ErrPreconditionFailed, "Unrecognised terms [%s] in limits", term(name))
		}
	}
	if maps.Equal(v.limits, c.Limits) {
		return Result{}, nil
	}
	v.limits = maps.Clone(c.Limits)
	return Result{Changes: []Change{{Kind: VHostChanged, VHost: v.name}}}, nil
}
