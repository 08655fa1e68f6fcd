package topology

import (
	"fmt"
	"maps"
	"slices"
)

// snapshotVersion is the first byte of a snapshot.
const snapshotVersion = 1

// AppendSnapshot appends the whole state to dst: version, the last queue id, then
// each vhost with its exchanges, queues and bindings, all in sorted order.
func (t *Topology) AppendSnapshot(dst []byte) []byte {
	w := &writer{buf: append(dst, snapshotVersion)}
	w.uint(uint64(t.lastID))
	w.uint(uint64(len(t.vhosts)))
	for _, name := range slices.Sorted(maps.Keys(t.vhosts)) {
		w.string(name)
		exchanges := t.Exchanges(name)
		w.uint(uint64(len(exchanges)))
		for _, x := range exchanges {
			w.exchange(x)
		}
		queues := t.Queues(name)
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
	t.lastID = r.id()
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
	name := r.string()
	if t.vhosts[name] != nil {
		r.fail("vhost twice")
		return
	}
	v := t.newVHost(VHost{Name: name})
	for range r.count() {
		x := r.exchange(name)
		if v.exchanges[x.Name] != nil {
			r.fail("exchange twice")
			return
		}
		v.exchanges[x.Name] = &x
	}
	for range r.count() {
		q := r.queue(name)
		if q.ID == 0 || q.ID > t.lastID || t.byID[q.ID] != nil || v.queues[q.Name] != nil {
			r.fail("queue twice or out of range")
			return
		}
		t.keep(v, &q)
	}
	for range r.count() {
		b := r.binding(name)
		key := b.Identity()
		if v.exchanges[b.Source] == nil || !v.has(b.end()) || v.from[b.Source][key] != nil {
			r.fail("binding twice or without its ends")
			return
		}
		v.link(key, &b)
	}
}
