package routing

import (
	"github.com/warrenmq/warren/broker/queue"
	"github.com/warrenmq/warren/broker/topology"
)

// random is x-random: one of its destinations, whatever the key.
type random struct{ targets }

func (r *random) add(_ *topology.Binding, to target)    { r.targets.add(to) }
func (r *random) remove(_ *topology.Binding, to target) { r.targets.remove(to) }

func (r *random) match(w *walk) {
	n := len(r.queues) + len(r.exchanges)
	if n == 0 {
		return
	}
	w.take(r.at(w.chance(n)))
}

// at numbers the places.
func (t *targets) at(i int) target {
	if i < len(t.queues) {
		return target{queue: t.queues[i]}
	}
	return target{exchange: t.exchanges[i-len(t.queues)]}
}

// local is x-local-random: one of its queues that are led on this node.
type local struct{ targets }

func (l *local) add(_ *topology.Binding, to target)    { l.targets.add(to) }
func (l *local) remove(_ *topology.Binding, to target) { l.targets.remove(to) }

func (l *local) match(w *walk) {
	w.on |= onChance // leaders move, too
	if w.cfg.Local == nil {
		return
	}
	here := make([]queue.ID, 0, 16)
	for _, id := range l.queues {
		if w.cfg.Local(id) {
			here = append(here, id)
		}
	}
	if len(here) > 0 {
		w.take(target{queue: here[w.chance(len(here))]})
	}
}

// chance gives a number from 0 to n-1, and keeps the result out of caches.
func (w *walk) chance(n int) int {
	w.on |= onChance
	if n < 2 || w.cfg.Random == nil {
		return 0
	}
	return w.cfg.Random(n)
}
