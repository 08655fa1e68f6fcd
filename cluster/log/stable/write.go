package stable

import (
	"bytes"
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"hash/crc32"
	"maps"
	"time"

	"go.etcd.io/bbolt"

	"github.com/warrenmq/warren/cluster/log"
	"github.com/warrenmq/warren/cluster/log/internal/watchdog"
)

var castagnoli = crc32.MakeTable(crc32.Castagnoli)

// Run watches the disk until ctx ends. It returns an error when a write fails or takes longer than
// three seconds: the process must stop then. Nothing else depends on it.
func (s *Store) Run(ctx context.Context) error {
	watch := watchdog.On(&s.pulse)
	tick := time.NewTicker(watchdog.Interval(s.stall))
	defer tick.Stop()
	for {
		select {
		case <-ctx.Done():
			return nil
		case <-s.ended:
			if errors.Is(s.err, log.ErrStopped) {
				return nil
			}
			return s.err
		case <-tick.C:
			if watch.Stalled() {
				s.end(fmt.Errorf("votes and terms were not written for %v: %w", s.stall, log.ErrStalled))
			}
		}
	}
}

// write commits what is in line until there is nothing more.
func (s *Store) write() {
	for {
		s.mu.Lock()
		changes := s.queue
		s.queue = nil
		if len(changes) == 0 || s.err != nil {
			s.writing = false
			s.mu.Unlock()
			return
		}
		after := s.sum.after(s.values, changes)
		s.mu.Unlock()
		err := s.pulse.Each(func() error { return s.commit(changes, after) })
		if err != nil {
			s.end(fmt.Errorf("write votes and terms: %w", err)) // and nothing is tried again
			return
		}
		s.mu.Lock()
		s.sum = after
		for _, c := range changes {
			s.values.apply(c)
		}
		s.mu.Unlock()
		for _, c := range changes {
			c.done <- nil
		}
	}
}

func (s *Store) commit(changes []*change, after sum) error {
	return s.db.Update(func(tx *bbolt.Tx) error {
		b := tx.Bucket(valuesBucket)
		for _, c := range changes {
			if err := put(b, c); err != nil {
				return err
			}
		}
		return tx.Bucket(formatBucket).Put(sumKey, after.bytes())
	})
}

func put(b *bbolt.Bucket, c *change) error {
	if c.key != nil {
		key := recordKey(c.group, c.key)
		return b.Put(key, append(binary.LittleEndian.AppendUint32(nil, recordCRC(key, c.value)), c.value...))
	}
	prefix := recordKey(c.group, nil)
	cursor := b.Cursor()
	for k, _ := cursor.Seek(prefix); bytes.HasPrefix(k, prefix); k, _ = cursor.Seek(prefix) {
		if err := cursor.Delete(); err != nil {
			return err
		}
	}
	return nil
}

func (v values) apply(c *change) {
	switch {
	case c.key == nil:
		delete(v, c.group)
	case v[c.group] == nil:
		v[c.group] = map[string][]byte{string(c.key): c.value}
	default:
		v[c.group][string(c.key)] = c.value
	}
}

func recordKey(group uint64, key []byte) []byte {
	return append(binary.BigEndian.AppendUint64(nil, group), key...)
}

func recordCRC(key, value []byte) uint32 {
	return crc32.Update(crc32.Checksum(key, castagnoli), castagnoli, value)
}

// sum tells that a value was lost.
type sum struct{ count, crc uint32 }

func (s sum) bytes() []byte {
	return binary.LittleEndian.AppendUint32(binary.LittleEndian.AppendUint32(nil, s.count), s.crc)
}

// after returns the sum that changes lead to.
func (s sum) after(v values, changes []*change) sum {
	touched := values{}
	for _, c := range changes {
		if touched[c.group] == nil {
			touched[c.group] = maps.Clone(v[c.group])
			s.toggle(c.group, v[c.group], ^uint32(0))
		}
	}
	for _, c := range changes {
		touched.apply(c)
	}
	for group, keys := range touched {
		s.toggle(group, keys, 1)
	}
	return s
}

// toggle adds values, one each, or takes them away.
func (s *sum) toggle(group uint64, keys map[string][]byte, one uint32) {
	for k, value := range keys {
		s.crc ^= recordCRC(recordKey(group, []byte(k)), value)
		s.count += one
	}
}
