package leader

import (
	"slices"
	"sync"

	"github.com/warrenmq/warren/broker/queue"
)

// inbox is what others ask of an engine. It is bounded by what asks: each
// edge has a bounded number of requests under way, each entry touches each
// queue once.
type inbox struct {
	ready  chan struct{} // holds one token while there is something to take
	closed chan struct{}
	state  *inboxState
}

type inboxState struct {
	mu      sync.Mutex
	ended   bool
	posted  []func()
	touched []queue.ID
}

func newInbox() inbox {
	return inbox{ready: make(chan struct{}, 1), closed: make(chan struct{}), state: &inboxState{}}
}

// post leaves f to the engine's goroutine; false when that has ended.
func (b *inbox) post(f func()) bool {
	b.state.mu.Lock()
	defer b.state.mu.Unlock()
	if b.state.ended {
		return false
	}
	b.state.posted = append(b.state.posted, f)
	b.wake()
	return true
}

func (b *inbox) touch(ids []queue.ID) {
	b.state.mu.Lock()
	defer b.state.mu.Unlock()
	if b.state.ended {
		return
	}
	for _, id := range ids {
		// The same few queues are touched again and again: a short list stays short.
		if n := len(b.state.touched); n > 0 && slices.Contains(b.state.touched[max(0, n-8):], id) {
			continue
		}
		b.state.touched = append(b.state.touched, id)
	}
	b.wake()
}

func (b *inbox) wake() {
	select {
	case b.ready <- struct{}{}:
	default:
	}
}

func (b *inbox) take() (posted []func(), touched []queue.ID) {
	b.state.mu.Lock()
	defer b.state.mu.Unlock()
	posted, touched = b.state.posted, b.state.touched
	b.state.posted, b.state.touched = nil, nil
	return posted, touched
}

func (b *inbox) close() {
	b.state.mu.Lock()
	defer b.state.mu.Unlock()
	if !b.state.ended {
		b.state.ended = true
		b.state.posted, b.state.touched = nil, nil
		close(b.closed)
	}
}
