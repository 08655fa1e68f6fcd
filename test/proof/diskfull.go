package main

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"time"

	amqp "github.com/rabbitmq/amqp091-go"

	"github.com/warrenmq/warren/test/cluster"
	"github.com/warrenmq/warren/test/proof/traffic"
)

const (
	smallDisk      = "700M"
	shortFree      = int64(150) << 20 // free on a disk that is short, and takes segments still
	fullRate       = 300              // messages a second of each queue
	fullSize       = 1 << 10
	fullGap        = 5 * time.Second  // between confirms when one node's disk is short or full
	fullReturn     = 60 * time.Second // until a node whose disk has room again leads what it should
	fullAnswer     = 10 * time.Second // until publishers wait, and until they go on
	bulkBody       = 16 << 10
	bulkMessages   = 10_000 // more than two segments: the full disk takes no more of it
	stockMessages  = 2000
	quietFor       = 300 * time.Millisecond
	blockedFor     = 2 * time.Second
	muchDisk       = "100TB"
	fullSegments   = "no space for the next log segment"
	defaultDisk    = "50MB"
	reasonDiskFull = "low on disk"
)

// fullRun is a cluster whose first node has a small disk.
type fullRun struct {
	*run
	w     *cluster.Warren
	disk  *disk
	lanes []*lane
}

// diskfull lets the disk of one node run short, then full, then all of them run short.
func diskfull(ctx context.Context, r *run) (err error) {
	w, err := cluster.New(cluster.Options{})
	if err != nil {
		return fmt.Errorf("make the cluster: %w", err)
	}
	defer func() {
		if err != nil && r.keep {
			w.Keep()
			r.printf("logs are in %s", w.Dir)
		}
		err = errors.Join(err, w.Close())
	}()
	var disks []*disk
	for _, n := range w.Nodes {
		d, err := mount(ctx, n.Dir, smallDisk)
		if err != nil {
			return err
		}
		defer func() { err = errors.Join(err, n.Kill(), d.unmount()) }()
		disks = append(disks, d)
	}
	err = limited(ctx, startLimit, func(ctx context.Context) error {
		return errors.Join(w.Start(ctx), w.AwaitWhole(ctx), w.AwaitHome(ctx))
	})
	if err != nil {
		return fmt.Errorf("start of the cluster: %w", err)
	}
	f := &fullRun{run: r, w: w, disk: disks[0]}
	defer func() {
		for _, l := range f.lanes {
			l.publishing.stop()
			l.consuming.stop()
		}
	}()
	for i, at := range w.Nodes { // a queue led by each, whose publisher is at the next
		if err := f.open(ctx, at, fmt.Sprintf("disk-%d", i+1), i+1); err != nil {
			return err
		}
	}
	for range r.repeat(3) {
		if err := f.short(ctx); err != nil {
			return err
		}
		if err := f.full(ctx); err != nil {
			return err
		}
	}
	if err := f.allShort(ctx); err != nil {
		return err
	}
	for _, l := range f.lanes {
		l.publishing.stop()
		if err := limited(ctx, drainLimit, l.ledger.AllDelivered); err != nil {
			return err
		}
		if err := l.ledger.Settled(); err != nil {
			return fmt.Errorf("%s: %w", l.queue, err)
		}
		r.printf("%s: %d messages confirmed, all of them delivered", l.queue, l.ledger.Count().Confirmed)
	}
	return panicked(w.Nodes)
}

// open begins the traffic of one queue.
func (f *fullRun) open(ctx context.Context, at *cluster.Node, queue string, shift int) error {
	if err := declare(ctx, at, queue); err != nil { // led where it is declared
		return err
	}
	addrs := f.w.Addrs()
	to, from := addrs[shift%len(addrs):], addrs[(shift+1)%len(addrs):] // the first is used
	l := &lane{queue: queue, rate: fullRate, ledger: traffic.NewLedger()}
	l.publishing = inBackground(ctx, traffic.NewPublisher(traffic.Publisher{
		Ledger: l.ledger, Addrs: to, Queue: queue, Rate: l.rate, Window: l.rate, Size: fullSize,
	}).Run)
	l.consuming = inBackground(ctx, traffic.NewConsumer(traffic.Consumer{Ledger: l.ledger, Addrs: from, Queue: queue, Prefetch: 200}).Run)
	f.lanes = append(f.lanes, l)
	return limited(ctx, drainLimit, func(ctx context.Context) error { return l.ledger.MoreConfirmed(ctx, l.rate) })
}

