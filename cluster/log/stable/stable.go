// Package stable keeps the votes and terms of many Raft groups in one bbolt file.
//
// It is a raft.StableStore for each group. A Set returns when it is on disk;
// those that come meanwhile share the next transaction. Everything is held in
// memory too, so that reading needs no disk. What is damaged is found by Open
// and never served: each value carries a checksum of group, key and value, and
// the file one of all of them, because a vote that is forgotten is as bad as one
// that is changed.
//
// The file has two buckets. "values": group (8 bytes, big-endian) and key to
// CRC32C (4 bytes, little-endian) and value. "format": "version" to 1, and "sum"
// to the number of values and the exclusive or of their checksums.
package stable

import (
	"errors"
	"fmt"
	"io"
	"maps"
	"slices"
	"sync"
	"time"

	"github.com/hashicorp/raft"
	"go.etcd.io/bbolt"

	"github.com/warrenmq/warren/cluster/log"
	"github.com/warrenmq/warren/cluster/log/internal/watchdog"
)

const stallTimeout = 3 * time.Second

// ErrNotFound is what Raft expects for a key that was never set: it compares the text.
var ErrNotFound = errors.New("not found")

// Store holds the values of all groups.
type Store struct {
	db    *bbolt.DB
	lock  io.Closer
	stall time.Duration
	pulse watchdog.Pulse

	mu      sync.Mutex
	values  values
	sum     sum
	queue   []*change
	writing bool // a goroutine takes from the queue
	err     error
	ended   chan struct{} // closed when err is set
	idle    sync.WaitGroup
}

// values of keys of groups.
type values map[uint64]map[string][]byte

// change sets a key of a group, or drops the group when the key is nil.
type change struct {
	group      uint64
	key, value []byte
	done       chan error
}

// Open opens the file or makes it. It returns log.ErrLocked when another process has it open,
// log.ErrNewer when a newer version has written it, and log.ErrCorrupt when it is damaged.
func Open(path string) (_ *Store, err error) {
	lock, err := log.OSFS().Lock(path + ".lock")
	if err != nil {
		return nil, fmt.Errorf("lock votes and terms: %w", err)
	}
	s := &Store{lock: lock, stall: stallTimeout, ended: make(chan struct{})}
	if s.values, s.sum, err = readFile(path); err == nil {
		s.db, err = writeFile(path, s.values, s.sum)
	}
	if err != nil {
		return nil, fmt.Errorf("open %s: %w", path, errors.Join(err, lock.Close()))
	}
	return s, nil
}

// Close ends all calls and closes the file. After a stall it leaves the file to the process's end.
func (s *Store) Close() error {
	s.end(log.ErrStopped)
	if errors.Is(s.err, log.ErrStalled) {
		return nil
	}
	s.idle.Wait()
	return errors.Join(s.db.Close(), s.lock.Close())
}

// Group returns the store of one group.
func (s *Store) Group(id uint64) raft.StableStore { return group{s, id} }

// Groups returns the groups that have values, in order.
func (s *Store) Groups() []uint64 {
	s.mu.Lock()
	defer s.mu.Unlock()
	return slices.Sorted(maps.Keys(s.values))
}

// DropGroup forgets all values of a group, durably.
func (s *Store) DropGroup(id uint64) error { return s.change(&change{group: id}) }

// change puts c in line and waits until it is on disk.
func (s *Store) change(c *change) error {
	c.done = make(chan error, 1)
	s.mu.Lock()
	if s.err != nil {
		s.mu.Unlock()
		return s.err
	}
	s.queue = append(s.queue, c)
	if !s.writing {
		s.writing = true
		s.idle.Go(s.write)
	}
	s.mu.Unlock()
	select {
	case err := <-c.done:
		return err
	case <-s.ended: // the disk may hang
		return s.err
	}
}

// end lets all callers go with err; the first call counts.
func (s *Store) end(err error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.err == nil {
		s.err = err
		close(s.ended)
	}
}
