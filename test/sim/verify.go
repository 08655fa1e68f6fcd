package sim

import (
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/hashicorp/raft"

	"github.com/warrenmq/warren/broker/queue"
	"github.com/warrenmq/warren/cluster/group"
	"github.com/warrenmq/warren/cluster/log"
	"github.com/warrenmq/warren/cmd/node"
)

// backlog counts the messages that a node's replicas hold, dead ones on their way too.
func backlog(n *node.Node) (messages uint64) {
	for _, g := range n.Replicas() {
		g.Locked(func(s *queue.State) {
			for id := range s.Queues() {
				messages += s.Queue(id).Messages() + s.Queue(id).PendingDeadLetters()
			}
		})
	}
	return messages
}

func hashOf(g *group.Group) (hash uint64) {
	g.Locked(func(s *queue.State) { hash = s.Hash() })
	return hash
}

// Hashes are the state hashes of all replicas by group; ok tells whether those of
// each group are equal.
func (c *Cluster) hashes() (hashes map[uint64]uint64, ok bool) {
	hashes = make(map[uint64]uint64)
	ok = true
	for _, m := range c.Machines {
		n := m.Node()
		if n == nil {
			return nil, false
		}
		for _, g := range n.Replicas() {
			h, seen := hashes[g.ID()]
			if now := hashOf(g); seen && h != now {
				ok = false
			} else {
				hashes[g.ID()] = now
			}
		}
	}
	return hashes, ok
}

// VerifyReplicas waits until all replicas are equal, and all nodes agree on the
// cluster and its definitions.
func (c *Cluster) VerifyReplicas() map[uint64]uint64 {
	var hashes map[uint64]uint64
	c.Await(10*time.Second, "all replicas have equal states", func() (ok bool) {
		hashes, ok = c.hashes()
		return ok
	})
	c.Await(5*time.Second, "all nodes know the same cluster, groups and queues", func() bool {
		views := make([]string, len(c.Machines))
		for i, m := range c.Machines {
			if n := m.Node(); n != nil {
				views[i] = definitions(n)
			}
		}
		return len(slices.Compact(views)) == 1 && views[0] != ""
	})
	return hashes
}

// definitions is what a node should say as all others do.
func definitions(n *node.Node) string {
	s := n.Status()
	var b strings.Builder
	fmt.Fprintln(&b, s.ClusterID)
	for _, g := range s.Groups {
		fmt.Fprintln(&b, g.ID, g.Preferred, g.Replicas)
	}
	for _, q := range s.Queues {
		fmt.Fprintln(&b, q.ID, q.VHost, q.Name, q.Group)
	}
	return b.String()
}

// appended is one message in one queue, as the log has it.
type appended struct {
	m       *message
	seq     uint64
	settled time.Time // when the entry that settled it was appended; zero: never
}

// chronicle is what the logs say: by queue, the messages in order.
type chronicle map[string][]*appended

// VerifyLogs reads the logs of the first machine, which must not run any more, and
// holds what they say against what the clients saw.
func (w *Workload) VerifyLogs(names map[queue.ID]string, hashes map[uint64]uint64) {
	disk := w.c.Machines[0].disk.files
	l, err := log.Open(disk, "/data/log", log.Config{SegmentBytes: segmentBytes, Logger: w.c.logger})
	if err != nil {
		w.c.failure("the log cannot be opened: %v", err)
		return
	}
	defer l.Close()
	if corrupt := l.Corrupt(); len(corrupt) > 0 {
		w.c.failure("groups are damaged: %v", corrupt)
		return
	}
	told := make(chronicle)
	for _, id := range l.Groups() {
		last, err := w.replay(l.Group(id), names, told)
		switch {
		case err != nil:
			w.c.failure("group %d: %v", id, err)
		case hashes != nil && !slices.Contains(last, hashes[id]):
			w.c.failure("group %d: its log does not lead to the state that its replicas had", id)
		}
	}
	w.judgeLogs(told)
}

// lateEntries is how many entries may follow once the replicas were compared: a
// leader forgets deleted queues when it comes to it.
const lateEntries = 20

// replay applies a group's log to a fresh state and notes what comes to be. It
// returns the hashes of the last states.
func (w *Workload) replay(g *log.Group, names map[queue.ID]string, told chronicle) (hashes []uint64, err error) {
	state := queue.NewState()
	first, err := g.FirstIndex()
	if err != nil {
		return nil, err
	}
	last, err := g.LastIndex()
	if err != nil {
		return nil, err
	}
	for i := first; i <= last; i++ {
		if i+lateEntries > last {
			hashes = append(hashes, state.Hash())
		}
		var e raft.Log
		if err := g.GetLog(i, &e); err != nil {
			return nil, err
		}
		if e.Type != raft.LogCommand {
			continue
		}
		commands, err := queue.Decode(e.Data)
		if err != nil {
			return nil, err
		}
		before := nextSeqs(state, names)
		state.Apply(queue.Entry{Index: i, Term: e.Term, AppendedAt: e.AppendedAt, Commands: commands})
		for id, name := range names {
			if err := w.appendedTo(state.Queue(id), name, before[id], e.Data, told); err != nil {
				return nil, err
			}
		}
		for _, c := range commands {
			if s, ok := c.(queue.Settle); ok {
				told.settle(names[s.Queue], s.Ranges, e.AppendedAt)
			}
		}
	}
	return append(hashes, state.Hash()), nil
}

