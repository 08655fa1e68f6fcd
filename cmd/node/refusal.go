package node

import "sync"

// reason is why this node takes no leadership of queue groups. There may be several at
// once, and the end of one does not end another.
type reason uint8

const (
	maintenance reason = 1 << iota
	shortOfDisk
	ending
)

// refusal is this node's reasons.
type refusal struct {
	mu      sync.Mutex
	reasons reason
}

// set adds a reason or takes it away, and passes on whether one is left, in order.
func (r *refusal) set(one reason, holds bool, yield func(bool)) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if holds {
		r.reasons |= one
	} else {
		r.reasons &^= one
	}
	yield(r.reasons != 0)
}

func (r *refusal) is(one reason) bool {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.reasons&one != 0
}

// refuse lets the host yield while there is a reason.
func (n *Node) refuse(one reason, holds bool) { n.refusal.set(one, holds, n.host.Yield) }
