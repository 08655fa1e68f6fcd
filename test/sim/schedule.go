package sim

import (
	"fmt"
	"math/rand/v2"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/warrenmq/warren/broker/queue"
)

// load is how long clients are active in a schedule, at most.
const load = 10 * time.Second

// Schedule runs a cluster through the faults of a seed. It is called in a bubble.
func Schedule(tb testing.TB, seed uint64, trace bool) {
	rng := rand.New(rand.NewPCG(seed, 0))
	c := NewCluster(tb, seed, 3)
	if seed%2 == 0 {
		c.limits = shortLogs
	}
	faults := Draw(rng, load, len(c.Machines))
	defer c.Close()
	summary := c.run(rng, faults)
	if failures := c.Failed(); len(failures) > 0 || trace {
		var b strings.Builder
		for _, f := range faults {
			fmt.Fprintln(&b, "   ", f)
		}
		tb.Logf("seed %d: %s\n%s", seed, summary, b.String())
		if len(failures) > 0 {
			tb.Errorf("seed %d fails:\n%s", seed, strings.Join(failures, "\n"))
		}
		if trace {
			tb.Log("\n" + c.log.String())
		}
	}
}

// run does everything and says in a line how much it was.
func (c *Cluster) run(rng *rand.Rand, faults []Fault) (summary string) {
	began := time.Now()
	c.Start()
	if !c.AwaitReady(60 * time.Second) {
		return "the cluster does not form"
	}
	w, err := NewWorkload(c, 4)
	if err != nil {
		c.failure("queues cannot be declared: %v", err)
		return "no queues"
	}
	loaded := time.Now()
	w.Start(rng, 3, 6)
	defer w.End()
	w.SufferAll(faults)
	if rest := load - time.Since(loaded); rest > 0 {
		time.Sleep(rest)
	}
	if !c.AwaitReady(30 * time.Second) {
		return "the nodes do not come back"
	}
	healed := time.Now()
	w.Drain()
	drained := time.Since(healed)
	w.Verify()
	published, confirmed, deliveries := w.h.counts()
	return fmt.Sprintf("%d published, %d confirmed, %d deliveries, drained in %v, %v in all",
		published, confirmed, deliveries, drained, time.Since(began))
}

// SufferAll lets all faults come and go.
func (w *Workload) SufferAll(faults []Fault) {
	began := time.Now()
	var under sync.WaitGroup
	for _, f := range faults {
		time.Sleep(f.At - time.Since(began))
		under.Go(func() { w.Suffer(f) })
	}
	under.Wait()
	for _, m := range w.c.Machines {
		m.Start() // a fault may have come in the way of another's end
	}
}

// Verify looks at everything once nothing happens any more, and ends the nodes.
func (w *Workload) Verify() {
	w.h.judgeThefts()
	hashes := w.c.VerifyReplicas()
	for _, k := range w.churns {
		k.verify()
	}
	if w.graves != nil {
		w.graves.verify()
	}
	names := make(map[queue.ID]string)
	if n := w.c.Machines[0].Node(); n != nil {
		for _, q := range n.Status().Queues {
			if slices.Contains(w.queues, q.Name) {
				names[queue.ID(q.ID)] = q.Name
			}
		}
	}
	for _, m := range w.c.Machines {
		m.Kill()
	}
	if len(w.c.Failed()) == 0 && w.c.limits == wholeLogs { // else the rest follows from it, or is gone
		w.VerifyLogs(names, hashes)
	}
}
