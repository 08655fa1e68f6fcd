package meta

import (
	"encoding/binary"
	"errors"
	"fmt"
	"hash/crc32"
	"io"
	"os"
	"path/filepath"
	"time"

	"github.com/hashicorp/raft"
	raftboltdb "github.com/hashicorp/raft-boltdb/v2"
	"go.etcd.io/bbolt"

	"github.com/warrenmq/warren/cluster/log"
)

const (
	storeName     = "meta.db"
	snapshotsKept = 2
	lockTimeout   = time.Second // of a database that another process has open
	crcBytes      = 4
	// roomBytes are reserved on the disk for the database: so much of it can be written
	// when the disk is full.
	roomBytes = 16 << 20
)

// ErrCorrupt says that an entry or a value was not what was written.
var ErrCorrupt = errors.New("corrupt data in the meta group's store")

// OpenStores opens what the meta group keeps in dir: log, votes and ledger in one
// BoltDB file, snapshots beside it. Each entry and each value carries a CRC-32C,
// which BoltDB lacks.
func OpenStores(dir string) (Stores, io.Closer, error) {
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return Stores{}, nil, fmt.Errorf("open the meta group's store: %w", err)
	}
	db, err := raftboltdb.New(raftboltdb.Options{
		Path: filepath.Join(dir, storeName),
		// The freelist is rebuilt at the start; written, it would cost every commit.
		BoltOptions: &bbolt.Options{NoFreelistSync: true, FreelistType: bbolt.FreelistMapType, Timeout: lockTimeout},
	})
	if err != nil {
		return Stores{}, nil, fmt.Errorf("open the meta group's store in %s: %w", dir, err)
	}
	log.Reserve(filepath.Join(dir, storeName), roomBytes) // without it, a write that finds no room ends the process
	snapshots, err := raft.NewFileSnapshotStore(dir, snapshotsKept, io.Discard)
	if err != nil {
		return Stores{}, nil, errors.Join(fmt.Errorf("open the meta group's snapshots in %s: %w", dir, err), db.Close())
	}
	return Stores{Log: checkedLog{db}, Stable: checkedStable{db}, Snapshots: snapshots}, db, nil
}

func castagnoli() *crc32.Table { return crc32.MakeTable(crc32.Castagnoli) } // made once by the library

// checkedLog puts a checksum behind the data of every entry, over all of it.
type checkedLog struct{ raft.LogStore }

func (c checkedLog) StoreLog(e *raft.Log) error { return c.StoreLogs([]*raft.Log{e}) }

func (c checkedLog) StoreLogs(es []*raft.Log) error {
	signed := make([]*raft.Log, len(es))
	for i, e := range es {
		s := *e
		s.Data = binary.BigEndian.AppendUint32(append(make([]byte, 0, len(e.Data)+crcBytes), e.Data...), logChecksum(e, e.Data))
		signed[i] = &s
	}
	return c.LogStore.StoreLogs(signed)
}

func (c checkedLog) GetLog(index uint64, e *raft.Log) error {
	if err := c.LogStore.GetLog(index, e); err != nil {
		return err
	}
	n := len(e.Data) - crcBytes
	if n < 0 || e.Index != index || binary.BigEndian.Uint32(e.Data[n:]) != logChecksum(e, e.Data[:n]) {
		return fmt.Errorf("entry %d: %w", index, ErrCorrupt)
	}
	e.Data = e.Data[:n:n]
	return nil
}

func logChecksum(e *raft.Log, data []byte) uint32 {
	head := binary.BigEndian.AppendUint64(nil, e.Index)
	head = binary.BigEndian.AppendUint64(head, e.Term)
	head = append(head, byte(e.Type))
	return crc32.Update(crc32.Update(crc32.Checksum(head, castagnoli()), castagnoli(), e.Extensions), castagnoli(), data)
}

// checkedStable does the same for votes, terms and the ledger.
type checkedStable struct{ raft.StableStore }

func (c checkedStable) Set(key, value []byte) error {
	b := append(make([]byte, 0, len(value)+crcBytes), value...)
	return c.StableStore.Set(key, binary.BigEndian.AppendUint32(b, stableChecksum(key, value)))
}

func (c checkedStable) Get(key []byte) ([]byte, error) {
	b, err := c.StableStore.Get(key)
	if err != nil {
		return nil, err
	}
	n := len(b) - crcBytes
	if n < 0 || binary.BigEndian.Uint32(b[n:]) != stableChecksum(key, b[:n]) {
		return nil, fmt.Errorf("value of %s: %w", key, ErrCorrupt)
	}
	return b[:n:n], nil
}

func (c checkedStable) SetUint64(key []byte, value uint64) error {
	return c.Set(key, binary.BigEndian.AppendUint64(nil, value))
}

func (c checkedStable) GetUint64(key []byte) (uint64, error) {
	b, err := c.Get(key)
	if err != nil {
		return 0, err
	}
	if len(b) != 8 {
		return 0, fmt.Errorf("value of %s: %w", key, ErrCorrupt)
	}
	return binary.BigEndian.Uint64(b), nil
}

func stableChecksum(key, value []byte) uint32 {
	return crc32.Update(crc32.Checksum(key, castagnoli()), castagnoli(), value)
}
