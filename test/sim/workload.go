package sim

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"sync"
	"time"

	"github.com/warrenmq/warren/broker/wire"
)

// drainTime is how long the cluster may take, once all is whole, to confirm what
// is unconfirmed and to deliver what is left.
const drainTime = 60 * time.Second

// fanout is the exchange that is bound to several queues.
const fanout = "sim.fanout"

// Workload is the clients of one cluster.
type Workload struct {
	c      *Cluster
	h      *History
	queues []string

	churns []*churn
	graves *graves

	publishing, consuming sync.WaitGroup
	stopPublishing        context.CancelFunc
	stopConsuming         context.CancelFunc
}

// NewWorkload makes the queues and exchanges that everything is published to.
func NewWorkload(c *Cluster, queues int) (*Workload, error) {
	w := &Workload{c: c, h: newHistory(c)}
	for i := range queues {
		w.queues = append(w.queues, fmt.Sprintf("q%d", i))
	}
	var err error
	for range 20 { // a cluster that has just formed has no groups yet
		if err = w.declare(); err == nil {
			return w, nil
		}
		time.Sleep(200 * time.Millisecond)
	}
	return nil, err
}

func (w *Workload) declare() error {
	for i, q := range w.queues {
		// Queues are led where they are declared.
		cl, err := w.c.Dial("setup", w.c.Machines[i%len(w.c.Machines)], events{})
		if err != nil {
			return err
		}
		_, err = cl.Call(&wire.QueueDeclare{Queue: q, Durable: true})
		if err == nil {
			_, err = cl.Call(&wire.ExchangeDeclare{Exchange: fanout, Type: "fanout", Durable: true})
		}
		if err == nil && i < 3 {
			_, err = cl.Call(&wire.QueueBind{Queue: q, Exchange: fanout})
		}
		if err == nil && i == 0 {
			err = declareGraves(cl)
		}
		cl.Abort()
		if err != nil {
			return err
		}
	}
	return nil
}

func (w *Workload) routes() []route {
	list := []route{{fanout, "", w.queues[:min(3, len(w.queues))]}}
	for _, q := range w.queues {
		for range 2 {
			list = append(list, route{"", q, []string{q}})
		}
	}
	return list
}

// Start lets publishers and consumers go.
func (w *Workload) Start(rng *rand.Rand, publishers, consumers int) {
	publish, stopPublishing := context.WithCancel(context.Background())
	consume, stopConsuming := context.WithCancel(context.Background())
	w.stopPublishing, w.stopConsuming = stopPublishing, stopConsuming
	for i := range publishers {
		p := &publisher{
			w: w, host: fmt.Sprintf("p%d", i), rng: split(rng), routes: w.routes(),
			window: 1 + rng.IntN(30), pause: 30 * time.Millisecond,
		}
		w.publishing.Go(func() { p.run(publish) })
	}
	for i := range consumers {
		k := &consumer{w: w, host: fmt.Sprintf("k%d", i), queue: w.queues[i%len(w.queues)], rng: split(rng), polls: i >= len(w.queues) && rng.IntN(3) == 0}
		w.consuming.Go(func() { k.run(publish, consume) })
	}
	for i := range 2 {
		k := &churn{w: w, host: fmt.Sprintf("d%d", i), rng: split(rng)}
		w.churns = append(w.churns, k)
		w.publishing.Go(func() { k.run(publish) })
	}
	g, rejects, buries := newGraves(w, split(rng)), split(rng), split(rng)
	w.graves = g
	w.publishing.Go(func() { g.publish(publish) })
	w.publishing.Go(func() { g.reject(publish, rejects) })
	w.consuming.Go(func() { g.bury(consume, buries) })
}

// Drain ends the publishing, waits until all is delivered and acknowledged, and
// ends the clients.
func (w *Workload) Drain() {
	w.stopPublishing()
	w.publishing.Wait()
	w.c.Await(drainTime, "the queues are empty", w.empty)
	w.End()
}

// End ends the clients; it may be called again.
func (w *Workload) End() {
	w.stopPublishing()
	w.stopConsuming()
	w.publishing.Wait()
	w.consuming.Wait()
}

// empty tells whether no replica holds a message.
func (w *Workload) empty() bool {
	for _, m := range w.c.Machines {
		n := m.Node()
		if n == nil || backlog(n) > 0 {
			return false
		}
	}
	return true
}

// judge looks at why a connection has ended. Only what a fault can cause is fair.
func (w *Workload) judge(cl *Client) {
	select {
	case <-cl.ended:
	default:
		return
	}
	switch code := codeOf(cl.err); code {
	case 0, wire.ConnectionForced, wire.InternalError:
	default:
		if errors.Is(cl.err, errEnded) {
			w.c.failure("a client meets %v", cl.err)
		}
	}
}

// pick chooses a machine, running or not: clients do not know.
func (w *Workload) pick(rng *rand.Rand) *Machine { return w.c.Machines[rng.IntN(len(w.c.Machines))] }

// split makes an independent generator, so that one client's luck does not depend
// on what others do.
func split(rng *rand.Rand) *rand.Rand { return rand.New(rand.NewPCG(rng.Uint64(), rng.Uint64())) }
