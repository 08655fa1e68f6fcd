package log_test

import (
	"bytes"
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"testing"
	"time"

	"github.com/hashicorp/raft"

	"github.com/warrenmq/warren/cluster/log"
)

const dir = "data/log"

var quiet = slog.New(slog.NewTextHandler(io.Discard, nil))

// running is a log with its Run.
type running struct {
	*log.Log
	stop   context.CancelFunc
	result chan error
}

func open(t testing.TB, fs log.FS, dir string, cfg log.Config) *log.Log {
	t.Helper()
	if cfg.Logger == nil {
		cfg.Logger = quiet
	}
	l, err := log.Open(fs, dir, cfg)
	if err != nil {
		t.Fatalf("open: %v", err)
	}
	return l
}

func start(t testing.TB, fs log.FS, dir string, cfg log.Config) *running {
	t.Helper()
	return run(open(t, fs, dir, cfg))
}

func run(l *log.Log) *running {
	ctx, cancel := context.WithCancel(context.Background())
	r := &running{Log: l, stop: cancel, result: make(chan error, 1)}
	go func() { r.result <- l.Run(ctx) }()
	return r
}

// end stops the log and returns what Run and Close said.
func (r *running) end() error {
	r.stop()
	return errors.Join(<-r.result, r.Close())
}

func (r *running) mustEnd(t testing.TB) {
	t.Helper()
	if err := r.end(); err != nil {
		t.Fatalf("end: %v", err)
	}
}

// entry is told by its group, index and term alone.
func entry(group, index, term uint64, size int) *raft.Log {
	e := &raft.Log{Index: index, Term: term, Type: raft.LogType(index % 3), Data: content(group, index, term, size)}
	if index%4 == 0 {
		e.Extensions = fmt.Appendf(nil, "ext %d", index)
	}
	if index%5 > 0 {
		e.AppendedAt = time.Unix(1_800_000_000, int64(index)).UTC()
	}
	return e
}

func content(group, index, term uint64, size int) []byte {
	b := make([]byte, max(size, 24))
	binary.LittleEndian.PutUint64(b, group)
	binary.LittleEndian.PutUint64(b[8:], index)
	binary.LittleEndian.PutUint64(b[16:], term)
	for i := 24; i < len(b); i++ {
		b[i] = byte(uint64(i) * (index + 3*term + 7*group))
	}
	return b
}

func entries(group, first, last, term uint64, size int) []*raft.Log {
	var es []*raft.Log
	for i := first; i <= last; i++ {
		es = append(es, entry(group, i, term, size))
	}
	return es
}

func store(t testing.TB, l *log.Log, group uint64, es []*raft.Log) {
	t.Helper()
	if err := l.Group(group).StoreLogs(es); err != nil {
		t.Fatalf("store group %d entry %d: %v", group, es[0].Index, err)
	}
}

func brief(e *raft.Log) string {
	return fmt.Sprintf("{%d term %d %v %d bytes %x ext %q at %v}", e.Index, e.Term, e.Type, len(e.Data), e.Data[:min(24, len(e.Data))], e.Extensions, e.AppendedAt)
}

func same(a, b *raft.Log) bool {
	return a.Index == b.Index && a.Term == b.Term && a.Type == b.Type && bytes.Equal(a.Data, b.Data) &&
		bytes.Equal(a.Extensions, b.Extensions) && a.AppendedAt.Equal(b.AppendedAt)
}

// wantLog checks that a group has just these entries.
func wantLog(t testing.TB, l *log.Log, group uint64, want []*raft.Log) {
	t.Helper()
	g := l.Group(group)
	first, err1 := g.FirstIndex()
	last, err2 := g.LastIndex()
	if err := errors.Join(err1, err2); err != nil {
		t.Fatalf("group %d: %v", group, err)
	}
	var wantFirst, wantLast uint64
	if len(want) > 0 {
		wantFirst, wantLast = want[0].Index, want[len(want)-1].Index
	}
	if first != wantFirst || last != wantLast {
		t.Fatalf("group %d has %d to %d, want %d to %d", group, first, last, wantFirst, wantLast)
	}
	for _, w := range want {
		var got raft.Log
		if err := g.GetLog(w.Index, &got); err != nil {
			t.Fatalf("group %d entry %d: %v", group, w.Index, err)
		}
		if !same(&got, w) {
			t.Fatalf("group %d entry %d: got %s, want %s", group, w.Index, brief(&got), brief(w))
		}
	}
	var e raft.Log
	if err := g.GetLog(wantLast+1, &e); err != raft.ErrLogNotFound {
		t.Fatalf("group %d entry %d behind the end: %v", group, wantLast+1, err)
	}
}
