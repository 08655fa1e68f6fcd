package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	amqp "github.com/rabbitmq/amqp091-go"

	"github.com/warrenmq/warren/broker/topology"
	"github.com/warrenmq/warren/cmd/control"
	"github.com/warrenmq/warren/cmd/node"
)

// realNode is a node in this process, with its own disk and sockets.
type realNode struct{ dir, address string }

// startNodes runs a cluster until the test ends.
func startNodes(t *testing.T, names ...string) []realNode {
	t.Helper()
	return startNodesWith(t, node.Config{}, names...)
}

// startNodesWith gives the nodes settings of the test's.
func startNodesWith(t *testing.T, cfg node.Config, names ...string) []realNode {
	t.Helper()
	var gossip []string
	for range names {
		gossip = append(gossip, freeAddress(t))
	}
	ctx, stop := context.WithCancel(context.Background())
	ended := make(chan error, len(names))
	var nodes []realNode
	t.Cleanup(func() {
		stop()
		for range nodes {
			if err := <-ended; err != nil {
				t.Error(err)
			}
		}
		for _, n := range nodes { // not before they have ended
			os.RemoveAll(n.dir)
		}
	})
	ready := make(chan struct{}, len(names))
	for i, name := range names {
		dir, err := os.MkdirTemp("", "ctl")
		if err != nil {
			t.Fatal(err)
		}
		n := realNode{dir, freeAddress(t)}
		cfg := cfg
		cfg.Name, cfg.DataDir, cfg.Expect, cfg.Seeds = name, dir, len(names), gossip
		cfg.Listen, cfg.Gossip, cfg.Peer = n.address, gossip[i], freeAddress(t)
		cfg.Logger = slog.New(slog.NewTextHandler(io.Discard, nil))
		cfg.World.Ready = func(*node.Node) { ready <- struct{}{} }
		nodes = append(nodes, n)
		go func() { ended <- node.Run(ctx, cfg) }()
	}
	for range names {
		select {
		case <-ready:
		case err := <-ended:
			ended <- err
			t.Fatal(err)
		}
	}
	return nodes
}

// do runs the tool at the node; it must succeed.
func (n realNode) do(t *testing.T, args ...string) string {
	t.Helper()
	out, err := run(t, n.dir, append([]string{"-q"}, args...)...)
	if err != nil {
		t.Fatalf("%q: %v", args, err)
	}
	return out
}

// until repeats the tool until it says what is wanted.
func (n realNode) until(t *testing.T, want string, args ...string) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), 30*time.Second)
	defer cancel()
	for out := n.do(t, args...); !strings.Contains(out, want); out = n.do(t, args...) {
		if ctx.Err() != nil {
			t.Fatalf("%q says %q, want %q", args, out, want)
		}
	}
}

func (n realNode) dial(user, password, vhost string) (*amqp.Connection, error) {
	return amqp.DialConfig(fmt.Sprintf("amqp://%s:%s@%s", user, password, n.address), amqp.Config{Vhost: vhost})
}

// refused checks what a client was told.
func refused(t *testing.T, err error, code int, text string) {
	t.Helper()
	var e *amqp.Error
	if !errors.As(err, &e) || e.Code != code || !strings.Contains(e.Reason, text) {
		t.Errorf("%v, want %d %s", err, code, text)
	}
}

func freeAddress(t *testing.T) string {
	t.Helper()
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer ln.Close()
	return ln.Addr().String()
}

