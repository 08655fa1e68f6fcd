package sim

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"maps"
	"slices"
	"sync"
	"time"

	"github.com/hashicorp/raft"

	"github.com/warrenmq/warren/cluster/log/memfs"
)

// errNotFound is the text by which hashicorp/raft knows that there is no value.
var errNotFound = errors.New("not found")

// disk is what a machine keeps. The shared log is on files, which lose what was
// not synced; the rest is small, and synced whenever it is written.
type disk struct {
	mu          sync.Mutex
	files       *memfs.FS
	incarnation string
	epoch       uint64
	stores      map[string]*kept
}

// kept is what one Raft group keeps beside the shared log.
type kept struct {
	values    map[string][]byte
	entries   map[uint64]*raft.Log
	first     uint64
	last      uint64
	snapshots []*snapshot // oldest first
}

type snapshot struct {
	meta raft.SnapshotMeta
	data []byte
}

func newKept() *kept {
	return &kept{values: make(map[string][]byte), entries: make(map[uint64]*raft.Log)}
}

// clone shares what is never changed in place.
func (k *kept) clone() *kept {
	return &kept{maps.Clone(k.values), maps.Clone(k.entries), k.first, k.last, slices.Clone(k.snapshots)}
}

// store is one process's hold on a kept: what it writes after its end stays with
// it, so that Raft, which panics when it cannot write, goes quietly.
type store struct {
	p    *process
	name string

	mu   sync.Mutex
	seen *kept // as this process sees it
}

var (
	_ raft.LogStore      = (*store)(nil)
	_ raft.StableStore   = (*store)(nil)
	_ raft.SnapshotStore = (*store)(nil)
)

func (p *process) store(name string) *store {
	d := p.machine.disk
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.stores[name] == nil {
		d.stores[name] = newKept()
	}
	return &store{p: p, name: name, seen: d.stores[name].clone()}
}

// write changes what is kept, unless the process has ended, and what the process
// sees. It takes as long as a sync of the disk does.
func (s *store) write(change func(*kept)) {
	d := s.p.machine.disk
	if !s.p.detached.Load() {
		done := s.p.writes.begin()
		_ = s.p.files.SyncDir("/gate") // waits as long as a sync; a disk that fails fails in the shared log
		done()
	}
	d.mu.Lock()
	if !s.p.detached.Load() {
		change(d.stores[s.name])
	}
	d.mu.Unlock()
	s.mu.Lock()
	defer s.mu.Unlock()
	change(s.seen)
}

func (s *store) FirstIndex() (uint64, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.seen.first, nil
}

func (s *store) LastIndex() (uint64, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.seen.last, nil
}

func (s *store) GetLog(index uint64, l *raft.Log) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	e := s.seen.entries[index]
	if e == nil {
		return raft.ErrLogNotFound
	}
	*l = *e
	return nil
}

func (s *store) StoreLog(l *raft.Log) error { return s.StoreLogs([]*raft.Log{l}) }

func (s *store) StoreLogs(ls []*raft.Log) error {
	s.write(func(k *kept) {
		for _, l := range ls {
			e := *l
			k.entries[l.Index] = &e
			if k.first == 0 {
				k.first = l.Index
			}
			k.last = max(k.last, l.Index)
		}
	})
	return nil
}

func (s *store) DeleteRange(first, last uint64) error {
	s.write(func(k *kept) {
		for i := first; i <= last; i++ {
			delete(k.entries, i)
		}
		switch {
		case first <= k.first && last >= k.last:
			k.first, k.last = 0, 0
		case first <= k.first:
			k.first = last + 1
		default:
			k.last = first - 1
		}
	})
	return nil
}

func (s *store) Set(key, value []byte) error {
	value = bytes.Clone(value)
	s.write(func(k *kept) { k.values[string(key)] = value })
	return nil
}

func (s *store) Get(key []byte) ([]byte, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	v, ok := s.seen.values[string(key)]
	if !ok {
		return nil, errNotFound
	}
	return bytes.Clone(v), nil
}

func (s *store) SetUint64(key []byte, n uint64) error {
	return s.Set(key, fmt.Append(nil, n))
}

func (s *store) GetUint64(key []byte) (n uint64, err error) {
	v, err := s.Get(key)
	if err != nil {
		return 0, err
	}
	_, err = fmt.Sscan(string(v), &n)
	return n, err
}

// drop makes the snapshots void.
func (s *store) drop() {
	s.write(func(k *kept) { k.snapshots = nil })
}

// Create implements raft.SnapshotStore: there is nothing before Close.
func (s *store) Create(v raft.SnapshotVersion, index, term uint64, c raft.Configuration, cIndex uint64, _ raft.Transport) (raft.SnapshotSink, error) {
	meta := raft.SnapshotMeta{
		Version: v, ID: fmt.Sprintf("%d-%d", term, index), Index: index, Term: term, Configuration: c, ConfigurationIndex: cIndex,
	}
	return &sink{store: s, snapshot: snapshot{meta: meta}}, nil
}

func (s *store) List() (list []*raft.SnapshotMeta, err error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, snap := range slices.Backward(s.seen.snapshots) {
		meta := snap.meta
		list = append(list, &meta)
	}
	return list, nil
}

func (s *store) Open(id string) (*raft.SnapshotMeta, io.ReadCloser, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, snap := range slices.Backward(s.seen.snapshots) {
		if snap.meta.ID == id {
			meta := snap.meta
			return &meta, io.NopCloser(bytes.NewReader(snap.data)), nil
		}
	}
	return nil, nil, fmt.Errorf("snapshot %s: %w", id, errNotFound)
}

type sink struct {
	store *store
	snapshot
	cancelled bool
}

func (k *sink) ID() string { return k.meta.ID }

func (k *sink) Cancel() error {
	k.cancelled = true
	return nil
}

func (k *sink) Write(b []byte) (int, error) {
	k.data = append(k.data, b...)
	return len(b), nil
}

func (k *sink) Close() error {
	if k.cancelled {
		return nil
	}
	k.cancelled = true // closed once
	k.meta.Size = int64(len(k.data))
	done := k.snapshot
	k.store.write(func(kept *kept) {
		kept.snapshots = append(kept.snapshots, &done)
		if n := len(kept.snapshots); n > 2 {
			kept.snapshots = slices.Clone(kept.snapshots[n-2:])
		}
	})
	return nil
}

// writes are those under way, by their number.
type writes struct {
	mu    sync.Mutex
	last  int
	since map[int]time.Time
}

func (w *writes) begin() (done func()) {
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.since == nil {
		w.since = make(map[int]time.Time)
	}
	w.last++
	n := w.last
	w.since[n] = time.Now()
	return func() {
		w.mu.Lock()
		defer w.mu.Unlock()
		delete(w.since, n)
	}
}

// stallTime is what a write may take before the process ends, as in the real stores.
const stallTime = 3 * time.Second

// stable holds votes and terms, and watches over their writes as the real one does.
type stable struct{ p *process }

func (s stable) Group(id uint64) raft.StableStore { return s.p.group(id) }
func (s stable) Close() error                     { return nil }

func (s stable) Run(ctx context.Context) error {
	tick := time.NewTicker(stallTime / 6)
	defer tick.Stop()
	for {
		select {
		case <-ctx.Done():
			return nil
		case <-tick.C:
			if s.p.writes.stalled() {
				return errors.New("a vote is not written in time")
			}
		}
	}
}

func (w *writes) stalled() bool {
	w.mu.Lock()
	defer w.mu.Unlock()
	for _, at := range w.since {
		if time.Since(at) > stallTime {
			return true
		}
	}
	return false
}
