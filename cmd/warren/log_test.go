package main

import (
	"bytes"
	"context"
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/hashicorp/raft"

	"github.com/warrenmq/warren/cluster/log"
)

// writeLog makes a data folder whose log has entries of one group.
func writeLog(t *testing.T) (folder string) {
	t.Helper()
	folder = t.TempDir()
	l, err := log.Open(log.OSFS(), filepath.Join(folder, "log"), log.Config{SegmentBytes: 64 << 10})
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	ended := make(chan error)
	go func() { ended <- l.Run(ctx) }()
	for i := range uint64(300) {
		e := &raft.Log{Index: i + 1, Term: 1, Data: bytes.Repeat([]byte{byte(i)}, 1000)}
		if err := l.Group(3).StoreLog(e); err != nil {
			t.Fatal(err)
		}
	}
	cancel()
	if err := errors.Join(<-ended, l.Close()); err != nil {
		t.Fatal(err)
	}
	return folder
}

func runLog(args ...string) (string, error) {
	var out strings.Builder
	cmd := command()
	cmd.SetArgs(append([]string{"log"}, args...))
	cmd.SetOut(&out)
	err := cmd.Execute()
	return out.String(), err
}

func TestLogCommandsExplainAFolder(t *testing.T) {
	folder := writeLog(t)
	for _, of := range []string{folder, filepath.Join(folder, "log")} {
		out, err := runLog("inspect", "--ranges", of)
		if err != nil || !strings.Contains(out, "0000000000000001.seg  1 to 1") || !strings.Contains(out, "group 3") {
			t.Fatalf("%v\n%s", err, out)
		}
	}
	out, err := runLog("verify", folder)
	if err != nil || !strings.Contains(out, "every entry is what was written") {
		t.Fatalf("%v\n%s", err, out)
	}
}

func TestLogCommandsFailOnDamage(t *testing.T) {
	folder := writeLog(t)
	name := filepath.Join(folder, "log", "0000000000000001.seg")
	b, err := os.ReadFile(name)
	if err != nil {
		t.Fatal(err)
	}
	b[10_000] ^= 1
	if err := os.WriteFile(name, b, 0o600); err != nil {
		t.Fatal(err)
	}
	out, err := runLog("verify", folder)
	if !errors.Is(err, errDamaged) || !strings.Contains(out, "damage: group 3") {
		t.Fatalf("%v\n%s", err, out)
	}
	if err := os.Remove(name); err != nil {
		t.Fatal(err)
	}
	if out, err := runLog("inspect", folder); !errors.Is(err, errDamaged) || !strings.Contains(out, "missing") {
		t.Fatalf("%v\n%s", err, out)
	}
	if _, err := runLog("inspect", t.TempDir()); err == nil {
		t.Fatal("a folder without a log was explained")
	}
}
