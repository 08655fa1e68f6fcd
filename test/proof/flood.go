package main

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strconv"
	"sync"
	"time"

	amqp "github.com/rabbitmq/amqp091-go"

	"github.com/warrenmq/warren/test/cluster"
)

// The budgets of a node, as they are configured or built in.
const (
	floodTransient = 64 << 20 // --transient-bytes of all nodes
	logCache       = 64 << 20 // the log's cache
	sessionBytes   = 16 << 20 // what one node's publishers have unanswered for one group, or for one node's transient queues
	answerBytes    = 1 << 20  // what a client may have unread
	windowBytes    = 1 << 20  // what a consumer may have unread
	socketBytes    = 20 << 20 // of a connection, in both directions, in Linux's buffers at most
	unackedBytes   = 256      // what the broker notes of a delivery that is not acknowledged, at its edge and where it is led

	// garbageFactor: Go lets garbage grow to the size of what is in use.
	garbageFactor = 2
	floodSlack    = 64 << 20 // stacks, the runtime's own, buffers of sockets and streams

	neighbourWorst  = 5 * time.Second // one confirm beside the flood
	neighbourMedian = 500 * time.Millisecond

	floodBody      = 1 << 10
	settledSamples = 3
	drainedWithin  = 60 * time.Second
	calmWithin     = 5 * time.Minute // Go collects every two minutes at least, and gives back by and by
)

// flooded is one kind of flood: who takes part, and what a node's memory must stay below.
type flooded struct {
	what    string
	budget  int64 // bytes in use beside those of an idle node
	clients func(*flooding) []*floodClient
	judge   func(*flooding, []*floodClient) error
	after   func(context.Context, *flooding) error
}

func floods() []flooded {
	const under = 2 * 3 * sessionBytes // kept by the edges of three nodes, and on the way or in hand where it is led
	return []flooded{
		{
			what:   "publishers that read nothing, to a replicated queue",
			budget: logCache + under + 6*answerBytes,
			clients: func(f *flooding) []*floodClient {
				return []*floodClient{
					f.client(0, floodPublisher{queue: "flood"}), f.client(1, floodPublisher{queue: "flood"}),
					f.client(1, floodPublisher{queue: "flood", confirms: true}), f.client(2, floodPublisher{queue: "flood", confirms: true}),
					f.client(0, floodPublisher{queue: "nowhere", confirms: true, mandatory: true}),
					f.client(2, floodPublisher{queue: "nowhere", mandatory: true}),
				}
			},
			judge: func(_ *flooding, cs []*floodClient) error { return waits(cs[4:], 0) }, // each is told of all it sends
			after: func(ctx context.Context, f *flooding) error { return f.settle(ctx, "flood") },
		},
		{
			what:   "the same, to a transient queue",
			budget: logCache + under + floodTransient + 4*answerBytes,
			clients: func(f *flooding) []*floodClient {
				return []*floodClient{
					f.client(0, floodPublisher{queue: "pool"}), f.client(1, floodPublisher{queue: "pool"}),
					f.client(1, floodPublisher{queue: "pool", confirms: true}), f.client(2, floodPublisher{queue: "pool", confirms: true}),
				}
			},
			judge: func(_ *flooding, cs []*floodClient) error { return waits(cs, floodTransient+3*sessionBytes) },
			after: func(ctx context.Context, f *flooding) error { return f.drain(ctx, "pool") },
		},
		{
			what:   "publishers to a transient queue whose messages die, and whose dead letters find no room",
			budget: logCache + under + floodTransient + 2*answerBytes,
			clients: func(f *flooding) []*floodClient {
				return []*floodClient{f.client(0, floodPublisher{queue: "mortal"}), f.client(1, floodPublisher{queue: "mortal", confirms: true})}
			},
			judge: func(_ *flooding, cs []*floodClient) error { return waits(cs, floodTransient+2*sessionBytes) },
			after: func(ctx context.Context, f *flooding) error { return f.discard(ctx, "brim", "mortal") },
		},
		{
			what:   "consumers that acknowledge nothing, and some that do not read",
			budget: logCache + floodTransient + 4*windowBytes, // and unackedBytes for each delivery
			clients: func(f *flooding) []*floodClient {
				return []*floodClient{
					f.client(0, floodConsumer{queue: "flood", reads: true}), f.client(2, floodConsumer{queue: "flood", reads: true}),
					f.client(1, floodConsumer{queue: "flood"}), f.client(2, floodConsumer{queue: "flood"}),
				}
			},
			judge: func(_ *flooding, cs []*floodClient) error {
				if cs[0].count.Load()+cs[1].count.Load() == 0 {
					return errors.New("nothing was delivered")
				}
				return nil
			},
			after: func(ctx context.Context, f *flooding) error { return f.allBack(ctx, "flood") },
		},
	}
}

