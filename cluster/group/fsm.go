package group

import (
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"sync"

	"github.com/hashicorp/raft"

	"github.com/warrenmq/warren/broker/level"
	"github.com/warrenmq/warren/broker/queue"
)

// fsm applies a group's entries. It implements raft.BatchingFSM, and log.Live.
type fsm struct {
	group   uint64
	entries Entries
	applied func(group uint64, touched []queue.ID)
	growth  *growth
	damaged func(error) // must not block
	unknown func(error) // likewise: a newer build is needed
	refused error       // why the last Restore failed: of Raft's goroutine that restores

	mu      sync.Mutex
	state   *queue.State
	last    uint64 // the entry that was applied last: of those that Raft hands on
	awaited awaited
	halted  error // level.ErrUnknown: nothing is applied any more
}

// awaited are entries that have unsettled messages by a state that was restored,
// and no body: they were settled by what follows the snapshot, and reclaimed, on the
// node that sent it, or here before a restart. No message is read before that is
// applied: only a leader reads, who has applied all that was ever committed.
type awaited struct {
	settledBy uint64 // once this entry is applied nothing may be missing
	entries   []uint64
}

func newFSM(group uint64, entries Entries, g *growth, applied func(uint64, []queue.ID), damaged, unknown func(error)) *fsm {
	return &fsm{group: group, entries: entries, growth: g, applied: applied, damaged: damaged, unknown: unknown, state: queue.NewState()}
}

func (f *fsm) locked(look func(*queue.State)) {
	f.mu.Lock()
	defer f.mu.Unlock()
	look(f.state)
}

// Apply applies one entry.
func (f *fsm) Apply(l *raft.Log) any { return f.ApplyBatch([]*raft.Log{l})[0] }

// ApplyBatch applies entries in order; each answer is a []queue.Answer, or the error that says
// why nothing is applied.
func (f *fsm) ApplyBatch(logs []*raft.Log) []any {
	answers := make([]any, len(logs))
	var touched []queue.ID
	f.mu.Lock()
	for i, l := range logs {
		if f.halted != nil {
			answers[i] = f.halted
			continue
		}
		commands, err := f.decode(l)
		if err != nil {
			f.halt(fmt.Errorf("entry %d: %w", l.Index, err))
			answers[i] = f.halted
			continue
		}
		f.last = l.Index
		f.growth.add(l.Index, len(l.Data))
		if l.Type != raft.LogCommand {
			continue
		}
		list, changed := f.state.Apply(queue.Entry{Index: l.Index, Term: l.Term, AppendedAt: l.AppendedAt, Commands: commands})
		answers[i] = list
		touched = append(touched, changed...)
	}
	err := f.arrived()
	f.mu.Unlock()
	if err != nil {
		f.damaged(err)
	}
	if len(touched) > 0 {
		f.applied(f.group, touched)
	}
	f.growth.tell()
	return answers
}

// decode reads an entry; the error is level.ErrUnknown.
func (f *fsm) decode(l *raft.Log) ([]queue.Command, error) {
	if l.Type != raft.LogCommand {
		return nil, nil
	}
	commands, err := queue.Decode(l.Data)
	if err != nil && !errors.Is(err, level.ErrUnknown) {
		// Every replica has this entry: going on without it would make them differ
		// from those of a version that can read it.
		panic(fmt.Sprintf("group %d: entry %d: %v", f.group, l.Index, err))
	}
	return commands, err
}

// halt stops applying, for good: the state stays what it was before the entry or snapshot of a
// newer build, which finds all of it in the log. The caller holds mu.
func (f *fsm) halt(err error) {
	if f.halted == nil {
		f.halted = fmt.Errorf("group %d: %w", f.group, err)
		f.unknown(f.halted)
	}
}

// arrived looks whether what is awaited has been settled, once it must have been.
// The caller holds mu.
func (f *fsm) arrived() error {
	if f.halted != nil || f.awaited.settledBy == 0 || f.last < f.awaited.settledBy {
		return nil
	}
	return f.complete()
}

// caughtUp says that all entries that were ever committed are applied.
func (f *fsm) caughtUp() error {
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.halted != nil {
		return f.halted
	}
	return f.complete()
}

// complete looks whether nothing is missing any more. The caller holds mu.
func (f *fsm) complete() error {
	missing := f.awaited.entries
	f.awaited = awaited{}
	for _, index := range missing {
		if f.lives(index) {
			return fmt.Errorf("group %d: %w: entry %d has messages and no body", f.group, errSnapshot, index)
		}
	}
	return nil
}

// lives tells whether an entry has an unsettled message. The caller holds mu.
func (f *fsm) lives(index uint64) (lives bool) {
	f.state.LiveEntries(index, index, func(uint64, []uint32) bool {
		lives = true
		return false
	})
	return lives
}

// LiveEntries implements log.Live. What was not applied yet is all needed, whatever
// it is: bodies come before the snapshot that they belong to.
func (f *fsm) LiveEntries(first, last uint64, yield func(index uint64, ordinals []uint32) bool) {
	f.mu.Lock()
	defer f.mu.Unlock()
	more := true
	if first <= f.last {
		f.state.LiveEntries(first, min(last, f.last), func(index uint64, ordinals []uint32) bool {
			more = yield(index, ordinals)
			return more
		})
	}
	for index := max(first, f.last+1); more && index <= last; index++ {
		more = yield(index, nil)
	}
}

