package queue

import (
	"bytes"
	"encoding/binary"
	"math"
	"runtime"
	"strings"
	"testing"
	"time"
)

// allocated is how many bytes f allocates, by the least of a few runs.
func allocated(f func()) uint64 {
	least := uint64(math.MaxUint64)
	for range 3 {
		var before, after runtime.MemStats
		runtime.ReadMemStats(&before)
		f()
		runtime.ReadMemStats(&after)
		least = min(least, after.TotalAlloc-before.TotalAlloc)
	}
	return least
}

func le32(v uint32) []byte { return binary.LittleEndian.AppendUint32(nil, v) }
func le64(v uint64) []byte { return binary.LittleEndian.AppendUint64(nil, v) }

// publishOf makes a publish batch of free form.
func publishOf(messages, trailer []byte) []byte {
	b := append([]byte{batchVersion, kindPublish}, make([]byte, publishHead-2)...)
	b[publishHead-8] = 1
	b = append(b, messages...)
	at := uint32(len(b))
	return append(append(b, trailer...), le32(at)...)
}

func hostileBatches(t testing.TB) map[string][]byte {
	t.Helper()
	huge := binary.AppendUvarint(nil, math.MaxUint64)
	control := []byte{batchVersion, kindControl}
	many := func(n uint32, command []byte) []byte {
		return bytes.Join([][]byte{control, le32(n), bytes.Repeat(command, int(n))}, nil)
	}
	command := func(tag byte, rest ...[]byte) []byte {
		return append(append([]byte{tag}, le64(1)...), bytes.Join(rest, nil)...)
	}
	section := bytes.Join([][]byte{le32(1), le64(1), le32(1), le64(0), {0}}, nil)
	const n = 20_000
	offsets := append(le32(n), bytes.Repeat(le32(publishHead), n)...)
	wide := le32(n)
	for i := range uint64(n) {
		wide = append(wide, le64(i+1)...)
	}
	return map[string][]byte{
		"nothing":                         {},
		"a version alone":                 {1},
		"a head alone":                    control,
		"four thousand million commands":  append(control[:2:2], le32(math.MaxUint32)...),
		"four thousand million ranges":    many(1, command(tagSettle, []byte{1}, le64(0), le32(math.MaxUint32))),
		"a name of four thousand million": many(1, command(tagConfigure, le32(math.MaxUint32))),
		"a huge field":                    many(1, command(tagConfigure, le32(0), le32(0), le32(9), []byte{1}, le32(math.MaxUint32), make([]byte, 4))),
		"many small forgets":              many(n, command(tagForget)),
		"many small seals":                many(n, command(tagSeal, le32(1), le32(0))),
		"many small marks":                many(n, command(tagMark, le64(1000), le64(0))),
		"many settles of nothing":         many(n, command(tagSettle, []byte{1}, le64(0), le32(0))),
		"many requeues of nothing":        many(n, command(tagRequeue, le32(0), le32(0))),
		"many dead letters of nothing":    many(n, command(tagDeadLettered, le32(0))),
		"many held":                       many(n, command(tagHeld, le64(1), le64(1))),
		"many levels":                     many(n, command(tagLevel)),
		"many purges of nothing":          many(n, command(tagPurge, le64(0), le32(0))),
		"many empty configures":           many(n, command(tagConfigure, le32(0), le32(0), le32(0))),
		"many configures with names":      many(n, command(tagConfigure, le32(2), []byte("vh"), le32(2), []byte("qn"), le32(0))),
		"many settles of one":             many(n, command(tagSettle, []byte{1}, le64(0), le32(1), []byte{1, 0, 0, 0})),
		"many ranges":                     many(1, command(tagSettle, []byte{1}, le64(0), le32(n), bytes.Repeat([]byte{2, 0, 0, 0}, n))),
		"a publish batch of nothing":      publishOf(nil, nil),
		"an offset of the trailer behind": append(publishOf(nil, make([]byte, 8))[:publishHead+8], le32(math.MaxUint32)...),
		"a trailer inside the head":       append(publishOf(nil, make([]byte, 8))[:publishHead+8], le32(2)...),
		"four thousand million messages":  publishOf(nil, bytes.Join([][]byte{le32(math.MaxUint32), le32(1), section}, nil)),
		"four thousand million sections":  publishOf(nil, bytes.Join([][]byte{le32(0), le32(math.MaxUint32), section}, nil)),
		"four thousand million queues":    publishOf(nil, bytes.Join([][]byte{le32(1), le32(publishHead), le32(1), le32(math.MaxUint32), section}, nil)),
		"a section of all messages":       publishOf(nil, bytes.Join([][]byte{le32(1), le32(publishHead), le32(1), le32(1), le64(1), le32(math.MaxUint32), le64(0), {0}}, nil)),
		"a section of many bytes":         publishOf(nil, bytes.Join([][]byte{le32(1), le32(publishHead), le32(1), le32(1), le64(1), le32(1), le64(math.MaxUint64), {0}}, nil)),
		"many sections":                   publishOf([]byte{0, 0, 0, 0, 0}, bytes.Join([][]byte{offsets, le32(n), bytes.Repeat(section, n)}, nil)),
		"a message for many queues":       publishOf([]byte{0, 0, 0, 0, 0}, bytes.Join([][]byte{le32(1), le32(publishHead), le32(1), wide, le32(1), le64(0), {0}}, nil)),
		"a huge ttl":                      publishOf(append([]byte{hasTTL}, huge...), bytes.Join([][]byte{le32(1), le32(publishHead), le32(1), section}, nil)),
		"an exchange of huge length":      publishOf(append([]byte{0}, huge...), bytes.Join([][]byte{le32(1), le32(publishHead), le32(1), section}, nil)),
		"a body of huge length":           publishOf(append([]byte{0, 0, 0, 0}, huge...), bytes.Join([][]byte{le32(1), le32(publishHead), le32(1), section}, nil)),
		"a length without an end":         publishOf(append([]byte{0}, bytes.Repeat([]byte{0x80}, 40)...), bytes.Join([][]byte{le32(1), le32(publishHead), le32(1), section}, nil)),
	}
}

