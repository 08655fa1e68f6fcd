package meta

import (
	"context"
	"sync"
)

// progress lets many wait for an index to be applied.
type progress struct {
	mu      sync.Mutex
	index   uint64
	reached chan struct{} // closed and dropped when index grows; nil: nobody waits
}

func (p *progress) reach(index uint64) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if index <= p.index {
		return
	}
	p.index = index
	if p.reached != nil {
		close(p.reached)
		p.reached = nil
	}
}

// await returns when the index is applied or ctx ends, with what is applied.
func (p *progress) await(ctx context.Context, index uint64) uint64 {
	for {
		p.mu.Lock()
		applied := p.index
		if applied >= index {
			p.mu.Unlock()
			return applied
		}
		if p.reached == nil {
			p.reached = make(chan struct{})
		}
		reached := p.reached
		p.mu.Unlock()
		select {
		case <-reached:
		case <-ctx.Done():
			return applied
		}
	}
}

func (p *progress) now() uint64 {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.index
}
