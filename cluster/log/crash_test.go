package log_test

import (
	"errors"
	"flag"
	"fmt"
	"math/rand/v2"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/hashicorp/raft"

	"github.com/warrenmq/warren/cluster/log"
	"github.com/warrenmq/warren/cluster/log/memfs"
)

var seed = flag.Uint64("seed", 0, "replay one schedule of TestAcknowledgedSurvivesCrashes")

// model is what one group's log may be after a crash: what was acknowledged, or that with the one
// operation that was under way.
type model struct {
	id      uint64
	rng     *rand.Rand
	term    uint64
	first   uint64      // what Raft sees begins here
	acked   []*raft.Log // from index 1 on or behind a gap, released ones too
	pending *operation
	live    *liveSet // nil: nobody says what is live

	committed map[uint64]*raft.Log // came with snapshots: nothing else can stand there
}

type operation struct {
	name  string
	apply func(m *model)             // when it is acknowledged
	part  func(m *model) []*raft.Log // entries of which any number may have got to the disk
}

func (m *model) last() uint64 {
	if len(m.acked) == 0 {
		return m.first - 1
	}
	return m.acked[len(m.acked)-1].Index
}

// visible returns the acknowledged entries that are not released.
func (m *model) visible() []*raft.Log {
	for i, e := range m.acked {
		if e.Index >= m.first {
			return m.acked[i:]
		}
	}
	return nil
}

// step does one random operation as Raft would, and reports whether it was acknowledged.
func (m *model) step(l *log.Log) error {
	g := l.Group(m.id)
	visible := m.visible()
	if m.live != nil {
		m.live.settle(m.rng)
	}
	switch p := m.rng.IntN(20); {
	case p == 0 && len(visible) > 1: // conflict
		cut := visible[m.rng.IntN(len(visible)-1)+1].Index
		m.term++
		return m.do(operation{name: fmt.Sprintf("cut from %d", cut), apply: func(m *model) {
			m.acked = m.acked[:len(m.acked)-int(m.last()-cut+1)]
		}}, func() error { return g.DeleteRange(cut, m.last()) })
	case p == 1 && len(visible) > 1: // snapshot
		to := visible[m.rng.IntN(len(visible)-1)].Index
		from := m.first
		return m.do(operation{name: fmt.Sprintf("release to %d", to), apply: func(m *model) { m.first = to + 1 }},
			func() error { return g.DeleteRange(from, to) })
	case p == 3 && m.live != nil && m.rng.IntN(4) == 0:
		return m.install(g)
	case p == 2 && m.rng.IntN(10) == 0:
		return m.do(operation{name: "drop", apply: func(m *model) { m.acked, m.first, m.committed = nil, 1, nil }},
			func() error { return l.DropGroup(m.id) })
	}
	n := 1 + m.rng.Uint64N(4)
	es := entries(m.id, m.last()+1, m.last()+n, m.term, m.rng.IntN(1<<(4+m.rng.IntN(10))))
	if m.live != nil {
		newLiveSet().store(m.rng, es)
		m.again(es)
		m.live.apply(es)
	}
	return m.do(operation{
		name:  fmt.Sprintf("store %d to %d", es[0].Index, es[n-1].Index),
		apply: func(m *model) { m.acked = append(m.acked, es...) },
		part:  func(*model) []*raft.Log { return es },
	}, func() error { return g.StoreLogs(es) })
}

func (m *model) do(op operation, call func() error) error {
	m.pending = &op
	if err := call(); err != nil {
		return err
	}
	op.apply(m)
	m.pending = nil
	return nil
}

// settle compares the recovered log with the model and takes over what became of the pending operation.
func (m *model) settle(l *log.Log) error {
	without := m.matches(l)
	if without == nil || m.pending == nil {
		m.pending = nil
		return without
	}
	op := m.pending
	m.pending = nil
	if op.part == nil {
		op.apply(m)
		if err := m.matches(l); err != nil {
			return fmt.Errorf("neither with nor without %s: %w", op.name, errors.Join(without, err))
		}
		return nil
	}
	for _, e := range op.part(m) {
		m.acked = append(m.acked, e)
		if m.matches(l) == nil {
			return nil
		}
	}
	return fmt.Errorf("no part of %s: %w", op.name, errors.Join(without, m.matches(l)))
}

func (m *model) matches(l *log.Log) error {
	g := l.Group(m.id)
	first, err1 := g.FirstIndex()
	last, err2 := g.LastIndex()
	if err := errors.Join(err1, err2); err != nil {
		return err
	}
	visible := m.visible()
	if len(visible) == 0 && (first != 0 || last != 0) || len(visible) > 0 && (first != m.first || last != m.last()) {
		return fmt.Errorf("group %d has %d to %d, want %d to %d", m.id, first, last, m.first, m.last())
	}
	for _, e := range m.acked {
		if m.live != nil && e.Index < m.first {
			if err := m.live.check(g, e); err != nil {
				return err
			}
			continue
		}
		var got raft.Log
		if e.Index < m.first {
			data, err := g.Payload(e.Index)
			got = *e
			if got.Data = data; err != nil {
				return err
			}
		} else if err := g.GetLog(e.Index, &got); err != nil {
			return err
		}
		if !same(&got, e) {
			return fmt.Errorf("group %d entry %d: got %s, want %s", m.id, e.Index, brief(&got), brief(e))
		}
	}
	return nil
}

