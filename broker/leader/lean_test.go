package leader

import (
	"runtime"
	"testing"
)

// What a busy time has left of a queue's maps does not stay for the queue's life.
func TestMapsThatWereLargeGiveTheirRoomBack(t *testing.T) {
	const n = 200_000
	heap := func() uint64 {
		runtime.GC()
		var m runtime.MemStats
		runtime.ReadMemStats(&m)
		return m.HeapAlloc
	}
	before := heap()
	q := &served{out: make(map[uint64]held)}
	s := &sub{}
	for seq := range uint64(n) {
		q.hold(seq+1, held{s: s})
	}
	for seq := range uint64(n - 10) {
		if _, ok := q.takeBack(s, seq+1); !ok {
			t.Fatalf("%d is not held", seq+1)
		}
	}
	for seq := range uint64(10) {
		if !q.isOut(n - seq) {
			t.Errorf("%d is not out any more", n-seq)
		}
	}
	q.above = nil // rise and sink see to it
	if kept := int64(heap()) - int64(before); kept > 1<<20 {
		t.Errorf("%d kB are kept for ten messages", kept>>10)
	}
	runtime.KeepAlive(q)
}
