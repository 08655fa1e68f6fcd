package topology

import (
	"maps"
	"slices"
)

func (t *Topology) bind(c Bind) (Result, error) {
	b := c.Binding
	v, x, err := t.bindingEnds(&b)
	if err != nil {
		return Result{}, err
	}
	if x == nil {
		return Result{}, notFound(exchangeNamed(b.VHost, b.Source))
	}
	if !v.has(b.end()) {
		return Result{}, notFound(b.destination())
	}
	if err := v.checkBinding(x, &b); err != nil {
		return Result{}, err
	}
	if err := v.checkOwner(&b, c.Connection); err != nil {
		return Result{}, err
	}
	key := b.Identity()
	if v.from[b.Source][key] != nil {
		return Result{}, nil
	}
	t.serial++
	b.Serial = t.serial
	v.link(key, &b)
	return Result{Created: true, Changes: []Change{v.bindingChange(BindingAdded, &b)}}, nil
}

func (t *Topology) unbind(c Unbind) (Result, error) {
	b := c.Binding
	v, _, err := t.bindingEnds(&b)
	if err != nil {
		return Result{}, err
	}
	key := b.Identity()
	old := v.from[b.Source][key]
	if old == nil {
		return Result{}, nil
	}
	if err := v.checkOwner(old, c.Connection); err != nil {
		return Result{}, err
	}
	sources, changes := v.removeBindings(bindings{key: old}, nil)
	return Result{Changes: t.autoDelete(v, sources, changes)}, nil
}

// bindingEnds finds the vhost and the source of a binding and refuses the default exchange.
func (t *Topology) bindingEnds(b *Binding) (*vhost, *Exchange, error) {
	v, err := t.vhost(b.VHost)
	if err != nil {
		return nil, nil, err
	}
	if !b.ToExchange && IsReplyQueue(b.Destination) {
		return nil, nil, refuse(ErrAccessRefused, "cannot bind or unbind to a volatile (direct reply-to) queue")
	}
	if b.ToExchange {
		if err := checkNotDefault(b.Destination); err != nil {
			return nil, nil, err
		}
	}
	if err := checkNotDefault(b.Source); err != nil {
		return nil, nil, err
	}
	return v, v.exchanges[b.Source], nil
}

func (b *Binding) end() end { return end{b.Destination, b.ToExchange} }

func (b *Binding) destination() resource {
	if b.ToExchange {
		return exchangeNamed(b.VHost, b.Destination)
	}
	return queueNamed(b.VHost, b.Destination)
}

// Identity is what two bindings of one source share only if they are the same. Its
// order is the one in which bindings are listed.
func (b *Binding) Identity() string {
	w := writer{}
	w.bool(b.ToExchange)
	w.string(b.Destination)
	w.string(b.RoutingKey)
	w.table(b.Arguments)
	return string(w.buf)
}

func (v *vhost) has(e end) bool {
	if e.exchange {
		return v.exchanges[e.name] != nil
	}
	return v.queues[e.name] != nil
}

func (v *vhost) checkOwner(b *Binding, connection string) error {
	if b.ToExchange {
		return nil
	}
	return CheckExclusive(v.queues[b.Destination], connection)
}

func (v *vhost) link(key string, b *Binding) {
	if v.from[b.Source] == nil {
		v.from[b.Source] = make(bindings)
	}
	v.from[b.Source][key] = b
	if v.to[b.end()] == nil {
		v.to[b.end()] = make(bindings)
	}
	v.to[b.end()][b.Source+"\x00"+key] = b
}

// removeBindings removes bs and names the sources that lost one, each once, in order.
func (v *vhost) removeBindings(bs bindings, changes []Change) ([]string, []Change) {
	var sources []string
	for _, key := range slices.Sorted(maps.Keys(bs)) {
		b := bs[key]
		identity := b.Identity()
		unlink(v.from, b.Source, identity)
		unlink(v.to, b.end(), b.Source+"\x00"+identity)
		changes = append(changes, v.bindingChange(BindingRemoved, b))
		if len(sources) == 0 || sources[len(sources)-1] != b.Source { // keys group by source
			sources = append(sources, b.Source)
		}
	}
	return sources, changes
}

func unlink[K comparable](m map[K]bindings, k K, key string) {
	delete(m[k], key)
	if len(m[k]) == 0 {
		delete(m, k)
	}
}

func (v *vhost) bindingChange(kind ChangeKind, b *Binding) Change {
	c := Change{Kind: kind, VHost: v.name, Binding: b}
	if !b.ToExchange {
		c.Queue = v.queues[b.Destination]
	}
	return c
}
