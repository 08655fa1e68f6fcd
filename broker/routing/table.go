// Package routing turns an exchange, a routing key and headers into queues: direct,
// fanout, topic, headers, hash and random exchanges, those that keep messages, the
// default exchange, bindings between exchanges and alternate exchanges.
//
// It keeps out permissions, messages and whether a queue is alive; it knows the
// definitions only through topology's changes, which it takes one by one, so that
// a declare costs the same with ten queues and with twenty thousand. Its promises:
// a message reaches each queue once however many ways lead there, cycles end, and
// no pattern makes a publish cost more than words times nodes of its trie.
package routing

import (
	"slices"
	"sync"
	"sync/atomic"

	"github.com/warrenmq/warren/broker/queue"
	"github.com/warrenmq/warren/broker/topology"
)

// Config is what a Table asks of its node.
type Config struct {
	// Local tells whether a queue is led on this node, which is where x-local-random
	// leads; nil: none is. It must not block, nor call the table.
	Local func(queue.ID) bool
	// Random gives a number from 0 to n-1; nil: always 0.
	Random func(n int) int
}

// Message is what exchanges may ask of a message besides its routing key. A nil
// Message has no headers and no properties.
type Message interface {
	// Headers gives the table of headers; it is asked at most once.
	Headers() topology.Arguments
	// Property gives message_id, correlation_id, or timestamp in decimal; false if it is not there.
	Property(name string) (string, bool)
}

// Table routes. It is safe for concurrent use.
type Table struct {
	cfg     Config
	version atomic.Uint64

	mu     sync.RWMutex
	vhosts map[string]*vhost
}

// vhost holds a vhost's exchanges and, for the default exchange, its queues by name.
type vhost struct {
	exchanges map[string]*exchange
	queues    map[string]queue.ID
	// alternates are the exchanges that name an alternate exchange, by that name:
	// it may be missing, and come and go.
	alternates map[string][]*exchange
}

// exchange is an exchange with its bindings. All but generation is guarded by the table's lock.
type exchange struct {
	definition *topology.Exchange
	alternate  string
	hasAlt     bool
	matcher    matcher     // nil for the default exchange
	sources    []*exchange // the exchanges that have bindings to this one, one for each binding

	// generation changes with every change of what this exchange or one behind it
	// does: a result that a Cache holds is good while it stays the same.
	generation atomic.Uint64
}

// matcher holds the bindings of one exchange by what its type asks of a message.
type matcher interface {
	add(b *topology.Binding, to target)
	remove(b *topology.Binding, to target)
	// match visits where the message goes; the same place may be visited twice.
	match(w *walk)
}

// NewTable returns an empty table: vhosts come as changes, too.
func NewTable(cfg Config) *Table { return &Table{cfg: cfg, vhosts: make(map[string]*vhost)} }

// Version changes with every Apply.
func (t *Table) Version() uint64 { return t.version.Load() }

// Apply follows the definitions. Changes must come in the order in which topology gave them.
func (t *Table) Apply(changes []topology.Change) {
	if len(changes) == 0 {
		return
	}
	t.mu.Lock()
	defer t.mu.Unlock()
	for i := range changes {
		t.apply(&changes[i])
	}
	t.version.Add(1)
}

func (t *Table) apply(c *topology.Change) {
	if c.Kind == topology.Reset {
		for _, v := range t.vhosts {
			v.invalidate()
		}
		clear(t.vhosts)
		return
	}
	v := t.vhosts[c.VHost]
	if v == nil {
		v = &vhost{
			exchanges:  make(map[string]*exchange),
			queues:     make(map[string]queue.ID),
			alternates: make(map[string][]*exchange),
		}
		t.vhosts[c.VHost] = v
	}
	switch c.Kind {
	case topology.VHostRemoved:
		v.invalidate()
		delete(t.vhosts, c.VHost)
	case topology.ExchangeAdded:
		v.addExchange(c.Exchange)
	case topology.ExchangeRemoved:
		v.removeExchange(c.Exchange.Name)
	case topology.ExchangeChanged:
		v.changeExchange(c.Exchange)
	case topology.QueueAdded:
		if !c.Queue.Hidden() {
			v.queues[c.Queue.Name] = c.Queue.ID
		}
	case topology.QueueRemoved:
		if !c.Queue.Hidden() {
			delete(v.queues, c.Queue.Name)
		}
	case topology.BindingAdded:
		v.bind(c, true)
	case topology.BindingRemoved:
		v.bind(c, false)
	}
}