// TestHostileBatchesCostLittle: whatever a batch claims, reading it allocates no more than
// four times its length and 64 KiB; sixteen times where it is made of settings.
func TestHostileBatchesCostLittle(t *testing.T) {
	check := func(name string, batch []byte) {
		t.Helper()
		limit := uint64(4*len(batch) + 64<<10)
		if strings.Contains(name, "configures") {
			limit *= 4
		}
		if got := allocated(func() { _, _ = Decode(batch) }); got > limit {
			t.Errorf("%s: Decode of %d bytes allocates %d, limit %d", name, len(batch), got, limit)
		}
		if got := allocated(func() { _, _ = ReadMessage(batch, 0) }); got > limit {
			t.Errorf("%s: ReadMessage of %d bytes allocates %d, limit %d", name, len(batch), got, limit)
		}
		if got := allocated(func() { _ = Verify(batch) }); got > limit {
			t.Errorf("%s: Verify of %d bytes allocates %d, limit %d", name, len(batch), got, limit)
		}
	}
	for name, batch := range hostileBatches(t) {
		check(name, batch)
	}
	for _, batch := range seedBatches() {
		for n := range len(batch) { // cut short
			check("cut", batch[:n:n])
		}
		for i := 2; i < len(batch)-3; i++ { // a lying count, wherever one may be
			lie := bytes.Clone(batch)
			copy(lie[i:], []byte{0xff, 0xff, 0xff, 0xff})
			check("lie", lie)
		}
	}
}

// TestACutBatchIsRefused: no proper prefix of a batch is a batch.
func TestACutBatchIsRefused(t *testing.T) {
	for i, batch := range seedBatches() {
		if err := Verify(batch); err != nil {
			t.Fatalf("batch %d: %v", i, err)
		}
		for n := range len(batch) {
			if Verify(batch[:n:n]) == nil {
				t.Errorf("batch %d is taken when cut to %d of %d bytes", i, n, len(batch))
			}
		}
	}
	snapshot := seedState(t).AppendSnapshot(nil)
	for n := range len(snapshot) {
		if _, err := RestoreState(snapshot[:n:n]); err == nil {
			t.Errorf("a snapshot is taken when cut to %d of %d bytes", n, len(snapshot))
		}
	}
}

// TestALyingSnapshotCostsLittle overwrites every place of a snapshot with huge numbers.
func TestALyingSnapshotCostsLittle(t *testing.T) {
	s := seedState(t)
	s.Apply(Entry{Index: 9, AppendedAt: time.Unix(9, 9)})
	snapshot := s.AppendSnapshot(nil)
	lies := [][]byte{{0xff, 0xff, 0xff, 0xff}, {0xff, 0xff, 0xff, 0xff, 0x0f}, append(bytes.Repeat([]byte{0xff}, 9), 1)}
	for i := 1; i < len(snapshot); i++ {
		for _, lie := range lies {
			in := bytes.Clone(snapshot)
			copy(in[i:], lie)
			if got := allocated(func() { _, _ = RestoreState(in) }); got > uint64(16*len(in)+64<<10) {
				t.Errorf("a lie at byte %d: RestoreState of %d bytes allocates %d", i, len(in), got)
			}
		}
	}
}
