// Package script runs test programs in other languages. A program names its
// cases on standard output, a line each:
//
//	ok <name>
//	FAIL <name>: <why>
//	at <mark>
//
// and ends with 0 when nothing failed. A mark says how far it is: whoever runs
// several programs waits for the marks before doing something to all of them.
package script

import (
	"bufio"
	"bytes"
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"strings"
	"sync"
	"syscall"
)

// maxLine bounds a line of a program, whose why may quote much of what it got.
const maxLine = 1 << 20

// Case is what a program says about one of its cases.
type Case struct {
	Name string
	Err  error
}

// Command is a program to run.
type Command struct {
	Argv []string
	Env  []string // beside this process's
	Dir  string
}

// Program is a running one.
type Program struct {
	name string
	done chan struct{} // closed when it has ended and its output is read
	err  error         // how it ended; valid after done

	mu     sync.Mutex
	cases  []Case
	marks  map[string]bool
	news   chan struct{} // closed and replaced at each mark
	stderr bytes.Buffer  // valid after done
}

// Run runs a program to its end. The error is about the program as a whole;
// what failed in it is told case by case.
func Run(ctx context.Context, c Command) ([]Case, error) {
	p, err := Start(ctx, c)
	if err != nil {
		return nil, err
	}
	return p.Wait()
}

// Start starts a program, which is killed with all it has started when ctx ends.
func Start(ctx context.Context, c Command) (*Program, error) {
	p := &Program{
		name: strings.Join(c.Argv, " "), done: make(chan struct{}),
		marks: make(map[string]bool), news: make(chan struct{}),
	}
	cmd := exec.CommandContext(ctx, c.Argv[0], c.Argv[1:]...)
	cmd.Dir, cmd.Env, cmd.Stderr = c.Dir, append(os.Environ(), c.Env...), &p.stderr
	cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true, Pdeathsig: syscall.SIGKILL}
	cmd.Cancel = func() error { return syscall.Kill(-cmd.Process.Pid, syscall.SIGKILL) }
	out, err := cmd.StdoutPipe()
	if err == nil {
		err = cmd.Start()
	}
	if err != nil {
		return nil, fmt.Errorf("%s: %w", p.name, err)
	}
	go func() {
		defer close(p.done)
		lines := bufio.NewScanner(out)
		lines.Buffer(nil, maxLine)
		for lines.Scan() {
			p.heard(lines.Text())
		}
		p.err = errors.Join(lines.Err(), cmd.Wait(), ctx.Err())
	}()
	return p, nil
}

// heard takes one line.
func (p *Program) heard(line string) {
	p.mu.Lock()
	defer p.mu.Unlock()
	verdict, rest, _ := strings.Cut(line, " ")
	switch verdict {
	case "ok":
		p.cases = append(p.cases, Case{Name: rest})
	case "FAIL":
		name, why, _ := strings.Cut(rest, ": ")
		p.cases = append(p.cases, Case{name, errors.New(why)})
	case "at":
		p.marks[rest] = true
		close(p.news)
		p.news = make(chan struct{})
	}
}

// Await waits until the program has said "at <mark>".
func (p *Program) Await(ctx context.Context, mark string) error {
	for {
		p.mu.Lock()
		there, news := p.marks[mark], p.news
		p.mu.Unlock()
		if there {
			return nil
		}
		select {
		case <-news:
		case <-p.done:
			p.mu.Lock()
			there = p.marks[mark]
			p.mu.Unlock()
			if there {
				return nil
			}
			return fmt.Errorf("%s ended and was never at %q", p.name, mark)
		case <-ctx.Done():
			return fmt.Errorf("%s is not at %q: %w", p.name, mark, ctx.Err())
		}
	}
}

// Wait waits for the program's end and returns its cases.
func (p *Program) Wait() ([]Case, error) {
	<-p.done
	failed := false
	for _, c := range p.cases {
		failed = failed || c.Err != nil
	}
	var exit *exec.ExitError
	switch {
	case p.err == nil && len(p.cases) > 0:
		return p.cases, nil
	case failed && errors.As(p.err, &exit) && exit.ExitCode() == 1: // the cases explain it
		return p.cases, nil
	case p.err == nil:
		return nil, fmt.Errorf("%s told no case\n%s", p.name, p.stderr.Bytes())
	default:
		return p.cases, fmt.Errorf("%s: %w\n%s", p.name, p.err, p.stderr.Bytes())
	}
}
