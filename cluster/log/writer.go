package log

import (
	"context"
	"errors"
	"fmt"
	"runtime"
	"sync/atomic"
	"time"

	"github.com/warrenmq/warren/cluster/log/internal/watchdog"
)

// writeMax is the most that is written before a sync: what a slow disk does within the stall
// timeout. One request may be larger; it is synced in parts.
const writeMax = 4 << 20

// writer is the one goroutine that appends: it gathers requests, writes them at once, syncs, makes
// them visible and answers. It alone knows the groups' tails.
type writer struct {
	l     *Log
	pulse *watchdog.Pulse
	waits atomic.Bool // for the keeper

	seg    *segment // nil before the first
	file   File
	pos    int64    // where the next record goes
	synced int64    // all below is synced
	marked bool     // and the disk knows it
	ready  *segment // an offer that was too small and could not grow

	start   int64 // where the gathered write begins
	gather  [][]byte
	control []byte // heads that the writer makes
	effects []effect
	batch   []*request
}

// effect is what a gathered record changes once it is durable.
type effect struct {
	group *Group
	kind  kind
	index uint64
	req   *request // kindEntry and kindAdopted: its entries; else nil
}

// run appends until ctx ends. Its error is fatal.
func (w *writer) run(ctx context.Context) error {
	for ctx.Err() == nil {
		w.batch = w.l.take(w.batch[:0])
		if len(w.batch) == 0 {
			if err := w.mark(); err != nil {
				return err
			}
			select {
			case <-w.l.wake:
			case <-ctx.Done():
			}
			continue
		}
		for _, r := range w.batch {
			if err := w.stage(ctx, r); err != nil {
				return err
			}
		}
		if err := w.commit(); err != nil {
			return err
		}
		clear(w.batch)
		runtime.Gosched() // those just answered may have more: one sync for all of it
	}
	return w.finish()
}

// take moves queued requests to batch, up to writeMax bytes.
func (l *Log) take(batch []*request) []*request {
	l.mu.Lock()
	defer l.mu.Unlock()
	var bytes int64
	n := 0
	for n < len(l.queue) && bytes < writeMax {
		bytes += l.queue[n].bytes
		n++
	}
	batch = append(batch, l.queue[:n]...)
	rest := copy(l.queue, l.queue[n:])
	clear(l.queue[rest:])
	l.queue = l.queue[:rest]
	if rest > 0 {
		select {
		case l.wake <- struct{}{}:
		default:
		}
	}
	return batch
}

// stage gathers one request, or answers one that changes nothing. An error is fatal.
func (w *writer) stage(ctx context.Context, r *request) error {
	g := r.group
	k, index, err := r.plan()
	stores := r.kind == requestAppend || r.kind == requestAdopt
	if err != nil || !stores && k == 0 {
		r.done <- err
		return nil
	}
	err = w.room(ctx, r.bytes+2*headBytes, stores)
	switch {
	case errors.Is(err, ErrNoSpace) && !(g.short && r.replaces()):
		r.done <- err
		return nil
	case err != nil:
		// Raft counts on the entries that a truncate made void, until others replace them: a node
		// that cannot store them must not go on (raft.appendEntries).
		return err
	}
	if k != 0 {
		w.put(head{kind: k, group: g.id, index: index})
		w.effects = append(w.effects, effect{group: g, kind: k, index: index})
		g.tail.apply(k, index)
		g.short = r.kind == requestDelete && (k == kindTruncate || g.tail.released == g.tail.last)
	}
	switch r.kind {
	case requestDelete, requestDrop:
		w.effects = append(w.effects, effect{group: g, req: r})
		return nil
	case requestAdopt:
		w.append(r)
		w.effects = append(w.effects, effect{group: g, kind: kindAdopted, req: r})
		return nil
	}
	w.append(r)
	w.effects = append(w.effects, effect{group: g, kind: kindEntry, req: r})
	g.tail.apply(kindEntry, r.logs[len(r.logs)-1].Index)
	g.short = false
	return nil
}

// replaces tells whether a request may be for what takes the place of entries that a truncate made
// void. Where everything was deleted it is not if it goes on behind that: all was in a snapshot.
func (r *request) replaces() bool {
	t := r.group.tail
	return r.kind == requestAppend && (t.released != t.last || r.logs[0].Index <= t.last)
}

