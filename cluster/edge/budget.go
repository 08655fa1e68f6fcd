package edge

import (
	"context"
	"slices"
	"sync"
)

// budget bounds the bytes that a session keeps. One message is always let in,
// however large. Who waits is let in by turns: a large message would else wait
// for ever behind small ones that fit.
type budget struct {
	mu    sync.Mutex
	used  int
	limit int
	line  []*turn
}

// turn is one that waits.
type turn struct {
	n  int
	in chan struct{} // closed when its bytes are taken
}

// fits tells whether n bytes are let in now. The caller holds mu.
func (b *budget) fits(n int) bool { return b.used == 0 || b.used+n <= b.limit }

// acquire takes n bytes, waiting while the bound is exceeded.
func (b *budget) acquire(ctx context.Context, n int) error {
	b.mu.Lock()
	if len(b.line) == 0 && b.fits(n) {
		b.used += n
		b.mu.Unlock()
		return nil
	}
	t := &turn{n: n, in: make(chan struct{})}
	b.line = append(b.line, t)
	b.mu.Unlock()
	select {
	case <-t.in:
		return nil
	case <-ctx.Done():
	}
	b.mu.Lock()
	defer b.mu.Unlock()
	if i := slices.Index(b.line, t); i >= 0 {
		b.line = slices.Delete(b.line, i, i+1)
	} else { // let in at the same moment
		b.used -= n
	}
	b.admit()
	return ctx.Err()
}

// release gives n bytes back.
func (b *budget) release(n int) {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.used -= n
	b.admit()
}

// admit lets in whose turn it is. The caller holds mu.
func (b *budget) admit() {
	n := 0
	for n < len(b.line) && b.fits(b.line[n].n) {
		b.used += b.line[n].n
		close(b.line[n].in)
		n++
	}
	b.line = slices.Delete(b.line, 0, n)
}
