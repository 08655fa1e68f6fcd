package watchdog

import (
	"errors"
	"testing"
)

func TestOnlyOneLongOperationIsAStall(t *testing.T) {
	var p Pulse
	w := On(&p)
	stalled := func(n int) (any bool) {
		for range n {
			any = any || w.Stalled()
		}
		return any
	}
	if stalled(100) {
		t.Fatal("idle")
	}
	for range 100 {
		p.Begin()
		if stalled(ticks) {
			t.Fatal("many short operations")
		}
		p.End()
	}
	p.Begin()
	if !stalled(ticks + 1) {
		t.Fatal("a long operation was not found")
	}
	p.End()
	if stalled(100) {
		t.Fatal("idle again")
	}
	broken := errors.New("broken")
	done := 0
	err := p.Each(func() error { done++; return nil }, func() error { return broken }, func() error { done++; return nil })
	if !errors.Is(err, broken) || done != 1 {
		t.Fatalf("%v after %d", err, done)
	}
}