// short leaves the node little room: others take over what it leads, and publishers
// hardly wait.
func (f *fullRun) short(ctx context.Context) error {
	begin := f.watch()
	if err := f.disk.fill(shortFree); err != nil {
		return err
	}
	n := f.w.Nodes[0]
	if err := limited(ctx, fullAnswer, func(ctx context.Context) error { return f.w.Await(ctx, f.leadsNothing) }); err != nil {
		return fmt.Errorf("%s is short of disk: %w", n.Name, err)
	}
	took := time.Since(begin)
	gap, err := f.goesOn(ctx)
	f.printf("%s has %d MiB left: it leads nothing after %.1f s; longest time without a confirm on a queue %.2f s (limit %.0f s)",
		n.Name, shortFree>>20, took.Seconds(), gap.Seconds(), fullGap.Seconds())
	return err
}

// full leaves the node no room at all while more than two segments go by, and then lets
// it have its room again.
func (f *fullRun) full(ctx context.Context) error {
	n := f.w.Nodes[0]
	f.watch()
	mark := n.Log.Mark()
	if err := f.disk.fill(0); err != nil {
		return err
	}
	bulk := &pump{queue: "bulk", size: bulkBody, window: 500}
	if err := declare(ctx, f.w.Nodes[1], bulk.queue); err != nil {
		return err
	}
	err := limited(ctx, 2*fullReturn, func(ctx context.Context) error {
		return through(ctx, f.w.Nodes[1], f.w.Nodes[2], bulk, bulkMessages)
	})
	if err != nil {
		return fmt.Errorf("%s has no room: %w", n.Name, err)
	}
	if _, err := n.Log.Await(ctx, mark, fullSegments); err != nil {
		return fmt.Errorf("%s was not full: %w", n.Name, err)
	}
	gap, err := f.goesOn(ctx)
	f.printf("%s has no room, and %d MiB went by: longest time without a confirm on a queue %.2f s (limit %.0f s)",
		n.Name, bulkMessages*bulkBody>>20, gap.Seconds(), fullGap.Seconds())
	if err != nil {
		return err
	}
	if !n.Running() {
		return fmt.Errorf("%s ended with code %d: %s", n.Name, n.ExitCode(), n.Log.Tail(1))
	}
	if !f.run.short { // a shorter proof leaves this out
		if err := f.restart(ctx); err != nil {
			return err
		}
	}
	begin := f.watch()
	if err := f.disk.clear(); err != nil {
		return err
	}
	if !n.Running() {
		if err := errors.Join(n.Start(), n.AwaitReady(ctx)); err != nil {
			return err
		}
	}
	if err := limited(ctx, fullReturn, f.w.AwaitSettled); err != nil {
		return fmt.Errorf("%s has room again: %w", n.Name, err)
	}
	took := time.Since(begin)
	gap, err = f.goesOn(ctx)
	f.printf("%s has room again: caught up, and leaders back, after %.1f s (limit %.0f s); longest time without a confirm %.2f s",
		n.Name, took.Seconds(), fullReturn.Seconds(), gap.Seconds())
	return err
}

// restart kills the node whose disk is full and starts it: it serves, or ends with a word
// on why.
func (f *fullRun) restart(ctx context.Context) error {
	n := f.w.Nodes[0]
	if err := errors.Join(n.Kill(), n.Start()); err != nil {
		return err
	}
	if err := limited(ctx, startLimit, n.AwaitReady); err == nil {
		f.printf("    killed, it starts on the full disk")
		return nil
	}
	if n.Running() || n.ExitCode() != 1 {
		return fmt.Errorf("%s neither starts on a full disk nor ends in good order: %s", n.Name, n.Log.Tail(3))
	}
	f.printf("    killed, it waits for room: %s", n.Log.Tail(1))
	return nil
}

// allShort lets all nodes want more disk than there is: publishers are told and wait,
// consumers go on, and so do the publishers when the limit is lowered.
func (f *fullRun) allShort(ctx context.Context) error {
	stock := &pump{queue: "stock", size: bulkBody, window: 500}
	if err := declare(ctx, f.w.Nodes[1], stock.queue); err != nil {
		return err
	}
	if err := stock.fill(ctx, f.w.Nodes[1], stockMessages); err != nil {
		return err
	}
	f.watch()
	begin := time.Now()
	err := f.blocked(ctx, func() error {
		f.printf("all disks are short: a publisher is told after %.1f s", time.Since(begin).Seconds())
		before, err := f.quiet(ctx)
		if err != nil {
			return err
		}
		for _, l := range f.lanes {
			if err := limited(ctx, drainLimit, l.ledger.AllDelivered); err != nil {
				return fmt.Errorf("%s while publishers wait: %w", l.queue, err)
			}
		}
		drained := time.Now()
		if err := limited(ctx, drainLimit, func(ctx context.Context) error { return stock.drain(ctx, f.w.Nodes[2], stockMessages) }); err != nil {
			return fmt.Errorf("drain while publishers wait: %w", err)
		}
		took := time.Since(drained)
		time.Sleep(max(0, blockedFor-took))
		if more := f.confirmed() - before; more > 0 {
			return fmt.Errorf("%d messages were confirmed while all disks were short", more)
		}
		f.printf("    %d messages drained in %.1f s meanwhile, none confirmed in %.0f s", stockMessages, took.Seconds(), blockedFor.Seconds())
		begin = time.Now()
		return f.limit(ctx, defaultDisk)
	})
	if err != nil {
		return err
	}
	f.printf("    the limit is lowered: the publisher goes on after %.1f s", time.Since(begin).Seconds())
	for _, l := range f.lanes {
		if err := limited(ctx, fullAnswer, func(ctx context.Context) error { return l.ledger.MoreConfirmed(ctx, l.rate) }); err != nil {
			return fmt.Errorf("%s after the alarm: %w", l.queue, err)
		}
	}
	return nil
}

