package group

import (
	"errors"
	"fmt"
	"sync"

	"github.com/hashicorp/raft"

	"github.com/warrenmq/warren/broker/queue"
	"github.com/warrenmq/warren/cluster/peer"
)

// adoptBytes is what is adopted between two syncs; a broken transfer goes on behind
// the last one.
const adoptBytes = 4 << 20

var (
	errSuperseded = errors.New("another snapshot is being received")
	errAwaiting   = errors.New("this replica has not settled all that it lacks the bodies of")
)

// cargo is what this group's snapshots carry beside the state. It implements
// peer.Bodies.
type cargo struct {
	group *Group

	mu       sync.Mutex
	number   int    // of the transfer that is being received
	received uint64 // by transfers of this process, all up to here
}

// liveEntry is an entry with messages, and which.
type liveEntry struct {
	index    uint64
	ordinals []uint32
}

// Send reads the bodies of what has messages now. What had some when the snapshot
// was taken and has none any more was settled by what follows it in the log: the
// receiver cannot come to lead, nor read a message, before it has applied that.
func (b *cargo) Send(serverID string, have, through uint64, to func(index, term uint64, payload []byte) error) (settledBy uint64, err error) {
	g := b.group
	g.holds.begin(serverID, through)
	defer func() { g.holds.end(serverID, err == nil) }()
	w := window{next: have + 1, last: through}
	for w.more() {
		batch, err := g.fsm.liveIn(&w)
		if err != nil {
			return 0, err
		}
		for _, e := range batch {
			if err := b.send(e, to); err != nil {
				return 0, fmt.Errorf("body of entry %d: %w", e.index, err)
			}
		}
	}
	return g.fsm.position(), nil
}

func (b *cargo) send(e liveEntry, to func(index, term uint64, payload []byte) error) error {
	term, payload, err := b.group.entries.Body(e.index)
	if errors.Is(err, raft.ErrLogNotFound) {
		if b.group.fsm.livesNow(e.index) {
			return err
		}
		return nil // settled since it was looked up, and reclaimed
	}
	if err != nil {
		return err
	}
	return to(e.index, term, queue.Thin(payload, e.ordinals))
}

// Receive begins to adopt the bodies of a snapshot.
func (b *cargo) Receive() peer.BodySink {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.number++
	return &cargoSink{cargo: b, number: b.number}
}

// cargoSink adopts bodies into the group's log.
type cargoSink struct {
	cargo   *cargo
	number  int
	last    uint64
	pending int // bytes
}

// Have is what the state machine has applied: its bodies are all here; and what
// earlier transfers brought.
func (s *cargoSink) Have() uint64 {
	s.cargo.mu.Lock()
	defer s.cargo.mu.Unlock()
	return max(s.cargo.received, s.cargo.group.fsm.position())
}

func (s *cargoSink) Adopt(index, term uint64, payload []byte) error {
	if err := s.current(); err != nil {
		return err
	}
	if index <= s.last {
		return fmt.Errorf("group %d: body of entry %d after %d", s.cargo.group.id, index, s.last)
	}
	if err := s.cargo.group.entries.Adopt(index, term, payload); err != nil {
		return err
	}
	s.last = index
	if s.pending += len(payload); s.pending < adoptBytes {
		return nil
	}
	return s.sync()
}

// current tells whether no other transfer has begun since.
func (s *cargoSink) current() error {
	s.cargo.mu.Lock()
	defer s.cargo.mu.Unlock()
	if s.number != s.cargo.number {
		return errSuperseded
	}
	return nil
}

func (s *cargoSink) sync() error {
	if s.pending == 0 {
		return nil
	}
	if err := s.cargo.group.entries.SyncAdopted(); err != nil {
		return err
	}
	s.pending = 0
	s.cargo.mu.Lock()
	defer s.cargo.mu.Unlock()
	s.cargo.received = max(s.cargo.received, s.last)
	return nil
}

// Finish makes all durable: the bodies, and what the state may lack.
func (s *cargoSink) Finish(settledBy uint64) error {
	if err := s.current(); err != nil {
		return err
	}
	if err := s.sync(); err != nil {
		return err
	}
	return s.cargo.group.await(settledBy)
}

// keySettledBy is where a replica keeps up to which entry its state may count
// messages whose bodies were not sent, because they were settled.
var keySettledBy = []byte("SettledBy")

// await notes that durably, before Raft has the snapshot.
func (g *Group) await(settledBy uint64) error {
	known, err := storedNumber(g.stable, keySettledBy)
	if err != nil {
		return err
	}
	if settledBy > known {
		if err := g.stable.SetUint64(keySettledBy, settledBy); err != nil {
			return err
		}
	}
	g.fsm.await(max(settledBy, known))
	return nil
}

// storedNumber reads a number, 0 when there is none.
func storedNumber(stable raft.StableStore, key []byte) (uint64, error) {
	n, err := stable.GetUint64(key)
	if err != nil && err.Error() != errNotFound {
		return 0, err
	}
	return n, nil
}

// position is the entry that was applied last.
func (f *fsm) position() uint64 {
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.last
}

func (f *fsm) livesNow(index uint64) bool {
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.lives(index)
}

// liveIn lists the entries with messages in the next part of a window.
func (f *fsm) liveIn(w *window) (batch []liveEntry, err error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.awaited.settledBy > 0 {
		return nil, errAwaiting
	}
	w.visit(f.state, func(index uint64, ordinals []uint32) {
		batch = append(batch, liveEntry{index, append([]uint32{}, ordinals...)})
	})
	return batch, nil
}

// window goes through entries in parts, each of which has so many messages that
// looking at it takes a moment and little memory.
type window struct {
	next, last uint64
	width      uint64
}

const (
	leastWindow  = 64
	windowWeight = 32 << 10 // messages and entries in a part, about
)

func (w *window) more() bool { return w.next <= w.last && w.next > 0 }

// visit calls live for the entries with messages in the next part.
func (w *window) visit(s *queue.State, live func(index uint64, ordinals []uint32)) {
	w.width = max(w.width, leastWindow)
	end := w.last
	if w.last-w.next >= w.width {
		end = w.next + w.width - 1
	}
	weight := 0
	s.LiveEntries(w.next, end, func(index uint64, ordinals []uint32) bool {
		weight += 1 + len(ordinals)
		live(index, ordinals)
		return true
	})
	switch {
	case weight > windowWeight:
		w.width /= 2
	case weight < windowWeight/4 && w.width < 1<<40:
		w.width *= 2
	}
	w.next = end + 1
}
