package main

import (
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"slices"
	"time"

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
	t.add("await_online_quorum_plus_one", "Waits until all queues would keep their quorum without the node", 0, 0,
		func(c *call, _ []string) error {
			c.banner("Will wait for a quorum + 1 of nodes to be online for all quorum queues for %v seconds...", c.timeout)
			return c.succeeded(awaitSpare(c))
		})
	t.add("check_if_node_is_quorum_critical", "Fails if queues would lose their quorum without the node", 0, 0,
		func(c *call, _ []string) error {
			s, err := control.Get(c.ctx, c.data)
			if err != nil {
				return err
			}
			c.banner("Checking if node %s is critical for quorum of any quorum queues ...", s.Name)
			if groups := critical(s); len(groups) > 0 {
				return &failure{exitUnavailable, fmt.Sprintf("Node %s is needed by queue groups %v", s.Name, groups)}
			}
			return c.succeeded(nil)
		})
}

// awaitEvery is how often a node is asked while its state is waited for.
const awaitEvery = 200 * time.Millisecond

// awaitSpare waits until the node can be stopped and every queue group goes on.
func awaitSpare(c *call) error {
	tick := time.NewTicker(awaitEvery)
	defer tick.Stop()
	for {
		s, err := control.Get(c.ctx, c.data)
		if err != nil {
			return err
		}
		if len(critical(s)) == 0 {
			return nil
		}
		select {
		case <-tick.C:
		case <-c.ctx.Done():
			return c.ctx.Err()
		}
	}
}

// critical lists the groups that have a replica at the node, and others, and no majority of
// living ones without it.
func critical(s *control.Status) (groups []uint64) {
	alive := make(map[string]bool)
	for _, n := range s.Nodes {
		alive[n.ID] = n.Alive
	}
	for _, g := range s.Groups {
		living := 0
		for _, id := range g.Replicas {
			if alive[id] && id != s.ID {
				living++
			}
		}
		if len(g.Replicas) > 1 && slices.Contains(g.Replicas, s.ID) && living <= len(g.Replicas)/2 {
			groups = append(groups, g.ID)
		}
	}
	return groups
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
