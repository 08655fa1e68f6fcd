package cluster

import (
	"context"
	"fmt"
	"slices"
	"sync"
	"testing"
	"time"

	"github.com/warrenmq/warren/test/proof/traffic"
)

// tooOldText is what an older build says on what a newer one wrote.
const tooOldText = "was written at level 2, this build knows 1"

// upgrade is a cluster under load whose nodes change between two builds.
type upgrade struct {
	*Warren
	t        *testing.T
	old, new string
	rate     int
	lanes    []*traffic.Ledger
}

// Two builds in one cluster: nothing changes for good before all nodes run the new one, then the
// level rises by itself, and the old build is refused in clear words.
func TestARollingUpgradeRaisesTheLevelAndIsFinal(t *testing.T) {
	ctx := within(t, 4*time.Minute)
	next, err := NextBinary()
	if err != nil {
		t.Fatal(err)
	}
	w, err := Run(ctx, Options{})
	if err != nil {
		t.Fatal(err)
	}
	defer func() {
		if err := w.Close(); err != nil {
			t.Error(err)
		}
	}()
	u := &upgrade{Warren: w, t: t, old: w.binary, new: next, rate: 200}
	stop := u.load(ctx)
	defer stop()
	a, b, c := w.Nodes[0], w.Nodes[1], w.Nodes[2]

	u.stays(ctx, 1, 1, 1)
	u.restart(ctx, a, u.new)
	u.stays(ctx, 2, 1, 1)
	u.restart(ctx, b, u.new)
	u.stays(ctx, 2, 2, 1)
	u.restart(ctx, a, u.old) // nothing was written that it could not read
	u.stays(ctx, 1, 2, 1)
	u.restart(ctx, c, u.new)
	u.stays(ctx, 1, 2, 2)
	u.equal(ctx, func(d Digest) bool { return d.Level == 1 && d.Batches == 0 })
	u.restart(ctx, a, u.new)
	u.await(w.Await(ctx, func(all []Status) string {
		for _, s := range all {
			if s.Level != 2 {
				return fmt.Sprintf("%s sees level %d", s.Name, s.Level)
			}
			for _, g := range s.Groups {
				if g.Level != 2 {
					return fmt.Sprintf("group %d at level %d on %s", g.ID, g.Level, s.Name)
				}
			}
		}
		return ""
	}))
	u.confirms(ctx)

	// An older build on a data folder that has seen the level,
	u.await(b.Stop(ctx))
	b.Become(u.old)
	u.refused(ctx, b)
	// and one that comes from nothing: the cluster says so, too.
	marks := u.marks()
	fresh, err := w.Stranger("n4", Options{Args: []string{"--expect", "0"}}, w.Seeds())
	u.await(err)
	u.refused(ctx, fresh)
	u.said(marks, "refused a node whose build is too old", "n4@", tooOldText)

	b.Become(u.new)
	u.await(b.Start())
	u.await(b.AwaitReady(ctx))
	u.await(w.AwaitWhole(ctx))
	u.confirms(ctx)
	stop()
	for _, l := range u.lanes {
		u.await(l.AllDelivered(ctx))
		u.await(l.Settled())
	}
	u.equal(ctx, func(d Digest) bool { return d.Level == 2 })
	if all := u.digests(ctx); !slices.ContainsFunc(all[0], func(d Digest) bool { return d.Batches > 0 }) {
		t.Errorf("level 2 does nothing: %+v", all[0])
	}
}

func (u *upgrade) await(err error) {
	u.t.Helper()
	if err != nil {
		u.t.Fatal(err)
	}
}

// load publishes to and consumes from a queue for each node, until stop: then the publishers end.
func (u *upgrade) load(ctx context.Context) (stop func()) {
	publishing, end := context.WithCancel(ctx)
	consuming, leave := context.WithCancel(ctx)
	var publishers, consumers sync.WaitGroup
	addrs := u.Addrs()
	for i, n := range u.Nodes {
		q, l := "upgrade-"+n.Name, traffic.NewLedger()
		if _, err := openChannel(u.t, n).QueueDeclare(q, true, false, false, false, nil); err != nil {
			u.t.Fatal(err)
		}
		u.lanes = append(u.lanes, l)
		ring := slices.Concat(addrs[i:], addrs[:i])
		p := traffic.NewPublisher(traffic.Publisher{Ledger: l, Addrs: ring, Queue: q, Rate: u.rate, Window: u.rate, Size: 200})
		slices.Reverse(ring[1:])
		c := traffic.NewConsumer(traffic.Consumer{Ledger: l, Addrs: ring[1:], Queue: q, Prefetch: 50})
		publishers.Go(func() { _ = p.Run(publishing) }) // the ledger says what went wrong
		consumers.Go(func() { _ = c.Run(consuming) })
	}
	u.t.Cleanup(func() { leave(); consumers.Wait() })
	return sync.OnceFunc(func() { end(); publishers.Wait() })
}

