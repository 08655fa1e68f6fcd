package meta

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"slices"
	"sync"
	"testing"
	"time"

	"github.com/hashicorp/raft"

	"github.com/warrenmq/warren/broker/topology"
)

// history counts how often each queue name was added, as one node saw it.
type history struct {
	mu    sync.Mutex
	added map[string]int
}

func (h *history) watch(changes []topology.Change) {
	h.mu.Lock()
	defer h.mu.Unlock()
	for _, c := range changes {
		switch c.Kind {
		case topology.Reset:
			clear(h.added) // a restart or a snapshot: the log is told again, or skipped
		case topology.QueueAdded:
			h.added[c.Queue.Name]++
		}
	}
}

// Under lost answers, partitions, kills and snapshots each command takes effect at
// most once, what was answered stays, and all nodes end with the same state.
func TestCommandsTakeEffectOnceUnderFaults(t *testing.T) {
	forSeeds(t, func(t *testing.T, c *simCluster, rng *rand.Rand) {
		nodes := c.addAll(func(cfg *Config) { cfg.SnapshotBytes, cfg.TrailingEntries = 2000, 5 }, "a", "b", "c")
		c.awaitReady(20 * time.Second)
		c.setLatency(time.Duration(rng.IntN(30)) * time.Millisecond)
		h := &history{added: make(map[string]int)}
		watched := nodes[0]
		watched.running().Watch(h.watch)

		ctx, cancel := context.WithCancel(t.Context())
		var clients sync.WaitGroup
		kept, gone := make([][]string, 4), make([][]string, 4)
		for i := range 4 {
			clients.Go(func() { kept[i], gone[i] = declareAndDelete(t, ctx, nodes, i, rand.New(rand.NewPCG(uint64(i), 2))) })
		}
		for range 12 {
			switch n := nodes[1+rng.IntN(2)]; { // the watched one lives
			case n.running() == nil:
				n.start()
			case rng.IntN(2) == 0:
				n.stop()
			default:
				c.cutRandomly(rng, 0.4)
			}
			time.Sleep(time.Duration(rng.Int64N(int64(4 * time.Second))))
		}
		cancel()
		clients.Wait()
		c.setLatency(0)
		c.isolate()
		for _, n := range nodes {
			if n.running() == nil {
				n.start()
			}
		}
		c.awaitReady(60 * time.Second)
		if _, err := watched.running().Apply(t.Context(), declare("last")); err != nil {
			t.Fatal(err)
		}
		for name, times := range h.added {
			if times > 1 {
				t.Errorf("%s was declared once and added %d times", name, times)
			}
		}
		eventually(t, 30*time.Second, "equal states", func() bool {
			want := snapshotOf(t, nodes[0])
			return !slices.ContainsFunc(nodes[1:], func(n *simNode) bool { return !slices.Equal(snapshotOf(t, n), want) })
		})
		for _, n := range nodes {
			for i := range kept {
				for _, name := range kept[i] {
					if !n.has(name) {
						t.Errorf("%s has lost %s", n.id(), name)
					}
				}
				for _, name := range gone[i] {
					if n.has(name) {
						t.Errorf("%s has %s, which was deleted", n.id(), name)
					}
				}
			}
		}
	})
}

// declareAndDelete declares names, each once, and deletes every second one, until
// ctx ends. It reports what surely is there and what surely is not.
func declareAndDelete(t *testing.T, ctx context.Context, nodes []*simNode, client int, rng *rand.Rand) (kept, gone []string) {
	for i := 0; ctx.Err() == nil; i++ {
		time.Sleep(time.Duration(rng.IntN(40)+1) * time.Millisecond) // else virtual time may stand still
		m := nodes[rng.IntN(len(nodes))].running()
		if m == nil {
			continue
		}
		name := fmt.Sprintf("c%d-%d", client, i)
		start := time.Now()
		res, err := m.Apply(ctx, declare(name))
		if took := time.Since(start); took > 7*time.Second {
			t.Errorf("declare took %v", took)
		}
		switch {
		case errors.Is(err, ErrUnavailable):
			continue
		case err != nil || !res.Created:
			t.Errorf("declare %s: %+v, %v", name, res, err)
		case i%2 == 0:
			kept = append(kept, name)
			continue
		}
		if _, err := m.Apply(ctx, topology.DeleteQueue{VHost: "/", Name: name}); err == nil {
			gone = append(gone, name)
		}
	}
	return kept, gone
}

