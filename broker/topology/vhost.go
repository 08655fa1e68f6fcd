package topology

import (
	"maps"
	"slices"
)

// vhost holds what a vhost contains. Bindings are found from both ends: by their
// source for listing and if-unused, by their destination when that goes.
type vhost struct {
	VHost
	exchanges map[string]*Exchange
	queues    map[string]*Queue
	from      map[string]bindings
	to        map[end]bindings
}

// end is the destination of bindings.
type end struct {
	name     string
	exchange bool
}

// bindings are kept by identity.
type bindings map[string]*Binding

// predeclared are the exchanges that every vhost has, in the order of their names.
var predeclared = [...]Exchange{
	{Name: "", Type: Direct},
	{Name: "amq.direct", Type: Direct},
	{Name: "amq.fanout", Type: Fanout},
	{Name: "amq.headers", Type: Headers},
	{Name: "amq.match", Type: Headers},
	{Name: "amq.rabbitmq.trace", Type: Topic, Internal: true},
	{Name: "amq.topic", Type: Topic},
}

// vhost finds the vhost that a client works in.
func (t *Topology) vhost(name string) (*vhost, error) {
	if v := t.vhosts[name]; v != nil {
		return v, nil
	}
	return nil, refuse(ErrNotAllowed, "vhost %s not found", name)
}

func (t *Topology) declareVHost(c DeclareVHost) (Result, error) {
	if err := checkLength("vhost", c.VHost.Name); err != nil {
		return Result{}, err
	}
	if c.VHost.Name == "" {
		return Result{}, refuse(ErrPreconditionFailed, "vhost name cannot be empty")
	}
	if t.vhosts[c.VHost.Name] != nil {
		return Result{}, nil
	}
	return Result{Created: true, Changes: t.addVHost(c.VHost, nil)}, nil
}

// addVHost makes a vhost with its predeclared exchanges and appends the changes.
func (t *Topology) addVHost(def VHost, changes []Change) []Change {
	v := t.newVHost(def)
	changes = append(changes, Change{Kind: VHostAdded, VHost: def.Name})
	for _, x := range predeclared {
		x.VHost, x.Durable = def.Name, true
		v.exchanges[x.Name] = &x
		changes = append(changes, Change{Kind: ExchangeAdded, VHost: def.Name, Exchange: &x})
	}
	return changes
}

func (t *Topology) newVHost(def VHost) *vhost {
	v := &vhost{
		VHost:     def,
		exchanges: make(map[string]*Exchange),
		queues:    make(map[string]*Queue),
		from:      make(map[string]bindings),
		to:        make(map[end]bindings),
	}
	t.vhosts[def.Name] = v
	return v
}

func (t *Topology) deleteVHost(c DeleteVHost) (Result, error) {
	v := t.vhosts[c.Name]
	if v == nil {
		return Result{}, nil
	}
	var changes []Change
	for _, b := range t.Bindings(c.Name) {
		changes = append(changes, v.bindingChange(BindingRemoved, b))
	}
	for _, name := range slices.Sorted(maps.Keys(v.queues)) {
		q := v.queues[name]
		t.forget(q)
		changes = append(changes, Change{Kind: QueueRemoved, VHost: c.Name, Queue: q})
	}
	for _, name := range slices.Sorted(maps.Keys(v.exchanges)) {
		changes = append(changes, Change{Kind: ExchangeRemoved, VHost: c.Name, Exchange: v.exchanges[name]})
	}
	delete(t.vhosts, c.Name)
	return Result{Changes: append(changes, Change{Kind: VHostRemoved, VHost: c.Name})}, nil
}
