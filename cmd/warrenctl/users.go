package main

import (
	"encoding/base64"
	"fmt"
	"strings"

	"github.com/warrenmq/warren/cmd/control"
)

// user is a user as the API shows and takes it.
type user struct {
	Password         *string  `json:"password,omitempty"`
	PasswordHash     *string  `json:"password_hash,omitempty"`
	HashingAlgorithm string   `json:"hashing_algorithm,omitempty"`
	Tags             []string `json:"tags"`
}

func noUser(name string) error {
	return &failure{exitNoUser, fmt.Sprintf("User %q does not exist", name)}
}

func (c *call) user(name string) (u user, err error) {
	err = c.node.Get(c.ctx, control.Path("users", name), &u)
	if isMissing(err) {
		err = noUser(name)
	}
	return u, err
}

func (c *call) putUser(name string, u user) error {
	_, err := c.node.Put(c.ctx, control.Path("users", name), u)
	return err
}

const welcome = "Done. Don't forget to grant the user permissions to some virtual hosts! See 'warrenctl help set_permissions' to learn more."

func (t *tool) users() {
	var hashed bool
	add := t.add("add_user <username> [<password>] [<password_hash> --pre-hashed-password]", "Creates a new user, without permissions for any virtual host", 1, 2,
		func(c *call, args []string) error { return c.addUser(args, hashed) })
	add.Flags().BoolVar(&hashed, "pre-hashed-password", false, "the password is a hash, in Base64")

	t.add("delete_user <username>", "Removes a user", 1, 1, func(c *call, args []string) error {
		c.banner("Deleting user %q ...", args[0])
		err := c.node.Delete(c.ctx, control.Path("users", args[0]), "")
		if isMissing(err) {
			return noUser(args[0])
		}
		return c.succeeded(err)
	})
	t.add("change_password <username> [<password>]", "Changes the user password", 1, 2, func(c *call, args []string) error {
		c.banner("Changing password for user %q ...", args[0])
		password, err := c.secret(args)
		if err != nil {
			return err
		}
		u, err := c.user(args[0])
		if err != nil {
			return err
		}
		return c.succeeded(c.putUser(args[0], user{Password: &password, Tags: u.Tags}))
	})
	t.add("set_user_tags <username> <tag> [...]", "Sets user tags", 1, -1, func(c *call, args []string) error {
		c.banner("Setting tags for user %q to [%s] ...", args[0], strings.Join(args[1:], ", "))
		u, err := c.user(args[0])
		if err != nil {
			return err
		}
		u.Tags = append([]string{}, args[1:]...)
		return c.succeeded(c.putUser(args[0], u))
	})
}

// secret is the second argument or, without one, a line of the input.
func (c *call) secret(args []string) (string, error) {
	if len(args) == 2 {
		return args[1], nil
	}
	return c.firstLine()
}

func (c *call) addUser(args []string, hashed bool) error {
	if args[0] == "" {
		return &failure{exitUsage, "user cannot be an empty string"}
	}
	c.banner("Adding user %q ...", args[0])
	secret, err := c.secret(args)
	if err != nil {
		return err
	}
	u := user{Password: &secret, Tags: []string{}}
	if hashed {
		if _, err := base64.StdEncoding.DecodeString(secret); err != nil {
			return &failure{exitUsage, "Could not Base64 decode provided password hash value"}
		}
		u = user{PasswordHash: &secret, Tags: []string{}}
	}
	if _, err := c.user(args[0]); err == nil {
		return &failure{exitSoftware, fmt.Sprintf("User %q already exists", args[0])}
	} else if exitCode(err) != exitNoUser {
		return err
	}
	if err := c.putUser(args[0], u); err != nil {
		return err
	}
	if c.formatter == "json" {
		fmt.Fprintf(c.out, "{\"status\":\"ok\",\"message\":%q}\n", welcome)
		return nil
	}
	c.banner("%s", welcome)
	return nil
}