// waits checks that publishers got rid of no more than so much, beside what sockets take.
func waits(cs []*floodClient, most int64) error {
	var sent int64
	for _, c := range cs {
		sent += c.bytes.Load()
		most += socketBytes
	}
	if sent > most {
		return fmt.Errorf("publishers that had to wait sent %d MB, at most %d are right", sent>>20, most>>20)
	}
	return nil
}

// flooding is one run of the proof.
type flooding struct {
	r      *run
	w      *cluster.Warren
	idle   []int64 // memory of each node before
	bounds []int64 // of each node; none falls, for the runtime gives back only by and by

	backlog int // messages in the replicated queue
}

// flood lets clients push as hard as they can and take nothing back, and holds the
// memory of each node against its budgets.
func flood(ctx context.Context, r *run) error {
	return withCluster(ctx, r, cluster.Options{Args: []string{"--transient-bytes", strconv.Itoa(floodTransient)}}, func(w *cluster.Warren) error {
		f := &flooding{r: r, w: w}
		if err := f.prepare(ctx); err != nil {
			return err
		}
		var errs []error
		for _, kind := range floods() {
			if err := f.one(ctx, kind); err != nil {
				errs = append(errs, fmt.Errorf("%s: %w", kind.what, err))
			}
		}
		return errors.Join(append(errs, f.calm(ctx), limited(ctx, wholeLimit, w.AwaitWhole))...)
	})
}

// prepare declares the queues and weighs the idle nodes. Nobody but its first node
// has the transient ones.
func (f *flooding) prepare(ctx context.Context) error {
	err := onChannel(ctx, f.w.Nodes[0].AMQP, func(ch *amqp.Channel) error {
		for _, q := range []struct {
			name    string
			durable bool
			args    amqp.Table
		}{
			{"flood", true, nil}, {"neighbour", true, nil}, {"pool", false, nil},
			{"brim", false, amqp.Table{"x-max-length": 0, "x-overflow": "reject-publish"}},
			{"mortal", false, amqp.Table{"x-message-ttl": 10, "x-dead-letter-exchange": "", "x-dead-letter-routing-key": "brim"}},
		} {
			if _, err := ch.QueueDeclare(q.name, q.durable, false, false, false, q.args); err != nil {
				return fmt.Errorf("declare %q: %w", q.name, err)
			}
		}
		return nil
	})
	if err != nil {
		return err
	}
	for _, n := range f.w.Nodes {
		u, err := n.Usage()
		if err != nil {
			return err
		}
		f.idle, f.bounds = append(f.idle, u.RSS), append(f.bounds, 0)
	}
	return nil
}

func (f *flooding) client(node int, act floodAct) *floodClient {
	return &floodClient{addr: f.w.Nodes[node].AMQP, act: act}
}

// span is how long each flood lasts.
func (f *flooding) span() time.Duration {
	if f.r.short {
		return 2500 * time.Millisecond
	}
	return 20 * time.Second
}

// one runs one flood beside a neighbour.
func (f *flooding) one(ctx context.Context, kind flooded) error {
	clients := kind.clients(f)
	parts := make([]func(context.Context) error, 0, len(clients)+1)
	for _, c := range clients {
		parts = append(parts, c.run)
	}
	beside := &neighbour{addr: f.w.Nodes[1].AMQP, queue: "neighbour"}
	rushing := inBackground(ctx, append(parts, beside.run)...)
	defer rushing.stop()
	peaks := f.watch(ctx)
	defer peaks.stop()
	select {
	case <-time.After(f.span()): // what is measured, not a wait for something
	case <-ctx.Done():
		return ctx.Err()
	}
	judged := kind.judge(f, clients)
	rushing.stop()
	during := peaks.highest()
	var errs []error
	if kind.after != nil {
		errs = append(errs, limited(ctx, drainedWithin, func(ctx context.Context) error { return kind.after(ctx, f) }))
	}
	errs = append(errs, peaks.stop())
	var bytes, count int64
	for _, c := range clients {
		bytes += c.bytes.Load()
		if _, publishes := c.act.(floodPublisher); !publishes {
			count += c.count.Load()
		}
	}
	f.r.printf("%s:", kind.what)
	if count > 0 {
		f.r.printf("    %d deliveries unacknowledged", count)
	} else {
		f.r.printf("    %d MB taken", bytes>>20)
	}
	after := peaks.highest()
	for i, n := range f.w.Nodes {
		f.bounds[i] = max(f.bounds[i], f.idle[i]+floodSlack+garbageFactor*(kind.budget+count*unackedBytes))
		f.r.printf("    %s: at most %d MB, with what follows %d (idle %d, bound %d)", n.Name, during[i]>>20, after[i]>>20, f.idle[i]>>20, f.bounds[i]>>20)
		if after[i] > f.bounds[i] {
			errs = append(errs, fmt.Errorf("%s used %d MB, its bound is %d", n.Name, after[i]>>20, f.bounds[i]>>20))
		}
	}
	f.r.printf("    a neighbour's confirms: %s", beside)
	errs = append(errs, judged, beside.verdict())
	for _, c := range clients {
		errs = append(errs, c.err)
	}
	return errors.Join(errs...)
}

