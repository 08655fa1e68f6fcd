// Package topology holds a cluster's definitions - vhosts with their limits and
// policies, exchanges, queues and bindings - as values, and the one state machine
// that changes them.
//
// It keeps out messages, permissions and everything that has a clock, a socket or
// a goroutine. Its promises: Apply is a pure function of the state and the command,
// so equal commands in equal order give byte-equal snapshots; every refusal carries
// the text that a RabbitMQ client knows; and a value that was handed out is never
// changed afterwards, so that readers may keep it once the owner's lock is released.
package topology

import (
	"cmp"
	"fmt"
	"maps"
	"slices"
	"strconv"

	"github.com/warrenmq/warren/broker/queue"
)

// DefaultVHost exists from the start.
const DefaultVHost = "/"

// Topology is the state machine. It is not safe for concurrent use: its owner locks.
type Topology struct {
	vhosts map[string]*vhost
	byID   map[queue.ID]*Queue
	owned  index // exclusive queues by owning connection
	homes  index // transient queues by the node they live at
	groups index // replicated queues by their group
	lastID queue.ID
	serial uint64 // of the last exchange or binding
}

// New returns the definitions of a new cluster: the vhost "/" with its predeclared exchanges.
func New() *Topology {
	t := empty()
	t.addVHost(VHost{Name: DefaultVHost}, nil)
	return t
}

func empty() *Topology {
	return &Topology{
		vhosts: make(map[string]*vhost),
		byID:   make(map[queue.ID]*Queue),
		owned:  make(index),
		homes:  make(index),
		groups: make(index),
	}
}

// Result is what a command that was carried out has to say.
type Result struct {
	Queue    *Queue    // DeclareQueue: the queue as it is; DeleteQueue: the queue that went
	Exchange *Exchange // DeclareExchange: the exchange as it is; DeleteExchange: the one that went
	Created  bool      // a declare made something new
	Changes  []Change  // what was added and removed, in order
}

// ChangeKind says what a Change is about.
type ChangeKind uint8

const (
	Reset ChangeKind = iota + 1 // everything known before is void: the whole state follows
	VHostAdded
	VHostRemoved
	ExchangeAdded
	ExchangeRemoved
	QueueAdded
	QueueRemoved
	BindingAdded
	BindingRemoved
	VHostChanged    // what a vhost says of itself, or its limits
	PoliciesChanged // of a vhost; what that changes for queues and exchanges follows
	QueueChanged    // Settings are others now
	ExchangeChanged // Exchange is another value: its alternate exchange is another now
)

// Change is one step of the definitions. A thing is added after everything it needs
// and removed before it: a binding always comes between its two ends.
type Change struct {
	Kind     ChangeKind
	VHost    string
	Exchange *Exchange
	Queue    *Queue // also of a binding that leads to a queue
	Binding  *Binding
}

// Apply carries out one command, or refuses it with an *Error and changes nothing.
// It takes over the command's arguments.
func (t *Topology) Apply(c Command) (Result, error) {
	switch c := c.(type) {
	case DeclareVHost:
		return t.declareVHost(c)
	case UpdateVHost:
		return t.updateVHost(c)
	case DeleteVHost:
		return t.deleteVHost(c)
	case SetVHostLimits:
		return t.setVHostLimits(c)
	case SetPolicy:
		return t.setPolicy(c)
	case ClearPolicy:
		return t.clearPolicy(c)
	case DeclareExchange:
		return t.declareExchange(c)
	case DeleteExchange:
		return t.deleteExchange(c)
	case DeclareQueue:
		return t.declareQueue(c)
	case DeleteQueue:
		return t.deleteQueue(c)
	case DeleteOwned:
		return t.deleteOwned(c)
	case DropTransient:
		return t.dropTransient(c)
	case DropVolatile:
		return t.dropVolatile(c)
	case Bind:
		return t.bind(c)
	case Unbind:
		return t.unbind(c)
	default:
		panic(fmt.Sprintf("topology: command of unknown kind %T", c)) // a replica that skipped it would diverge
	}
}

// Contents is the whole state as changes, a Reset first: what a follower of the
// changes needs to start, or to start again.
func (t *Topology) Contents() []Change {
	changes := []Change{{Kind: Reset}}
	for _, name := range slices.Sorted(maps.Keys(t.vhosts)) {
		v := t.vhosts[name]
		changes = append(changes, Change{Kind: VHostAdded, VHost: name})
		for _, q := range v.allQueues() {
			changes = append(changes, Change{Kind: QueueAdded, VHost: name, Queue: q})
		}
		for _, x := range t.Exchanges(name) {
			changes = append(changes, Change{Kind: ExchangeAdded, VHost: name, Exchange: x})
		}
		for _, b := range t.Bindings(name) {
			changes = append(changes, v.bindingChange(BindingAdded, b))
		}
	}
	return changes
}

// index finds queues by a name that they carry.
type index map[string]map[queue.ID]*Queue

func (i index) add(name string, q *Queue) {
	if name == "" {
		return
	}
	if i[name] == nil {
		i[name] = make(map[queue.ID]*Queue)
	}
	i[name][q.ID] = q
}

func (i index) remove(name string, q *Queue) {
	delete(i[name], q.ID)
	if len(i[name]) == 0 {
		delete(i, name)
	}
}

// sorted lists the queues under name in the order of their ids.
func (i index) sorted(name string) []*Queue {
	return slices.SortedFunc(maps.Values(i[name]), func(a, b *Queue) int {
		return cmp.Compare(a.ID, b.ID)
	})
}

// groupKey names a group in an index; no group has no name.
func groupKey(group uint64) string {
	if group == 0 {
		return ""
	}
	return strconv.FormatUint(group, 10)
}
