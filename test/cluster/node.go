package cluster

import (
	"context"
	"fmt"
	"slices"
	"syscall"
	"time"
)

// readyLine is what a Warren node logs when it serves, in RabbitMQ's words.
const readyLine = "Server startup complete"

// stopLimit is how long a node may take to end on SIGTERM.
const stopLimit = 20 * time.Second

// Node is one broker process, over all its starts.
type Node struct {
	Name string
	AMQP string // host:port
	HTTP string // of RabbitMQ's management plugin; "" without it
	Dir  string // data folder
	Log  *Lines

	argv      []string
	env       []string
	readyLine string

	proc   *process // the latest start; nil before the first
	mark   int      // where its log begins
	paused bool
}

// Start starts the process and does not wait.
func (n *Node) Start() error {
	if n.Running() {
		return fmt.Errorf("%s is running", n.Name)
	}
	n.mark = n.Log.Mark()
	n.paused = false
	p, err := spawn(n.argv, n.env, "", n.Log)
	if err != nil {
		return fmt.Errorf("%s: %w", n.Name, err)
	}
	n.proc = p
	return nil
}

// Environment is the process's.
func (n *Node) Environment() []string { return slices.Clone(n.env) }

// Use adds arguments to those of all later starts; the last of a kind wins.
func (n *Node) Use(args ...string) { n.argv = append(slices.Clip(n.argv), args...) }

// AwaitReady waits until the latest start serves.
func (n *Node) AwaitReady(ctx context.Context) error {
	if n.proc == nil {
		return fmt.Errorf("%s was not started", n.Name)
	}
	ctx, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	p := n.proc
	go func() {
		select {
		case <-p.done:
			cancel(fmt.Errorf("the process ended: %v", p.err))
		case <-ctx.Done():
		}
	}()
	if _, err := n.Log.Await(ctx, n.mark, n.readyLine); err != nil {
		return fmt.Errorf("%s is not ready: %w (%v); its log ends with:\n%s", n.Name, err, context.Cause(ctx), n.Log.Tail(15))
	}
	return nil
}

// Running says whether the process lives, paused or not.
func (n *Node) Running() bool { return n.proc != nil && n.proc.running() }

// PID is the id of the latest start.
func (n *Node) PID() int { return n.proc.pid() }

// Exited is closed when the latest start has ended.
func (n *Node) Exited() <-chan struct{} { return n.proc.done }

// ExitCode is how the latest start ended; -1 while it runs or when a signal ended it.
func (n *Node) ExitCode() int {
	if n.Running() {
		return -1
	}
	return n.proc.cmd.ProcessState.ExitCode()
}

// Kill is kill -9: no goodbye. It returns when the process is gone.
func (n *Node) Kill() error {
	if n.proc == nil {
		return nil
	}
	n.paused = false
	if err := n.proc.kill(); err != nil {
		return fmt.Errorf("kill %s: %w", n.Name, err)
	}
	return nil
}

// Stop is SIGTERM, and waits.
func (n *Node) Stop(ctx context.Context) error {
	if !n.Running() {
		return nil
	}
	if n.paused {
		if err := n.Resume(); err != nil {
			return err
		}
	}
	ctx, cancel := context.WithTimeout(ctx, stopLimit)
	defer cancel()
	if err := n.proc.stop(ctx); err != nil {
		return fmt.Errorf("stop %s: %w", n.Name, err)
	}
	return nil
}

// Pause is SIGSTOP: the process holds its sockets and says nothing.
func (n *Node) Pause() error {
	if err := n.proc.signal(syscall.SIGSTOP); err != nil {
		return fmt.Errorf("pause %s: %w", n.Name, err)
	}
	n.paused = true
	return nil
}

// Resume is SIGCONT.
func (n *Node) Resume() error {
	if err := n.proc.signal(syscall.SIGCONT); err != nil {
		return fmt.Errorf("resume %s: %w", n.Name, err)
	}
	n.paused = false
	return nil
}

// Usage is what the latest start cost so far.
func (n *Node) Usage() (Usage, error) {
	if !n.Running() {
		return Usage{}, fmt.Errorf("%s is not running", n.Name)
	}
	u, err := usage(n.proc.pid())
	if err != nil {
		return u, fmt.Errorf("%s: %w", n.Name, err)
	}
	return u, nil
}
