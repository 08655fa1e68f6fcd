package group

import (
	"fmt"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/warrenmq/warren/broker/queue"
)

// A bit that flips anywhere in a node's log is found when it is read, at the latest;
// nothing wrong is ever read, and the replica is rebuilt by itself. What the flips of
// one seed hit may be void: then nothing has to happen.
func TestFlippedBitIsRepairedByTheOthers(t *testing.T) {
	rebuilt := 0
	for seed := range uint64(12) {
		t.Run(fmt.Sprint(seed), func(t *testing.T) {
			bubble(t, func(t *testing.T) {
				w := often(newWorld(t))
				ps := w.startThree()
				l := awaitLeading(t, ps)
				mustPropose(t, l, configure)
				for i := uint64(1); i <= 60; i++ {
					paced(t, l, large(i))
				}
				mustPropose(t, l, settle(10, 30))
				awaitEqual(t, ps)
				broken := without(ps, l)[0]
				rest := without(ps, broken)
				broken.kill()
				flip(t, w.disks[broken.id], rand.New(rand.NewPCG(seed, 1)))
				broken = w.start(broken.id, three...)
				ps = append(rest, broken)
				first := broken.group // nil: found at the start
				if first != nil {
					readAll(t, broken)
				}
				time.Sleep(5 * time.Second)
				if broken.reopened() != first || len(broken.host.Damaged()) > 0 {
					rebuilt++
				}
				await(t, "an open replica", time.Minute, func() bool { return broken.reopened() != nil })
				reconcile(t, ps, three...)
				mustPropose(t, awaitLeading(t, ps), large(61))
				awaitEqual(t, ps)
				if got, want := bodies(t, broken), bodies(t, l); !slices.Equal(got, want) || len(got) != 61-21 {
					t.Errorf("%d messages, want %d", len(got), len(want))
				}
			})
		})
	}
	if rebuilt < 6 {
		t.Errorf("only %d replicas were rebuilt", rebuilt)
	}
}

// flip changes a bit of one of the segments, at a place that was written.
func flip(t *testing.T, d *disk, rng *rand.Rand) {
	t.Helper()
	names, err := d.fs.ReadDir("log")
	if err != nil {
		t.Fatal(err)
	}
	names = slices.DeleteFunc(names, func(n string) bool { return !strings.HasSuffix(n, ".seg") })
	name := "log/" + names[rng.IntN(len(names))]
	b, err := d.fs.Peek(name)
	if err != nil {
		t.Fatal(err)
	}
	at := rng.IntN(len(strings.TrimRight(string(b), "\x00")) + 1)
	if err := d.fs.Poke(name, []byte{b[at] ^ 1<<rng.IntN(8)}, int64(at)); err != nil {
		t.Fatal(err)
	}
}

// readAll reads every message that is left; what is read is right.
func readAll(t *testing.T, p *process) {
	t.Helper()
	var items []queue.Item
	p.group.Locked(func(s *queue.State) {
		for seq := uint64(0); ; {
			it, ok := s.Queue(theQueue).After(seq)
			if !ok {
				return
			}
			items, seq = append(items, it), it.Seq
		}
	})
	for _, it := range items {
		if m, err := p.group.Message(it.Ref); err == nil && uint64(m.Body[7]) != it.Seq%256 {
			t.Errorf("message %d is read as %d", it.Seq, m.Body[7])
		}
	}
}
