package routing

import (
	"slices"
	"sync"

	"github.com/warrenmq/warren/broker/queue"
	"github.com/warrenmq/warren/broker/topology"
)

// Route appends the queues that a message published to an exchange goes to, each
// once, and reports false when there is no such exchange. It calls headers at most
// once, and only if an exchange on the way asks for them; headers must not call the table.
func (t *Table) Route(vhost, exchange, key string, headers func() topology.Arguments, dst []queue.ID) ([]queue.ID, bool) {
	t.mu.RLock()
	defer t.mu.RUnlock()
	v := t.vhosts[vhost]
	if v == nil {
		return dst, false
	}
	x := v.exchanges[exchange]
	if x == nil {
		return dst, false
	}
	dst, _ = v.route(x, key, headers, dst)
	return dst, true
}

// Exchange finds an exchange's definition, nil when there is none.
func (t *Table) Exchange(vhost, name string) *topology.Exchange {
	t.mu.RLock()
	defer t.mu.RUnlock()
	if v := t.vhosts[vhost]; v != nil && v.exchanges[name] != nil {
		return v.exchanges[name].definition
	}
	return nil
}

// route walks from x, and says what the result depends on beyond generations and the key.
func (v *vhost) route(x *exchange, key string, headers func() topology.Arguments, dst []queue.ID) ([]queue.ID, dependence) {
	if x.matcher == nil { // most messages take the default exchange: no walk for one lookup
		if id := v.queues[key]; id != 0 {
			dst = append(dst, id)
		}
		return dst, onQueueNames
	}
	w := walks.Get().(*walk)
	w.key, w.headers = key, headers
	w.queues, w.from = dst, len(dst)
	w.run(v, x)
	dst, on := w.result(), w.on
	w.release()
	return dst, on
}

// dependence is what a route's result depends on that a Cache cannot watch.
type dependence uint8

const (
	onHeaders    dependence = 1 << iota
	onQueueNames            // through the default exchange, whose bindings come and go unannounced
)

// walk is one message's way through the exchanges of a vhost. Matchers call visit.
type walk struct {
	key     string
	headers func() topology.Arguments
	table   topology.Arguments // what headers gave
	on      dependence

	queues   []queue.ID // the result from index from on
	from     int
	lists    int         // visits that gave queues: from two on there may be doubles
	arrivals int         // places visited, doubles included
	path     []*exchange // the exchanges reached, in order
	seen     map[*exchange]struct{}

	topic topicScratch
}

// walks keeps the scratch space of walks; nothing in it outlives a walk.
var walks = sync.Pool{New: func() any { return new(walk) }}

func (w *walk) run(v *vhost, x *exchange) {
	w.reach(x)
	for i := 0; i < len(w.path); i++ { // the path grows on the way
		x := w.path[i]
		before := w.arrivals
		if x.matcher != nil {
			x.matcher.match(w)
		} else {
			w.matchDefault(v)
		}
		if x.hasAlt && w.arrivals == before {
			if alternate := v.exchanges[x.alternate]; alternate != nil {
				w.reach(alternate)
			}
		}
	}
}

func (w *walk) matchDefault(v *vhost) {
	w.on |= onQueueNames
	if id := v.queues[w.key]; id != 0 {
		w.queues = append(w.queues, id)
		w.lists++
		w.arrivals++
	}
}

// visit takes in where a binding leads that the message matched.
func (w *walk) visit(t *targets) {
	w.arrivals += len(t.queues) + len(t.exchanges)
	if len(t.queues) > 0 {
		w.queues = append(w.queues, t.queues...)
		w.lists++
	}
	for _, x := range t.exchanges {
		w.reach(x)
	}
}

// readHeaders gives the message's headers, which are parsed only when this is called.
func (w *walk) readHeaders() topology.Arguments {
	if w.on&onHeaders == 0 {
		w.on |= onHeaders
		if w.headers != nil {
			w.table = w.headers()
		}
	}
	return w.table
}

// reach puts x on the path unless it is there: so cycles end.
func (w *walk) reach(x *exchange) {
	const few = 16 // up to here a search beats a map
	if len(w.path) < few {
		if slices.Contains(w.path, x) {
			return
		}
	} else {
		if len(w.seen) == 0 {
			w.seen = make(map[*exchange]struct{})
			for _, y := range w.path {
				w.seen[y] = struct{}{}
			}
		}
		if _, ok := w.seen[x]; ok {
			return
		}
		w.seen[x] = struct{}{}
	}
	w.path = append(w.path, x)
}

// result is the list of queues without doubles.
func (w *walk) result() []queue.ID {
	if w.lists > 1 {
		found := w.queues[w.from:]
		slices.Sort(found)
		w.queues = w.queues[:w.from+len(slices.Compact(found))]
	}
	return w.queues
}

// release returns the scratch space, without what it pointed to.
func (w *walk) release() {
	clear(w.path)
	*w = walk{path: w.path[:0], topic: w.topic}
	walks.Put(w)
}
