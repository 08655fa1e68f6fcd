package routing

import (
	"slices"
	"sync"

	"github.com/warrenmq/warren/broker/queue"
	"github.com/warrenmq/warren/broker/topology"
)

// Route finds the queues that a message published to an exchange goes to. also are
// further routing keys (CC and BCC). m is asked only for what an exchange on the way
// wants to know, and must not call the table.
func (t *Table) Route(vhost, exchange, key string, also []string, m Message) Result {
	return t.find(vhost, exchange, &request{key: key, also: also, message: m})
}

// RouteDelayed routes a message that has waited in the hidden queue of an
// x-delayed-message exchange on from there.
func (t *Table) RouteDelayed(vhost, exchange, key string, also []string, m Message) Result {
	return t.find(vhost, exchange, &request{key: key, also: also, message: m, waited: true})
}

func (t *Table) find(vhost, exchange string, r *request) (out Result) {
	t.mu.RLock()
	defer t.mu.RUnlock()
	v := t.vhosts[vhost]
	if v == nil {
		return out
	}
	if x := v.exchanges[exchange]; x != nil {
		t.route(v, x, r, &out)
	}
	return out
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

// route walks from x, appends to out.Queues, and says what the result depends on
// beyond generations and the key.
func (t *Table) route(v *vhost, x *exchange, r *request, out *Result) dependence {
	out.Exchange = x.definition
	if x.matcher == nil && len(r.also) == 0 { // most messages take the default exchange: no walk for one lookup
		if id := v.queues[r.key]; id != 0 {
			out.Queues = append(out.Queues, id)
		}
		return onQueueNames
	}
	w := walks.Get().(*walk)
	w.request, w.cfg = *r, &t.cfg
	w.queues, w.from = out.Queues, len(out.Queues)
	w.run(v, x)
	w.result(out)
	on := w.on
	w.release()
	return on
}

// request is what a message has to be routed by.
type request struct {
	key     string
	also    []string
	message Message
	waited  bool // in the hidden queue of an x-delayed-message exchange
}

// dependence is what a route's result depends on that a Cache cannot watch.
type dependence uint8

const (
	onHeaders    dependence = 1 << iota
	onProperties            // of the message
	onQueueNames            // through the default exchange, whose bindings come and go unannounced
	onChance                // or on where queues are led
)

// walk is one message's way through the exchanges of a vhost. Matchers call visit.
type walk struct {
	request
	cfg   *Config
	table topology.Arguments // what the message's headers are, once onHeaders
	on    dependence

	queues    []queue.ID // the result from index from on
	from      int
	lists     int         // visits that gave queues: from two on there may be doubles
	arrivals  int         // places visited, doubles included
	path      []*exchange // the exchanges reached, in order
	seen      map[*exchange]struct{}
	delayed   []queue.ID // the hidden queues of x-delayed-message exchanges, each once as each exchange is
	histories []queue.ID // those of x-recent-history exchanges

	topic topicScratch
}

// walks keeps the scratch space of walks; nothing in it outlives a walk.
var walks = sync.Pool{New: func() any { return new(walk) }}

func (w *walk) run(v *vhost, x *exchange) {
	w.reach(x)
	for i := 0; i < len(w.path); i++ { // the path grows on the way
		x := w.path[i]
		if w.waits(x) {
			continue
		}
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
		w.remember(x)
	}
}

func (w *walk) matchDefault(v *vhost) {
	w.on |= onQueueNames
	for i := -1; i < len(w.also); i++ {
		if id := v.queues[w.keyAt(i)]; id != 0 {
			w.queues = append(w.queues, id)
			w.lists++
			w.arrivals++
		}
	}
}

// keyAt is the message's own key at -1, then its further ones.
func (w *walk) keyAt(i int) string {
	if i < 0 {
		return w.key
	}
	return w.also[i]
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

// take takes in a single place.
func (w *walk) take(to target) {
	w.arrivals++
	if to.exchange != nil {
		w.reach(to.exchange)
		return
	}
	w.queues = append(w.queues, to.queue)
	w.lists++
}

// readHeaders gives the message's headers, which are parsed only when this is called.
func (w *walk) readHeaders() topology.Arguments {
	if w.on&onHeaders == 0 {
		w.on |= onHeaders
		if w.message != nil {
			w.table = w.message.Headers()
		}
	}
	return w.table
}

// readProperty gives one of the message's properties.
func (w *walk) readProperty(name string) (string, bool) {
	w.on |= onProperties
	if w.message == nil {
		return "", false
	}
	return w.message.Property(name)
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

// result gives the queues without doubles, the histories behind them.
func (w *walk) result(out *Result) {
	if w.lists > 1 {
		found := w.queues[w.from:]
		slices.Sort(found)
		w.queues = w.queues[:w.from+len(slices.Compact(found))]
	}
	out.Queues = append(w.queues, w.histories...)
	out.Silent = len(w.histories)
	if len(w.delayed) > 0 {
		out.Delayed = slices.Clone(w.delayed)
		out.Delay = w.delay()
	}
}

// release returns the scratch space, without what it pointed to.
func (w *walk) release() {
	clear(w.path)
	*w = walk{path: w.path[:0], delayed: w.delayed[:0], histories: w.histories[:0], topic: w.topic}
	walks.Put(w)
}
