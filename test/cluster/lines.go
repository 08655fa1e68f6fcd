package cluster

import (
	"bufio"
	"context"
	"fmt"
	"io"
	"os"
	"slices"
	"strings"
	"sync"
)

const (
	maxLine  = 64 << 10 // bytes of one log line; a longer one is cut in pieces
	maxLines = 100_000  // lines kept in memory; older ones are in the file only
)

// Lines is what a process wrote, line by line. It outlives the process, so
// that all starts of a node are in one log.
type Lines struct {
	file *os.File

	mu    sync.Mutex
	lines []string
	first int           // number of lines that were dropped before lines[0]
	more  chan struct{} // closed and renewed with every line
}

func newLines(path string) (*Lines, error) {
	f, err := os.OpenFile(path, os.O_CREATE|os.O_APPEND|os.O_WRONLY, 0o644)
	if err != nil {
		return nil, fmt.Errorf("log file: %w", err)
	}
	return &Lines{file: f, more: make(chan struct{})}, nil
}

// follow reads r to its end.
func (l *Lines) follow(r io.Reader) {
	in := bufio.NewReaderSize(r, maxLine)
	for {
		line, err := in.ReadSlice('\n')
		if len(line) > 0 {
			l.add(strings.TrimRight(string(line), "\r\n"))
		}
		if err != nil && err != bufio.ErrBufferFull {
			return
		}
	}
}

func (l *Lines) add(line string) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if len(l.lines) == maxLines {
		l.lines = append(l.lines[:0], l.lines[maxLines/2:]...)
		l.first += maxLines / 2
	}
	l.lines = append(l.lines, line)
	fmt.Fprintln(l.file, line)
	close(l.more)
	l.more = make(chan struct{})
}

// Mark is the number of lines so far: where a later wait or search begins.
func (l *Lines) Mark() int {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.first + len(l.lines)
}

// Since is the lines from a mark on.
func (l *Lines) Since(mark int) []string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return slices.Clone(l.since(mark))
}

// since needs the lock, and its result holds only under it.
func (l *Lines) since(mark int) []string {
	return l.lines[min(max(mark-l.first, 0), len(l.lines)):]
}

// Matching is the lines from a mark on that contain every one of parts.
func (l *Lines) Matching(mark int, parts ...string) []string {
	return slices.DeleteFunc(l.Since(mark), func(line string) bool { return !containsAll(line, parts) })
}

// Await waits for a line after mark that contains every one of parts.
func (l *Lines) Await(ctx context.Context, mark int, parts ...string) (string, error) {
	for {
		l.mu.Lock()
		for _, line := range l.since(mark) {
			if containsAll(line, parts) {
				l.mu.Unlock()
				return line, nil
			}
		}
		mark = l.first + len(l.lines)
		more := l.more
		l.mu.Unlock()
		select {
		case <-more:
		case <-ctx.Done():
			return "", fmt.Errorf("no log line with %q: %w", parts, ctx.Err())
		}
	}
}

// Tail is the last n lines, for messages about a failure.
func (l *Lines) Tail(n int) string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return strings.Join(l.lines[max(0, len(l.lines)-n):], "\n")
}

func (l *Lines) close() error { return l.file.Close() }

func containsAll(line string, parts []string) bool {
	for _, p := range parts {
		if !strings.Contains(line, p) {
			return false
		}
	}
	return true
}