// watcher samples the memory of all nodes.
type watcher struct {
	*background
	mu    sync.Mutex
	peaks []int64
	err   error
}

func (f *flooding) watch(ctx context.Context) *watcher {
	w := &watcher{peaks: make([]int64, len(f.w.Nodes))}
	w.background = inBackground(ctx, func(ctx context.Context) error {
		tick := time.NewTicker(sampleEvery)
		defer tick.Stop()
		for {
			for i, n := range f.w.Nodes {
				u, err := n.Usage()
				w.mu.Lock()
				w.peaks[i], w.err = max(w.peaks[i], u.RSS), errors.Join(w.err, err)
				w.mu.Unlock()
				if err != nil {
					return nil
				}
			}
			select {
			case <-tick.C:
			case <-ctx.Done():
				return nil
			}
		}
	})
	return w
}

// highest is the most memory that each node used so far.
func (w *watcher) highest() []int64 {
	w.mu.Lock()
	defer w.mu.Unlock()
	return slices.Clone(w.peaks)
}

// stop ends the sampling; an error is of a node that ended.
func (w *watcher) stop() error {
	w.background.stop()
	return w.err
}

// drain takes everything out of a queue: what waited for room comes after.
func (f *flooding) drain(ctx context.Context, queue string) error {
	c := f.client(1, floodConsumer{queue: queue, reads: true, noAck: true})
	draining := inBackground(ctx, c.run)
	defer draining.stop()
	return f.await(ctx, queue, func(n int) bool { return n == 0 && c.count.Load() > 0 })
}

// discard deletes queues. Dead letters for them have no target any more.
func (f *flooding) discard(ctx context.Context, queues ...string) error {
	return onChannel(ctx, f.w.Nodes[0].AMQP, func(ch *amqp.Channel) error {
		for _, q := range queues {
			if _, err := ch.QueueDelete(q, false, false, false); err != nil {
				return fmt.Errorf("delete %q: %w", q, err)
			}
		}
		return nil
	})
}

// settle waits until no more messages come into a queue, and notes how many it has.
func (f *flooding) settle(ctx context.Context, queue string) error {
	same := 0
	return f.await(ctx, queue, func(n int) bool {
		if same++; n != f.backlog {
			f.backlog, same = n, 0
		}
		return same == settledSamples
	})
}

// allBack waits until what consumers held that have gone is in its queue again.
func (f *flooding) allBack(ctx context.Context, queue string) error {
	begin := time.Now()
	if err := f.await(ctx, queue, func(n int) bool { return n >= f.backlog }); err != nil {
		return err
	}
	f.r.printf("    all %d messages are back after %.1f s", f.backlog, time.Since(begin).Seconds())
	return onChannel(ctx, f.w.Nodes[0].AMQP, func(ch *amqp.Channel) error {
		if _, err := ch.QueuePurge(queue, false); err != nil {
			return fmt.Errorf("purge %q: %w", queue, err)
		}
		return nil
	})
}

// await asks for the number of ready messages until it is right.
func (f *flooding) await(ctx context.Context, queue string, right func(int) bool) error {
	tick := time.NewTicker(sampleEvery)
	defer tick.Stop()
	for {
		var n int
		err := onChannel(ctx, f.w.Nodes[0].AMQP, func(ch *amqp.Channel) error {
			q, err := ch.QueueDeclarePassive(queue, queue == "flood", false, false, false, nil)
			n = q.Messages
			return err
		})
		if err == nil && right(n) {
			return nil
		}
		select {
		case <-tick.C:
		case <-ctx.Done():
			return fmt.Errorf("%q has %d messages: %w", queue, n, errors.Join(err, ctx.Err()))
		}
	}
}

// calm waits until the nodes have given back what the floods took. In the short
// form that takes too long: the runtime collects an idle process once in two minutes.
func (f *flooding) calm(ctx context.Context) error {
	if f.r.short {
		return nil
	}
	ctx, cancel := context.WithTimeout(ctx, calmWithin)
	defer cancel()
	tick := time.NewTicker(time.Second)
	defer tick.Stop()
	begin := time.Now()
	for {
		why := ""
		for i, n := range f.w.Nodes {
			u, err := n.Usage()
			if err != nil {
				return err
			}
			if most := f.idle[i] + floodSlack + garbageFactor*logCache; u.RSS > most {
				why = fmt.Sprintf("%s still has %d MB, and had %d", n.Name, u.RSS>>20, f.idle[i]>>20)
			}
		}
		if why == "" {
			f.r.printf("all is given back after %.0f s", time.Since(begin).Seconds())
			return nil
		}
		select {
		case <-tick.C:
		case <-ctx.Done():
			return errors.New(why)
		}
	}
}
