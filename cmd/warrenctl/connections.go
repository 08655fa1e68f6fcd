package main

import (
	"fmt"
	"net/url"
	"time"

	"github.com/warrenmq/warren/cmd/control"
)

func (t *tool) queues() {
	var ifEmpty, ifUnused bool
	del := t.add("delete_queue [-p <vhost>] <queue_name> [--if-empty] [--if-unused]", "Deletes a queue", 1, 1, func(c *call, args []string) error {
		conditions := ""
		if ifEmpty {
			conditions += "if queue is empty "
		}
		if ifUnused {
			if conditions != "" {
				conditions += "and "
			}
			conditions += "if queue is unused "
		}
		c.banner("Deleting queue '%s' on vhost '%s' %s...", args[0], c.vhost, conditions)
		q := url.Values{}
		if ifEmpty {
			q.Set("if-empty", "true")
		}
		if ifUnused {
			q.Set("if-unused", "true")
		}
		err := c.node.Delete(c.ctx, control.Path("queues", c.vhost, args[0])+"?"+q.Encode(), "")
		if isMissing(err) {
			return &failure{exitUsage, "No such queue was found"}
		}
		return c.succeeded(err)
	})
	del.Flags().BoolVarP(&ifEmpty, "if-empty", "e", false, "delete the queue if it is empty")
	del.Flags().BoolVarP(&ifUnused, "if-unused", "u", false, "delete the queue only if it has no consumers")

	t.add("purge_queue [-p <vhost>] <queue>", "Purges a queue (removes all messages in it)", 1, 1, func(c *call, args []string) error {
		c.banner("Purging queue '%s' in vhost '%s' ...", args[0], c.vhost)
		err := c.node.Delete(c.ctx, control.Path("queues", c.vhost, args[0], "contents"), "")
		if isMissing(err) {
			return &failure{exitSoftware, fmt.Sprintf("no queue '%s' in vhost '%s'", args[0], c.vhost)}
		}
		return c.succeeded(err)
	})
}

func (t *tool) connections() {
	t.add("close_connection <connection> <explanation>", "Closes the connection of that name, see list_connections name", 2, 2,
		func(c *call, args []string) error {
			c.banner("Closing connection %s, reason: %s...", args[0], args[1])
			err := c.node.Delete(c.ctx, control.Path("connections", args[0]), args[1])
			if isMissing(err) {
				return &failure{exitData, fmt.Sprintf("connection '%s' not found", args[0])}
			}
			return c.succeeded(err)
		})
	var global bool
	var limit, delay int
	all := t.add("close_all_connections [-p <vhost> --limit <limit>] [--global] [--per-connection-delay <delay>] <explanation>",
		"Closes all connections of a vhost or, with --global, of the node", 1, 1, func(c *call, args []string) error {
			return c.closeAll(args[0], global, limit, time.Duration(delay)*time.Millisecond)
		})
	all.Flags().BoolVar(&global, "global", false, "all connections to this node, across all virtual hosts")
	all.Flags().IntVar(&limit, "limit", 0, "close up to this many connections")
	all.Flags().IntVar(&delay, "per-connection-delay", 0, "milliseconds between closures")
	t.add("close_all_user_connections <username> <explanation>", "Closes all connections of a user", 2, 2, func(c *call, args []string) error {
		c.banner("Closing connections of user %s, reason: %s...", args[0], args[1])
		return c.succeeded(c.node.Delete(c.ctx, control.Path("connections", "username", args[0]), args[1]))
	})
}

func (c *call) closeAll(explanation string, global bool, limit int, delay time.Duration) error {
	path := control.Path("vhosts", c.vhost, "connections")
	self := ""
	switch {
	case global:
		var overview struct{ Node string }
		if err := c.node.Get(c.ctx, control.Path("overview"), &overview); err != nil {
			return err
		}
		self, path = overview.Node, control.Path("connections")
		c.banner("Closing all connections to node %s (across all vhosts), reason: %s...", self, explanation)
	case limit > 0:
		c.banner("Closing %d connections in vhost %s, reason: %s...", limit, c.vhost, explanation)
	default:
		c.banner("Closing all connections in vhost %s, reason: %s...", c.vhost, explanation)
	}
	var found []struct{ Name, Node string }
	if err := c.node.Get(c.ctx, path, &found); err != nil {
		if isMissing(err) {
			return noVHost(c.vhost, exitData)
		}
		return err
	}
	closed := 0
	for _, f := range found {
		if global && f.Node != self || !global && limit > 0 && closed == limit {
			continue
		}
		if err := c.node.Delete(c.ctx, control.Path("connections", f.Name), explanation); err != nil && !isMissing(err) {
			return err
		}
		closed++
		if delay > 0 {
			select {
			case <-time.After(delay):
			case <-c.ctx.Done():
				return c.ctx.Err()
			}
		}
	}
	fmt.Fprintf(c.out, "Closed %d connections\n", closed)
	return nil
}
