package peer

import (
	"sync"
	"testing"
	"time"

	"github.com/warrenmq/warren/cluster/peer/memconn"
)

// heard is what a node has heard of the others' alarms.
type heard struct {
	mu   sync.Mutex
	of   map[string]uint32
	last map[string]time.Time
}

func (h *heard) option() nodeOption {
	return func(_ *Identity, _ *ServerConfig, _ *ConnsConfig, tc *TransportsConfig) {
		tc.Alarms = func(serverID string, alarms uint32) {
			h.mu.Lock()
			defer h.mu.Unlock()
			h.of[serverID], h.last[serverID] = alarms, time.Now()
		}
	}
}

func (h *heard) says(serverID string, alarms uint32) func() bool {
	return func() bool {
		h.mu.Lock()
		defer h.mu.Unlock()
		return h.of[serverID] == alarms
	}
}

func (h *heard) silence(serverID string) time.Duration {
	h.mu.Lock()
	defer h.mu.Unlock()
	return time.Since(h.last[serverID])
}

func TestAlarmsGoWithTheHeartbeats(t *testing.T) {
	bubble(t, func(t *testing.T) {
		network := memconn.New()
		h := &heard{of: make(map[string]uint32), last: make(map[string]time.Time)}
		a, b := startNode(t, network, "a@1", 1), startNode(t, network, "b@1", 1, h.option())
		if _, err := a.conns.Conn(b.id); err != nil {
			t.Fatal(err)
		}
		await(t, "a link", time.Second, func() bool { return a.conns.Up(b.id) })

		a.conns.TellAlarms(3)
		if took := await(t, "the alarm", time.Second, h.says(a.id, 3)); took > 500*time.Millisecond {
			t.Errorf("heard after %v, want it at once and not with the next beat", took)
		}
		for range 10 { // it is repeated, so that silence can count as an end
			time.Sleep(time.Second)
			if passed := h.silence(a.id); passed > 1500*time.Millisecond {
				t.Errorf("not repeated for %v", passed)
			}
		}
		a.conns.TellAlarms(0)
		await(t, "its end", 500*time.Millisecond, h.says(a.id, 0))

		// A link that comes up later begins with what there is.
		a.conns.TellAlarms(1)
		await(t, "the alarm", time.Second, h.says(a.id, 1))
		network.Vanish(nodeName(a.id))
		time.Sleep(5 * time.Second)
		if passed := h.silence(a.id); passed < 4*time.Second {
			t.Errorf("a node that is cut off was heard %v ago", passed)
		}
		network.Return(nodeName(a.id))
		h.mu.Lock()
		clear(h.of)
		h.mu.Unlock()
		await(t, "the alarm after the partition", 10*time.Second, h.says(a.id, 1))
	})
}
