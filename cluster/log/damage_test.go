package log_test

import (
	"errors"
	"math/rand/v2"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/hashicorp/raft"

	"github.com/warrenmq/warren/cluster/log"
	"github.com/warrenmq/warren/cluster/log/memfs"
)

// written is a stopped disk and what is on it.
type written struct {
	disk     *memfs.FS
	segments []string // with records
	end      int64    // of the records of the last one
	want     map[uint64][]*raft.Log
}

// writeGroups fills a disk with three groups' entries.
func writeGroups(t *testing.T, count uint64, size int) *written {
	t.Helper()
	w := &written{disk: memfs.New(1), want: map[uint64][]*raft.Log{}}
	l := start(t, w.disk, dir, small)
	for i := uint64(1); i <= count; i++ {
		for g := uint64(1); g <= 3; g++ {
			e := entry(g, i, 1, size)
			w.want[g] = append(w.want[g], e)
			store(t, l.Log, g, []*raft.Log{e})
		}
	}
	if err := l.Group(2).DeleteRange(count, count); err != nil {
		t.Fatal(err)
	}
	w.want[2] = w.want[2][:count-1]
	l.mustEnd(t)
	names, err := w.disk.ReadDir(dir)
	if err != nil {
		t.Fatal(err)
	}
	for _, name := range names {
		if !strings.HasSuffix(name, ".seg") {
			continue
		}
		b, err := w.disk.Peek(dir + "/" + name)
		if err != nil {
			t.Fatal(err)
		}
		if end := int64(len(strings.TrimRight(string(b), "\x00"))); end > 4096 {
			w.segments, w.end = append(w.segments, dir+"/"+name), end
		}
	}
	return w
}

// check opens a damaged disk: each group is as it was, or refuses, or refuses the entries that are
// damaged. It returns how many are corrupt.
func (w *written) check(t *testing.T, disk *memfs.FS, what string, at int64) int {
	t.Helper()
	l, err := log.Open(disk, dir, log.Config{SegmentBytes: small.SegmentBytes, Logger: quiet})
	if err != nil {
		if !errors.Is(err, log.ErrCorrupt) {
			t.Fatalf("%s at %d: open: %v", what, at, err)
		}
		return len(w.want)
	}
	defer l.Close()
	for group, want := range w.want {
		g := l.Group(group)
		var e raft.Log
		for _, x := range want {
			err := g.GetLog(x.Index, &e)
			if err == nil && !same(&e, x) || err != nil && !errors.Is(err, log.ErrCorrupt) {
				t.Fatalf("%s at %d: group %d entry %d: %v, %s", what, at, group, x.Index, err, brief(&e))
			}
		}
		last, err := g.LastIndex()
		if err != nil {
			continue
		}
		if last != want[len(want)-1].Index {
			t.Fatalf("%s at %d: group %d ends at %d, not %d, and nobody says so", what, at, group, last, want[len(want)-1].Index)
		}
	}
	return len(l.Corrupt())
}

func flip(t *testing.T, disk *memfs.FS, name string, at int64, bit int) {
	t.Helper()
	b, err := disk.Peek(name)
	if err != nil {
		t.Fatal(err)
	}
	if err := disk.Poke(name, []byte{b[at] ^ 1<<bit}, at); err != nil {
		t.Fatal(err)
	}
}

func TestFlippedBitsAreFound(t *testing.T) {
	rng := rand.New(rand.NewPCG(1, 1))
	t.Run("unsealed", func(t *testing.T) {
		w := writeGroups(t, 12, 60)
		corrupt := 0
		for at := int64(4096); at < w.end; at += 1 + rng.Int64N(4) {
			disk := w.disk.Clone()
			flip(t, disk, w.segments[0], at, rng.IntN(8))
			corrupt += w.check(t, disk, "flip", at)
		}
		if corrupt == 0 {
			t.Fatal("nothing was corrupt")
		}
	})
	t.Run("anywhere", func(t *testing.T) {
		w := writeGroups(t, 150, 700)
		if len(w.segments) < 4 {
			t.Fatalf("%d segments", len(w.segments))
		}
		for range 400 {
			name := w.segments[rng.IntN(len(w.segments))]
			disk := w.disk.Clone()
			b, err := disk.Peek(name)
			if err != nil {
				t.Fatal(err)
			}
			at := rng.Int64N(int64(len(b)))
			if rng.IntN(3) == 0 {
				at = max(0, int64(len(b))-1-rng.Int64N(1200)) // the footer
			}
			flip(t, disk, name, at, rng.IntN(8))
			w.check(t, disk, name+": flip", at)
		}
	})
}

