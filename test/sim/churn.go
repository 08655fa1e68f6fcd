package sim

import (
	"context"
	"fmt"
	"math/rand/v2"
	"slices"
	"time"

	"github.com/warrenmq/warren/broker/wire"
)

// churn changes definitions through one node after another and remembers what it
// was told. Nobody else touches what it declares.
type churn struct {
	w     *Workload
	host  string
	rng   *rand.Rand
	known map[string]state     // of names; what begins with x is an exchange
	doubt map[string]time.Time // until when a change that nobody answered may still come about
}

// lateChange is how long a change may take that a client has given up.
const lateChange = 6 * time.Second

// state is what is known of a name.
type state uint8

const (
	absent state = iota
	present
	unknown // nobody answered the last change
)

// names are few, so that they come and go often.
func (k *churn) names() []string {
	return []string{"q-" + k.host + "-a", "q-" + k.host + "-b", "x-" + k.host + "-a", "x-" + k.host + "-b"}
}

// run changes definitions until ctx ends.
func (k *churn) run(ctx context.Context) {
	k.known, k.doubt = make(map[string]state), make(map[string]time.Time)
	for ctx.Err() == nil {
		m := k.w.pick(k.rng)
		cl, err := k.w.c.Dial(k.host, m, events{})
		for err == nil && ctx.Err() == nil {
			wait(ctx, time.Duration(k.rng.Int64N(int64(300*time.Millisecond))))
			name := k.names()[k.rng.IntN(4)]
			if err = k.change(cl, name); err == nil && k.rng.IntN(4) == 0 {
				k.elsewhere(name)
			}
		}
		if cl != nil {
			if codeOf(err) != wire.NotFound || !k.doubtful() {
				k.w.judge(cl)
			}
			cl.Abort()
		}
		wait(ctx, 100*time.Millisecond)
	}
}

// change declares or deletes a name and now and then binds it.
func (k *churn) change(cl *Client, name string) error {
	exchange, next := name[0] == 'x', present
	if k.rng.IntN(3) == 0 {
		next = absent
	}
	var m wire.Method
	switch {
	case exchange && next == absent:
		m = &wire.ExchangeDelete{Exchange: name}
	case exchange:
		m = &wire.ExchangeDeclare{Exchange: name, Type: "topic", Durable: true}
	case next == absent:
		m = &wire.QueueDelete{Queue: name}
	default:
		m = &wire.QueueDeclare{Queue: name, Durable: true}
	}
	k.known[name] = unknown
	// What is there already is declared without asking others: a node that is cut off
	// may not know that it is gone.
	sure := time.Now().After(k.doubt[name]) && k.w.h.reached(cl.server.machine)
	_, err := cl.Call(m)
	k.w.c.logger.Info("definition", "of", name, "through", cl.server.machine.Name, "change", m.Name(), "error", err)
	if err == nil && next == present && !exchange {
		_, err = cl.Call(&wire.QueueBind{Queue: name, Exchange: unused, RoutingKey: name})
	}
	switch {
	case err == nil && sure:
		k.known[name] = next
	case err != nil && codeOf(err) != wire.NotFound:
		k.doubt[name] = time.Now().Add(lateChange)
	}
	return err
}

// doubtful tells whether something may have been deleted behind the client's back.
func (k *churn) doubtful() bool {
	for _, until := range k.doubt {
		if time.Now().Before(until) {
			return true
		}
	}
	return false
}

// unused is an exchange that is always there and that nobody publishes to.
const unused = "amq.topic"

// elsewhere looks at a name through another node: while nothing is broken, what
// was answered is visible everywhere.
func (k *churn) elsewhere(name string) {
	if k.known[name] == unknown || !k.w.h.calmNow() {
		return
	}
	at := time.Now()
	m := k.w.pick(k.rng)
	found, err := k.look(m, name)
	if err != nil || !k.w.h.calmSince(at) {
		return
	}
	if want := k.known[name] == present; want != found {
		k.w.c.failure("%s: present %v was answered, and %s says %v", name, want, m.Name, found)
	}
}

// look asks a node for a name.
func (k *churn) look(m *Machine, name string) (found bool, err error) {
	cl, err := k.w.c.Dial(k.host, m, events{})
	if err != nil {
		return false, err
	}
	defer cl.Abort()
	if name[0] == 'x' {
		_, err = cl.Call(&wire.ExchangeDeclare{Exchange: name, Passive: true})
	} else {
		_, err = cl.Call(&wire.QueueDeclare{Queue: name, Passive: true})
	}
	if codeOf(err) == wire.NotFound {
		return false, nil
	}
	return err == nil, err
}

// verify looks for all names on all nodes, once all is whole.
func (k *churn) verify() {
	for _, name := range k.names() {
		var views []string
		for _, m := range k.w.c.Machines {
			found, err := k.look(m, name)
			if err != nil {
				k.w.c.failure("%s cannot be looked for on %s: %v", name, m.Name, err)
				continue
			}
			views = append(views, fmt.Sprint(found))
			if want := k.known[name] == present; k.known[name] != unknown && want != found {
				k.w.c.failure("%s: present %v was answered, and %s says %v in the end", name, want, m.Name, found)
			}
		}
		if len(slices.Compact(views)) > 1 {
			k.w.c.failure("%s: the nodes do not agree: %v", name, views)
		}
	}
}
