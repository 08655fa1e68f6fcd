package main

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"text/tabwriter"
	"time"

	"github.com/spf13/cobra"

	"github.com/warrenmq/warren/cmd/control"
)

const (
	devAMQP   = 5672
	devGossip = 7946
	devPeer   = 7956
	// devStopTimeout is what a node has to stop before it is killed.
	devStopTimeout = 25 * time.Second
	// restartPause is what a node that ended rests before it is started again.
	restartPause = 2 * time.Second
)

// dev is a cluster of processes on this machine.
type dev struct {
	nodes int
	data  string
	out   io.Writer
	procs []*devNode // by index
	ended chan *devNode

	following atomic.Bool // warnings go to the terminal
}

type devNode struct {
	index          int
	name, dir, log string
	cmd            *exec.Cmd
	err            error
	done           chan struct{}
}

func devCommand() *cobra.Command {
	d := &dev{}
	cmd := &cobra.Command{
		Use:   "dev",
		Short: "Run a cluster on this machine, for development",
		Args:  cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			d.out = cmd.OutOrStdout()
			return d.run(cmd.Context())
		},
	}
	cmd.Flags().IntVar(&d.nodes, "nodes", 3, "number of nodes")
	cmd.Flags().StringVar(&d.data, "data", "data", "folder for the nodes' data folders")
	return cmd
}

// run starts the nodes, waits until they serve, follows them until ctx ends, and stops them.
func (d *dev) run(ctx context.Context) error {
	if d.nodes < 1 || d.nodes > 9 {
		return fmt.Errorf("%d nodes: want 1 to 9", d.nodes)
	}
	d.ended = make(chan *devNode, d.nodes)
	defer d.stop()
	for i := range d.nodes {
		if err := d.start(i); err != nil {
			return err
		}
	}
	if err := d.waitReady(ctx); err != nil || ctx.Err() != nil {
		return err
	}
	if err := d.table(ctx); err != nil {
		return err
	}
	return d.follow(ctx)
}

// follow keeps the cluster running: a node that ends, or is killed to see what
// happens, is started again.
func (d *dev) follow(ctx context.Context) error {
	d.following.Store(true)
	for {
		select {
		case <-ctx.Done():
			fmt.Fprintln(d.out, "stopping")
			return nil
		case n := <-d.ended:
			fmt.Fprintf(d.out, "%v; starting it again\n", d.failure(n))
			select {
			case <-ctx.Done():
				return nil
			case <-time.After(restartPause):
			}
			if err := d.start(n.index); err != nil {
				return err
			}
		}
	}
}

// follower passes a node's log on to its file, and warnings to the terminal as well.
type follower struct {
	d    *dev
	name string
	file io.WriteCloser
	rest []byte
}

func (f *follower) Write(b []byte) (int, error) {
	f.rest = append(f.rest, b...)
	for {
		line, rest, ok := bytes.Cut(f.rest, []byte("\n"))
		if !ok {
			break
		}
		if f.d.following.Load() && (bytes.Contains(line, []byte("level=WARN")) || bytes.Contains(line, []byte("level=ERROR"))) {
			fmt.Fprintf(f.d.out, "%s: %s\n", f.name, line)
		}
		f.rest = rest
	}
	return f.file.Write(b)
}

func address(port int) string { return "127.0.0.1:" + strconv.Itoa(port) }

