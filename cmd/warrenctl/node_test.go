package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"os"
	"strings"
	"testing"
	"time"

	amqp "github.com/rabbitmq/amqp091-go"

	"github.com/warrenmq/warren/cmd/node"
)

// startNode runs a real node, and tells where its clients connect.
func startNode(t *testing.T) (dir, address string) {
	t.Helper()
	dir, err := os.MkdirTemp("", "ctl")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { os.RemoveAll(dir) })
	address = freeAddress(t)
	ctx, stop := context.WithCancel(context.Background())
	ready, ended := make(chan struct{}), make(chan error, 1)
	go func() {
		ended <- node.Run(ctx, node.Config{
			Name: "n1", DataDir: dir, Expect: 1, Listen: address, Gossip: freeAddress(t), Peer: freeAddress(t),
			Logger: slog.New(slog.NewTextHandler(io.Discard, nil)),
			World:  node.World{Ready: func(*node.Node) { close(ready) }},
		})
	}()
	select {
	case <-ready:
	case err := <-ended:
		t.Fatal(err)
	}
	t.Cleanup(func() {
		stop()
		if err := <-ended; err != nil {
			t.Error(err)
		}
	})
	return dir, address
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
	dir, address := startNode(t)
	do := func(args ...string) string {
		t.Helper()
		out, err := run(t, dir, append([]string{"-q"}, args...)...)
		if err != nil {
			t.Fatalf("%q: %v", args, err)
		}
		return out
	}
	dial := func(user, password, vhost string) (*amqp.Connection, error) {
		return amqp.DialConfig(fmt.Sprintf("amqp://%s:%s@%s", user, password, address), amqp.Config{Vhost: vhost})
	}
	refusal := func(err error, code int, text string) {
		t.Helper()
		var e *amqp.Error
		if !errors.As(err, &e) || e.Code != code || !strings.Contains(e.Reason, text) {
			t.Errorf("%v, want %d %s", err, code, text)
		}
	}

	// A vhost and a user of one's own, who is let in once there are permissions.
	do("add_vhost", "v")
	do("add_user", "u", "p")
	do("set_user_tags", "u", "monitoring")
	if out := do("list_users"); out != "user\ttags\nguest\t[administrator]\nu\t[monitoring]\n" {
		t.Errorf("list_users: %q", out)
	}
	_, err := dial("u", "p", "v")
	refusal(err, 530, "access to vhost 'v' refused for user 'u'")
	do("set_permissions", "-p", "v", "u", ".*", ".*", ".*")
	c, err := dial("u", "p", "v")
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
	if _, err := run(t, dir, "-q", "set_policy", "bad", "(", `{"max-length":5}`); err == nil || !strings.Contains(err.Error(), "Validation failed") {
		t.Errorf("a policy with a bad pattern: %v", err)
	}

	// Limits of a vhost and of a user.
	do("set_vhost_limits", "-p", "v", `{"max-connections":1}`)
	_, err = dial("u", "p", "v")
	refusal(err, 530, "access to vhost 'v' refused for user 'u': connection limit (1) is reached")
	do("clear_vhost_limits", "-p", "v")
	do("set_user_limits", "u", `{"max-connections":1}`)
	_, err = dial("u", "p", "v")
	refusal(err, 530, "connection refused for user 'u': user connection limit (1) is reached")
	do("clear_user_limits", "u", "all")

	publishUnderAlarm(t, c, ch, do)

	// An operator closes the connection, and the user's next one goes with the user.
	name := strings.TrimSpace(do("-s", "list_connections", "name"))
	do("close_connection", name, "tidying up")
	if e := <-closed; e == nil || e.Code != 320 || e.Reason != "CONNECTION_FORCED - tidying up" {
		t.Errorf("the client was told %v", e)
	}
	if c, err = dial("u", "p", "v"); err != nil {
		t.Fatal(err)
	}
	closed = c.NotifyClose(make(chan *amqp.Error, 1))
	do("delete_user", "u")
	if e := <-closed; e == nil || e.Code != 320 || e.Reason != "CONNECTION_FORCED - user 'u' is deleted" {
		t.Errorf("the client was told %v", e)
	}
	_, err = dial("u", "p", "v")
	refusal(err, 403, "")
	do("delete_vhost", "v")
	if out := do("list_vhosts"); out != "name\n/\n" {
		t.Errorf("list_vhosts: %q", out)
	}
}

// publishUnderAlarm: a publisher waits while the node is short, is told so, and goes on.
func publishUnderAlarm(t *testing.T, c *amqp.Connection, ch *amqp.Channel, do func(...string) string) {
	t.Helper()
	blockings := c.NotifyBlocked(make(chan amqp.Blocking, 2))
	if err := ch.Confirm(false); err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithTimeout(t.Context(), 30*time.Second)
	defer cancel()
	do("set_vm_memory_high_watermark", "absolute", "2")
	for !strings.Contains(do("cluster_status"), "Memory alarm on node n1") { // it is measured at once, not awaited
		if ctx.Err() != nil {
			t.Fatal("no alarm")
		}
	}
	confirm, err := ch.PublishWithDeferredConfirm("", "q", false, false, amqp.Publishing{Body: []byte("x")})
	if err != nil {
		t.Fatal(err)
	}
	if b := <-blockings; !b.Active || b.Reason != "low on memory" {
		t.Errorf("blocked: %+v", b)
	}
	if out := do("list_connections", "state"); out != "state\nblocked\n" {
		t.Errorf("list_connections: %q", out)
	}
	select {
	case <-confirm.Done():
		t.Error("confirmed under the alarm")
	default:
	}
	do("set_vm_memory_high_watermark", "0.9")
	if b := <-blockings; b.Active {
		t.Errorf("unblocked: %+v", b)
	}
	if ok, err := confirm.WaitContext(ctx); !ok || err != nil {
		t.Errorf("not confirmed after the alarm: %v", err)
	}
}
