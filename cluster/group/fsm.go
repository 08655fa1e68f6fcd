package group

import (
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"sync"

	"github.com/hashicorp/raft"

	"github.com/warrenmq/warren/broker/queue"
)

// fsm applies a group's entries. It implements raft.BatchingFSM.
type fsm struct {
	group   uint64
	entries Entries
	applied func(group uint64, touched []queue.ID)

	mu    sync.Mutex
	state *queue.State
}

func newFSM(group uint64, entries Entries, applied func(uint64, []queue.ID)) *fsm {
	return &fsm{group: group, entries: entries, applied: applied, state: queue.NewState()}
}

func (f *fsm) locked(look func(*queue.State)) {
	f.mu.Lock()
	defer f.mu.Unlock()
	look(f.state)
}

// Apply applies one entry.
func (f *fsm) Apply(l *raft.Log) any { return f.ApplyBatch([]*raft.Log{l})[0] }

// ApplyBatch applies entries in order; each answer is a []queue.Answer.
func (f *fsm) ApplyBatch(logs []*raft.Log) []any {
	answers := make([]any, len(logs))
	var touched []queue.ID
	f.mu.Lock()
	for i, l := range logs {
		if l.Type != raft.LogCommand {
			continue
		}
		commands, err := queue.Decode(l.Data)
		if err != nil {
			// Every replica has this entry: going on without it would make them differ
			// from those of a version that can read it.
			panic(fmt.Sprintf("group %d: entry %d: %v", f.group, l.Index, err))
		}
		list, changed := f.state.Apply(queue.Entry{Index: l.Index, Term: l.Term, AppendedAt: l.AppendedAt, Commands: commands})
		answers[i] = list
		touched = append(touched, changed...)
	}
	f.mu.Unlock()
	if len(touched) > 0 {
		f.applied(f.group, touched)
	}
	return answers
}

// A snapshot is magic and version, the length of the state, the state in
// broker/queue's encoding, and the number of bodies that follow: none in one
// that stays on its node, whose log has them.
const (
	snapshotMagic   = "WGS\x01"
	maxStateBytes   = 1 << 32
	snapshotHead    = len(snapshotMagic) + 8
	snapshotNoBody  = 0
	snapshotTrailer = 8
)

var errSnapshot = errors.New("unreadable snapshot")

// Snapshot takes the runs and counters; they are small.
func (f *fsm) Snapshot() (raft.FSMSnapshot, error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	b := append(make([]byte, 0, 4096), snapshotMagic...)
	b = binary.LittleEndian.AppendUint64(b, 0)
	b = f.state.AppendSnapshot(b)
	binary.LittleEndian.PutUint64(b[len(snapshotMagic):], uint64(len(b)-snapshotHead))
	return snapshot(binary.LittleEndian.AppendUint64(b, snapshotNoBody)), nil
}

// Restore replaces the state by a snapshot's.
func (f *fsm) Restore(r io.ReadCloser) error {
	defer r.Close()
	head := make([]byte, snapshotHead)
	if _, err := io.ReadFull(r, head); err != nil {
		return fmt.Errorf("group %d: %w: %w", f.group, errSnapshot, err)
	}
	size := binary.LittleEndian.Uint64(head[len(snapshotMagic):])
	if string(head[:len(snapshotMagic)]) != snapshotMagic || size > maxStateBytes {
		return fmt.Errorf("group %d: %w: not of version 1", f.group, errSnapshot)
	}
	b, err := io.ReadAll(io.LimitReader(r, int64(size)+snapshotTrailer))
	if err != nil {
		return fmt.Errorf("group %d: %w: %w", f.group, errSnapshot, err)
	}
	if uint64(len(b)) != size+snapshotTrailer {
		return fmt.Errorf("group %d: %w: %d bytes of %d", f.group, errSnapshot, len(b), size+snapshotTrailer)
	}
	if n := binary.LittleEndian.Uint64(b[size:]); n != snapshotNoBody {
		return fmt.Errorf("group %d: %w: it carries %d bodies, which this version cannot adopt", f.group, errSnapshot, n)
	}
	state, err := queue.RestoreState(b[:size])
	if err != nil {
		return fmt.Errorf("group %d: %w: %w", f.group, errSnapshot, err)
	}
	if index, live := state.OldestLive(); live {
		if _, err := f.entries.Payload(index); err != nil {
			return fmt.Errorf("group %d: %w: it needs entry %d: %w", f.group, errSnapshot, index, err)
		}
	}
	f.mu.Lock()
	defer f.mu.Unlock()
	f.state = state
	return nil
}

type snapshot []byte

func (s snapshot) Persist(sink raft.SnapshotSink) error {
	if _, err := sink.Write(s); err != nil {
		return errors.Join(err, sink.Cancel())
	}
	return sink.Close()
}

func (s snapshot) Release() {}
