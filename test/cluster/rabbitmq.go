package cluster

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
)

// Debian's places. The wrapper in /usr/sbin changes the user and the folder.
const (
	rabbitServer  = "/usr/lib/rabbitmq/bin/rabbitmq-server"
	rabbitControl = "/usr/lib/rabbitmq/bin/rabbitmqctl"
)

// ErrNotInstalled says that there is no RabbitMQ on this machine to compare with.
//
//lint:ignore ST1005 it begins with a name
var ErrNotInstalled = errors.New("Debian's rabbitmq-server is not installed")

// RunRabbitMQ makes and starts a RabbitMQ cluster beside whatever else runs:
// own ports, own port mapper, own cookie, own folders.
func RunRabbitMQ(ctx context.Context, size int) (*Set, error) {
	return RunRabbitMQWith(ctx, RabbitMQOptions{Size: size})
}

// RabbitMQOptions are what may differ from a plain cluster.
type RabbitMQOptions struct {
	Size    int
	Plugins []string // with rabbitmq_management the nodes have an HTTP address
	Config  string   // more lines of rabbitmq.conf
}

// RunRabbitMQWith does the same with options.
func RunRabbitMQWith(ctx context.Context, o RabbitMQOptions) (*Set, error) {
	for _, f := range []string{rabbitServer, rabbitControl} {
		if !exists(f) {
			return nil, ErrNotInstalled
		}
	}
	dir, err := os.MkdirTemp("", "rabbitmq-")
	if err != nil {
		return nil, fmt.Errorf("folder of the cluster: %w", err)
	}
	s := &Set{Dir: dir}
	if err := s.startRabbitMQ(ctx, o); err != nil {
		s.Close()
		return nil, err
	}
	return s, nil
}

func (s *Set) startRabbitMQ(ctx context.Context, o RabbitMQOptions) error {
	size := o.Size
	addrs, err := freeAddresses(3*size + 1)
	if err != nil {
		return err
	}
	mapper := port(addrs[3*size])
	if err := s.startPortMapper(mapper); err != nil {
		return err
	}
	home := filepath.Join(s.Dir, "home")
	if err := os.MkdirAll(home, 0o755); err != nil {
		return fmt.Errorf("home of RabbitMQ: %w", err)
	}
	if err := os.WriteFile(filepath.Join(home, ".erlang.cookie"), []byte("WARRENSNEIGHBOUR"), 0o400); err != nil {
		return fmt.Errorf("cookie of RabbitMQ: %w", err)
	}
	for i := range size {
		n, err := s.rabbitNode(i, o, addrs[i], addrs[size+i], port(addrs[2*size+i]), mapper)
		if err != nil {
			return err
		}
		s.Nodes = append(s.Nodes, n)
	}
	if err := s.Start(ctx); err != nil {
		return err
	}
	return s.joinRabbitMQ(ctx)
}

// startPortMapper runs an epmd of our own, so that nothing of ours stays
// behind in one that belongs to another user of the machine.
func (s *Set) startPortMapper(port string) error {
	epmd, err := exec.LookPath("epmd")
	if err != nil {
		return fmt.Errorf("%w: %w", ErrNotInstalled, err)
	}
	log, err := newLines(filepath.Join(s.Dir, "epmd.log"))
	if err != nil {
		return err
	}
	p, err := spawn([]string{epmd, "-port", port, "-address", "127.0.0.1"}, os.Environ(), "", log)
	if err != nil {
		return err
	}
	s.after = append(s.after, p.kill, log.close)
	return nil
}

func (s *Set) rabbitNode(i int, o RabbitMQOptions, amqp, management, dist, mapper string) (*Node, error) {
	name := fmt.Sprintf("r%d", i+1)
	dir := filepath.Join(s.Dir, name)
	if err := os.MkdirAll(dir, 0o755); err != nil {
		return nil, fmt.Errorf("data folder of %s: %w", name, err)
	}
	log, err := newLines(dir + ".log")
	if err != nil {
		return nil, err
	}
	conf := filepath.Join(dir, "rabbitmq.conf")
	text := "listeners.tcp.default = " + amqp + "\nlog.console = true\nlog.console.level = warning\nlog.file = false\n"
	http := ""
	if slices.Contains(o.Plugins, "rabbitmq_management") {
		http = management
		text += "management.tcp.ip = 127.0.0.1\nmanagement.tcp.port = " + port(management) + "\n"
	}
	text += o.Config
	if err := os.WriteFile(conf, []byte(text), 0o644); err != nil {
		return nil, fmt.Errorf("configuration of %s: %w", name, err)
	}
	plugins := filepath.Join(dir, "enabled_plugins")
	if err := os.WriteFile(plugins, []byte("["+strings.Join(o.Plugins, ",")+"].\n"), 0o644); err != nil {
		return nil, fmt.Errorf("plugins of %s: %w", name, err)
	}
	none := filepath.Join(dir, "none")
	return &Node{
		Name: name, AMQP: amqp, HTTP: http, Dir: dir, Log: log, readyLine: "completed with ",
		argv: []string{rabbitServer},
		env: append(os.Environ(),
			"HOME="+filepath.Join(s.Dir, "home"), "ERL_EPMD_PORT="+mapper,
			"RABBITMQ_NODENAME="+name+"@localhost", "RABBITMQ_DIST_PORT="+dist,
			"RABBITMQ_MNESIA_BASE="+dir, "RABBITMQ_LOG_BASE="+dir,
			"RABBITMQ_CONFIG_FILE="+conf, "RABBITMQ_CONFIG_FILES="+none, "RABBITMQ_ADVANCED_CONFIG_FILE="+none,
			"RABBITMQ_CONF_ENV_FILE="+none, "RABBITMQ_ENABLED_PLUGINS_FILE="+plugins,
			"RABBITMQ_GENERATED_CONFIG_DIR="+dir, "RABBITMQ_PID_FILE="+filepath.Join(dir, "pid")),
	}, nil
}

// RabbitMQCtl runs rabbitmqctl for a node that has this environment.
func RabbitMQCtl(ctx context.Context, node string, env []string, args ...string) error {
	ctl := exec.CommandContext(ctx, rabbitControl, append([]string{"-n", node + "@localhost"}, args...)...)
	ctl.Env = env
	if out, err := ctl.CombinedOutput(); err != nil {
		return fmt.Errorf("rabbitmqctl %s at %s: %w\n%s", args[0], node, err, out)
	}
	return nil
}

// joinRabbitMQ makes one cluster of the nodes.
func (s *Set) joinRabbitMQ(ctx context.Context) error {
	for _, n := range s.Nodes[1:] {
		for _, args := range [][]string{{"stop_app"}, {"join_cluster", "r1@localhost"}, {"start_app"}} {
			if err := n.rabbitmqctl(ctx, args...); err != nil {
				return err
			}
		}
	}
	return nil
}

func port(addr string) string { return addr[strings.LastIndexByte(addr, ':')+1:] }
