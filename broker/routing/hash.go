package routing

import (
	"cmp"
	"encoding/binary"
	"slices"
	"strings"

	"github.com/warrenmq/warren/broker/topology"
)

// ring is x-consistent-hash: each destination has as many buckets, one behind the
// other, as the key of its first binding says, and a jump hash finds the bucket of a
// message. A binding that comes or goes moves no more messages than it must.
//
// Destinations stand in the order of the serials of their bindings, which all nodes
// know alike, whichever way they learned of them.
type ring struct {
	header, property string // what is hashed; both empty: the routing key
	bindings         []ringBinding
	ends             []ringEnd
}

type ringBinding struct {
	serial uint64
	weight int
	to     target
}

// ringEnd is a destination with the number of buckets up to and with its own.
type ringEnd struct {
	to     target
	behind int
}

func newRing(def *topology.Exchange) *ring {
	r := &ring{}
	r.header, _ = def.Arguments[topology.HashHeader].(string)
	r.property, _ = def.Arguments[topology.HashProperty].(string)
	return r
}

func (r *ring) add(b *topology.Binding, to target) {
	i, _ := r.find(b.Serial)
	r.bindings = slices.Insert(r.bindings, i, ringBinding{b.Serial, b.Weight(), to})
	r.divide()
}

func (r *ring) remove(b *topology.Binding, _ target) {
	if i, ok := r.find(b.Serial); ok {
		r.bindings = slices.Delete(r.bindings, i, i+1)
		r.divide()
	}
}

func (r *ring) find(serial uint64) (int, bool) {
	return slices.BinarySearchFunc(r.bindings, serial, func(b ringBinding, s uint64) int { return cmp.Compare(b.serial, s) })
}

// divide gives the buckets out again: of the bindings to one place the first counts.
func (r *ring) divide() {
	seen := make(map[target]struct{}, len(r.bindings))
	r.ends = r.ends[:0]
	buckets := 0
	for _, b := range r.bindings {
		if _, ok := seen[b.to]; ok {
			continue
		}
		seen[b.to] = struct{}{}
		buckets += b.weight
		r.ends = append(r.ends, ringEnd{b.to, buckets})
	}
}

func (r *ring) match(w *walk) {
	if len(r.ends) == 0 {
		return
	}
	bucket := jump(r.hash(w), r.ends[len(r.ends)-1].behind)
	i, _ := slices.BinarySearchFunc(r.ends, bucket, func(e ringEnd, bucket int) int {
		if e.behind <= bucket {
			return -1
		}
		return 1
	})
	w.take(r.ends[i].to)
}

// hash is that of what the exchange was told to look at; what a message does not have
// is hashed alike for all messages.
func (r *ring) hash(w *walk) uint64 {
	switch {
	case r.header != "":
		return hashValue(w.readHeaders()[r.header])
	case r.property != "":
		value, _ := w.readProperty(r.property)
		return hashString(value)
	}
	return hashString(w.key)
}

// hashValue hashes a header's value, integers of all widths alike.
func hashValue(v any) uint64 {
	switch v := v.(type) {
	case string:
		return hashString(v)
	case []byte:
		return hashString(string(v))
	}
	b := topology.Binding{Arguments: topology.Arguments{"": canonical(v)}} // its identity holds the value in one form
	return hashString(b.Identity())
}

// canonical makes equal values of different types one.
func canonical(v any) any {
	switch v := v.(type) {
	case int8:
		return int64(v)
	case uint8:
		return int64(v)
	case int16:
		return int64(v)
	case uint16:
		return int64(v)
	case int32:
		return int64(v)
	case uint32:
		return int64(v)
	case float32:
		return float64(v)
	}
	return v
}

// hashString is FNV-1a with a finish that spreads it over all bits: equal on every
// node, in every process.
func hashString(s string) uint64 {
	h := uint64(14695981039346656037)
	for i := range len(s) {
		h = (h ^ uint64(s[i])) * 1099511628211
	}
	h = (h ^ h>>33) * 0xff51afd7ed558ccd
	h = (h ^ h>>33) * 0xc4ceb9fe1a85ec53
	return h ^ h>>33
}

// jump is Lamping and Veach's consistent hash: when buckets are added at the end, a
// key stays where it is or moves to one of them.
func jump(key uint64, buckets int) int {
	b, j := int64(-1), int64(0)
	for j < int64(buckets) {
		b = j
		key = key*2862933555777941757 + 1
		j = int64(float64(b+1) * (float64(1<<31) / float64(key>>33+1)))
	}
	return int(b)
}

// modulus is x-modulus-hash: the hash of the routing keys, modulo the number of
// destinations, which stand in the order of their names.
type modulus struct {
	places []modulusPlace
}

type modulusPlace struct {
	name  string // kind and name
	to    target
	count int // of bindings
}

func place(b *topology.Binding) string {
	if b.ToExchange {
		return "exchange " + b.Destination
	}
	return "queue " + b.Destination
}

func (m *modulus) find(name string) (int, bool) {
	return slices.BinarySearchFunc(m.places, name, func(p modulusPlace, name string) int { return strings.Compare(p.name, name) })
}

func (m *modulus) add(b *topology.Binding, to target) {
	name := place(b)
	i, ok := m.find(name)
	if ok {
		m.places[i].count++
		return
	}
	m.places = slices.Insert(m.places, i, modulusPlace{name, to, 1})
}

func (m *modulus) remove(b *topology.Binding, _ target) {
	i, ok := m.find(place(b))
	if !ok {
		return
	}
	if m.places[i].count--; m.places[i].count == 0 {
		m.places = slices.Delete(m.places, i, i+1)
	}
}

func (m *modulus) match(w *walk) {
	if len(m.places) == 0 {
		return
	}
	key := w.key
	if len(w.also) > 0 { // each with its length, so that no two lists are one
		b := binary.AppendUvarint(nil, uint64(len(key)))
		b = append(b, key...)
		for _, k := range w.also {
			b = append(binary.AppendUvarint(b, uint64(len(k))), k...)
		}
		key = string(b)
	}
	w.take(m.places[hashString(key)%uint64(len(m.places))].to)
}