func TestLostBlocksAreFound(t *testing.T) {
	w := writeGroups(t, 40, 300)
	rng := rand.New(rand.NewPCG(2, 2))
	for at := int64(4096); at < w.end-4096; at += 512 {
		disk := w.disk.Clone()
		garbage := make([]byte, 512*(1+rng.IntN(6)))
		if rng.IntN(2) == 0 {
			for i := range garbage {
				garbage[i] = byte(rng.Uint32())
			}
		}
		if err := disk.Poke(w.segments[len(w.segments)-1], garbage, at); err != nil {
			t.Fatal(err)
		}
		if w.check(t, disk, "lost block", at) == 0 {
			t.Fatalf("lost block at %d: no group is corrupt", at)
		}
	}
}

func TestCutFilesAreFound(t *testing.T) {
	w := writeGroups(t, 12, 60)
	for at := int64(0); at < w.end; at += 8 {
		disk := w.disk.Clone()
		if err := disk.Cut(w.segments[0], at); err != nil {
			t.Fatal(err)
		}
		if w.check(t, disk, "cut", at) == 0 {
			t.Fatalf("cut at %d: no group is corrupt", at)
		}
	}
	w = writeGroups(t, 150, 700)
	for i, name := range w.segments {
		for _, keep := range []int64{4096, 5000, 60000} {
			disk := w.disk.Clone()
			if err := disk.Cut(name, keep); err != nil {
				t.Fatal(err)
			}
			if w.check(t, disk, name+": cut", keep) == 0 {
				t.Fatalf("segment %d cut at %d: no group is corrupt", i, keep)
			}
		}
		if i == len(w.segments)-1 {
			continue // nothing tells that there was one more
		}
		disk := w.disk.Clone()
		if err := disk.Remove(name); err != nil {
			t.Fatal(err)
		}
		if w.check(t, disk, name+": removed", 0) == 0 {
			t.Fatalf("segment %d removed: no group is corrupt", i)
		}
	}
}

func TestOtherGroupsGoOnBesideACorruptOne(t *testing.T) {
	w := writeGroups(t, 12, 60)
	name := w.segments[0]
	b, err := w.disk.Peek(name)
	if err != nil {
		t.Fatal(err)
	}
	at := int64(strings.Index(string(b), string(content(3, 5, 1, 60)))) + 30
	flip(t, w.disk, name, at, 3)
	for life := range 3 { // the damage is found again at every start
		l := start(t, w.disk, dir, small)
		if c := l.Corrupt(); len(c) != 1 || !errors.Is(c[3], log.ErrCorrupt) || l.Damaged() != nil {
			t.Fatalf("life %d: corrupt: %v", life, c)
		}
		if err := l.Group(3).StoreLogs(entries(3, 13, 13, 1, 10)); !errors.Is(err, log.ErrCorrupt) {
			t.Fatalf("life %d: store: %v", life, err)
		}
		if _, err := l.Group(3).FirstIndex(); !errors.Is(err, log.ErrCorrupt) {
			t.Fatalf("life %d: first: %v", life, err)
		}
		next := w.want[1][len(w.want[1])-1].Index + 1
		for i := range uint64(200) {
			e := entry(1, next+i, 2, 700)
			store(t, l.Log, 1, []*raft.Log{e})
			w.want[1] = append(w.want[1], e)
		}
		wantLog(t, l.Log, 1, w.want[1])
		wantLog(t, l.Log, 2, w.want[2])
		l.mustEnd(t)
	}
	l := start(t, w.disk, dir, small)
	if err := l.DropGroup(3); err != nil {
		t.Fatal(err)
	}
	again := entries(3, 1, 20, 9, 100)
	store(t, l.Log, 3, again)
	l.mustEnd(t)
	l = start(t, w.disk, dir, small)
	if c := l.Corrupt(); len(c) > 0 {
		t.Fatalf("after the drop: %v", c)
	}
	wantLog(t, l.Log, 3, again)
	wantLog(t, l.Log, 1, w.want[1])
	l.mustEnd(t)
}

