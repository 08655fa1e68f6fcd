package routing

import "github.com/warrenmq/warren/broker/topology"

// direct leads by the exact key.
type direct map[string]*targets

func (d direct) add(b *topology.Binding, to target) {
	t := d[b.RoutingKey]
	if t == nil {
		t = &targets{}
		d[b.RoutingKey] = t
	}
	t.add(to)
}

func (d direct) remove(b *topology.Binding, to target) {
	t := d[b.RoutingKey]
	if t == nil {
		return
	}
	if t.remove(to); t.empty() {
		delete(d, b.RoutingKey)
	}
}

func (d direct) match(w *walk) {
	for i := -1; i < len(w.also); i++ {
		if t := d[w.keyAt(i)]; t != nil {
			w.visit(t)
		}
	}
}

// fanout leads everywhere.
type fanout struct{ targets }

func (f *fanout) add(_ *topology.Binding, to target)    { f.targets.add(to) }
func (f *fanout) remove(_ *topology.Binding, to target) { f.targets.remove(to) }
func (f *fanout) match(w *walk)                         { w.visit(&f.targets) }
