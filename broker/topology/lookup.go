package topology

import (
	"cmp"
	"maps"
	"slices"

	"github.com/warrenmq/warren/broker/queue"
)

// VHosts lists the names of the vhosts, sorted.
func (t *Topology) VHosts() []string { return slices.Sorted(maps.Keys(t.vhosts)) }

// VHost finds a vhost, nil when there is none.
func (t *Topology) VHost(name string) *VHost {
	if v := t.vhosts[name]; v != nil {
		return v.def
	}
	return nil
}

// Limits are the limits of a vhost. They must not be changed.
func (t *Topology) Limits(vhost string) map[string]int64 {
	if v := t.vhosts[vhost]; v != nil {
		return v.limits
	}
	return nil
}

// Serial is that of the exchange or binding that was made last.
func (t *Topology) Serial() uint64 { return t.serial }

// Exchange finds an exchange, nil when there is none.
func (t *Topology) Exchange(vhost, name string) *Exchange {
	if v := t.vhosts[vhost]; v != nil {
		return v.exchanges[name]
	}
	return nil
}

// Queue finds a queue that clients can name, nil when there is none.
func (t *Topology) Queue(vhost, name string) *Queue {
	if v := t.vhosts[vhost]; v != nil {
		return v.queues[name]
	}
	return nil
}

// QueueByID finds a queue by its number, nil when there is none.
func (t *Topology) QueueByID(id queue.ID) *Queue { return t.byID[id] }

// QueuesAt lists the transient queues that live at a node, by id.
func (t *Topology) QueuesAt(home string) []*Queue { return t.homes.sorted(home) }

// QueuesIn lists the replicated queues of a group, by id.
func (t *Topology) QueuesIn(group uint64) []*Queue { return t.groups.sorted(groupKey(group)) }

// LastID is the highest number that a queue was given.
func (t *Topology) LastID() queue.ID { return t.lastID }

// QueuesOf lists the exclusive queues of a connection, by id.
func (t *Topology) QueuesOf(owner string) []*Queue { return t.owned.sorted(owner) }

// Exchanges lists the exchanges of a vhost by name.
func (t *Topology) Exchanges(vhost string) []*Exchange {
	v := t.vhosts[vhost]
	if v == nil {
		return nil
	}
	return slices.SortedFunc(maps.Values(v.exchanges), func(a, b *Exchange) int { return cmp.Compare(a.Name, b.Name) })
}

// Queues lists the queues of a vhost by name, but for the hidden ones.
func (t *Topology) Queues(vhost string) []*Queue {
	if v := t.vhosts[vhost]; v != nil {
		return sortedQueues(v.queues)
	}
	return nil
}

func sortedQueues(queues map[string]*Queue) []*Queue {
	return slices.SortedFunc(maps.Values(queues), func(a, b *Queue) int { return cmp.Compare(a.Name, b.Name) })
}

// Bindings lists the bindings of a vhost by source, then by destination and key. The
// implicit ones to the default exchange are not among them.
func (t *Topology) Bindings(vhost string) []*Binding {
	v := t.vhosts[vhost]
	if v == nil {
		return nil
	}
	var all []*Binding
	for _, source := range slices.Sorted(maps.Keys(v.from)) {
		all = append(all, v.from[source].sorted()...)
	}
	return all
}

// BindingsFrom lists the bindings that lead from an exchange.
func (t *Topology) BindingsFrom(vhost, exchange string) []*Binding {
	if v := t.vhosts[vhost]; v != nil {
		return v.from[exchange].sorted()
	}
	return nil
}

// BindingsTo lists the bindings that lead to a queue or an exchange.
func (t *Topology) BindingsTo(vhost, destination string, exchange bool) []*Binding {
	if v := t.vhosts[vhost]; v != nil {
		return v.to[end{destination, exchange}].sorted()
	}
	return nil
}

func (bs bindings) sorted() []*Binding {
	list := make([]*Binding, 0, len(bs))
	for _, key := range slices.Sorted(maps.Keys(bs)) {
		list = append(list, bs[key])
	}
	return list
}

// FindQueue is the lookup of every operation on a named queue, passive declares
// included: 404 when it is missing, 405 when it is another connection's.
func (t *Topology) FindQueue(vhost, name, connection string) (*Queue, error) {
	q := t.Queue(vhost, name)
	if q == nil {
		return nil, notFound(queueNamed(vhost, name))
	}
	if err := CheckExclusive(q, connection); err != nil {
		return nil, err
	}
	return q, nil
}

// FindExchange is the lookup of a passive declare: 403 for the default exchange, 404
// when it is missing. Between the two a client's rights are asked for.
func (t *Topology) FindExchange(vhost, name string) (*Exchange, error) {
	if err := checkNotDefault(name); err != nil {
		return nil, err
	}
	x := t.Exchange(vhost, name)
	if x == nil {
		return nil, ExchangeNotFound(vhost, name)
	}
	return x, nil
}

// ExchangeNotFound is the answer to a publish to an exchange that is missing.
func ExchangeNotFound(vhost, name string) error { return notFound(exchangeNamed(vhost, name)) }

// CheckPublish refuses a client's publish to an internal exchange.
func CheckPublish(x *Exchange) error {
	if x.Internal {
		return refuse(ErrAccessRefused, "cannot publish to internal %v", exchangeNamed(x.VHost, x.Name))
	}
	return nil
}

// The answers of queue.delete with if-unused and if-empty, which whoever has the counts decides.

// QueueInUse refuses to delete a queue that has consumers.
func QueueInUse(q *Queue) error {
	return refuse(ErrPreconditionFailed, "%v in use", queueNamed(q.VHost, q.Name))
}

// QueueNotEmpty refuses to delete a queue that has messages.
func QueueNotEmpty(q *Queue) error {
	return refuse(ErrPreconditionFailed, "%v not empty", queueNamed(q.VHost, q.Name))
}