// confirms waits for three seconds' confirms on a queue, in which a level that could rise would, and
// for one on each.
func (u *upgrade) confirms(ctx context.Context) {
	u.t.Helper()
	u.await(u.lanes[0].MoreConfirmed(ctx, 3*u.rate))
	for _, l := range u.lanes {
		u.await(l.MoreConfirmed(ctx, 1))
		u.await(l.Broken())
	}
}

// stays looks that all nodes see the levels that their builds know, and that the cluster stays at 1.
func (u *upgrade) stays(ctx context.Context, knows ...uint64) {
	u.t.Helper()
	u.confirms(ctx)
	u.await(u.Await(ctx, func(all []Status) string {
		for _, s := range all {
			if len(s.Nodes) != len(knows) || s.Level != 1 {
				u.t.Fatalf("%s sees level %d of %d nodes", s.Name, s.Level, len(s.Nodes))
			}
			for i, n := range u.Nodes {
				at := slices.IndexFunc(s.Nodes, func(other NodeStatus) bool { return other.Name == n.Name })
				if at < 0 || s.Nodes[at].Level != knows[i] {
					return fmt.Sprintf("%s: %+v, want levels %v", s.Name, s.Nodes, knows)
				}
			}
			for _, g := range s.Groups {
				if g.Level != 1 {
					u.t.Fatalf("group %d is at level %d on %s", g.ID, g.Level, s.Name)
				}
			}
		}
		return ""
	}))
}

// restart ends a node in good order and starts it as another build.
func (u *upgrade) restart(ctx context.Context, n *Node, binary string) {
	u.t.Helper()
	u.await(n.Stop(ctx))
	n.Become(binary)
	u.await(n.Start())
	u.await(n.AwaitReady(ctx))
	u.await(u.AwaitWhole(ctx))
}

// refused starts a node that is to end by itself, and to say why.
func (u *upgrade) refused(ctx context.Context, n *Node) {
	u.t.Helper()
	mark := n.Log.Mark()
	u.await(n.Start())
	select {
	case <-n.Exited():
	case <-ctx.Done():
		u.t.Fatalf("%s runs on:\n%s", n.Name, n.Log.Tail(20))
	}
	if lines := n.Log.Matching(mark, "warren:", tooOldText); n.ExitCode() != 1 || len(lines) != 1 {
		u.t.Errorf("%s ended with %d:\n%s", n.Name, n.ExitCode(), n.Log.Tail(20))
	}
	if panics := n.Log.Matching(mark, "panic"); len(panics) > 0 {
		u.t.Errorf("%s: %s", n.Name, panics)
	}
}

func (u *upgrade) marks() (marks []int) {
	for _, n := range u.Nodes {
		marks = append(marks, n.Log.Mark())
	}
	return marks
}

// said looks for a line in the log of one of the nodes.
func (u *upgrade) said(marks []int, parts ...string) {
	u.t.Helper()
	for i, n := range u.Nodes {
		if len(n.Log.Matching(marks[i], parts...)) > 0 {
			return
		}
	}
	u.t.Errorf("no node said %q", parts)
}

func (u *upgrade) digests(ctx context.Context) (all [][]Digest) {
	u.t.Helper()
	for _, n := range u.Nodes {
		d, err := n.Digests(ctx)
		u.await(err)
		all = append(all, d)
	}
	return all
}

// equal waits until each group was seen on every node with the same entries applied as on the
// first: then their states must be the same, and right.
func (u *upgrade) equal(ctx context.Context, right func(Digest) bool) {
	u.t.Helper()
	type at struct{ group, last uint64 }
	type replica struct {
		group uint64
		node  string
	}
	states, same := make(map[at]map[string]Digest), make(map[replica]bool)
	tick := time.NewTicker(pollEvery)
	defer tick.Stop()
	for {
		all := u.digests(ctx)
		first := u.Nodes[0].Name
		for i, list := range all {
			name := u.Nodes[i].Name
			for _, d := range list {
				if !right(d) {
					u.t.Fatalf("%s: %+v", name, d)
				}
				by := states[at{d.ID, d.Last}]
				if by == nil {
					by = make(map[string]Digest)
					states[at{d.ID, d.Last}] = by
				}
				by[name] = d
				for other, o := range by {
					if o != d {
						u.t.Fatalf("states differ: %s has %+v, %s %+v", name, d, other, o)
					}
					if _, ok := by[first]; ok {
						same[replica{d.ID, other}] = true
					}
				}
			}
		}
		if len(same) == len(u.Nodes)*len(all[0]) {
			return
		}
		select {
		case <-tick.C:
		case <-ctx.Done():
			u.t.Fatalf("only %d of %d replicas were compared", len(same), len(u.Nodes)*len(all[0]))
		}
	}
}
