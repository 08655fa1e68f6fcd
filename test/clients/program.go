package clients

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"

	"github.com/warrenmq/warren/test/cluster"
	"github.com/warrenmq/warren/test/script"
)

// python is Debian's, which has Debian's packages; others on the PATH may not.
const python = "/usr/bin/python3"

// program is a client's script.
type program struct {
	name string
	argv []string
	has  string // a command that fails when the client is not installed

	blocked  bool     // it has the phase
	recovery []string // the marks that say it is under way; none: it has not the phase
	returns  bool     // its recovery wants the killed node to come back
}

// toolbox is where things are.
type toolbox struct {
	sources string // this folder
	node    string // amqplib, as test/deps installed it
	scratch string // for this run
}

func newToolbox(scratch string) (*toolbox, error) {
	root, err := cluster.Root()
	if err != nil {
		return nil, err
	}
	return &toolbox{
		sources: filepath.Join(root, "test", "clients"),
		node:    filepath.Join(root, "bin", "test", "node", "node_modules"),
		scratch: scratch,
	}, nil
}

// programs is all clients, those that take longest first.
func (b *toolbox) programs() []program {
	in := func(interpreter, file string) []string { return []string{interpreter, filepath.Join(b.sources, file)} }
	py := func(file string) []string { return append([]string{python, "-B"}, filepath.Join(b.sources, file)) }
	running := []string{"running"}
	return []program{
		{name: "celery", argv: py("celery_client.py"), has: python + " -c 'import celery'", recovery: running},
		{name: "pika-blocking", argv: py("pika_blocking.py"), has: python + " -c 'import pika'", blocked: true, recovery: running},
		{name: "pika-async", argv: py("pika_async.py"), has: python + " -c 'import pika'", blocked: true, recovery: running},
		{name: "bunny", argv: in("ruby", "bunny.rb"), has: "ruby -e 'require \"bunny\"'", blocked: true, recovery: running},
		{name: "php-amqplib", argv: in("php", "amqplib.php"), has: "php -r 'exit(is_dir(\"/usr/share/php/PhpAmqpLib\") ? 0 : 1);'", blocked: true, recovery: running},
		{name: "py-amqp", argv: py("pyamqp.py"), has: python + " -c 'import amqp'", blocked: true},
		{name: "amqp091-go", argv: []string{filepath.Join(b.scratch, "amqp091")}, has: "go version", blocked: true, recovery: running},
		{name: "amqplib-promises", argv: in("node", "node/promises.js"), has: "node -e 'require(\"amqplib\")'", blocked: true,
			recovery: []string{"running", "option running"}, returns: true},
		{name: "amqplib-callbacks", argv: in("node", "node/callbacks.js"), has: "node -e 'require(\"amqplib\")'", blocked: true,
			recovery: running, returns: true},
		{name: "kombu", argv: py("kombu_client.py"), has: python + " -c 'import kombu'", recovery: running},
		{name: "amqp-tools", argv: in("bash", "amqp-tools.sh"), has: "command -v amqp-publish"},
	}
}

// environment is what the scripts find their libraries and temporary files by.
func (b *toolbox) environment() []string {
	return []string{
		"NODE_PATH=" + b.node, "TMPDIR=" + b.scratch,
		"PYTHONPATH=" + b.sources + string(os.PathListSeparator) + filepath.Join(filepath.Dir(b.sources), "compat"),
	}
}

// check wants the client installed, and compiles the one that is Go.
func (b *toolbox) check(p program) error {
	cmd := exec.Command("sh", "-c", p.has)
	cmd.Env = append(os.Environ(), b.environment()...)
	if out, err := cmd.CombinedOutput(); err != nil {
		return fmt.Errorf("%s is not installed, test/deps does it: %w\n%s", p.name, err, out)
	}
	if p.name != "amqp091-go" {
		return nil
	}
	if out, err := exec.Command("go", "build", "-o", p.argv[0], "./amqp091").CombinedOutput(); err != nil {
		return fmt.Errorf("build of the script of amqp091-go: %w\n%s", err, out)
	}
	return nil
}

// command is the script's in a phase, beginning at one of the nodes.
func (b *toolbox) command(p program, phase string, addrs []string, first int) script.Command {
	argv := append([]string{}, p.argv...)
	argv = append(argv, phase)
	for i := range addrs {
		argv = append(argv, addrs[(first+i)%len(addrs)])
	}
	return script.Command{Argv: argv, Env: b.environment()}
}