func (d *dev) start(i int) error {
	self, err := os.Executable()
	if err != nil {
		return err
	}
	n := &devNode{index: i, name: "node" + strconv.Itoa(i+1), done: make(chan struct{})}
	n.dir = filepath.Join(d.data, n.name)
	n.log = filepath.Join(d.data, n.name+".log")
	if err := os.MkdirAll(d.data, 0o750); err != nil {
		return err
	}
	logs, err := os.OpenFile(n.log, os.O_CREATE|os.O_WRONLY|os.O_APPEND, 0o640)
	if err != nil {
		return err
	}
	output := &follower{d: d, name: n.name, file: logs}
	seeds := make([]string, d.nodes)
	for j := range seeds {
		seeds[j] = address(devGossip + j)
	}
	n.cmd = exec.Command(self, "server", "--name", n.name, "--data", n.dir,
		"--listen", address(devAMQP+i), "--gossip", address(devGossip+i), "--peer", address(devPeer+i),
		"--seeds", strings.Join(seeds, ","), "--expect", strconv.Itoa(d.nodes))
	n.cmd.Stdout, n.cmd.Stderr = output, output
	n.cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true} // Ctrl-C comes to this process, which stops them in order
	if err := n.cmd.Start(); err != nil {
		return errors.Join(err, logs.Close())
	}
	if i < len(d.procs) {
		d.procs[i] = n
	} else {
		d.procs = append(d.procs, n)
	}
	go func() {
		n.err = errors.Join(n.cmd.Wait(), logs.Close())
		close(n.done)
		d.ended <- n
	}()
	return nil
}

// waitReady waits until every node serves clients.
func (d *dev) waitReady(ctx context.Context) error {
	fmt.Fprintf(d.out, "starting %d nodes, data in %s\n", d.nodes, d.data)
	tick := time.NewTicker(50 * time.Millisecond)
	defer tick.Stop()
	slow := time.After(20 * time.Second)
	for {
		ready := 0
		for _, n := range d.procs {
			if s, err := control.Get(ctx, n.dir); err == nil && s.Ready && s.Led() {
				ready++
			}
		}
		if ready == d.nodes {
			return nil
		}
		select {
		case <-ctx.Done():
			return nil
		case n := <-d.ended:
			return d.failure(n)
		case <-slow:
			fmt.Fprintf(d.out, "%d of %d nodes serve after 20 s; see the logs in %s\n", ready, d.nodes, d.data)
		case <-tick.C:
		}
	}
}

// failure says in a line why a node ended.
func (d *dev) failure(n *devNode) error {
	b, err := os.ReadFile(n.log)
	if err != nil {
		return errors.Join(fmt.Errorf("%s ended: %w", n.name, n.err), err)
	}
	lines := strings.Split(strings.TrimSpace(string(b)), "\n")
	if why, ok := strings.CutPrefix(lines[len(lines)-1], "warren: "); ok {
		return fmt.Errorf("%s ended: %s (log: %s)", n.name, why, n.log)
	}
	return fmt.Errorf("%s ended: %w (log: %s)", n.name, n.err, n.log)
}

// table prints where the cluster is.
func (d *dev) table(ctx context.Context) error {
	w := tabwriter.NewWriter(d.out, 0, 0, 2, ' ', 0)
	fmt.Fprintln(w, "\nNODE\tAMQP\tROLE\tLEADS\tDATA\tLOG")
	for _, n := range d.procs {
		s, err := control.Get(ctx, n.dir)
		if err != nil {
			return err
		}
		fmt.Fprintf(w, "%s\tamqp://guest:guest@%s\t%s\t%d of %d groups\t%s\t%s\n", n.name, s.AMQP, s.Role(), s.Leads(), len(s.Groups), n.dir, n.log)
	}
	fmt.Fprintln(w, "\nCtrl-C stops the cluster; its messages are there at the next start.")
	return w.Flush()
}

// stop stops the nodes and waits for them.
func (d *dev) stop() {
	var stopping sync.WaitGroup
	for _, n := range d.procs {
		stopping.Go(func() {
			if err := n.cmd.Process.Signal(syscall.SIGTERM); err != nil {
				return // it has ended
			}
			select {
			case <-n.done:
			case <-time.After(devStopTimeout):
				fmt.Fprintf(d.out, "%s does not stop and is killed\n", n.name)
				if err := n.cmd.Process.Kill(); err == nil {
					<-n.done
				}
			}
		})
	}
	stopping.Wait()
}