func TestAcknowledgedSurvivesCrashes(t *testing.T) {
	seeds := uint64(200)
	if testing.Short() {
		seeds = 30
	}
	for s := range seeds {
		if *seed != 0 {
			s = *seed - 1
		}
		synctest.Test(t, func(t *testing.T) {
			if err := crashes(s + 1); err != nil {
				t.Fatalf("-seed=%d: %v", s+1, err)
			}
		})
		if *seed != 0 {
			break
		}
	}
}

// crashes runs several lives of one disk.
func crashes(seed uint64) error {
	rng := rand.New(rand.NewPCG(seed, 1))
	disk := memfs.New(seed)
	models := make([]*model, 1+rng.IntN(5))
	for i := range models {
		models[i] = &model{id: uint64(i), rng: rand.New(rand.NewPCG(seed, uint64(i)+2)), term: 1, first: 1}
	}
	cfg := log.Config{SegmentBytes: 64 << 10, CacheBytes: int64(rng.IntN(2)) << 16, ReadAheadBytes: 8 << 10, OpenFiles: 2, Logger: quiet}
	for life := range 8 {
		l, err := log.Open(disk, dir, cfg)
		if err != nil {
			return fmt.Errorf("life %d: %w", life, err)
		}
		if err := errors.Join(l.Damaged(), corruption(l)); err != nil {
			return fmt.Errorf("life %d: %w", life, err)
		}
		for _, m := range models {
			if err := m.settle(l); err != nil {
				return fmt.Errorf("life %d: %w", life, err)
			}
		}
		next, err := live(l, disk, models, rng)
		if err != nil {
			return fmt.Errorf("life %d: %w", life, err)
		}
		disk = next
	}
	return nil
}

func corruption(l *log.Log) error {
	var errs []error
	for _, err := range l.Corrupt() {
		errs = append(errs, err)
	}
	return errors.Join(errs...)
}

// live appends from all groups until the machine crashes, mostly during a sync, or now and then is
// stopped.
func live(l *log.Log, disk *memfs.FS, models []*model, rng *rand.Rand) (*memfs.FS, error) {
	r := run(l)
	disk.Slow(time.Duration(1+rng.IntN(3)) * time.Millisecond)
	var wg sync.WaitGroup
	errs := make([]error, len(models))
	for i, m := range models {
		wg.Go(func() {
			for errs[i] == nil {
				time.Sleep(time.Duration(m.rng.IntN(4000)) * time.Microsecond)
				errs[i] = m.step(l)
			}
			if errors.Is(errs[i], log.ErrStopped) {
				errs[i] = nil
			}
		})
	}
	time.Sleep(time.Duration(rng.IntN(250_000)) * time.Microsecond)
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

func TestWithoutSyncNothingIsAcknowledged(t *testing.T) {
	disk := memfs.New(1)
	l := start(t, disk, dir, small)
	store(t, l.Log, 1, entries(1, 1, 5, 1, 100))
	broken := errors.New("broken")
	disk.FailSync(broken)
	if err := l.Group(1).StoreLogs(entries(1, 6, 7, 1, 100)); !errors.Is(err, broken) || !errors.Is(err, log.ErrStopped) {
		t.Fatalf("store with a failing sync: %v", err)
	}
	if err := <-l.result; !errors.Is(err, broken) {
		t.Fatalf("run: %v", err)
	}
	syncs := disk.Syncs()
	disk.FailSync(nil)
	if err := l.Group(2).StoreLogs(entries(2, 1, 1, 1, 100)); !errors.Is(err, broken) {
		t.Fatalf("store after a failed sync: %v", err)
	}
	if disk.Syncs() != syncs {
		t.Fatal("a sync was tried again")
	}
	wantLog(t, l.Log, 1, entries(1, 1, 5, 1, 100))
	l.Close()
}

func TestWriteErrorEndsTheLog(t *testing.T) {
	disk := memfs.New(1)
	l := start(t, disk, dir, small)
	store(t, l.Log, 1, entries(1, 1, 5, 1, 100))
	broken := errors.New("broken")
	disk.FailWrites(broken)
	if err := l.Group(1).StoreLogs(entries(1, 6, 7, 1, 100)); !errors.Is(err, broken) {
		t.Fatalf("store: %v", err)
	}
	if err := <-l.result; !errors.Is(err, broken) {
		t.Fatalf("run: %v", err)
	}
	l.Close()
}
