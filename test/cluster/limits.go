package cluster

import (
	"context"
	"fmt"
	"io"
	"net/http"
	"os/exec"
	"strings"
)

// LimitDisk sets how much of its disk the node wants free, as rabbitmqctl
// set_disk_free_limit does; with more than there is, the node is short of disk at once.
func (n *Node) LimitDisk(ctx context.Context, limit string) error {
	if n.argv[0] == rabbitServer {
		return n.rabbitmqctl(ctx, "set_disk_free_limit", limit)
	}
	req, err := http.NewRequestWithContext(ctx, http.MethodPut, "http://warren/limits/disk", strings.NewReader(limit))
	if err != nil {
		return fmt.Errorf("disk limit of %s: %w", n.Name, err)
	}
	resp, err := n.control().Do(req)
	if err != nil {
		return fmt.Errorf("disk limit of %s: %w", n.Name, err)
	}
	defer resp.Body.Close()
	if resp.StatusCode/100 != 2 {
		text, _ := io.ReadAll(io.LimitReader(resp.Body, 200))
		return fmt.Errorf("disk limit of %s: %s: %s", n.Name, resp.Status, text)
	}
	return nil
}

// rabbitmqctl runs one of its commands at a node of RabbitMQ.
func (n *Node) rabbitmqctl(ctx context.Context, args ...string) error {
	ctl := exec.CommandContext(ctx, rabbitControl, append([]string{"-n", n.Name + "@localhost"}, args...)...)
	ctl.Env = n.env
	if out, err := ctl.CombinedOutput(); err != nil {
		return fmt.Errorf("rabbitmqctl %s at %s: %w\n%s", args[0], n.Name, err, out)
	}
	return nil
}
