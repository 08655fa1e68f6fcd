package edge

import (
	"context"
	"sync"
)

// budget bounds the bytes that a session keeps. One message is always let in,
// however large.
type budget struct {
	mu    sync.Mutex
	used  int
	limit int
	freed chan struct{} // closed and replaced when bytes are given back while somebody waits
}

// acquire takes n bytes, waiting while the bound is exceeded.
func (b *budget) acquire(ctx context.Context, n int) error {
	for {
		b.mu.Lock()
		if b.used == 0 || b.used+n <= b.limit {
			b.used += n
			b.mu.Unlock()
			return nil
		}
		if b.freed == nil {
			b.freed = make(chan struct{})
		}
		freed := b.freed
		b.mu.Unlock()
		select {
		case <-freed:
		case <-ctx.Done():
			return ctx.Err()
		}
	}
}

// release gives n bytes back.
func (b *budget) release(n int) {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.used -= n
	if b.freed != nil && b.used <= b.limit/2 {
		close(b.freed)
		b.freed = nil
	}
}
