package main

import (
	"errors"
	"fmt"
	"net/http"
	"net/url"

	"github.com/warrenmq/warren/cmd/control"
)

// members are the commands that change which nodes there are, and what they do.
func (t *tool) members() {
	var force bool
	forget := t.add("forget_cluster_node [--force] <existing_cluster_member_node>", "Removes a node that is down from the cluster; its replicas are made elsewhere", 1, 1,
		func(c *call, args []string) error { return forgetNode(c, args[0], force) })
	forget.Flags().BoolVar(&force, "force", false, "also a node that seems to run")
	t.add("drain", "Puts the node in maintenance mode: it serves no clients and leads no queues", 0, 0,
		func(c *call, _ []string) error {
			name, err := c.nodeName()
			if err != nil {
				return err
			}
			c.banner("Will put node %s into maintenance mode. The node will no longer serve any client traffic!", name)
			return c.succeeded(c.node.PutText(c.ctx, "/maintenance", ""))
		})
	t.add("revive", "Puts the node out of maintenance mode", 0, 0,
		func(c *call, _ []string) error {
			name, err := c.nodeName()
			if err != nil {
				return err
			}
			c.banner("Will put node %s back into regular operating mode. The node will again serve client traffic and host primary queue replicas.", name)
			return c.succeeded(c.node.Delete(c.ctx, "/maintenance", ""))
		})
}

// nodeName is the name of the node that is asked.
func (c *call) nodeName() (string, error) {
	s, err := control.Get(c.ctx, c.data)
	if err != nil {
		return "", err
	}
	return s.Name, nil
}

func forgetNode(c *call, name string, force bool) error {
	c.banner("Removing node %s from the cluster", name)
	path := "/nodes/" + url.PathEscape(name)
	if force {
		path += "?force=true"
	}
	err := c.node.Delete(c.ctx, path, "")
	if r, ok := errors.AsType[*control.Refusal](err); ok {
		switch r.Code {
		case http.StatusConflict:
			err = &failure{exitSoftware, fmt.Sprintf("RabbitMQ on node %s must be stopped with 'rabbitmqctl -n %s stop_app' before it can be removed", name, name)}
		case http.StatusNotFound:
			err = &failure{exitData, "The node selected is not in the cluster."}
		case http.StatusPreconditionFailed:
			err = &failure{exitSoftware, r.Reason + ". Start it again, or give up what only it has with --force"}
		case http.StatusServiceUnavailable:
			err = &failure{exitUnavailable, r.Reason}
		}
	}
	return c.succeeded(err)
}

// maintenance is rabbitmqctl's word for it.
func maintenance(n control.Member) string {
	if n.Drained {
		return "marked for maintenance"
	}
	return "not under maintenance"
}
