package cluster

import (
	"context"
	"errors"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

func testNode(t *testing.T, script string) *Node {
	t.Helper()
	dir := t.TempDir()
	log, err := newLines(filepath.Join(dir, "log"))
	if err != nil {
		t.Fatal(err)
	}
	n := &Node{Name: "t", Dir: dir, Log: log, argv: []string{"/bin/sh", "-c", script}, env: os.Environ(), readyLine: "up"}
	t.Cleanup(func() {
		if err := errors.Join(n.Kill(), log.close()); err != nil {
			t.Error(err)
		}
	})
	return n
}

func within(t *testing.T, d time.Duration) context.Context {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), d)
	t.Cleanup(cancel)
	return ctx
}

func TestNodeIsKilledWithWhatItStarted(t *testing.T) {
	n := testNode(t, "sleep 100 & echo up; wait")
	for range 2 { // and starts again
		if err := n.Start(); err != nil {
			t.Fatal(err)
		}
		if err := n.AwaitReady(within(t, 10*time.Second)); err != nil {
			t.Fatal(err)
		}
		children := session(n.PID())
		if len(children) != 1 {
			t.Fatalf("children: %v, want one", children)
		}
		if _, err := n.Usage(); err != nil {
			t.Error(err)
		}
		if err := n.Kill(); err != nil {
			t.Fatal(err)
		}
		if n.Running() {
			t.Error("runs after Kill")
		}
	}
	if got := len(n.Log.Matching(0, "up")); got != 2 {
		t.Errorf("%d ready lines of two starts", got)
	}
}

func TestNodeThatEndsIsNotReady(t *testing.T) {
	n := testNode(t, "echo busy port; exit 1")
	if err := n.Start(); err != nil {
		t.Fatal(err)
	}
	err := n.AwaitReady(within(t, 10*time.Second))
	if err == nil || !strings.Contains(err.Error(), "busy port") {
		t.Errorf("AwaitReady: %v, want the log of the end", err)
	}
	if n.ExitCode() != 1 {
		t.Errorf("exit code %d", n.ExitCode())
	}
}

func TestPausedNodeStopsOnRequest(t *testing.T) {
	n := testNode(t, "trap 'echo bye; exit 0' TERM; echo up; while :; do sleep 0.01; done")
	if err := n.Start(); err != nil {
		t.Fatal(err)
	}
	if err := n.AwaitReady(within(t, 10*time.Second)); err != nil {
		t.Fatal(err)
	}
	if err := n.Pause(); err != nil {
		t.Fatal(err)
	}
	if err := n.Stop(within(t, 10*time.Second)); err != nil {
		t.Fatal(err)
	}
	if got := n.Log.Matching(0, "bye"); len(got) != 1 {
		t.Errorf("log: %q, want one goodbye", n.Log.Tail(5))
	}
}

func TestLongLinesAreCut(t *testing.T) {
	n := testNode(t, "head -c 200000 /dev/zero | tr '\\0' x; echo; echo up")
	if err := n.Start(); err != nil {
		t.Fatal(err)
	}
	if err := n.AwaitReady(within(t, 10*time.Second)); err != nil {
		t.Fatal(err)
	}
	for _, l := range n.Log.Since(0) {
		if len(l) > maxLine {
			t.Errorf("a line of %d bytes", len(l))
		}
	}
}

func TestFreeAddressesAreBelowOutgoingPorts(t *testing.T) {
	addrs, err := freeAddresses(9)
	if err != nil {
		t.Fatal(err)
	}
	for _, a := range addrs {
		l, err := net.Listen("tcp", a)
		if err != nil {
			t.Error(err)
			continue
		}
		if p := l.Addr().(*net.TCPAddr).Port; p < firstPort || p > lastPort {
			t.Errorf("port %d", p)
		}
		l.Close()
	}
}

func TestUsageOfABusyProcessGrows(t *testing.T) {
	cmd := exec.CommandContext(within(t, 20*time.Second), "/bin/sh", "-c", "i=0; while [ $i -lt 300000 ]; do i=$((i+1)); done; echo done; read x")
	in, err := cmd.StdinPipe()
	if err != nil {
		t.Fatal(err)
	}
	out, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	out.Read(make([]byte, 8)) // it has counted
	u, err := usage(cmd.Process.Pid)
	in.Close()
	cmd.Wait()
	if err != nil || u.CPU < 20*time.Millisecond || u.RSS < 100<<10 {
		t.Errorf("usage %+v, %v", u, err)
	}
}

func TestOldLinesAreDroppedNotRenumbered(t *testing.T) {
	l, err := newLines(filepath.Join(t.TempDir(), "log"))
	if err != nil {
		t.Fatal(err)
	}
	defer l.close()
	for i := range maxLines + 10 {
		l.add(strings.Repeat("x", i%3))
	}
	mark := l.Mark()
	if mark != maxLines+10 {
		t.Errorf("Mark: %d after %d lines", mark, maxLines+10)
	}
	l.add("the last")
	if got := l.Since(mark); len(got) != 1 || got[0] != "the last" {
		t.Errorf("Since: %q", got)
	}
	if got := len(l.Since(0)); got > maxLines {
		t.Errorf("%d lines kept", got)
	}
}
