package compat

import (
	"bytes"
	"context"
	"encoding/json"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/warrenmq/warren/test/cluster"
)

// TestRefusalsToStart: what an operator gets wrong is one clear line and exit code 1.
func TestRefusalsToStart(t *testing.T) {
	if rabbit() {
		t.Skip("RabbitMQ has lines of its own")
	}
	tests := []struct {
		name string
		make func(t *testing.T) (args []string, want []string)
	}{
		{"a busy AMQP port", func(t *testing.T) ([]string, []string) {
			l, err := net.Listen("tcp", "127.0.0.1:0")
			if err != nil {
				t.Fatal(err)
			}
			t.Cleanup(func() { l.Close() })
			return []string{"--listen", l.Addr().String()}, []string{l.Addr().String(), "in use"}
		}},
		{"a busy peer port", func(t *testing.T) ([]string, []string) {
			l, err := net.Listen("tcp", "127.0.0.1:0")
			if err != nil {
				t.Fatal(err)
			}
			t.Cleanup(func() { l.Close() })
			return []string{"--peer", l.Addr().String()}, []string{l.Addr().String(), "in use"}
		}},
		{"a folder that cannot be made", func(t *testing.T) ([]string, []string) {
			file := filepath.Join(t.TempDir(), "file")
			if err := os.WriteFile(file, nil, 0o644); err != nil {
				t.Fatal(err)
			}
			return []string{"--data", filepath.Join(file, "data")}, []string{file}
		}},
		{"a folder in use", func(t *testing.T) ([]string, []string) {
			w, err := cluster.Run(limit(t, 30*time.Second), cluster.Options{Size: 1})
			if err != nil {
				t.Fatal(err)
			}
			t.Cleanup(func() { w.Close() })
			return []string{"--data", w.Nodes[0].Dir}, []string{w.Nodes[0].Dir, "in use by another process"}
		}},
		{"a folder of a newer version", func(t *testing.T) ([]string, []string) {
			return []string{"--data", newerFolder(t)}, []string{"newer version"}
		}},
		{"an unknown flag", func(*testing.T) ([]string, []string) {
			return []string{"--lisen", "x"}, []string{"--lisen"}
		}},
		{"a short secret", func(*testing.T) ([]string, []string) {
			return []string{"--secret", "short"}, []string{"secret", "16"}
		}},
		{"an address of the outside without a secret", func(*testing.T) ([]string, []string) {
			return []string{"--gossip", "0.0.0.0:0"}, []string{"secret", "loopback"}
		}},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			args, want := tt.make(t)
			code, out := start(t, args)
			if code != 1 {
				t.Errorf("exit code %d, want 1", code)
			}
			lines := strings.Split(strings.TrimSpace(out), "\n")
			last := lines[len(lines)-1]
			for _, part := range want {
				if !strings.Contains(last, part) {
					t.Errorf("the last line is %q, want %q in it", last, part)
				}
			}
			for _, l := range lines[:len(lines)-1] {
				if strings.Contains(l, "level=ERROR") || strings.Contains(l, "goroutine") {
					t.Errorf("more than one line about it:\n%s", out)
				}
			}
		})
	}
}

func limit(t *testing.T, d time.Duration) context.Context {
	ctx, cancel := context.WithTimeout(t.Context(), d)
	t.Cleanup(cancel)
	return ctx
}

// start runs a single node that should not start; later arguments win.
func start(t *testing.T, args []string) (code int, out string) {
	t.Helper()
	bin, err := cluster.Binary()
	if err != nil {
		t.Fatal(err)
	}
	all := []string{"server", "--name", "alone", "--data", filepath.Join(t.TempDir(), "data")}
	for _, flag := range []string{"--listen", "--gossip", "--peer"} {
		addr, err := cluster.FreeAddress()
		if err != nil {
			t.Fatal(err)
		}
		all = append(all, flag, addr)
	}
	cmd := exec.CommandContext(limit(t, 20*time.Second), bin, append(all, args...)...)
	var buf bytes.Buffer
	cmd.Stdout, cmd.Stderr = &buf, &buf
	if err := cmd.Run(); err == nil {
		t.Fatalf("it started and ended well:\n%s", buf.String())
	}
	return cmd.ProcessState.ExitCode(), buf.String()
}

// newerFolder is the folder of a node, marked as a later format's.
func newerFolder(t *testing.T) string {
	t.Helper()
	w, err := cluster.Run(limit(t, 30*time.Second), cluster.Options{Size: 1})
	if err != nil {
		t.Fatal(err)
	}
	w.Keep()
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { os.RemoveAll(w.Dir) })
	dir := w.Nodes[0].Dir
	file := filepath.Join(dir, "node.json")
	b, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	var id map[string]any
	if err := json.Unmarshal(b, &id); err != nil {
		t.Fatal(err)
	}
	id["format"] = 1000
	if b, err = json.Marshal(id); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(file, b, 0o644); err != nil {
		t.Fatal(err)
	}
	return dir
}
