package cluster

import (
	"context"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"sync"
	"time"
)

// pollEvery is how often a status is asked while waiting for it to change.
const pollEvery = 20 * time.Millisecond

// Options are what may differ from a plain three-node cluster.
type Options struct {
	Size   int      // nodes; 0 = 3
	Secret string   // --secret; "" = none
	Args   []string // more arguments for every node
	Env    []string // more environment
}

// Warren is a cluster of Warren nodes.
type Warren struct {
	Set
	Opts Options

	gossip []string // the nodes' gossip addresses: the seeds of all
	binary string
}

// New makes a cluster in a temporary folder without starting it.
func New(o Options) (*Warren, error) {
	if o.Size == 0 {
		o.Size = 3
	}
	bin, err := Binary()
	if err != nil {
		return nil, err
	}
	dir, err := os.MkdirTemp("", "warren-")
	if err != nil {
		return nil, fmt.Errorf("folder of the cluster: %w", err)
	}
	w := &Warren{Opts: o, binary: bin}
	w.Dir = dir
	if w.gossip, err = freeAddresses(o.Size); err != nil {
		return nil, err
	}
	for i := range o.Size {
		n, err := w.node(fmt.Sprintf("n%d", i+1), w.gossip[i], w.gossip)
		if err != nil {
			return nil, err
		}
		w.Nodes = append(w.Nodes, n)
	}
	return w, nil
}

// Run makes a cluster, starts it and waits until it serves on every node.
func Run(ctx context.Context, o Options) (*Warren, error) {
	w, err := New(o)
	if err != nil {
		return nil, err
	}
	err = w.Start(ctx)
	if err == nil {
		err = w.AwaitWhole(ctx)
	}
	if err == nil {
		err = w.AwaitHome(ctx)
	}
	if err != nil {
		w.Close()
		return nil, err
	}
	return w, nil
}

// node makes a node with the options of the cluster and its own ports.
func (w *Warren) node(name, gossip string, seeds []string) (*Node, error) {
	dir := filepath.Join(w.Dir, name)
	for i := 2; exists(dir); i++ { // a second node of the same name
		dir = filepath.Join(w.Dir, name+"-"+strconv.Itoa(i))
	}
	if err := os.MkdirAll(dir, 0o755); err != nil {
		return nil, fmt.Errorf("data folder of %s: %w", name, err)
	}
	log, err := newLines(dir + ".log")
	if err != nil {
		return nil, err
	}
	addrs, err := freeAddresses(2)
	if err != nil {
		return nil, err
	}
	argv := []string{w.binary, "server", "--name", name, "--data", dir, "--listen", addrs[0],
		"--gossip", gossip, "--peer", addrs[1], "--seeds", strings.Join(seeds, ","),
		"--expect", strconv.Itoa(w.Opts.Size)}
	if w.Opts.Secret != "" {
		argv = append(argv, "--secret", w.Opts.Secret)
	}
	return &Node{
		Name: name, AMQP: addrs[0], Dir: dir, Log: log, readyLine: readyLine,
		argv: append(argv, w.Opts.Args...),
		env:  append(environment(), w.Opts.Env...),
	}, nil
}

// Stranger makes a node that was not asked for: with this name, these options,
// and seeds. It is not one of w's nodes but ends with them.
func (w *Warren) Stranger(name string, o Options, seeds []string) (*Node, error) {
	gossip, err := FreeAddress()
	if err != nil {
		return nil, err
	}
	if o.Size == 0 {
		o.Size = w.Opts.Size
	}
	other := &Warren{Opts: o, binary: w.binary}
	other.Dir = w.Dir
	n, err := other.node(name, gossip, append([]string{gossip}, seeds...))
	if err != nil {
		return nil, err
	}
	w.after = append(w.after, n.Kill, n.Log.close)
	return n, nil
}

// Seeds is the gossip addresses of the nodes.
func (w *Warren) Seeds() []string { return w.gossip }

// AwaitWhole waits until every running node sees every other one alive, all
// are voters of the meta group and every queue group is led: nothing is left
// of a start or a fault.
func (w *Warren) AwaitWhole(ctx context.Context) error {
	return w.Await(ctx, func(all []Status) string {
		var ids []string
		for _, s := range all {
			ids = append(ids, s.ID)
		}
		for _, s := range all {
			if why := whole(s, ids); why != "" {
				return s.Name + " " + why
			}
		}
		return ""
	})
}

