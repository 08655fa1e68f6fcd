package log_test

import (
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"math/rand/v2"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/hashicorp/raft"

	"github.com/warrenmq/warren/cluster/log"
	"github.com/warrenmq/warren/cluster/log/memfs"
)

// A batch of these tests is, for each message, ordinal u8, length u16, bytes.

func batch(rng *rand.Rand, group, index, term uint64, size int) []byte {
	var b []byte
	for i := range 1 + rng.IntN(6) {
		body := content(group, index, term+uint64(i)<<32, size)
		b = binary.LittleEndian.AppendUint16(append(b, byte(i)), uint16(len(body)))
		b = append(b, body...)
	}
	return b
}

func messages(b []byte) map[uint32][]byte {
	all := map[uint32][]byte{}
	for len(b) > 0 {
		n := 3 + int(binary.LittleEndian.Uint16(b[1:]))
		all[uint32(b[0])] = b[3:n]
		b = b[n:]
	}
	return all
}

func thin(b []byte, keep []uint32) []byte {
	all := messages(b)
	var out []byte
	for _, ordinal := range keep {
		if m, ok := all[ordinal]; ok {
			out = binary.LittleEndian.AppendUint16(append(out, byte(ordinal)), uint16(len(m)))
			out = append(out, m...)
		}
	}
	return out
}

// liveSet is the state machine of a group, as far as the log is concerned.
type liveSet struct {
	mu   sync.Mutex
	live map[uint64][]uint32 // what was applied and is not settled
}

func newLiveSet() *liveSet { return &liveSet{live: map[uint64][]uint32{}} }

func (s *liveSet) LiveEntries(first, last uint64, yield func(index uint64, ordinals []uint32) bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	var indexes []uint64
	for index := range s.live {
		if index >= first && index <= last {
			indexes = append(indexes, index)
		}
	}
	slices.Sort(indexes)
	for _, index := range indexes {
		ordinals := slices.Clone(s.live[index])
		if index%13 == 0 {
			ordinals = nil // all of it, as far as the log has to know
		}
		if !yield(index, ordinals) {
			return
		}
	}
}

func (s *liveSet) set(index uint64, ordinals ...uint32) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if len(ordinals) == 0 {
		delete(s.live, index)
		return
	}
	s.live[index] = ordinals
}

// store makes batches of entries, all of whose messages are live.
func (s *liveSet) store(rng *rand.Rand, es []*raft.Log) []*raft.Log {
	for _, e := range es {
		e.Data = batch(rng, 9, e.Index, e.Term, len(e.Data))
	}
	s.apply(es)
	return es
}

// apply makes all messages live.
func (s *liveSet) apply(es []*raft.Log) {
	for _, e := range es {
		s.set(e.Index, all(e.Data)...)
	}
}

// settle finishes with some messages, mostly old ones.
func (s *liveSet) settle(rng *rand.Rand) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for index, ordinals := range s.live {
		if rng.IntN(40) > 0 || index%50 == 7 && rng.IntN(20) > 0 { // some are stuck
			continue
		}
		at := rng.IntN(len(ordinals))
		if s.live[index] = slices.Delete(slices.Clone(ordinals), at, at+1); len(ordinals) == 1 {
			delete(s.live, index)
		}
	}
}

// check compares what is live of a released entry, and that nothing else is served for it.
func (s *liveSet) check(g *log.Group, e *raft.Log) error {
	s.mu.Lock()
	ordinals := s.live[e.Index]
	s.mu.Unlock()
	b, err := g.Payload(e.Index)
	if errors.Is(err, raft.ErrLogNotFound) && len(ordinals) == 0 {
		return nil
	}
	if err != nil {
		return fmt.Errorf("entry %d, live %v: %w", e.Index, ordinals, err)
	}
	got, want := messages(b), messages(e.Data)
	for ordinal, m := range got {
		if !bytes.Equal(m, want[ordinal]) {
			return fmt.Errorf("entry %d message %d is another", e.Index, ordinal)
		}
	}
	for _, ordinal := range ordinals {
		if _, ok := got[ordinal]; !ok && want[ordinal] != nil {
			return fmt.Errorf("entry %d message %d is lost", e.Index, ordinal)
		}
	}
	return nil
}

// forget what was cut off: the machine applied it only in the eyes of this test.
func (s *liveSet) only(acked []*raft.Log) {
	s.mu.Lock()
	defer s.mu.Unlock()
	there := map[uint64]bool{}
	for _, e := range acked {
		there[e.Index] = true
	}
	for index := range s.live {
		if !there[index] {
			delete(s.live, index)
		}
	}
}