func snapshotOf(t *testing.T, n *simNode) (b []byte) {
	t.Helper()
	n.running().fsm.view(func(s *state) {
		var err error
		copied := *s
		copied.applied = 0 // a configuration entry counts, if it was seen
		if b, err = copied.snapshot(); err != nil {
			t.Fatal(err)
		}
	})
	return b
}

func TestNodeFarBehindIsSentASnapshot(t *testing.T) {
	simulate(t, func(t *testing.T, c *simCluster) {
		nodes := c.addAll(func(cfg *Config) { cfg.SnapshotBytes, cfg.TrailingEntries = 1000, 2 }, "a", "b", "c")
		c.awaitReady(20 * time.Second)
		c.awaitVoters(3)
		behind := c.follower()
		c.isolate(behind)
		var l *simNode
		for l = nodes[0]; l == behind; l = nodes[1] {
		}
		for i := range 50 {
			if _, err := l.running().Apply(t.Context(), declare(fmt.Sprintf("q%d", i))); err != nil {
				t.Fatal(err)
			}
		}
		time.Sleep(3 * snapshotLook) // snapshots are taken, the log is cut
		first, _ := c.leader().disk.FirstIndex()
		if first < 10 {
			t.Fatalf("the log still begins at %d", first)
		}
		var mu sync.Mutex
		resets := 0
		var names []string
		behind.running().Watch(func(changes []topology.Change) {
			mu.Lock()
			defer mu.Unlock()
			for _, ch := range changes {
				switch ch.Kind {
				case topology.Reset:
					resets, names = resets+1, nil
				case topology.QueueAdded:
					names = append(names, ch.Queue.Name)
				}
			}
		})
		c.isolate()
		eventually(t, 20*time.Second, "the node has caught up", func() bool { return behind.has("q49") })
		mu.Lock()
		if resets != 2 || len(names) != 50 {
			t.Errorf("watcher saw %d resets and %d queues", resets, len(names))
		}
		mu.Unlock()
		if _, err := behind.running().Apply(t.Context(), declare("again")); err != nil {
			t.Error(err)
		}
	})
}

// recordingTransport keeps the last request and answers as told.
type recordingTransport struct {
	raft.Transport
	last raft.AppendEntriesRequest
	resp raft.AppendEntriesResponse
}

func (r *recordingTransport) AppendEntries(_ raft.ServerID, _ raft.ServerAddress, req *raft.AppendEntriesRequest, resp *raft.AppendEntriesResponse) error {
	r.last, *resp = *req, r.resp
	return nil
}

// A notice commits the entry that it names, and nothing behind it.
func TestNoticeNamesOneEntry(t *testing.T) {
	_, inmem := raft.NewInmemTransport("a@1")
	trans := &recordingTransport{Transport: inmem}
	n := newNotifier("a@1")
	n.committed(41, 7)
	tests := []struct {
		name string
		resp raft.AppendEntriesResponse
		done bool
	}{
		{"a follower that has it", raft.AppendEntriesResponse{Term: 7, Success: true}, true},
		{"a follower that does not have it yet", raft.AppendEntriesResponse{Term: 7}, false},
		{"a follower of a later term", raft.AppendEntriesResponse{Term: 8}, true},
	}
	for _, tt := range tests {
		trans.resp = tt.resp
		if done := n.notify(trans, raft.Server{ID: "b@1", Address: "b@1"}); done != tt.done {
			t.Errorf("%s: done is %v, want %v", tt.name, done, tt.done)
		}
		if r := trans.last; r.Term != 7 || r.PrevLogTerm != 7 || r.PrevLogEntry != 41 || r.LeaderCommitIndex != 41 || len(r.Entries) != 0 {
			t.Errorf("%s: sent %+v", tt.name, r)
		}
	}
}