func whole(s Status, ids []string) string {
	alive := 0
	for _, n := range s.Nodes {
		if n.Alive {
			alive++
		}
	}
	switch {
	case !s.Ready:
		return "is not ready"
	case alive < len(ids):
		return fmt.Sprintf("sees %d of %d nodes alive", alive, len(ids))
	case s.Meta.Leader == "":
		return "knows no leader of the meta group"
	case len(s.Meta.Voters) < min(len(ids), 5):
		return fmt.Sprintf("knows %d voters of the meta group", len(s.Meta.Voters))
	case len(s.Groups) < len(ids):
		return fmt.Sprintf("knows %d queue groups", len(s.Groups))
	}
	for _, g := range s.Groups {
		if g.Leader == "" {
			return fmt.Sprintf("knows no leader of group %d", g.ID)
		}
		if len(g.Replicas) < min(len(ids), 3) {
			return fmt.Sprintf("knows %d replicas of group %d", len(g.Replicas), g.ID)
		}
	}
	return ""
}

// AwaitHome waits until every group is led by the node that it prefers, too: what is
// looked at closely must not see leadership on its way there.
func (w *Warren) AwaitHome(ctx context.Context) error {
	return w.Await(ctx, func(all []Status) string {
		for _, s := range all {
			for _, g := range s.Groups {
				if g.Leader != g.Preferred {
					return fmt.Sprintf("%s sees group %d led by %s, which prefers %s", s.Name, g.ID, g.Leader, g.Preferred)
				}
			}
		}
		return ""
	})
}

// Await asks all running nodes until what is missing is "".
func (w *Warren) Await(ctx context.Context, missing func([]Status) string) error {
	tick := time.NewTicker(pollEvery)
	defer tick.Stop()
	why := "nothing answered"
	for {
		var all []Status
		var err error
		for _, n := range w.Nodes {
			if !n.Running() || n.paused {
				continue
			}
			s, e := n.Status(ctx)
			if e != nil {
				err = e
				break
			}
			all = append(all, s)
		}
		if err != nil {
			if ctx.Err() == nil {
				why = err.Error()
			}
		} else if why = missing(all); why == "" {
			return nil
		}
		select {
		case <-tick.C:
		case <-ctx.Done():
			return fmt.Errorf("the cluster is not as awaited: %s: %w", why, ctx.Err())
		}
	}
}

// QueueLeader waits until all running nodes name the same running leader of a
// queue, and says which node it is.
func (w *Warren) QueueLeader(ctx context.Context, queue string) (*Node, error) {
	var leader *Node
	err := w.Await(ctx, func(all []Status) string {
		leader = nil
		for _, s := range all {
			n := w.byID(all, queueLeader(s, queue))
			if n == nil || leader != nil && n != leader {
				return fmt.Sprintf("leader of queue %q is not agreed", queue)
			}
			leader = n
		}
		return ""
	})
	return leader, err
}

func queueLeader(s Status, queue string) string {
	for _, q := range s.Queues {
		if q.Name == queue {
			return q.Leader
		}
	}
	return ""
}

// byID is the running node with a ServerID, nil when there is none.
func (w *Warren) byID(all []Status, id string) *Node {
	for _, s := range all {
		if s.ID != id {
			continue
		}
		for _, n := range w.Nodes {
			if n.Name == s.Name {
				return n
			}
		}
	}
	return nil
}

// environment is this process's without Warren's own settings, which would
// reach the nodes as flags.
func environment() []string {
	return slices.DeleteFunc(os.Environ(), func(v string) bool { return strings.HasPrefix(v, "WARREN_") })
}

func exists(path string) bool {
	_, err := os.Stat(path)
	return err == nil
}

// Root is the folder of the module.
var Root = sync.OnceValues(func() (string, error) {
	out, err := exec.Command("go", "env", "GOMOD").Output()
	if err != nil {
		return "", fmt.Errorf("go env GOMOD: %w", err)
	}
	return filepath.Dir(strings.TrimSpace(string(out))), nil
})

// Binary is the program under test: $WARREN_BIN, or built from this tree.
var Binary = sync.OnceValues(func() (string, error) {
	if bin := os.Getenv("WARREN_BIN"); bin != "" {
		return bin, nil
	}
	return build("warren")
})

// build makes the program from this tree under a name, with more arguments for the compiler.
func build(name string, args ...string) (string, error) {
	root, err := Root()
	if err != nil {
		return "", err
	}
	bin := filepath.Join(root, "bin", "test", name)
	cmd := exec.Command("go", slices.Concat([]string{"build", "-trimpath", "-o", bin}, args, []string{"./cmd/warren"})...)
	cmd.Dir = root
	cmd.Env = append(os.Environ(), "CGO_ENABLED=0")
	if out, err := cmd.CombinedOutput(); err != nil {
		return "", fmt.Errorf("build of %s: %w\n%s", name, err, out)
	}
	return bin, nil
}
