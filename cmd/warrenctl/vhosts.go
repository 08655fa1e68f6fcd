package main

import (
	"errors"
	"fmt"
	"strings"

	"github.com/warrenmq/warren/cmd/control"
)

func noVHost(name string, code int) error {
	return &failure{code, fmt.Sprintf("Virtual host '%s' does not exist", name)}
}

func (t *tool) vhosts() {
	var description, tags, queueType string
	add := t.add("add_vhost <vhost> [--description <description>] [--tags <tag1>,<tag2>] [--default-queue-type <quorum|classic|stream>]",
		"Creates a virtual host", 1, 1, func(c *call, args []string) error {
			c.banner("Adding vhost %q ...", args[0])
			v := map[string]any{}
			for key, text := range map[string]string{"description": description, "tags": tags, "default_queue_type": queueType} {
				if text != "" {
					v[key] = text
				}
			}
			_, err := c.node.Put(c.ctx, control.Path("vhosts", args[0]), v)
			if r, ok := errors.AsType[*control.Refusal](err); ok && strings.HasPrefix(r.Reason, "cannot create vhost ") {
				return &failure{exitUsage, r.Reason} // a limit
			}
			return c.succeeded(err)
		})
	add.Flags().StringVarP(&description, "description", "d", "", "virtual host description")
	add.Flags().StringVar(&tags, "tags", "", "comma-separated list of tags")
	add.Flags().StringVar(&queueType, "default-queue-type", "", "queue type to use if no type is explicitly provided by the client")

	t.add("delete_vhost <vhost>", "Deletes a virtual host", 1, 1, func(c *call, args []string) error {
		c.banner("Deleting vhost %q ...", args[0])
		err := c.node.Delete(c.ctx, control.Path("vhosts", args[0]), "")
		if isMissing(err) {
			return noVHost(args[0], exitData)
		}
		return c.succeeded(err)
	})
}

func (t *tool) permissions() {
	t.add("set_permissions [-p <vhost>] <username> <conf> <write> <read>", "Sets user permissions for a vhost", 4, 4,
		func(c *call, args []string) error {
			c.banner("Setting permissions for user %q in vhost %q ...", args[0], c.vhost)
			_, err := c.node.Put(c.ctx, control.Path("permissions", c.vhost, args[0]),
				map[string]string{"configure": args[1], "write": args[2], "read": args[3]})
			return c.succeeded(c.userOrVHost(err, args[0]))
		})
	t.add("clear_permissions [-p <vhost>] <username>", "Revokes user permissions for a vhost", 1, 1, func(c *call, args []string) error {
		c.banner("Clearing permissions for user %q in vhost %q ...", args[0], c.vhost)
		return c.succeeded(c.cleared(c.node.Delete(c.ctx, control.Path("permissions", c.vhost, args[0]), ""), args[0]))
	})
	t.add("set_topic_permissions [-p <vhost>] <username> <exchange> <write> <read>", "Sets user topic permissions for an exchange", 4, 4,
		func(c *call, args []string) error {
			c.banner("Setting topic permissions on %q for user %q in vhost %q ...", args[1], args[0], c.vhost)
			_, err := c.node.Put(c.ctx, control.Path("topic-permissions", c.vhost, args[0]),
				map[string]string{"exchange": args[1], "write": args[2], "read": args[3]})
			return c.succeeded(c.userOrVHost(err, args[0]))
		})
	t.add("clear_topic_permissions [-p <vhost>] <username> [<exchange>]", "Clears user topic permissions for a vhost or exchange", 1, 2,
		func(c *call, args []string) error {
			path := append([]string{"topic-permissions", c.vhost}, args...)
			if len(args) == 2 {
				c.banner("Clearing topic permissions on %q for user %q in vhost %q ...", args[1], args[0], c.vhost)
			} else {
				c.banner("Clearing topic permissions for user %q in vhost %q ...", args[0], c.vhost)
			}
			return c.succeeded(c.cleared(c.node.Delete(c.ctx, control.Path(path...), ""), args[0]))
		})
}

// userOrVHost finds out which of the two the node does not know.
func (c *call) userOrVHost(err error, user string) error {
	if !isBad(err, "vhost_or_user_not_found") {
		return err
	}
	var found any
	if isMissing(c.node.Get(c.ctx, control.Path("users", user), &found)) {
		return &failure{exitNoUser, fmt.Sprintf("User %s does not exist", user)}
	}
	return &failure{exitSoftware, fmt.Sprintf("Virtual host %s does not exist", c.vhost)}
}

// cleared takes it for a success that there was nothing to clear, if there are the user and the vhost.
func (c *call) cleared(err error, user string) error {
	if !isMissing(err) {
		return err
	}
	var found any
	if isMissing(c.node.Get(c.ctx, control.Path("users", user), &found)) {
		return &failure{exitNoUser, fmt.Sprintf("User %s does not exist", user)}
	}
	if isMissing(c.node.Get(c.ctx, control.Path("vhosts", c.vhost), &found)) {
		return &failure{exitSoftware, fmt.Sprintf("Virtual host %s does not exist", c.vhost)}
	}
	return nil
}

// firstLine reads a secret that was not given as an argument.
func (c *call) firstLine() (string, error) {
	var b strings.Builder
	one := make([]byte, 1)
	for {
		n, err := c.in.Read(one)
		if n == 1 && one[0] != '\n' {
			b.WriteByte(one[0])
			continue
		}
		text := strings.TrimSuffix(b.String(), "\r")
		if n == 1 || text != "" {
			return text, nil
		}
		if err != nil {
			return "", &failure{exitData, "Password is not provided via argument or stdin"}
		}
	}
}