func TestARealNode(t *testing.T) {
	n := startNodes(t, "n1")[0]
	do := func(args ...string) string {
		t.Helper()
		return n.do(t, args...)
	}

	if info, err := os.Stat(filepath.Join(n.dir, control.Socket)); err != nil || info.Mode().Perm() != 0o600 {
		t.Errorf("the control socket: %v, %v; want it for the owner alone", info.Mode(), err)
	}

	// A vhost and a user of one's own, who is let in once there are permissions.
	do("add_vhost", "v")
	do("add_user", "u", "p")
	do("set_user_tags", "u", "monitoring")
	if out := do("list_users"); out != "user\ttags\nguest\t[administrator]\nu\t[monitoring]\n" {
		t.Errorf("list_users: %q", out)
	}
	_, err := n.dial("u", "p", "v")
	refused(t, err, 530, "access to vhost 'v' refused for user 'u'")
	do("set_permissions", "-p", "v", "u", ".*", ".*", ".*")
	c, err := n.dial("u", "p", "v")
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	closed := c.NotifyClose(make(chan *amqp.Error, 1))
	ch, err := c.Channel()
	if err != nil {
		t.Fatal(err)
	}
	if _, err := ch.QueueDeclare("q", true, false, false, false, nil); err != nil {
		t.Fatal(err)
	}
	if out := do("list_queues", "-p", "v", "name", "messages", "state"); out != "name\tmessages\tstate\nq\t0\trunning\n" {
		t.Errorf("list_queues: %q", out)
	}
	if out := do("list_connections", "user", "vhost", "state", "channels"); out != "user\tvhost\tstate\tchannels\nu\tv\trunning\t1\n" {
		t.Errorf("list_connections: %q", out)
	}

	// A policy, and one that is refused.
	do("set_policy", "-p", "v", "short", "^q$", `{"max-length":5}`, "--apply-to", "queues")
	if out := do("list_queues", "-p", "v", "name", "policy"); out != "name\tpolicy\nq\tshort\n" {
		t.Errorf("list_queues with a policy: %q", out)
	}
	if _, err := run(t, n.dir, "-q", "set_policy", "bad", "(", `{"max-length":5}`); err == nil || !strings.Contains(err.Error(), "Validation failed") {
		t.Errorf("a policy with a bad pattern: %v", err)
	}

	// Limits of a vhost and of a user.
	do("set_vhost_limits", "-p", "v", `{"max-connections":1}`)
	_, err = n.dial("u", "p", "v")
	refused(t, err, 530, "access to vhost 'v' refused for user 'u': connection limit (1) is reached")
	do("clear_vhost_limits", "-p", "v")
	do("set_user_limits", "u", `{"max-connections":1}`)
	_, err = n.dial("u", "p", "v")
	refused(t, err, 530, "connection refused for user 'u': user connection limit (1) is reached")
	do("clear_user_limits", "u", "all")

	publishUnderAlarm(t, n, c, ch)

	// An operator closes the connection, and the user's next one goes with the user.
	name := strings.TrimSpace(do("-s", "list_connections", "name"))
	do("close_connection", name, "tidying up")
	if e := <-closed; e == nil || e.Code != 320 || e.Reason != "CONNECTION_FORCED - tidying up" {
		t.Errorf("the client was told %v", e)
	}
	if c, err = n.dial("u", "p", "v"); err != nil {
		t.Fatal(err)
	}
	closed = c.NotifyClose(make(chan *amqp.Error, 1))
	do("delete_user", "u")
	if e := <-closed; e == nil || e.Code != 320 || e.Reason != "CONNECTION_FORCED - user 'u' is deleted" {
		t.Errorf("the client was told %v", e)
	}
	_, err = n.dial("u", "p", "v")
	refused(t, err, 403, "")
	do("delete_vhost", "v")
	if out := do("list_vhosts"); out != "name\n/\n" {
		t.Errorf("list_vhosts: %q", out)
	}
}

// publishUnderAlarm: a publisher waits while the node is short, is told so, and goes on.
func publishUnderAlarm(t *testing.T, n realNode, c *amqp.Connection, ch *amqp.Channel) {
	t.Helper()
	blockings := c.NotifyBlocked(make(chan amqp.Blocking, 2))
	if err := ch.Confirm(false); err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithTimeout(t.Context(), 30*time.Second)
	defer cancel()
	n.do(t, "set_vm_memory_high_watermark", "absolute", "2")
	n.until(t, "Memory alarm on node n1", "cluster_status") // it is measured at once, and not awaited
	confirm, err := ch.PublishWithDeferredConfirm("", "q", false, false, amqp.Publishing{Body: []byte("x")})
	if err != nil {
		t.Fatal(err)
	}
	if b := <-blockings; !b.Active || b.Reason != "low on memory" {
		t.Errorf("blocked: %+v", b)
	}
	if out := n.do(t, "list_connections", "state"); out != "state\nblocked\n" {
		t.Errorf("list_connections: %q", out)
	}
	select {
	case <-confirm.Done():
		t.Error("confirmed under the alarm")
	default:
	}
	n.do(t, "set_vm_memory_high_watermark", "0.9")
	if b := <-blockings; b.Active {
		t.Errorf("unblocked: %+v", b)
	}
	if ok, err := confirm.WaitContext(ctx); !ok || err != nil {
		t.Errorf("not confirmed after the alarm: %v", err)
	}
}

