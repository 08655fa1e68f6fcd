package cluster

import (
	"testing"
	"time"
)

func TestThreeNodesBecomeWhole(t *testing.T) {
	w, err := Run(within(t, 30*time.Second), Options{})
	if err != nil {
		t.Fatal(err)
	}
	defer func() {
		if err := w.Close(); err != nil {
			t.Error(err)
		}
	}()
	if err := w.Nodes[0].Kill(); err != nil {
		t.Fatal(err)
	}
	if err := w.Start(within(t, 30*time.Second)); err != nil {
		t.Fatal(err)
	}
	if err := w.AwaitWhole(within(t, 30*time.Second)); err != nil {
		t.Fatal(err)
	}
	if err := w.Stop(within(t, 30*time.Second)); err != nil {
		t.Fatal(err)
	}
	for _, n := range w.Nodes {
		if n.ExitCode() != 0 {
			t.Errorf("%s ended with %d after SIGTERM:\n%s", n.Name, n.ExitCode(), n.Log.Tail(10))
		}
	}
}
