package edge

import (
	"testing"
	"testing/synctest"

	"github.com/warrenmq/warren/broker/leader"
	"github.com/warrenmq/warren/broker/queue"
	"github.com/warrenmq/warren/broker/transient"
)

// Dead letters out of memory do not stand in line behind what waits for the room
// that they would leave; those out of a log do.
func TestDeadLettersOutOfMemoryDoNotWaitForRoom(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		l := &local{}
		t.Cleanup(l.lead(transient.NewLog(1<<20, func([]queue.ID) {}), leader.Config{}))
		e := newEdge(t, l)
		e.cfg.HomeAlive = func(leader.EdgeID) bool { return true }
		e.cfg.Locate = func(queue.ID) (Target, bool) { return Target{Home: "self", Epoch: 1}, true }
		publish := func(m queue.Message, to *tally, tag uint64) {
			m.Body, m.TTL = make([]byte, 256<<10), queue.NoTTL
			if err := e.Publish(t.Context(), []queue.ID{1}, &m, Receipt{Confirms: to, Tag: tag}); err != nil {
				t.Fatal(err)
			}
			synctest.Wait()
		}
		clients, logged, moved := &tally{seen: map[uint64]int{}}, &tally{seen: map[uint64]int{}}, &tally{seen: map[uint64]int{}}
		for tag := range uint64(8) {
			publish(queue.Message{}, clients, tag)
		}
		publish(queue.Message{Died: true}, logged, 1)
		for tag := range uint64(3) {
			publish(queue.Message{Died: true, Moves: true}, moved, tag)
		}
		if clients.count() > 4 || logged.count() != 0 {
			t.Errorf("%d messages of clients and %d dead letters out of a log found room for four", clients.count(), logged.count())
		}
		if moved.count() != 3 {
			t.Errorf("%d of 3 dead letters out of memory were taken", moved.count())
		}
	})
}