func (v *vhost) addExchange(def *topology.Exchange) {
	x := &exchange{definition: def, matcher: newMatcher(def)}
	alternate, has := def.AlternateExchange()
	v.setAlternate(x, alternate, has)
	v.exchanges[def.Name] = x
	v.changed(x)
}

// changeExchange takes another value of a definition: its bindings stay.
func (v *vhost) changeExchange(def *topology.Exchange) {
	x := v.exchanges[def.Name]
	if x == nil {
		return
	}
	x.definition = def
	alternate, has := def.AlternateExchange()
	v.setAlternate(x, alternate, has)
	v.changed(x)
}

func newMatcher(def *topology.Exchange) matcher {
	if def.Name == "" {
		return nil
	}
	switch def.RoutingType() {
	case topology.Fanout, topology.RecentHistory:
		return &fanout{}
	case topology.Topic:
		return newTopic()
	case topology.Headers:
		return newHeaders()
	case topology.ConsistentHash:
		return newRing(def)
	case topology.ModulusHash:
		return &modulus{}
	case topology.Random:
		return &random{}
	case topology.LocalRandom:
		return &local{}
	default:
		return direct{}
	}
}

// setAlternate says where x leads what it cannot route.
func (v *vhost) setAlternate(x *exchange, name string, has bool) {
	if x.hasAlt {
		if users := without(v.alternates[x.alternate], x); len(users) > 0 {
			v.alternates[x.alternate] = users
		} else {
			delete(v.alternates, x.alternate)
		}
	}
	has = has && name != "" // the default exchange has no bindings that a way through it could take, as in RabbitMQ
	x.alternate, x.hasAlt = name, has
	if has {
		v.alternates[name] = append(v.alternates[name], x)
	}
}

func (v *vhost) removeExchange(name string) {
	x := v.exchanges[name]
	if x == nil {
		return
	}
	delete(v.exchanges, name)
	v.changed(x)
	v.setAlternate(x, "", false)
}

func (v *vhost) bind(c *topology.Change, add bool) {
	b := c.Binding
	x := v.exchanges[b.Source]
	if x == nil || x.matcher == nil {
		return
	}
	var to target
	if b.ToExchange {
		to.exchange = v.exchanges[b.Destination]
		if to.exchange == nil {
			return
		}
		if add {
			to.exchange.sources = append(to.exchange.sources, x)
		} else {
			to.exchange.sources = without(to.exchange.sources, x)
		}
	} else {
		to.queue = c.Queue.ID
	}
	if add {
		x.matcher.add(b, to)
	} else {
		x.matcher.remove(b, to)
	}
	v.changed(x)
}

// changed invalidates what is cached of x and of every exchange that leads to it.
func (v *vhost) changed(x *exchange) {
	if len(x.sources) == 0 && len(v.alternates[x.definition.Name]) == 0 {
		x.generation.Add(1)
		return
	}
	seen := map[*exchange]bool{x: true}
	for work := []*exchange{x}; len(work) > 0; work = work[1:] {
		y := work[0]
		y.generation.Add(1)
		for _, behind := range [][]*exchange{y.sources, v.alternates[y.definition.Name]} {
			for _, z := range behind {
				if !seen[z] {
					seen[z] = true
					work = append(work, z)
				}
			}
		}
	}
}

// invalidate ends everything that is cached of a vhost.
func (v *vhost) invalidate() {
	for _, x := range v.exchanges {
		x.generation.Add(1)
	}
}

// without removes one x from list.
func without(list []*exchange, x *exchange) []*exchange {
	i := slices.Index(list, x)
	if i < 0 {
		return list
	}
	return slices.Delete(list, i, i+1)
}
