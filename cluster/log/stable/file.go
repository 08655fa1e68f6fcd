package stable

import (
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"hash/fnv"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"runtime/debug"
	"time"

	"go.etcd.io/bbolt"
	boltErrors "go.etcd.io/bbolt/errors"

	"github.com/warrenmq/warren/cluster/log"
)

const (
	version     = 1
	roomBytes   = 1 << 20               // reserved on the disk: votes and terms are little
	lockTimeout = 10 * time.Millisecond // one attempt
)

var (
	valuesBucket = []byte("values")
	formatBucket = []byte("format")
	versionKey   = []byte("version")
	sumKey       = []byte("sum")
)

// readFile returns all that is in the file, checked; nothing when there is no file. A panic over a
// damaged file, of bbolt or of the memory map, is an error.
func readFile(path string) (v values, s sum, err error) {
	if _, err := os.Stat(path); errors.Is(err, fs.ErrNotExist) {
		return values{}, sum{}, nil
	}
	if err := checkMetas(path); err != nil {
		return nil, sum{}, err
	}
	defer debug.SetPanicOnFault(debug.SetPanicOnFault(true))
	defer func() {
		if p := recover(); p != nil {
			err = fmt.Errorf("%w: %v", log.ErrCorrupt, p)
		}
	}()
	db, err := bbolt.Open(path, 0, &bbolt.Options{ReadOnly: true, Timeout: lockTimeout})
	switch {
	case errors.Is(err, boltErrors.ErrTimeout):
		return nil, sum{}, log.ErrLocked
	case errors.Is(err, boltErrors.ErrInvalid), errors.Is(err, boltErrors.ErrChecksum), errors.Is(err, boltErrors.ErrVersionMismatch):
		return nil, sum{}, fmt.Errorf("%w: %w", log.ErrCorrupt, err)
	case err != nil:
		return nil, sum{}, err
	}
	err = db.View(func(tx *bbolt.Tx) error {
		if err := checkVersion(tx); err != nil {
			return err
		}
		v, s, err = readAll(tx)
		return err
	})
	return v, s, errors.Join(err, db.Close())
}

// bbolt's two meta pages hold the roots of the last two transactions, in turn, and it takes the
// older one where the newer is damaged: a vote would be forgotten. A meta lies within a sector, so
// that no crash tears it.
const (
	metaOffset   = 16 // behind the page's head
	metaBytes    = 64 // the last 8 are an FNV-1a of the others
	pageSizeFrom = 8
)

func checkMetas(path string) error {
	f, err := os.Open(path)
	if err != nil {
		return err
	}
	defer f.Close()
	page := make([]byte, 4096) // or more: as the first meta says
	for at, size := int64(0), int64(0); at <= size; at += size {
		n, err := f.ReadAt(page, at)
		if err != nil && !errors.Is(err, io.EOF) {
			return err
		}
		if n < metaOffset+metaBytes {
			return fmt.Errorf("file has no meta pages: %w", log.ErrCorrupt)
		}
		meta := page[metaOffset : metaOffset+metaBytes]
		h := fnv.New64a()
		h.Write(meta[:metaBytes-8])
		if h.Sum64() != binary.NativeEndian.Uint64(meta[metaBytes-8:]) {
			return fmt.Errorf("meta page at %d: checksum: %w", at, log.ErrCorrupt)
		}
		size = int64(binary.NativeEndian.Uint32(meta[pageSizeFrom:]))
		if size < metaOffset+metaBytes {
			return fmt.Errorf("page size %d: %w", size, log.ErrCorrupt)
		}
	}
	return nil
}

func checkVersion(tx *bbolt.Tx) error {
	format := tx.Bucket(formatBucket)
	if format == nil || tx.Bucket(valuesBucket) == nil {
		return fmt.Errorf("no buckets: %w", log.ErrCorrupt)
	}
	switch v := format.Get(versionKey); {
	case len(v) != 1 || v[0] == 0:
		return fmt.Errorf("no version: %w", log.ErrCorrupt)
	case v[0] > version:
		return fmt.Errorf("format %d, this is %d: %w", v[0], version, log.ErrNewer)
	}
	return nil
}

// writeFile makes a file of these values in the place of the one that is there.
func writeFile(path string, v values, s sum) (*bbolt.DB, error) {
	unfinished := path + ".new"
	if err := os.Remove(unfinished); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return nil, err
	}
	db, err := bbolt.Open(unfinished, 0o600, &bbolt.Options{
		Timeout:        lockTimeout,
		NoFreelistSync: true,
		FreelistType:   bbolt.FreelistMapType,
	})
	if err != nil {
		return nil, err
	}
	log.Reserve(unfinished, roomBytes) // without it, a write that finds no room ends the process
	err = db.Update(func(tx *bbolt.Tx) error { return fill(tx, v, s) })
	if err == nil {
		err = os.Rename(unfinished, path)
	}
	if err == nil {
		err = log.OSFS().SyncDir(filepath.Dir(path))
	}
	if err != nil {
		return nil, errors.Join(err, db.Close())
	}
	return db, nil
}

func fill(tx *bbolt.Tx, v values, s sum) error {
	format, err := tx.CreateBucket(formatBucket)
	if err != nil {
		return err
	}
	b, err := tx.CreateBucket(valuesBucket)
	if err != nil {
		return err
	}
	for group, keys := range v {
		for key, value := range keys {
			if err := put(b, &change{group: group, key: []byte(key), value: value}); err != nil {
				return err
			}
		}
	}
	return errors.Join(format.Put(versionKey, []byte{version}), format.Put(sumKey, s.bytes()))
}

// readAll returns everything in the file, checked.
func readAll(tx *bbolt.Tx) (values, sum, error) {
	v := values{}
	var total sum
	err := tx.Bucket(valuesBucket).ForEach(func(key, record []byte) error {
		if len(key) < 8 || len(record) < 4 || binary.LittleEndian.Uint32(record) != recordCRC(key, record[4:]) {
			return fmt.Errorf("value of % x: %w", key, log.ErrCorrupt)
		}
		total.count++
		total.crc ^= binary.LittleEndian.Uint32(record)
		v.apply(&change{
			group: binary.BigEndian.Uint64(key),
			key:   bytes.Clone(key[8:]),
			value: bytes.Clone(record[4:]),
		})
		return nil
	})
	if err == nil && !bytes.Equal(total.bytes(), tx.Bucket(formatBucket).Get(sumKey)) {
		err = fmt.Errorf("values are missing: %w", log.ErrCorrupt)
	}
	return v, total, err
}