// install is what a snapshot from another node does: bodies first, then the state, then Raft's log
// is emptied. It may end with a crash anywhere, and is then as if it had never been.
func (m *model) install(g *log.Group) error {
	last := m.last() + 1 + m.rng.Uint64N(6)
	bodies := newLiveSet().store(m.rng, entries(m.id, m.last()+1, last, m.term, m.rng.IntN(1<<(4+m.rng.IntN(10)))))
	m.again(bodies)
	if m.committed == nil {
		m.committed = map[uint64]*raft.Log{}
	}
	for _, e := range bodies {
		m.committed[e.Index] = e
		if err := g.Adopt(e.Index, e.Term, e.Data); err != nil {
			return err
		}
	}
	if err := g.SyncAdopted(); err != nil {
		return err
	}
	time.Sleep(time.Duration(m.rng.IntN(1000)) * time.Millisecond)
	m.live.apply(bodies) // restored
	if first := m.first; len(m.visible()) > 0 {
		err := m.do(operation{name: "empty", apply: func(m *model) { m.first = m.last() + 1 }},
			func() error { return g.DeleteRange(first, m.last()) })
		if err != nil {
			return err
		}
	}
	m.acked, m.first = append(m.acked, bodies...), last+1
	return nil
}

// again puts entries that are known to be committed in their places.
func (m *model) again(es []*raft.Log) {
	for i, e := range es {
		if c := m.committed[e.Index]; c != nil {
			es[i] = c
		}
	}
}

func all(b []byte) (ordinals []uint32) {
	for i := range uint32(len(messages(b))) {
		ordinals = append(ordinals, i)
	}
	return ordinals
}

func TestReclaimingSurvivesCrashes(t *testing.T) {
	seeds := uint64(60)
	if testing.Short() {
		seeds = 8
	}
	var reclaimed uint64
	for s := range seeds {
		if *seed != 0 {
			s = *seed - 1
		}
		synctest.Test(t, func(t *testing.T) {
			n, err := reclaimCrashes(s + 1)
			if err != nil {
				t.Fatalf("-seed=%d: %v", s+1, err)
			}
			reclaimed += n
		})
		if *seed != 0 {
			break
		}
	}
	t.Logf("%d segments reclaimed", reclaimed)
	if reclaimed < 50*seeds && *seed == 0 {
		t.Fatalf("only %d segments reclaimed", reclaimed)
	}
}

// reclaimCrashes runs several lives of one disk whose messages are settled, in random places.
func reclaimCrashes(seed uint64) (reclaimed uint64, err error) {
	rng := rand.New(rand.NewPCG(seed, 1))
	disk := memfs.New(seed)
	models := make([]*model, 1+rng.IntN(4))
	for i := range models {
		models[i] = &model{id: uint64(i), rng: rand.New(rand.NewPCG(seed, uint64(i)+2)), term: 1, first: 1, live: newLiveSet()}
	}
	cfg := log.Config{SegmentBytes: 64 << 10, CacheBytes: int64(rng.IntN(2)) << 16, ReadAheadBytes: 8 << 10, OpenFiles: 2, Logger: quiet, Thin: thin}
	for life := range 6 {
		l, err := log.Open(disk, dir, cfg)
		if err != nil {
			return 0, fmt.Errorf("life %d: %w", life, err)
		}
		if err := errors.Join(l.Damaged(), corruption(l)); err != nil {
			return 0, fmt.Errorf("life %d: %w", life, err)
		}
		for _, m := range models {
			if err := m.settle(l); err != nil {
				return 0, fmt.Errorf("life %d: %w", life, err)
			}
			m.live.only(m.acked)
			l.Group(m.id).SetLive(m.live)
		}
		next, err := reclaimLife(l, disk, models, rng)
		if err != nil {
			return 0, fmt.Errorf("life %d: %w", life, err)
		}
		reclaimed += l.Stats().Reclaimed
		disk = next
	}
	return reclaimed, nil
}

func reclaimLife(l *log.Log, disk *memfs.FS, models []*model, rng *rand.Rand) (*memfs.FS, error) {
	r := run(l)
	disk.Slow(time.Duration(1+rng.IntN(20)) * time.Millisecond)
	var wg sync.WaitGroup
	errs := make([]error, len(models))
	for i, m := range models {
		wg.Go(func() {
			for n := 0; errs[i] == nil; n++ {
				time.Sleep(time.Duration(m.rng.IntN(20_000)) * time.Microsecond)
				if errs[i] = m.step(l); errs[i] == nil && n%50 == 49 {
					errs[i] = m.matches(l)
				}
			}
			if errors.Is(errs[i], log.ErrStopped) || errors.Is(errs[i], memfs.ErrCrashed) {
				errs[i] = nil
			}
		})
	}
	time.Sleep(time.Duration(rng.IntN(6_000)) * time.Millisecond)
	if rng.IntN(5) == 0 {
		err := r.end()
		wg.Wait()
		return disk, errors.Join(append(errs, err)...)
	}
	next := disk.Crash()
	wg.Wait()
	r.end() // the disk is gone: there is no good end
	return next, errors.Join(errs...)
}

