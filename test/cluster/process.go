package cluster

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"sync"
	"syscall"
)

// process is one run of a program in a session of its own, whose output goes
// to a node's log.
type process struct {
	cmd  *exec.Cmd
	done chan struct{} // closed when it has ended and its output is read
	err  error         // how it ended; valid after done
}

// spawn starts argv. The kernel ends it when this process dies, whatever the
// way, so that an interrupted test leaves no broker behind.
func spawn(argv, env []string, dir string, log *Lines) (*process, error) {
	r, w, err := os.Pipe()
	if err != nil {
		return nil, fmt.Errorf("pipe for the log: %w", err)
	}
	cmd := exec.Command(argv[0], argv[1:]...)
	cmd.Env, cmd.Dir = env, dir
	cmd.Stdout, cmd.Stderr = w, w
	cmd.SysProcAttr = &syscall.SysProcAttr{Setsid: true, Pdeathsig: syscall.SIGKILL}
	err = cmd.Start()
	w.Close()
	if err != nil {
		r.Close()
		return nil, fmt.Errorf("start %s: %w", argv[0], err)
	}
	p := &process{cmd: cmd, done: make(chan struct{})}
	var output sync.WaitGroup
	output.Go(func() {
		defer r.Close()
		log.follow(r)
	})
	go func() {
		defer close(p.done)
		p.err = cmd.Wait()
		output.Wait()
	}()
	return p, nil
}

func (p *process) pid() int { return p.cmd.Process.Pid }

func (p *process) running() bool {
	select {
	case <-p.done:
		return false
	default:
		return true
	}
}

func (p *process) signal(s syscall.Signal) error {
	if err := p.cmd.Process.Signal(s); err != nil && !errors.Is(err, os.ErrProcessDone) {
		return fmt.Errorf("%v to process %d: %w", s, p.pid(), err)
	}
	return nil
}

// kill ends it at once: the process, and what it started in its session.
func (p *process) kill() error {
	if !p.running() {
		return nil
	}
	others := session(p.pid())
	err := p.signal(syscall.SIGKILL)
	for _, pid := range others {
		syscall.Kill(pid, syscall.SIGKILL)
	}
	<-p.done
	return err
}

// stop asks it to end and waits.
func (p *process) stop(ctx context.Context) error {
	if err := p.signal(syscall.SIGTERM); err != nil {
		return err
	}
	select {
	case <-p.done:
		return nil
	case <-ctx.Done():
		return fmt.Errorf("process %d did not end on SIGTERM: %w", p.pid(), ctx.Err())
	}
}
