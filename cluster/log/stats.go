package log

import (
	"math/bits"
	"sync/atomic"
	"time"
)

// Stats counts since Open.
type Stats struct {
	Syncs       uint64 // gathered writes, each synced once
	Entries     uint64
	Bytes       uint64        // written, with heads
	CommitP50   time.Duration // time of a write with its sync, within a fifth
	CommitP99   time.Duration
	Segments    int
	CacheBytes  int64
	CacheHits   uint64
	CacheMisses uint64
	Reclaimed   uint64        // segments that were deleted, or rewritten without what was dead
	Rewritten   uint64        // bytes written to do so
	Judging     time.Duration // to find out what was live, the last time
	Full        bool          // no space for the next segment; the log takes entries until this one is full
}

// spareSegments are those that Needs counts: the next one, which is made before it is needed, one
// that space is reclaimed into, and what comes in until those who publish have heard that they wait.
const spareSegments = 3

// Needs is the free disk below which the log may not be able to go on.
func (l *Log) Needs() int64 { return spareSegments * l.cfg.SegmentBytes }

// Stats returns the log's figures.
func (l *Log) Stats() Stats {
	l.mu.Lock()
	segments := len(l.segments)
	l.mu.Unlock()
	return Stats{
		Syncs:       l.stats.syncs.Load(),
		Entries:     l.stats.entries.Load(),
		Bytes:       l.stats.bytes.Load(),
		CommitP50:   l.stats.times.quantile(0.5),
		CommitP99:   l.stats.times.quantile(0.99),
		Segments:    segments,
		CacheBytes:  l.recent.bytes() + l.ahead.bytes(),
		CacheHits:   l.stats.hits.Load(),
		CacheMisses: l.stats.misses.Load(),
		Reclaimed:   l.stats.reclaimed.Load(),
		Rewritten:   l.stats.rewritten.Load(),
		Judging:     time.Duration(l.stats.judging.Load()),
		Full:        l.stats.full.Load(),
	}
}

// Usage is what the log has on disk.
type Usage struct {
	Segments  int   // files
	Bytes     int64 // of all files
	LiveBytes int64 // what is still needed of them, as estimated last; what was not judged counts as needed
}

// Usage returns what the log has on disk.
func (l *Log) Usage() Usage {
	l.mu.Lock()
	defer l.mu.Unlock()
	u := Usage{Segments: len(l.segments)}
	for _, s := range l.segments {
		s.mu.RLock()
		u.Bytes += s.size
		if s.judged.known {
			u.LiveBytes += s.judged.need
		} else {
			u.LiveBytes += s.size
		}
		s.mu.RUnlock()
	}
	return u
}

type stats struct {
	syncs, entries, bytes, hits, misses atomic.Uint64

	reclaimed, rewritten atomic.Uint64
	judging              atomic.Int64
	full                 atomic.Bool
	times                histogram
}

func (s *stats) commit(bytes int64, took time.Duration) {
	s.syncs.Add(1)
	s.bytes.Add(uint64(bytes))
	s.times.add(took)
}

// histogram counts times in four classes for each power of two of microseconds.
type histogram [4 * 32]atomic.Uint64

func (h *histogram) add(d time.Duration) {
	us := uint64(max(4, d.Microseconds()))
	shift := bits.Len64(us) - 3 // leaves three bits, the first of them set
	class := 4*shift + int(us>>shift&3)
	h[min(class, len(h)-1)].Add(1)
}

// quantile returns the upper bound of the class that holds the q-th part; 0 when nothing was counted.
func (h *histogram) quantile(q float64) time.Duration {
	var total uint64
	for i := range h {
		total += h[i].Load()
	}
	rank := uint64(q * float64(total))
	for i := range h {
		n := h[i].Load()
		if n > rank {
			return time.Duration(uint64(5+i%4)<<(i/4)) * time.Microsecond
		}
		rank -= n
	}
	return 0
}
