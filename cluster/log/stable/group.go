package stable

import (
	"bytes"
	"encoding/binary"
	"fmt"

	"github.com/warrenmq/warren/cluster/log"
)

// group is the raft.StableStore of one group.
type group struct {
	store *Store
	id    uint64
}

// Set returns when the value is on disk.
func (g group) Set(key, value []byte) error {
	return g.store.change(&change{group: g.id, key: append([]byte{}, key...), value: append([]byte{}, value...)})
}

// Get returns ErrNotFound for a key that was never set.
func (g group) Get(key []byte) ([]byte, error) {
	g.store.mu.Lock()
	defer g.store.mu.Unlock()
	value, ok := g.store.values[g.id][string(key)]
	if !ok {
		return nil, ErrNotFound
	}
	return bytes.Clone(value), nil
}

// SetUint64 is Set with a number.
func (g group) SetUint64(key []byte, value uint64) error {
	return g.Set(key, binary.BigEndian.AppendUint64(nil, value))
}

// GetUint64 is Get of a number.
func (g group) GetUint64(key []byte) (uint64, error) {
	value, err := g.Get(key)
	if err != nil {
		return 0, err
	}
	if len(value) != 8 {
		return 0, fmt.Errorf("%s of group %d has %d bytes, not 8: %w", key, g.id, len(value), log.ErrCorrupt)
	}
	return binary.BigEndian.Uint64(value), nil
}