// segments counts the files and their bytes.
func segments(t testing.TB, disk *memfs.FS) (files int, size int64) {
	t.Helper()
	names, err := disk.ReadDir(dir)
	if err != nil {
		t.Fatal(err)
	}
	for _, name := range names {
		if strings.HasSuffix(name, ".seg") {
			b, err := disk.Peek(dir + "/" + name)
			if err != nil {
				t.Fatal(err)
			}
			files, size = files+1, size+int64(len(b))
		}
	}
	return files, size
}

// One message is stuck, and much is published and settled behind it.
func TestAStuckMessageHoldsNothingElse(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		disk := memfs.New(1)
		cfg := small
		cfg.Thin = thin
		l := start(t, disk, dir, cfg)
		live := newLiveSet()
		rng := rand.New(rand.NewPCG(1, 1))
		var stuck []*raft.Log
		for n := range uint64(40) {
			first := n*100 + 1
			es := live.store(rng, entries(1, first, first+99, 1, 300))
			store(t, l.Log, 1, es)
			for _, e := range es[1:] {
				live.set(e.Index)
			}
			live.set(first, 0)
			stuck = append(stuck, es[0])
			if n == 0 {
				l.Group(1).SetLive(live)
			}
			if err := l.Group(1).DeleteRange(1, first+90); err != nil {
				t.Fatal(err)
			}
			time.Sleep(2 * time.Second)
			if files, size := segments(t, disk); files > 6 || size > 6*64<<10 {
				t.Fatalf("round %d: %d files, %d bytes: %+v", n, files, size, l.Usage())
			}
		}
		for range 2 {
			for _, e := range stuck {
				if err := live.check(l.Group(1), e); err != nil {
					t.Fatal(err)
				}
			}
			l.mustEnd(t)
			l = start(t, disk, dir, cfg)
			l.Group(1).SetLive(live)
		}
		l.mustEnd(t)
	})
}

// What is said to be live without ordinals is kept as it is, beside what is thinned.
func TestEntriesAreKeptWhole(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		disk := memfs.New(1)
		cfg := small
		cfg.Thin, cfg.CacheBytes = thin, 1
		l, live, es := filled(t, disk, cfg, 300)
		for _, e := range es {
			if e.Index%26 > 0 {
				live.set(e.Index)
			}
		}
		live.set(27, 0)
		if err := l.Group(1).DeleteRange(1, 299); err != nil {
			t.Fatal(err)
		}
		l.Group(1).SetLive(live)
		time.Sleep(time.Minute)
		for range 2 {
			for _, e := range es {
				want := e.Data
				switch p, err := l.Group(1).Payload(e.Index); {
				case e.Index == 300 || e.Index%26 == 0:
					if err != nil || !bytes.Equal(p, want) {
						t.Fatalf("entry %d: %d bytes of %d, %v", e.Index, len(p), len(want), err)
					}
				case e.Index == 27:
					if err != nil || len(messages(p)) != 1 {
						t.Fatalf("entry 27: %d messages, %v", len(messages(p)), err)
					}
				case e.Index < 100 && !errors.Is(err, raft.ErrLogNotFound):
					t.Fatalf("entry %d: %v", e.Index, err)
				}
			}
			l.mustEnd(t)
			l = start(t, disk, dir, cfg)
		}
		l.mustEnd(t)
	})
}

// What Raft has not released is kept, dead or not, in segments that are otherwise dead.
func TestUnreleasedEntriesAreKept(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		disk := memfs.New(1)
		cfg := small
		cfg.Thin, cfg.CacheBytes = thin, 1
		l := start(t, disk, dir, cfg)
		dead := newLiveSet()
		l.Group(1).SetLive(dead)
		l.Group(2).SetLive(dead)
		for i := range uint64(600) {
			store(t, l.Log, 1, entries(1, i+1, i+1, 1, 1000))
			if i%10 == 0 {
				store(t, l.Log, 2, entries(2, i/10+1, i/10+1, 1, 50))
			}
		}
		if err := errors.Join(l.Group(1).DeleteRange(1, 590), l.Group(2).DeleteRange(1, 7)); err != nil {
			t.Fatal(err)
		}
		time.Sleep(time.Minute)
		if st := l.Stats(); st.Reclaimed < 5 {
			t.Fatalf("%+v", st)
		}
		for range 2 {
			wantLog(t, l.Log, 2, entries(2, 8, 60, 1, 50))
			wantLog(t, l.Log, 1, entries(1, 591, 600, 1, 1000))
			l.mustEnd(t)
			l = start(t, disk, dir, cfg)
		}
		l.mustEnd(t)
	})
}