func TestDamageFoundWhileReadingIsReported(t *testing.T) {
	w := writeGroups(t, 150, 700)
	b, err := w.disk.Peek(w.segments[0])
	if err != nil {
		t.Fatal(err)
	}
	at := int64(strings.Index(string(b), string(content(2, 9, 1, 700)))) + 500
	flip(t, w.disk, w.segments[0], at, 0)
	var reported []uint64
	cfg := small
	cfg.OnCorrupt = func(group uint64, err error) { reported = append(reported, group) }
	l := start(t, w.disk, dir, cfg)
	if c := l.Corrupt(); len(c) > 0 {
		t.Fatalf("sealed segments were read: %v", c)
	}
	var e raft.Log
	for i := uint64(1); i < 9; i++ { // in order, so that the damaged one is read ahead
		if err := l.Group(2).GetLog(i, &e); err != nil || !same(&e, w.want[2][i-1]) {
			t.Fatalf("entry %d: %v", i, err)
		}
	}
	for range 2 {
		if _, err := l.Group(2).Payload(9); !errors.Is(err, log.ErrCorrupt) {
			t.Fatalf("damaged entry: %v", err)
		}
	}
	if len(reported) != 1 || reported[0] != 2 || l.Corrupt()[2] == nil {
		t.Fatalf("reported %v, %v", reported, l.Corrupt())
	}
	wantLog(t, l.Log, 1, w.want[1])
	l.mustEnd(t)
}

func TestNewerFormatIsRefused(t *testing.T) {
	w := writeGroups(t, 3, 60)
	b, err := w.disk.Peek(w.segments[0])
	if err != nil {
		t.Fatal(err)
	}
	newer := log.NewerHeader(b[:4096])
	if err := w.disk.Poke(w.segments[0], newer, 0); err != nil {
		t.Fatal(err)
	}
	if _, err := log.Open(w.disk, dir, small); !errors.Is(err, log.ErrNewer) {
		t.Fatalf("open: %v", err)
	}
}

// What stands behind a torn tail must not come back when later records end where it begins.
func TestTornTailIsWiped(t *testing.T) {
	disk := memfs.New(1)
	l := start(t, disk, dir, small)
	store(t, l.Log, 1, entries(1, 1, 2, 1, 1000))
	store(t, l.Log, 1, entries(1, 3, 6, 1, 1000)) // one write
	l.mustEnd(t)
	name := dir + "/0000000000000001.seg"
	b, err := disk.Peek(name)
	if err != nil {
		t.Fatal(err)
	}
	third := int64(strings.Index(string(b), string(content(1, 3, 1, 1000)))) - 56
	sixth := int64(strings.Index(string(b), string(content(1, 6, 1, 1000))))
	// Of that write the fourth and fifth entry got to the disk; the last has no mark behind it.
	for at, n := range map[int64]int64{third: 512, sixth: int64(len(b)) - sixth} {
		if err := disk.Poke(name, make([]byte, n), at); err != nil {
			t.Fatal(err)
		}
	}
	r := open(t, disk, dir, small)
	wantLog(t, r, 1, entries(1, 1, 2, 1, 1000))
	if len(r.Corrupt()) > 0 {
		t.Fatalf("a torn tail is no corruption: %v", r.Corrupt())
	}
	if b, err = disk.Peek(name); err != nil || strings.Trim(string(b[third:]), "\x00") != "" {
		t.Fatalf("the torn tail is still there: %v", err)
	}
	r.Close()
}

// The next segment says that the one before it was synced to its end.
func TestDamageAtTheEndOfASegmentThatIsNotYetSealed(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		disk := memfs.New(1)
		l := start(t, disk, dir, small)
		synctest.Wait()
		disk.Slow(time.Millisecond)
		last := uint64(0)
		for l.Stats().Segments < 2 {
			last++
			store(t, l.Log, last%2+1, []*raft.Log{entry(last%2+1, (last+1)/2, 1, 1000)})
		}
		name := dir + "/0000000000000001.seg"
		for _, at := range []int{10, 500, 1000} {
			disk := disk.Clone() // before the keeper gets to sealing
			b, err := disk.Peek(name)
			if err != nil {
				t.Fatal(err)
			}
			record := strings.Index(string(b), string(content((last-1)%2+1, last/2, 1, 1000))) - 56
			if record < 0 {
				t.Fatal("the last record is not where it should be")
			}
			flip(t, disk, name, int64(record+at), 1)
			r := open(t, disk, dir, small)
			if len(r.Corrupt()) == 0 {
				t.Fatalf("flip at %d of the last record: taken for a torn write", at)
			}
			r.Close()
		}
		l.mustEnd(t)
	})
}