// plan returns the record, if any, that a request needs by itself or before its entries.
func (r *request) plan() (kind, uint64, error) {
	t := r.group.tail
	switch r.kind {
	case requestDrop:
		return kindDrop, 0, nil
	case requestAdopt:
		return 0, 0, nil
	case requestDelete:
		first, last := max(r.min, t.released+1), min(r.max, t.last)
		switch {
		case first > last:
			return 0, 0, nil
		case first == t.released+1:
			return kindRelease, last, nil
		case last == t.last:
			return kindTruncate, first, nil
		}
		return 0, 0, fmt.Errorf("group %d: delete %d to %d of %d to %d: neither end: %w",
			r.group.id, r.min, r.max, t.released+1, t.last, ErrOrder)
	}
	first := r.logs[0].Index
	switch empty := t.released == t.last; {
	case first == t.last+1:
		return 0, 0, nil
	case empty && first > t.last:
		return kindRelease, first - 1, nil // Raft goes on behind a snapshot
	case empty:
		return kindTruncate, first, nil // all was deleted, and it had been a conflict
	}
	return 0, 0, fmt.Errorf("group %d: entry %d after %d: %w", r.group.id, first, t.last, ErrOrder)
}

// controlRoom is what entries leave free in a segment: on a full disk, what Raft releases must still
// be written down, or nothing would ever be reclaimed.
func controlRoom(size int64) int64 { return min(64<<10, size/16) }

// room sees to it that bytes fit into the segment, or goes on in the next one.
func (w *writer) room(ctx context.Context, bytes int64, stores bool) error {
	if w.file != nil {
		free := w.seg.size - w.pos
		if stores {
			free -= controlRoom(w.seg.allocated)
		}
		if bytes <= free {
			return nil
		}
	}
	if err := w.commit(); err != nil { // the old segment's effects, before it is sealed
		return err
	}
	if err := w.await(ctx); err != nil {
		return err
	}
	next := w.ready
	file, err := w.l.files.acquire(next)
	if err != nil {
		return err
	}
	if need := blockBytes + headBytes + bytes + controlRoom(next.allocated); need > next.size {
		if err := w.pulse.Each(func() error { return file.Allocate(need) }); err != nil {
			w.l.files.release(next)
			return fmt.Errorf("allocate %d bytes: %w", need, spaceError(err))
		}
		next.size = need
	}
	w.ready = nil
	return w.enter(ctx, next, file)
}

// await takes the keeper's offer.
func (w *writer) await(ctx context.Context) error {
	if w.ready != nil {
		return nil
	}
	w.waits.Store(true)
	defer w.waits.Store(false)
	select {
	case o := <-w.l.offers:
		w.ready = o.seg
		return o.err
	case <-ctx.Done():
		return ErrStopped
	}
}

// enter makes next the segment that is written to.
func (w *writer) enter(ctx context.Context, next *segment, file File) error {
	begin := head{kind: kindBegin}
	if old := w.seg; old != nil {
		begin.index, begin.term = old.number, uint64(w.synced)
		old.mu.Lock()
		old.end = w.pos
		old.mu.Unlock()
		if w.file != nil { // nil: a segment that was sealed, or damaged, before this start
			w.l.files.release(old)
			select {
			case w.l.sealing <- old:
			case <-ctx.Done():
				return ErrStopped
			}
		}
	}
	next.mu.Lock()
	next.end = next.size
	next.mu.Unlock()
	w.l.adopt(next)
	w.seg, w.file = next, file
	w.pos, w.synced, w.start = blockBytes, blockBytes, blockBytes
	w.put(begin)
	return nil
}

// put gathers a record without a body.
func (w *writer) put(h head) {
	at := len(w.control)
	var b [headBytes]byte
	h.put(b[:])
	stamp(b[:], w.seg.seed, w.synced)
	w.control = append(w.control, b[:]...)
	w.gather = append(w.gather, w.control[at:len(w.control):len(w.control)])
	w.pos += headBytes
}

// append gathers the entries of r.
func (w *writer) append(r *request) {
	from := 0
	for i := range r.frames {
		f := &r.frames[i]
		f.offset = uint32(w.pos)
		w.pos += f.bytes
		stamp(r.buf[f.head:f.head+headBytes], w.seg.seed, w.synced)
		if f.direct != nil {
			w.gather = append(w.gather, r.buf[from:f.cut], f.direct)
			from = f.cut
		}
	}
	if from < len(r.buf) {
		w.gather = append(w.gather, r.buf[from:])
	}
}