// limit sets the limit of free disk of all nodes.
func (f *fullRun) limit(ctx context.Context, limit string) error {
	for _, n := range f.w.Nodes {
		if err := n.LimitDisk(ctx, limit); err != nil {
			return err
		}
	}
	return nil
}

// blocked makes all nodes short, sees that a publisher is told, runs do, which ends that,
// and sees that the publisher is told again.
func (f *fullRun) blocked(ctx context.Context, do func() error) error {
	c, err := traffic.DialPatient(ctx, f.w.Nodes[2].AMQP, pumpHeartbeat)
	if err != nil {
		return err
	}
	defer c.Drop()
	told := c.NotifyBlocked(make(chan amqp.Blocking, 8))
	ch, err := c.Channel()
	if err != nil {
		return fmt.Errorf("channel: %w", err)
	}
	if err := f.limit(ctx, muchDisk); err != nil {
		return err
	}
	await := func(active bool) error {
		late := time.After(fullAnswer)
		for {
			if active { // a connection is blocked when it publishes; one that is, is not read from
				if err := ch.PublishWithContext(ctx, "", "stock-2", false, false, amqp.Publishing{}); err != nil {
					return fmt.Errorf("publish: %w", err)
				}
			}
			select {
			case b := <-told:
				if b.Active != active || active && b.Reason != reasonDiskFull {
					return fmt.Errorf("told blocked %v, %q", b.Active, b.Reason)
				}
				return nil
			case <-time.After(100 * time.Millisecond):
			case <-late:
				return fmt.Errorf("a publisher was not told within %v: blocked %v", fullAnswer, active)
			case <-ctx.Done():
				return ctx.Err()
			}
		}
	}
	if err := declare(ctx, f.w.Nodes[2], "stock-2"); err != nil {
		return err
	}
	if err := await(true); err != nil {
		return err
	}
	if err := do(); err != nil {
		return err
	}
	return await(false)
}

// quiet waits until nothing is confirmed any more: what was on its way is.
func (f *fullRun) quiet(ctx context.Context) (confirmed int, err error) {
	for begin := time.Now(); time.Since(begin) < fullAnswer; {
		before := f.confirmed()
		select {
		case <-time.After(quietFor):
		case <-ctx.Done():
			return 0, ctx.Err()
		}
		if confirmed = f.confirmed(); confirmed == before {
			return confirmed, nil
		}
	}
	return 0, fmt.Errorf("publishers did not wait within %v of all disks' shortage", fullAnswer)
}

// confirmed is how many messages were, on all queues.
func (f *fullRun) confirmed() (sum int) {
	for _, l := range f.lanes {
		sum += l.ledger.Count().Confirmed
	}
	return sum
}

// leadsNothing says what the first node leads still.
func (f *fullRun) leadsNothing(all []cluster.Status) string {
	for _, s := range all {
		for _, g := range s.Groups {
			if strings.HasPrefix(g.Leader, f.w.Nodes[0].Name+"@") || g.Leader == "" {
				return fmt.Sprintf("group %d led by %q, as %s sees it", g.ID, g.Leader, s.Name)
			}
		}
	}
	return ""
}

// watch begins to measure the time without confirms.
func (f *fullRun) watch() time.Time {
	for _, l := range f.lanes {
		l.ledger.Watch()
	}
	return time.Now()
}

// goesOn waits until every queue has taken more, and returns the longest time since
// watch in which one did not.
func (f *fullRun) goesOn(ctx context.Context) (gap time.Duration, err error) {
	for _, l := range f.lanes {
		e := limited(ctx, drainLimit, func(ctx context.Context) error { return l.ledger.MoreConfirmed(ctx, l.rate) })
		gap = max(gap, l.ledger.LongestGap())
		err = errors.Join(err, e, l.ledger.Broken())
	}
	if err == nil && gap > fullGap {
		err = fmt.Errorf("%.1f s without a confirm", gap.Seconds())
	}
	return gap, err
}
