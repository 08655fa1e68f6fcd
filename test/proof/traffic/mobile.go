package traffic

import (
	"context"
	"fmt"
	"sync/atomic"
)

// mobile is a client that can be told to go to another node.
type mobile struct {
	moves chan move
	node  atomic.Pointer[string] // nil while it has no connection
}

type move struct {
	to   string
	done chan struct{}
}

func newMobile() *mobile { return &mobile{moves: make(chan move)} }

// Node is the address of the node it is connected to now, "" when none.
func (m *mobile) Node() string {
	if a := m.node.Load(); a != nil {
		return *a
	}
	return ""
}

// Move goes to another node in order: a publisher has all confirmed before, a
// consumer has acknowledged all that it has. It returns when the client is there.
func (m *mobile) Move(ctx context.Context, addr string) error {
	if m.Node() == addr {
		return nil
	}
	request := move{to: addr, done: make(chan struct{})}
	select {
	case m.moves <- request:
	case <-ctx.Done():
		return fmt.Errorf("move to %s: %w", addr, ctx.Err())
	}
	select {
	case <-request.done:
		return nil
	case <-ctx.Done():
		return fmt.Errorf("move to %s: %w", addr, ctx.Err())
	}
}
