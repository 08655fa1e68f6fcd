package meta

import (
	"errors"
	"fmt"
	"io"
	"sync"
	"sync/atomic"

	"github.com/hashicorp/raft"

	"github.com/warrenmq/warren/broker/level"
	"github.com/warrenmq/warren/broker/topology"
	pb "github.com/warrenmq/warren/proto"
)

// maxSnapshotBytes bounds what is read of a snapshot that another node sends.
const maxSnapshotBytes = 4 << 30

// fsm is the adapter between Raft and the state.
type fsm struct {
	committed func(e *pb.MetaEntry, index, term uint64) // before the entry is applied
	finish    func(answers []answer)                    // after the watchers have seen it
	restored  func(origins origins)                     // entries were skipped
	reached   func(level uint64) error                  // the cluster is at a level, perhaps for long
	refused   func(error)                               // nothing is applied any more; must not block
	progress  progress
	changed   atomic.Uint64 // the last entry of commands that is applied
	logBytes  atomic.Int64  // of entries since the last snapshot
	lastBytes atomic.Int64  // of the last snapshot

	order    sync.Mutex // watchers are called in the order of the log; taken before mu
	watchers []func([]topology.Change)
	groups   []func([]GroupInfo)
	deleted  []func(user string)

	mu     sync.RWMutex
	state  *state
	halted error // of Raft's goroutine
}

// Apply is called by Raft for each committed entry. An entry that cannot be read
// stops the node: skipping it would let this replica diverge.
func (f *fsm) Apply(l *raft.Log) any {
	var e pb.MetaEntry
	if err := decode(l.Data, &e); err != nil {
		panic(fmt.Sprintf("meta: entry %d: %v", l.Index, err))
	}
	if f.halted != nil {
		return nil
	}
	f.committed(&e, l.Index, l.Term)
	f.logBytes.Add(int64(len(l.Data)))

	f.order.Lock()
	f.mu.Lock()
	eff := f.state.apply(l.Index, &e)
	beyond := f.state.beyond
	f.mu.Unlock()
	if f.halt(beyond) {
		f.order.Unlock()
		return nil
	}
	f.tell(eff)
	f.order.Unlock()
	f.reach()

	f.progress.reach(l.Index)
	f.changed.Store(l.Index)
	f.finish(eff.answers)
	return nil
}

// halt stops applying, for good, if there is a reason: what is behind an entry that needs a newer
// build cannot be understood.
func (f *fsm) halt(err error) bool {
	if err == nil {
		return false
	}
	if f.halted == nil {
		f.halted = err
		f.refused(err)
	}
	return true
}

// reach passes the level on that the state is at.
func (f *fsm) reach() {
	f.mu.RLock()
	at := f.state.level
	f.mu.RUnlock()
	f.halt(f.reached(at))
}

func (f *fsm) tell(eff effects) {
	if len(eff.changes) > 0 {
		for _, watch := range f.watchers {
			watch(eff.changes)
		}
	}
	for _, user := range eff.deleted {
		for _, watch := range f.deleted {
			watch(user)
		}
	}
	if eff.groups {
		for _, watch := range f.groups {
			watch(f.groupList())
		}
	}
}

// StoreConfiguration is told of a committed change of the group's own members.
// That it is implemented lets Raft count such an entry as applied.
func (f *fsm) StoreConfiguration(index uint64, _ raft.Configuration) {
	if f.halted != nil {
		return
	}
	f.mu.Lock()
	f.state.applied = index
	f.mu.Unlock()
	f.progress.reach(index)
}

// Snapshot encodes the state at once: it holds no messages.
func (f *fsm) Snapshot() (raft.FSMSnapshot, error) {
	if f.halted != nil {
		return nil, f.halted // Raft counts what is not applied
	}
	f.mu.RLock()
	defer f.mu.RUnlock()
	b, err := f.state.snapshot()
	if err != nil {
		return nil, err
	}
	f.logBytes.Store(0)
	f.lastBytes.Store(int64(len(b)))
	return encodedSnapshot(b), nil
}

// Restore replaces the state.
func (f *fsm) Restore(from io.ReadCloser) error {
	b, err := io.ReadAll(io.LimitReader(from, maxSnapshotBytes))
	if err != nil {
		return fmt.Errorf("read snapshot: %w", err)
	}
	s, err := restoreState(b, f.state.known)
	if errors.Is(err, level.ErrUnknown) {
		f.halt(err)
	}
	if err != nil {
		return fmt.Errorf("restore snapshot: %w", err)
	}
	f.lastBytes.Store(int64(len(b)))

	f.order.Lock()
	f.mu.Lock()
	f.state = s
	f.mu.Unlock()
	f.tell(effects{changes: s.topology.Contents(), groups: true})
	f.order.Unlock()
	f.reach()

	f.progress.reach(s.applied)
	f.changed.Store(s.applied)
	f.restored(s.origins)
	return nil
}

func (f *fsm) watch(w func([]topology.Change)) {
	f.order.Lock()
	defer f.order.Unlock()
	var contents []topology.Change
	f.view(func(s *state) { contents = s.topology.Contents() })
	w(contents)
	f.watchers = append(f.watchers, w)
}

func (f *fsm) watchGroups(w func([]GroupInfo)) {
	f.order.Lock()
	defer f.order.Unlock()
	w(f.groupList())
	f.groups = append(f.groups, w)
}

func (f *fsm) watchDeleted(w func(user string)) {
	f.order.Lock()
	defer f.order.Unlock()
	f.deleted = append(f.deleted, w)
}

func (f *fsm) groupList() (list []GroupInfo) {
	f.view(func(s *state) { list = s.sortedGroups() })
	return list
}

func (f *fsm) view(look func(*state)) {
	f.mu.RLock()
	defer f.mu.RUnlock()
	look(f.state)
}

type encodedSnapshot []byte

func (s encodedSnapshot) Persist(sink raft.SnapshotSink) error {
	if _, err := sink.Write(s); err != nil {
		return fmt.Errorf("write snapshot: %w", err)
	}
	return nil
}

func (encodedSnapshot) Release() {}
