package bench

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"time"

	"github.com/warrenmq/warren/test/cluster"
)

// Measure runs one workload on a cluster that is otherwise idle.
func Measure(ctx context.Context, name string, s *cluster.Set, w Workload) (Result, error) {
	r := Result{Broker: name, Workload: w.Name}
	pairs, err := openAll(s, w)
	if err != nil {
		return r, fmt.Errorf("%s, %s: %w", name, w.Name, err)
	}
	loading, stop := context.WithCancel(ctx)
	defer stop()
	errs := make([]error, len(pairs))
	var all sync.WaitGroup
	for i, p := range pairs {
		all.Go(func() {
			errs[i] = p.run(loading)
			if errs[i] != nil {
				stop()
			}
		})
	}
	err = r.observe(loading, s, w, pairs)
	stop()
	all.Wait()
	if err = errors.Join(append(errs, err, ctx.Err())...); err != nil {
		return r, fmt.Errorf("%s, %s: %w", name, w.Name, err)
	}
	var times histogram
	for _, p := range pairs {
		times.merge(&p.times)
	}
	r.P50, r.P99 = times.quantile(0.5), times.quantile(0.99)
	return r, remove(s, pairs)
}

// openAll spreads the queues over the nodes; clients sit on the queue's node,
// or on the two others.
func openAll(s *cluster.Set, w Workload) ([]*pair, error) {
	addrs := s.Addrs()
	var pairs []*pair
	for i := range max(1, w.Queues) {
		at := func(n int) string { return addrs[(i+n)%len(addrs)] }
		pub, con := at(0), at(0)
		if w.Apart {
			pub, con = at(1), at(2)
		}
		queue := fmt.Sprintf("bench-%d-%d", time.Now().UnixNano(), i)
		p, err := open(w, queue, at(0), pub, con)
		if err != nil {
			for _, p := range pairs {
				p.close()
			}
			return nil, err
		}
		pairs = append(pairs, p)
	}
	return pairs, nil
}

// observe lets the load warm up and measures it for some spans. The rate is
// the best span's, because other work on the machine can only take away;
// the CPU is that of all spans together.
func (r *Result) observe(ctx context.Context, s *cluster.Set, w Workload, pairs []*pair) error {
	if !pass(ctx, w.Warm) {
		return nil
	}
	for _, p := range pairs {
		p.measuring.Store(true)
	}
	var cpu time.Duration
	var confirmed int64
	for range spans {
		before, err := s.Usage()
		if err != nil {
			return err
		}
		begin, from := time.Now(), confirms(pairs)
		if !pass(ctx, w.Measure/spans) {
			return nil
		}
		n := confirms(pairs) - from
		r.PerSec = max(r.PerSec, float64(n)/time.Since(begin).Seconds())
		after, err := s.Usage()
		if err != nil {
			return err
		}
		confirmed += n
		cpu += after.CPU - before.CPU
		r.RSS = after.RSS
	}
	for _, p := range pairs {
		p.measuring.Store(false)
		r.Backlog += p.confirmed.Load() - p.settled.Load()
	}
	if confirmed == 0 {
		return errors.New("nothing was confirmed")
	}
	r.CPU = cpu.Seconds() / float64(confirmed) * 1e6
	return nil
}

func confirms(pairs []*pair) (n int64) {
	for _, p := range pairs {
		n += p.confirmed.Load()
	}
	return n
}

// pass lets the load run for d.
func pass(ctx context.Context, d time.Duration) bool {
	select {
	case <-time.After(d):
		return true
	case <-ctx.Done():
		return false
	}
}

// remove deletes the queues.
func remove(s *cluster.Set, pairs []*pair) error {
	c, err := dial(s.Nodes[0].AMQP)
	if err != nil {
		return err
	}
	defer c.Close()
	ch, err := c.Channel()
	if err != nil {
		return fmt.Errorf("channel: %w", err)
	}
	for _, p := range pairs {
		if _, err := ch.QueueDelete(p.queue, false, false, false); err != nil {
			return fmt.Errorf("delete %s: %w", p.queue, err)
		}
	}
	return nil
}