// commit writes what is gathered, syncs it, makes it visible and answers. An error is fatal.
func (w *writer) commit() error {
	if len(w.gather) > 0 {
		began := time.Now()
		if err := w.flush(); err != nil {
			return err
		}
		w.l.stats.commit(w.pos-w.start, time.Since(began))
		w.synced, w.marked = w.pos, false
		w.gathered()
	}
	for _, e := range w.effects {
		e.show(w.seg)
		if e.req != nil {
			w.l.stats.entries.Add(uint64(len(e.req.frames)))
			e.req.done <- nil
		}
	}
	if len(w.effects) > 0 {
		w.l.stir()
	}
	clear(w.effects)
	w.effects = w.effects[:0]
	return nil
}

// gathered begins a new gathered write.
func (w *writer) gathered() {
	clear(w.gather)
	w.gather, w.control, w.start = w.gather[:0], w.control[:0], w.pos
}

// flush writes and syncs, in parts of up to writeMax bytes.
func (w *writer) flush() error {
	off := w.start
	for bufs := w.gather; len(bufs) > 0; {
		n, bytes := 0, 0
		for n < len(bufs) && bytes+len(bufs[n]) <= writeMax {
			bytes += len(bufs[n])
			n++
		}
		part := bufs[:n]
		if n == 0 { // one buffer is too large by itself
			part, bytes = [][]byte{bufs[0][:writeMax]}, writeMax
			bufs[0] = bufs[0][writeMax:]
		}
		if err := w.write(part, off, true); err != nil {
			return err
		}
		bufs, off = bufs[n:], off+int64(bytes)
	}
	return nil
}

func (w *writer) write(bufs [][]byte, off int64, sync bool) error {
	w.pulse.Begin()
	defer w.pulse.End()
	if err := w.file.WriteV(bufs, off); err != nil {
		return fmt.Errorf("write segment %d: %w", w.seg.number, err)
	}
	if !sync {
		return nil
	}
	if err := w.file.Sync(); err != nil {
		return fmt.Errorf("sync segment %d: %w", w.seg.number, err)
	}
	return nil
}

// show makes durable records visible.
func (e *effect) show(seg *segment) {
	g := e.group
	if e.kind == 0 {
		return // an answer alone
	}
	seg.mu.Lock()
	x := seg.index.group(g.id)
	switch e.kind {
	case kindEntry:
		for i, f := range e.req.frames {
			x.entry(e.req.logs[i].Index, f.offset, f.bytes)
			g.appended.Add(uint64(f.bytes))
		}
	case kindAdopted:
		for i, f := range e.req.frames {
			x.adopt(e.req.logs[i].Index, f.offset, f.bytes)
		}
	default:
		x.control(e.kind, e.index)
	}
	seg.mu.Unlock()
	g.mu.Lock()
	defer g.mu.Unlock()
	switch e.kind {
	case kindEntry:
		g.log.recent.add(g.id, false, e.req.logs...)
		g.appendedLocked(seg, e.req.logs[0].Index, uint64(len(e.req.logs)))
	case kindAdopted:
		first, last := e.req.logs[0].Index, e.req.logs[0].Index
		for _, b := range e.req.logs {
			first, last = min(first, b.Index), max(last, b.Index)
		}
		g.adoptedLocked(seg, first, last)
		g.log.recent.add(g.id, true, e.req.logs...)
	default:
		g.controlLocked(e.kind, e.index)
	}
}

// mark notes on disk, without a sync, that all before it is synced: so that damage to the last
// write is not taken for a torn one.
func (w *writer) mark() error {
	if w.file == nil || w.marked || w.pos+headBytes > w.seg.size {
		return nil
	}
	w.put(head{kind: kindMark})
	if err := w.write(w.gather, w.start, false); err != nil {
		return err
	}
	w.gathered()
	w.marked = true
	return nil
}

// finish leaves the log such that everything in it is known to be synced.
func (w *writer) finish() error {
	if err := w.mark(); err != nil || w.file == nil {
		return err
	}
	return w.write(nil, w.pos, true)
}