func TestLimitsOfTheCluster(t *testing.T) {
	nodes := startNodesWith(t, node.Config{ClusterLimits: topology.Limits{VHosts: 2, Queues: 2, Exchanges: 15}}, "n1", "n2")
	nodes[0].do(t, "add_vhost", "v")
	nodes[0].do(t, "set_permissions", "-p", "v", "guest", ".*", ".*", ".*")
	_, err := run(t, nodes[1].dir, "-q", "add_vhost", "w")
	if err == nil || exitCode(err) != exitUsage || err.Error() != "cannot create vhost 'w': vhost limit of 2 is reached" {
		t.Errorf("a vhost too many: %v", err)
	}
	nodes[1].do(t, "add_vhost", "v") // is there already
	open := func(n realNode, vhost string) *amqp.Channel {
		t.Helper()
		c, err := n.dial("guest", "guest", vhost)
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { c.Close() })
		ch, err := c.Channel()
		if err != nil {
			t.Fatal(err)
		}
		return ch
	}
	here, there := open(nodes[0], "/"), open(nodes[1], "v")
	if _, err := here.QueueDeclare("a", true, false, false, false, nil); err != nil {
		t.Fatal(err)
	}
	if _, err := there.QueueDeclare("b", false, false, true, false, nil); err != nil {
		t.Fatal(err)
	}
	if err := there.ExchangeDeclare("x", "fanout", true, false, false, false, nil); err != nil {
		t.Fatal(err)
	}
	if _, err := there.Consume("amq.rabbitmq.reply-to", "", true, false, false, false, nil); err != nil {
		t.Errorf("replies are limited: %v", err)
	}
	_, err = here.QueueDeclare("c", true, false, false, false, amqp.Table{"x-queue-type": "quorum"})
	refused(t, err, 406, "PRECONDITION_FAILED - cannot declare queue 'c': queue limit in cluster (2) is reached")
	err = there.ExchangeDeclare("y", "fanout", true, false, false, false, nil)
	refused(t, err, 406, "PRECONDITION_FAILED - cannot declare exchange 'y' in vhost 'v': exchange limit of 15 is reached")
	there = open(nodes[1], "v")
	_, err = there.QueueDeclare("c", true, false, false, false, nil)
	refused(t, err, 406, "PRECONDITION_FAILED - cannot declare queue 'c': queue limit in cluster (2) is reached")
	here = open(nodes[0], "/")
	if _, err := here.QueueDelete("a", false, false, false); err != nil {
		t.Fatal(err)
	}
	if _, err := here.QueueDeclare("c", true, false, false, false, nil); err != nil {
		t.Errorf("a queue less, but: %v", err)
	}
}

func TestConsumersOfAllNodes(t *testing.T) {
	nodes := startNodes(t, "n1", "n2")
	consume := func(n realNode, tag string) *amqp.Channel {
		t.Helper()
		c, err := n.dial("guest", "guest", "/")
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { c.Close() })
		ch, err := c.Channel()
		if err != nil {
			t.Fatal(err)
		}
		if _, err := ch.QueueDeclare("q", true, false, false, false, amqp.Table{"x-single-active-consumer": true}); err != nil {
			t.Fatal(err)
		}
		if err := ch.Qos(7, 0, false); err != nil {
			t.Fatal(err)
		}
		if _, err := ch.Consume("q", tag, false, false, false, false, amqp.Table{"x-priority": int32(1)}); err != nil {
			t.Fatal(err)
		}
		return ch
	}
	first := consume(nodes[0], "first")
	consume(nodes[1], "second")
	columns := []string{"list_consumers", "queue_name", "consumer_tag", "active", "activity_status"}
	list := func() []string {
		lines := strings.Split(strings.TrimSpace(nodes[1].do(t, columns...)), "\n")
		slices.Sort(lines)
		return lines
	}
	want := []string{"q\tfirst\ttrue\tsingle_active", "q\tsecond\tfalse\twaiting", "queue_name\tconsumer_tag\tactive\tactivity_status"}
	if lines := list(); !slices.Equal(lines, want) {
		t.Errorf("list_consumers: %q, want %q", lines, want)
	}
	if err := first.Close(); err != nil {
		t.Fatal(err)
	}
	nodes[0].until(t, "q\tsecond\ttrue\tsingle_active", columns...)
	out := nodes[0].do(t, "list_consumers")
	if header := "queue_name\tchannel_pid\tconsumer_tag\tack_required\tprefetch_count\tactive\targuments\n"; !strings.HasPrefix(out, header) ||
		!strings.HasSuffix(out, " (1)\tsecond\ttrue\t7\ttrue\t[{\"x-priority\",1}]\n") {
		t.Errorf("list_consumers: %q", out)
	}
}

