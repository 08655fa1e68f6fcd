package topology

import (
	"fmt"
	"maps"
	"math"
	"slices"
)

// snapshotVersion is the first byte of a snapshot.
const snapshotVersion = 1

// AppendSnapshot appends the whole state to dst: version, the last queue id and serial,
// then each vhost with its limits, policies, exchanges, queues and bindings, all in
// sorted order.
func (t *Topology) AppendSnapshot(dst []byte) []byte {
	w := &writer{buf: append(dst, snapshotVersion)}
	w.uint(uint64(t.lastID))
	w.uint(t.serial)
	w.uint(uint64(len(t.vhosts)))
	for _, name := range slices.Sorted(maps.Keys(t.vhosts)) {
		v := t.vhosts[name]
		w.vhost(v.def)
		w.limits(v.limits)
		for _, operator := range [...]bool{false, true} {
			list := t.Policies(name, operator)
			w.uint(uint64(len(list)))
			for _, p := range list {
				w.policy(p)
			}
		}
		exchanges := t.Exchanges(name)
		w.uint(uint64(len(exchanges)))
		for _, x := range exchanges {
			w.exchange(x)
		}
		queues := v.allQueues()
		w.uint(uint64(len(queues)))
		for _, q := range queues {
			w.queue(q)
		}
		bindings := t.Bindings(name)
		w.uint(uint64(len(bindings)))
		for _, b := range bindings {
			w.binding(b)
		}
	}
	return w.buf
}

// RestoreTopology makes a state machine from a snapshot. It refuses what no state
// machine could have written.
func RestoreTopology(snapshot []byte) (*Topology, error) {
	r := &reader{buf: slices.Clone(snapshot)} // byte array arguments point into it
	if v := r.byte(); r.err == nil && v != snapshotVersion {
		return nil, fmt.Errorf("topology: snapshot of version %d, this node knows %d", v, snapshotVersion)
	}
	t := empty()
	t.lastID, t.serial = r.id(), r.uint(math.MaxUint64)
	for range r.count() {
		t.restoreVHost(r)
		if r.err != nil {
			return nil, r.err
		}
	}
	if err := r.end(); err != nil {
		return nil, err
	}
	return t, nil
}

func (t *Topology) restoreVHost(r *reader) {
	def := r.vhost()
	if t.vhosts[def.Name] != nil {
		r.fail("vhost twice")
		return
	}
	v := t.newVHost(def)
	v.limits = r.limits()
	for _, operator := range [...]bool{false, true} {
		for range r.count() {
			p := r.policy()
			if !v.policies.add(operator, &p) {
				r.fail("policy twice")
				return
			}
		}
	}
	v.policies.rank()
	t.restoreExchanges(v, r)
	t.restoreQueues(v, r)
	t.restoreBindings(v, r)
}

func (t *Topology) restoreExchanges(v *vhost, r *reader) {
	for range r.count() {
		x := r.exchange(v.name)
		if v.exchanges[x.Name] != nil || x.Serial > t.serial {
			r.fail("exchange twice or out of range")
			return
		}
		x.alternate, x.hasAlternate = v.policies.alternate(&x)
		v.exchanges[x.Name] = &x
	}
}

func (t *Topology) restoreQueues(v *vhost, r *reader) {
	for range r.count() {
		q := r.queue(v.name)
		if q.ID == 0 || q.ID > t.lastID || t.byID[q.ID] != nil || v.queues[q.Name] != nil || v.hidden[q.Name] != nil {
			r.fail("queue twice or out of range")
			return
		}
		if q.Hidden() && !v.owns(&q) {
			r.fail("hidden queue without its exchange")
			return
		}
		t.keep(v, &q)
	}
	for _, x := range v.exchanges {
		if q := t.hiddenQueue(x); x.KeepsMessages() != (q != nil) || x.DelayQueue|x.HistoryQueue != 0 && (q == nil || q.Keeps+q.Delays != x.Name) {
			r.fail("exchange without its hidden queue")
		}
	}
}

// owns reports whether the exchange that a hidden queue names has it.
func (v *vhost) owns(q *Queue) bool {
	if q.Delays != "" {
		x := v.exchanges[q.Delays]
		return q.Keeps == "" && x != nil && x.Type == Delayed && x.DelayQueue == q.ID && x.HistoryQueue == 0
	}
	x := v.exchanges[q.Keeps]
	return x != nil && x.Type == RecentHistory && x.HistoryQueue == q.ID && x.DelayQueue == 0
}

func (t *Topology) restoreBindings(v *vhost, r *reader) {
	for range r.count() {
		b := r.binding(v.name)
		key := b.Identity()
		if v.exchanges[b.Source] == nil || !v.has(b.end()) || v.from[b.Source][key] != nil || b.Serial > t.serial {
			r.fail("binding twice or without its ends")
			return
		}
		v.link(key, &b)
	}
}
