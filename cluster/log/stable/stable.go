// Package stable keeps the votes and terms of all of a node's queue groups in
// one BoltDB file: little, written seldom, and synced each time. It implements
// raft.StableStore for each group.
//
// Each value carries a CRC32C over key and value, which BoltDB lacks: a vote
// that is not the one that was cast is reported, never used.
package stable

import (
	"encoding/binary"
	"errors"
	"fmt"
	"hash/crc32"
	"os"
	"path/filepath"
	"time"

	"github.com/hashicorp/raft"
	"go.etcd.io/bbolt"
)

// ErrCorrupt says that a value is not what was written.
var ErrCorrupt = errors.New("corrupt value in the store of votes and terms")

// errNotFound is the text by which hashicorp/raft knows that there is no value.
var errNotFound = errors.New("not found")

const (
	lockTimeout = time.Second // of a file that another process has open
	crcBytes    = 4
)

func bucket() []byte { return []byte("groups") }

// Store is the file.
type Store struct{ db *bbolt.DB }

// Open opens the file, and makes it when it is not there.
func Open(path string) (*Store, error) {
	if err := os.MkdirAll(filepath.Dir(path), 0o750); err != nil {
		return nil, fmt.Errorf("votes and terms: %w", err)
	}
	// The freelist is rebuilt at the start; written, it would cost every commit.
	db, err := bbolt.Open(path, 0o640, &bbolt.Options{Timeout: lockTimeout, NoFreelistSync: true, FreelistType: bbolt.FreelistMapType})
	if err != nil {
		return nil, fmt.Errorf("votes and terms in %s: %w", path, err)
	}
	err = db.Update(func(tx *bbolt.Tx) error {
		_, err := tx.CreateBucketIfNotExists(bucket())
		return err
	})
	if err != nil {
		return nil, errors.Join(fmt.Errorf("votes and terms in %s: %w", path, err), db.Close())
	}
	return &Store{db}, nil
}

// Close closes the file.
func (s *Store) Close() error { return s.db.Close() }

// Group is one group's part of the file.
func (s *Store) Group(id uint64) raft.StableStore {
	return &group{s.db, binary.BigEndian.AppendUint64(nil, id)}
}

type group struct {
	db     *bbolt.DB
	prefix []byte
}

func (g *group) key(key []byte) []byte {
	return append(append(make([]byte, 0, len(g.prefix)+len(key)), g.prefix...), key...)
}

func sum(key, value []byte) uint32 {
	table := crc32.MakeTable(crc32.Castagnoli) // made once by the library
	return crc32.Update(crc32.Checksum(key, table), table, value)
}

// Set is synced when it returns.
func (g *group) Set(key, value []byte) error {
	k := g.key(key)
	v := append(append(make([]byte, 0, len(value)+crcBytes), value...), 0, 0, 0, 0)
	binary.LittleEndian.PutUint32(v[len(value):], sum(k, value))
	return g.db.Update(func(tx *bbolt.Tx) error { return tx.Bucket(bucket()).Put(k, v) })
}

// Get fails with "not found" when the key was never set.
func (g *group) Get(key []byte) (value []byte, err error) {
	k := g.key(key)
	err = g.db.View(func(tx *bbolt.Tx) error {
		v := tx.Bucket(bucket()).Get(k)
		switch {
		case v == nil:
			return errNotFound
		case len(v) < crcBytes || binary.LittleEndian.Uint32(v[len(v)-crcBytes:]) != sum(k, v[:len(v)-crcBytes]):
			return fmt.Errorf("%w: group %x, %s", ErrCorrupt, g.prefix, key)
		}
		value = append([]byte{}, v[:len(v)-crcBytes]...)
		return nil
	})
	return value, err
}

// SetUint64 is Set of a number.
func (g *group) SetUint64(key []byte, n uint64) error {
	return g.Set(key, binary.LittleEndian.AppendUint64(nil, n))
}

// GetUint64 is Get of a number.
func (g *group) GetUint64(key []byte) (uint64, error) {
	v, err := g.Get(key)
	if err != nil {
		return 0, err
	}
	if len(v) != 8 {
		return 0, fmt.Errorf("%w: group %x, %s has %d bytes", ErrCorrupt, g.prefix, key, len(v))
	}
	return binary.LittleEndian.Uint64(v), nil
}
