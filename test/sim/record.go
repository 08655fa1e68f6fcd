package sim

import (
	"context"
	"fmt"
	"log/slog"
	"strings"
	"sync"
	"time"
)

// recordLines is how much of what the nodes say is kept for a failure.
const recordLines = 4000

// record keeps the last lines of all logs, by virtual time.
type record struct {
	began time.Time
	level slog.Level

	mu    sync.Mutex
	lines []string
	next  int
}

func (r *record) add(line string) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if len(r.lines) < recordLines {
		r.lines = append(r.lines, line)
		return
	}
	r.lines[r.next] = line
	r.next = (r.next + 1) % recordLines
}

// String is the record, oldest line first.
func (r *record) String() string {
	r.mu.Lock()
	defer r.mu.Unlock()
	return strings.Join(append(append([]string(nil), r.lines[r.next:]...), r.lines[:r.next]...), "\n")
}

// nodeHandler passes one node's log to the record.
type nodeHandler struct {
	record *record
	name   string
	p      *process // nil: the simulation itself
}

func (h *nodeHandler) Enabled(_ context.Context, l slog.Level) bool {
	return l >= h.record.level && (h.p == nil || !h.p.dead.Load())
}

func (h *nodeHandler) Handle(_ context.Context, r slog.Record) error {
	var b strings.Builder
	fmt.Fprintf(&b, "%9.4f %-4s %-5s %s", r.Time.Sub(h.record.began).Seconds(), h.name, r.Level, r.Message)
	r.Attrs(func(a slog.Attr) bool {
		fmt.Fprintf(&b, " %s=%v", a.Key, a.Value)
		return true
	})
	h.record.add(b.String())
	return nil
}

func (h *nodeHandler) WithAttrs(attrs []slog.Attr) slog.Handler { return &attrHandler{h, attrs} }
func (h *nodeHandler) WithGroup(string) slog.Handler            { return h }

// attrHandler adds what a logger was given with With.
type attrHandler struct {
	h     *nodeHandler
	attrs []slog.Attr
}

func (h *attrHandler) Enabled(ctx context.Context, l slog.Level) bool { return h.h.Enabled(ctx, l) }

func (h *attrHandler) Handle(ctx context.Context, r slog.Record) error {
	r.AddAttrs(h.attrs...)
	return h.h.Handle(ctx, r)
}

func (h *attrHandler) WithAttrs(attrs []slog.Attr) slog.Handler {
	return &attrHandler{h.h, append(append([]slog.Attr(nil), h.attrs...), attrs...)}
}

func (h *attrHandler) WithGroup(string) slog.Handler { return h }