// A snapshot is magic and version, the index of the entry that was applied last,
// the length of the state, and the state in broker/queue's encoding. Bodies are
// not in it: they are in the log of the node that took it.
const (
	snapshotMagic = "WGS\x02"
	snapshotHead  = len(snapshotMagic) + 16
	maxStateBytes = 1 << 32
)

var errSnapshot = errors.New("unreadable snapshot")

// Snapshot takes the runs and counters; they are small. It only notes that they are
// to be encoded, which Persist does while entries are applied.
func (f *fsm) Snapshot() (raft.FSMSnapshot, error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.halted != nil {
		return nil, f.halted // Raft counts what is not applied
	}
	return &snapshot{fsm: f, frozen: f.state.Freeze(), last: f.last, at: f.growth.now()}, nil
}

// Restore replaces the state by a snapshot's. It reads no bodies, but looks whether
// they are there.
func (f *fsm) Restore(r io.ReadCloser) error {
	defer r.Close()
	f.refused = f.restore(r)
	if errors.Is(f.refused, level.ErrUnknown) {
		f.mu.Lock()
		defer f.mu.Unlock()
		f.halt(f.refused)
	}
	return f.refused
}

func (f *fsm) restore(r io.Reader) error {
	state, last, size, err := readSnapshot(r)
	if err != nil {
		return fmt.Errorf("group %d: %w", f.group, err)
	}
	var missing []uint64
	for w := (window{next: 1, last: last}); w.more(); {
		w.visit(state, func(index uint64, _ []uint32) {
			if !f.entries.Has(index) {
				missing = append(missing, index)
			}
		})
	}
	f.mu.Lock()
	defer f.mu.Unlock()
	if len(missing) > 0 && f.awaited.settledBy <= last {
		return fmt.Errorf("group %d: %w: it needs entry %d, and %d others that are not in the log",
			f.group, errSnapshot, missing[0], len(missing)-1)
	}
	f.state, f.last, f.awaited.entries = state, last, missing
	f.growth.restored(last, size)
	return f.arrived()
}

// await notes that a state to be restored may count messages whose entries are not
// here, until it has come to settledBy.
func (f *fsm) await(settledBy uint64) {
	f.mu.Lock()
	defer f.mu.Unlock()
	if settledBy > f.last {
		f.awaited.settledBy = max(f.awaited.settledBy, settledBy)
	}
}

func readSnapshot(r io.Reader) (state *queue.State, last uint64, bytes int, err error) {
	head := make([]byte, snapshotHead)
	if _, err := io.ReadFull(r, head); err != nil {
		return nil, 0, 0, fmt.Errorf("%w: %w", errSnapshot, err)
	}
	last = binary.LittleEndian.Uint64(head[len(snapshotMagic):])
	size := binary.LittleEndian.Uint64(head[snapshotHead-8:])
	if string(head[:len(snapshotMagic)]) != snapshotMagic || size > maxStateBytes {
		return nil, 0, 0, fmt.Errorf("%w: not of version 2", errSnapshot)
	}
	b, err := io.ReadAll(io.LimitReader(r, int64(size)))
	if err != nil {
		return nil, 0, 0, fmt.Errorf("%w: %w", errSnapshot, err)
	}
	if uint64(len(b)) != size {
		return nil, 0, 0, fmt.Errorf("%w: %d bytes of %d", errSnapshot, len(b), size)
	}
	if state, err = queue.RestoreState(b); err != nil {
		return nil, 0, 0, fmt.Errorf("%w: %w", errSnapshot, err)
	}
	return state, last, len(b), nil
}

// snapshotPart is about how much of a state is encoded while nothing is applied.
const snapshotPart = 64 << 10

type snapshot struct {
	fsm    *fsm
	frozen *queue.Frozen
	last   uint64
	at     mark
}

// Persist writes the snapshot and says how much of the log Raft is to keep, which
// looks at that right afterwards.
func (s *snapshot) Persist(sink raft.SnapshotSink) error {
	for more := true; more; {
		s.fsm.locked(func(*queue.State) { more = s.frozen.Encode(snapshotPart) })
	}
	size := s.frozen.Size()
	if err := s.write(sink, size); err != nil {
		return errors.Join(err, sink.Cancel())
	}
	if err := sink.Close(); err != nil {
		return err
	}
	s.fsm.growth.taken(s.at, size)
	return nil
}

func (s *snapshot) write(w io.Writer, size int) error {
	head := binary.LittleEndian.AppendUint64([]byte(snapshotMagic), s.last)
	if _, err := w.Write(binary.LittleEndian.AppendUint64(head, uint64(size))); err != nil {
		return err
	}
	for part := range s.frozen.Parts {
		if _, err := w.Write(part); err != nil {
			return err
		}
	}
	return nil
}

// Release lets the state go, encoded or not.
func (s *snapshot) Release() {
	s.fsm.locked(func(*queue.State) { s.frozen.End() })
}
