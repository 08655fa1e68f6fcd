package meta

import (
	"context"
	"fmt"
	"io"
	"log/slog"
	"sync"
	"time"

	"github.com/hashicorp/go-hclog"
)

// raftLogger hands what hashicorp/raft logs to slog. Its level is warning and
// above: what Raft calls information, such as an election, is logged by us where
// it matters to an operator.
func raftLogger(log *slog.Logger) hclog.Logger {
	l := hclog.NewInterceptLogger(&hclog.LoggerOptions{Name: "raft", Level: hclog.Off, Output: io.Discard})
	l.RegisterSink(&raftSink{log: log, last: make(map[string]time.Time)})
	return l
}

// raftRepeat is how long a warning that Raft repeats, such as of each heartbeat to
// a dead node, is logged once; maxRepeats bounds what is remembered of them.
const (
	raftRepeat = 10 * time.Second
	maxRepeats = 256
)

type raftSink struct {
	log  *slog.Logger
	mu   sync.Mutex
	last map[string]time.Time
}

// Accept implements hclog.SinkAdapter.
func (s *raftSink) Accept(_ string, level hclog.Level, msg string, args ...any) {
	to := slog.LevelDebug
	switch level {
	case hclog.Warn:
		to = slog.LevelWarn
	case hclog.Error:
		to = slog.LevelError
	}
	if !s.log.Enabled(context.Background(), to) || to > slog.LevelDebug && s.repeats(fmt.Sprint(msg, args[:min(len(args), 2)])) {
		return
	}
	s.log.Log(context.Background(), to, "raft: "+msg, args...)
}

func (s *raftSink) repeats(text string) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	now := time.Now()
	if last, known := s.last[text]; known && now.Sub(last) < raftRepeat {
		return true
	}
	if len(s.last) >= maxRepeats {
		clear(s.last)
	}
	s.last[text] = now
	return false
}
