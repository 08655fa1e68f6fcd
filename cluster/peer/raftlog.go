package peer

import (
	"context"
	"fmt"
	"io"
	"log"
	"log/slog"
	"sync"
	"time"

	"github.com/hashicorp/go-hclog"
)

const (
	raftLogEvery = 10 * time.Second // the same text of one Raft is not logged again sooner
	raftLogLimit = 256              // texts remembered; hashicorp/raft has fewer
)

// RaftLogger makes a logger for hashicorp/raft of ours. Raft's own news are for
// debugging: what an operator should know of a group, its owner says. Raft also
// repeats itself several times a second while a peer is down.
func RaftLogger(to *slog.Logger) hclog.Logger {
	return &raftLogger{to: to, seen: &raftTexts{last: make(map[string]time.Time)}}
}

type raftLogger struct {
	to      *slog.Logger
	name    string
	implied []any
	seen    *raftTexts
}

type raftTexts struct {
	mu   sync.Mutex
	last map[string]time.Time
}

func (s *raftTexts) repeats(text string) bool {
	now := time.Now()
	s.mu.Lock()
	defer s.mu.Unlock()
	if last, ok := s.last[text]; ok && now.Sub(last) < raftLogEvery {
		return true
	}
	if len(s.last) >= raftLogLimit {
		clear(s.last)
	}
	s.last[text] = now
	return false
}

// level says how loud Raft's levels are here.
func level(l hclog.Level) slog.Level {
	switch l {
	case hclog.Error:
		return slog.LevelWarn
	case hclog.Warn, hclog.Info:
		return slog.LevelDebug
	default:
		return slog.LevelDebug - 4
	}
}

// aboutPeer says whether an error of Raft's is that a peer cannot be reached,
// which the link to it has told once for all groups.
func aboutPeer(text string) bool {
	switch text {
	case "failed to heartbeat to", "failed to appendEntries to", "failed to pipeline appendEntries",
		"failed to start pipeline replication to", "failed to make requestVote RPC",
		"peer has newer term, stopping replication":
		return true
	}
	return false
}

func (l *raftLogger) Log(at hclog.Level, text string, args ...any) {
	if at == hclog.Error && aboutPeer(text) {
		at = hclog.Info
	}
	slogLevel := level(at)
	if !l.to.Enabled(context.Background(), slogLevel) || at >= hclog.Error && l.seen.repeats(text) {
		return
	}
	for i := 1; i < len(args); i += 2 {
		if f, ok := args[i].(hclog.Format); ok && len(f) > 0 {
			args[i] = fmt.Sprintf(fmt.Sprint(f[0]), f[1:]...)
		}
	}
	l.to.Log(context.Background(), slogLevel, "raft: "+text, args...)
}

func (l *raftLogger) Trace(text string, args ...any) { l.Log(hclog.Trace, text, args...) }
func (l *raftLogger) Debug(text string, args ...any) { l.Log(hclog.Debug, text, args...) }
func (l *raftLogger) Info(text string, args ...any)  { l.Log(hclog.Info, text, args...) }
func (l *raftLogger) Warn(text string, args ...any)  { l.Log(hclog.Warn, text, args...) }
func (l *raftLogger) Error(text string, args ...any) { l.Log(hclog.Error, text, args...) }

func (l *raftLogger) enabled(at hclog.Level) bool {
	return l.to.Enabled(context.Background(), level(at))
}

func (l *raftLogger) IsTrace() bool { return l.enabled(hclog.Trace) }
func (l *raftLogger) IsDebug() bool { return l.enabled(hclog.Debug) }
func (l *raftLogger) IsInfo() bool  { return l.enabled(hclog.Info) }
func (l *raftLogger) IsWarn() bool  { return l.enabled(hclog.Warn) }
func (l *raftLogger) IsError() bool { return l.enabled(hclog.Error) }

func (l *raftLogger) ImpliedArgs() []any { return l.implied }

func (l *raftLogger) With(args ...any) hclog.Logger {
	return &raftLogger{to: l.to.With(args...), name: l.name, implied: append(l.implied[:len(l.implied):len(l.implied)], args...), seen: l.seen}
}

func (l *raftLogger) Name() string                        { return l.name }
func (l *raftLogger) Named(name string) hclog.Logger      { return l.ResetNamed(name) }
func (l *raftLogger) ResetNamed(name string) hclog.Logger { c := *l; c.name = name; return &c }
func (l *raftLogger) SetLevel(hclog.Level)                {}
func (l *raftLogger) GetLevel() hclog.Level               { return hclog.NoLevel }
func (l *raftLogger) StandardLogger(*hclog.StandardLoggerOptions) *log.Logger {
	return slog.NewLogLogger(l.to.Handler(), slog.LevelDebug)
}
func (l *raftLogger) StandardWriter(*hclog.StandardLoggerOptions) io.Writer {
	return l.StandardLogger(nil).Writer()
}
