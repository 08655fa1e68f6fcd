package peer

import (
	"context"
	"sync"
	"time"
)

// throttle bounds the bytes a second of all snapshots that this node sends, so that
// they leave room for what clients wait for.
type throttle struct {
	perSecond int64

	mu   sync.Mutex
	next time.Time // when the next bytes may go
}

// take waits until n more bytes may be sent.
func (t *throttle) take(ctx context.Context, n int) error {
	t.mu.Lock()
	now := time.Now()
	if t.next.Before(now) {
		t.next = now
	}
	wait := t.next.Sub(now)
	t.next = t.next.Add(time.Duration(int64(n) * int64(time.Second) / t.perSecond))
	t.mu.Unlock()
	if wait > 0 {
		pause(ctx, wait)
	}
	return ctx.Err()
}