func TestThreeRealNodes(t *testing.T) {
	nodes := startNodes(t, "n1", "n2", "n3")
	n1, n2, n3 := nodes[0], nodes[1], nodes[2]

	// Limits count, and connections are listed and closed, all over the cluster.
	n1.do(t, "add_vhost", "v")
	n1.do(t, "set_permissions", "-p", "v", "guest", ".*", ".*", ".*")
	n1.do(t, "set_vhost_limits", "-p", "v", `{"max-connections":1}`)
	c1, err := n1.dial("guest", "guest", "v")
	if err != nil {
		t.Fatal(err)
	}
	closed := c1.NotifyClose(make(chan *amqp.Error, 1))
	_, err = n2.dial("guest", "guest", "v")
	refused(t, err, 530, "access to vhost 'v' refused for user 'guest': connection limit (1) is reached")
	if out := n3.do(t, "list_connections", "vhost", "node"); out != "vhost\tnode\nv\tn1\n" {
		t.Errorf("list_connections: %q", out)
	}
	if out := n3.do(t, "close_all_connections", "-p", "v", "enough"); out != "Closed 1 connections\n" {
		t.Errorf("close_all_connections: %q", out)
	}
	if e := <-closed; e == nil || e.Reason != "CONNECTION_FORCED - enough" {
		t.Errorf("the client was told %v", e)
	}
	n3.do(t, "set_user_limits", "guest", `{"max-channels":1}`)
	open := func(n realNode) (*amqp.Connection, *amqp.Channel, error) {
		t.Helper()
		c, err := n.dial("guest", "guest", "/")
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { c.Close() })
		ch, err := c.Channel()
		return c, ch, err
	}
	c1, ch1, err := open(n1)
	if err != nil {
		t.Fatal(err)
	}
	_, _, err = open(n2)
	refused(t, err, 530, "number of channels opened for user 'guest' has reached the maximum allowed user limit of 1")
	n2.do(t, "clear_user_limits", "guest", "all")

	// n2 is short: its own queues take no more, wherever the publisher is; n1's go on.
	_, ch2, err := open(n2)
	if err != nil {
		t.Fatal(err)
	}
	for name, ch := range map[string]*amqp.Channel{"q1": ch1, "q2": ch2} {
		if _, err := ch.QueueDeclare(name, false, false, false, false, nil); err != nil { // in the memory of its node
			t.Fatal(err)
		}
	}
	blockings := c1.NotifyBlocked(make(chan amqp.Blocking, 2))
	if err := ch1.Confirm(false); err != nil {
		t.Fatal(err)
	}
	publish := func(queue string) *amqp.DeferredConfirmation {
		t.Helper()
		confirm, err := ch1.PublishWithDeferredConfirm("", queue, false, false, amqp.Publishing{Body: []byte("x")})
		if err != nil {
			t.Fatal(err)
		}
		return confirm
	}
	begin := time.Now()
	n2.do(t, "set_disk_free_limit", "mem_relative", "100000")
	n3.until(t, "Free disk space alarm on node n2", "cluster_status")
	ctx, cancel := context.WithTimeout(t.Context(), 30*time.Second)
	defer cancel()
	if ok, err := publish("q1").WaitContext(ctx); !ok || err != nil {
		t.Errorf("a queue of n1 takes nothing: %v", err)
	}
	var waiting *amqp.DeferredConfirmation
	for told := false; !told; { // n1 hears of it by the next heartbeat
		waiting = publish("q2")
		select {
		case b := <-blockings:
			told = true
			if passed := time.Since(begin); !b.Active || b.Reason != "low on disk" || passed > 5*time.Second {
				t.Errorf("blocked after %v: %+v", passed, b)
			}
		case <-waiting.Done():
		case <-ctx.Done():
			t.Fatal("n1 has not heard of n2's alarm")
		}
	}
	n2.do(t, "set_disk_free_limit", "1")
	if b := <-blockings; b.Active {
		t.Errorf("unblocked: %+v", b)
	}
	if ok, err := waiting.WaitContext(ctx); !ok || err != nil {
		t.Errorf("not confirmed after the alarm: %v", err)
	}
}