func nextSeqs(s *queue.State, names map[queue.ID]string) map[queue.ID]uint64 {
	next := make(map[queue.ID]uint64, len(names))
	for id := range names {
		next[id] = 1
		if q := s.Queue(id); q != nil {
			next[id] = q.NextSeq()
		}
	}
	return next
}

// appendedTo notes the messages that an entry has brought to a queue.
func (w *Workload) appendedTo(q *queue.Queue, name string, from uint64, batch []byte, told chronicle) error {
	if q == nil {
		return nil
	}
	for seq := from; seq < q.NextSeq(); seq++ {
		it, ok := q.Lookup(seq)
		if !ok {
			return fmt.Errorf("%s: number %d is gone as soon as it came", name, seq)
		}
		m, err := queue.ReadMessage(batch, it.Ref.Ordinal)
		if err != nil {
			return err
		}
		id, _, _ := strings.Cut(string(m.Body), " ")
		w.h.mu.Lock()
		known := w.h.messages[id]
		w.h.mu.Unlock()
		if known == nil {
			return fmt.Errorf("%s: number %d is %.40q, which nobody has published", name, seq, m.Body)
		}
		told[name] = append(told[name], &appended{m: known, seq: seq})
	}
	return nil
}

func (t chronicle) settle(name string, ranges []queue.Range, at time.Time) {
	for _, r := range ranges {
		for seq := r.First; seq <= r.Last && seq <= uint64(len(t[name])); seq++ {
			if a := t[name][seq-1]; a.settled.IsZero() {
				a.settled = at
			}
		}
	}
}

// lateTime is how long after its settlement was appended a delivery may still
// arrive: the leader may have been cut off before it could commit, and a
// connection that is cut keeps what is on its way.
const lateTime = 12 * time.Second

// judgeLogs holds the logs against the history.
func (w *Workload) judgeLogs(told chronicle) {
	h := w.h
	h.mu.Lock()
	defer h.mu.Unlock()
	where := make(map[string]map[*message]*appended)
	for _, name := range w.queues {
		where[name] = w.judgeQueue(name, told[name])
	}
	for _, m := range h.messages {
		for _, name := range m.queues {
			a := where[name][m]
			switch {
			case a == nil && !m.confirmed.IsZero():
				w.c.failure("%s was confirmed by %s and is not in the log of %s", m.id, m.machine.Name, name)
			case a != nil && m.copies[name].times == 0:
				w.c.failure("%s is in the log of %s as number %d and was never delivered", m.id, name, a.seq)
			case a != nil && a.settled.IsZero():
				w.c.failure("%s, number %d of %s, was never settled", m.id, a.seq, name)
			}
		}
	}
	highest := make(map[int]uint64) // by subscription
	for _, d := range h.deliveries {
		a := where[d.queue][d.m]
		switch {
		case a == nil:
			w.c.failure("%s delivered %s, which is not in its log", d.queue, d.m.id)
			continue
		case !a.settled.IsZero() && d.at.Sub(a.settled) > lateTime:
			w.c.failure("%s delivered %s, %v after it was settled", d.queue, d.m.id, d.at.Sub(a.settled))
		case a.seq < highest[d.sub] && !d.redelivered:
			w.c.failure("%s delivered %s, number %d, after number %d to the same consumer, as new", d.queue, d.m.id, a.seq, highest[d.sub])
		}
		highest[d.sub] = max(highest[d.sub], a.seq)
	}
}

// judgeQueue looks for what was appended twice or out of its publisher's order.
func (w *Workload) judgeQueue(name string, list []*appended) map[*message]*appended {
	where := make(map[*message]*appended, len(list))
	last := make(map[int]*appended) // by channel
	for _, a := range list {
		if twice := where[a.m]; twice != nil {
			w.c.failure("%s has %s twice: as number %d and as number %d", name, a.m.id, twice.seq, a.seq)
		}
		where[a.m] = a
		if before := last[a.m.channel]; before != nil && before.m.n > a.m.n {
			w.c.failure("%s has %s, number %d, before %s, number %d", name, before.m.id, before.seq, a.m.id, a.seq)
		}
		last[a.m.channel] = a
	}
	return where
}
