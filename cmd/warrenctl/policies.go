package main

import (
	"encoding/json"
	"fmt"

	"github.com/warrenmq/warren/cmd/control"
)

// parseObject reads a JSON object from the command line.
func parseObject(text string) (map[string]json.RawMessage, error) {
	var object map[string]json.RawMessage
	if err := json.Unmarshal([]byte(text), &object); err != nil || object == nil {
		return nil, &failure{exitSoftware, "Could not parse JSON document: " + text}
	}
	return object, nil
}

func (t *tool) policies() {
	t.policyCommands("policies", "set_policy", "clear_policy", "Sets or updates a policy", "Clears (removes) a policy",
		"Setting policy", "Clearing policy")
	t.policyCommands("operator-policies", "set_operator_policy", "clear_operator_policy",
		"Sets an operator policy that overrides a subset of arguments in user policies", "Clears an operator policy",
		"Setting operator policy override", "Clearing operator policy")
}

func (t *tool) policyCommands(path, set, clear, setShort, clearShort, setting, clearing string) {
	var priority int64
	var applyTo string
	cmd := t.add(set+" [-p <vhost>] [--priority <priority>] [--apply-to <apply-to>] <name> <pattern> <definition>", setShort, 3, 3,
		func(c *call, args []string) error {
			c.banner("%s %q for pattern %q to \"%s\" with priority \"%d\" for vhost %q ...", setting, args[0], args[1], args[2], priority, c.vhost)
			definition, err := parseObject(args[2])
			if err != nil {
				return err
			}
			_, err = c.node.Put(c.ctx, control.Path(path, c.vhost, args[0]),
				map[string]any{"pattern": args[1], "definition": definition, "priority": priority, "apply-to": applyTo})
			if isMissing(err) {
				return noVHost(c.vhost, exitSoftware)
			}
			return c.succeeded(err)
		})
	cmd.Flags().Int64Var(&priority, "priority", 0, "policy priority")
	cmd.Flags().StringVar(&applyTo, "apply-to", "all", "queues, classic_queues, quorum_queues, streams, exchanges or all")

	t.add(clear+" [-p <vhost>] <name>", clearShort, 1, 1, func(c *call, args []string) error {
		c.banner("%s %q on vhost %q ...", clearing, args[0], c.vhost)
		err := c.node.Delete(c.ctx, control.Path(path, c.vhost, args[0]), "")
		if isMissing(err) {
			return &failure{exitSoftware, "Parameter does not exist"}
		}
		return c.succeeded(err)
	})
}

func (t *tool) limits() {
	t.add("set_vhost_limits [-p <vhost>] <definition>", "Sets virtual host limits", 1, 1, func(c *call, args []string) error {
		c.banner("Setting vhost limits to \"%s\" for vhost %q ...", args[0], c.vhost)
		limits, err := parseObject(args[0])
		if err != nil {
			return err
		}
		if err := c.putLimits(limits, "vhost-limits", c.vhost); err != nil {
			if isMissing(err) {
				return noVHost(c.vhost, exitSoftware)
			}
			return err
		}
		for _, name := range []string{"max-connections", "max-queues"} { // what was not named is not limited any more
			if _, kept := limits[name]; kept {
				continue
			}
			if err := c.node.Delete(c.ctx, control.Path("vhost-limits", c.vhost, name), ""); err != nil {
				return err
			}
		}
		return c.succeeded(nil)
	})
	t.add("clear_vhost_limits [-p <vhost>]", "Clears virtual host limits", 0, 0, func(c *call, _ []string) error {
		c.banner("Clearing vhost %q limits ...", c.vhost)
		for _, name := range []string{"max-connections", "max-queues"} {
			if err := c.node.Delete(c.ctx, control.Path("vhost-limits", c.vhost, name), ""); isMissing(err) {
				return noVHost(c.vhost, exitSoftware)
			} else if err != nil {
				return err
			}
		}
		return c.succeeded(nil)
	})
	t.add("set_user_limits <username> <definition>", "Sets user limits", 2, 2, func(c *call, args []string) error {
		c.banner("Setting user limits to \"%s\" for user %q ...", args[1], args[0])
		limits, err := parseObject(args[1])
		if err != nil {
			return err
		}
		err = c.putLimits(limits, "user-limits", args[0])
		if isMissing(err) {
			return noUser(args[0])
		}
		return c.succeeded(err)
	})
	t.add("clear_user_limits <username> <limit_type> | all", "Clears user connection/channel limits", 2, 2, func(c *call, args []string) error {
		names := []string{args[1]}
		if args[1] == "all" {
			c.banner("Clearing all limits for user %q ...", args[0])
			names = []string{"max-connections", "max-channels"}
		} else {
			c.banner("Clearing %q limit for user %q ...", args[1], args[0])
		}
		for _, name := range names {
			if err := c.node.Delete(c.ctx, control.Path("user-limits", args[0], name), ""); isMissing(err) {
				return noUser(args[0])
			} else if err != nil {
				return err
			}
		}
		return c.succeeded(nil)
	})
	t.add("list_vhost_limits [-p <vhost>]", "Displays configured virtual host limits", 0, 0, func(c *call, _ []string) error {
		c.banner("Listing limits for vhost %q ...", c.vhost)
		return c.showLimits("vhost-limits", c.vhost, noVHost(c.vhost, exitData))
	})
	var name string
	users := t.add("list_user_limits [--user <username>]", "Displays configured user limits", 0, 0, func(c *call, _ []string) error {
		c.banner("Listing limits for user %q ...", name)
		return c.showLimits("user-limits", name, noUser(name))
	})
	users.Flags().StringVar(&name, "user", "guest", "user name")
}

func (c *call) putLimits(limits map[string]json.RawMessage, kind, of string) error {
	for name, value := range limits {
		if _, err := c.node.Put(c.ctx, control.Path(kind, of, name), map[string]any{"value": value}); err != nil {
			return err
		}
	}
	return nil
}

// showLimits prints them as the JSON document that sets them.
func (c *call) showLimits(kind, of string, missing error) error {
	var found []struct{ Value json.RawMessage }
	err := c.node.Get(c.ctx, control.Path(kind, of), &found)
	switch {
	case isMissing(err):
		return missing
	case err != nil:
		return err
	}
	for _, f := range found {
		fmt.Fprintln(c.out, string(f.Value))
	}
	return nil
}
