package log

import (
	"context"
	"crypto/rand"
	"encoding/binary"
	"errors"
	"fmt"
	"path"
	"syscall"
	"time"

	"github.com/warrenmq/warren/cluster/log/internal/watchdog"
)

const (
	sealingMax = 16              // segments that wait to be sealed before the writer waits
	spaceRetry = 1 * time.Second // between attempts to make a segment on a full disk
)

// keeper makes the next segment before it is needed and seals those that the writer has left.
type keeper struct {
	l     *Log
	pulse *watchdog.Pulse
	next  uint64     // number of the next segment
	spare *segment   // from before this start, to be offered first
	queue []*segment // to be sealed; kept while the disk is full
}

// offer is the next segment for the writer, or why there is none.
type offer struct {
	seg *segment
	err error
}

// run works until ctx ends. Its error is fatal.
func (k *keeper) run(ctx context.Context) error {
	retry := time.NewTicker(spaceRetry)
	defer retry.Stop()
	o, err := k.make()
	for err == nil {
		if err = k.sealAll(); err != nil {
			break
		}
		var again <-chan time.Time
		if o.err != nil || len(k.queue) > 0 {
			again = retry.C
		}
		select {
		case k.l.offers <- o:
			if o.err == nil {
				o, err = k.make()
			}
		case s := <-k.l.sealing:
			k.queue = append(k.queue, s)
		case <-again:
			if o.err != nil {
				o, err = k.make()
			}
		case <-ctx.Done():
			return nil
		}
	}
	return err
}

// make makes a segment to offer; only a full disk is an offer's error.
func (k *keeper) make() (offer, error) {
	seg := k.spare
	k.spare = nil
	if seg == nil {
		var err error
		if seg, err = k.create(k.next); err != nil {
			if err = spaceError(err); errors.Is(err, ErrNoSpace) {
				if !k.l.stats.full.Swap(true) {
					k.l.cfg.Logger.Error("no space for the next log segment", "error", err)
				}
				return offer{err: err}, nil
			}
			return offer{}, err
		}
		k.next++
	}
	if k.l.stats.full.Swap(false) {
		k.l.cfg.Logger.Info("space for the next log segment again")
	}
	return offer{seg: seg}, nil
}

// create makes an empty segment, durably and under its name only when it is whole.
func (k *keeper) create(number uint64) (*segment, error) {
	l := k.l
	var nonce [8]byte
	rand.Read(nonce[:]) // never fails
	s := newSegment(l.dir, number, binary.LittleEndian.Uint64(nonce[:]), l.cfg.SegmentBytes)
	name := path.Join(l.dir, spareName)
	if err := k.writeSpare(s, name); err != nil {
		return nil, errors.Join(fmt.Errorf("make segment %d: %w", number, err), l.fs.Remove(name))
	}
	err := k.pulse.Each(
		func() error { return l.fs.Rename(name, s.name) },
		func() error { return l.fs.SyncDir(l.dir) },
	)
	if err != nil {
		return nil, fmt.Errorf("name segment %d: %w", number, err)
	}
	return s, nil
}

func (k *keeper) writeSpare(s *segment, name string) (err error) {
	f, err := k.l.fs.Create(name)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, f.Close()) }()
	s.size = s.allocated
	return k.pulse.Each(
		func() error { return f.Allocate(s.allocated) },
		func() error { return f.WriteV([][]byte{s.headerBlock()}, 0) },
		f.Sync,
	)
}

// sealAll seals what is queued; what does not fit on the disk stays queued.
func (k *keeper) sealAll() error {
	for len(k.queue) > 0 {
		err := k.seal(k.queue[0])
		if errors.Is(err, ErrNoSpace) {
			return nil
		}
		if err != nil {
			return fmt.Errorf("seal segment %d: %w", k.queue[0].number, err)
		}
		k.queue = k.queue[1:]
		k.l.stir()
	}
	return nil
}

// seal writes the footer of a segment whose records are all synced. Each step is synced before the
// next: the trailer stands for the footer, and the cut for the trailer.
func (k *keeper) seal(s *segment) error {
	f, err := k.l.files.acquire(s)
	if err != nil {
		return err
	}
	defer k.l.files.release(s)
	s.mu.RLock()
	sealed := s.index.sealed()
	end := s.end
	s.mu.RUnlock()
	record, trailer := s.footer(sealed, end)
	trailerAt := end + int64(len(record))
	size := trailerAt + trailerBytes
	if size > s.size {
		if err := f.Allocate(size); err != nil {
			return spaceError(err)
		}
		s.mu.Lock()
		s.size = size
		s.mu.Unlock()
	}
	err = k.pulse.Each(
		func() error { return f.WriteV([][]byte{record}, end) },
		f.Sync,
		func() error { return f.WriteV([][]byte{trailer}, trailerAt) },
		f.Sync,
		func() error { return f.Truncate(size) },
		f.Sync,
	)
	if err != nil {
		return err
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	sealed.forget()
	s.index, s.size, s.sealed = sealed, size, true
	return nil
}

// sealed returns a copy of the index whose runs share their offsets with it.
func (x index) sealed() index {
	c := make(index, len(x))
	for id, g := range x {
		c[id] = &groupIndex{bytes: g.bytes, events: append([]event(nil), g.events...), adopted: g.adopted}
	}
	return c
}

// forget drops what is read from the footer from now on.
func (x index) forget() {
	for _, g := range x {
		for i := range g.events {
			g.events[i].offsets, g.events[i].pairs = nil, nil
		}
		g.adopted.offsets, g.adopted.pairs = nil, nil
	}
}

// spaceError makes the disk's word for being full ErrNoSpace.
func spaceError(err error) error {
	if errors.Is(err, syscall.ENOSPC) || errors.Is(err, syscall.EDQUOT) {
		return fmt.Errorf("%w: %w", ErrNoSpace, err)
	}
	return err
}
