package auth

import (
	"fmt"
	"regexp"
)

// Access is what one wants to do with a resource.
type Access string

const (
	Configure Access = "configure"
	Write     Access = "write"
	Read      Access = "read"
)

// Resource is a queue or an exchange.
type Resource struct {
	VHost, Name string
	Exchange    bool
}

// name is the one that permissions know: the default exchange has another there.
func (r Resource) name() string {
	if r.Exchange && r.Name == "" {
		return "amq.default"
	}
	return r.Name
}

func (r Resource) String() string {
	kind := "queue"
	if r.Exchange {
		kind = "exchange"
	}
	return fmt.Sprintf("%s '%s' in vhost '%s'", kind, r.name(), r.VHost)
}

// maxRules bounds the compiled permissions that are kept.
const maxRules = 1024

// rules are a permission's expressions, compiled. A nil one matches nothing.
type rules struct{ configure, write, read *regexp.Regexp }

// VHostAccess refuses a vhost that does not exist or that the user has no permission in.
func (c *Checker) VHostAccess(user, vhost string) error {
	if !c.cfg.VHost(vhost) {
		return &Error{Kind: ErrNotAllowed, Text: fmt.Sprintf("vhost %s not found", vhost)}
	}
	if _, ok := c.cfg.Permission(user, vhost); ok {
		return nil
	}
	return &Error{Kind: ErrNotAllowed, Text: fmt.Sprintf("access to vhost '%s' refused for user '%s'", vhost, user)}
}

// CheckAccess refuses what the user's permission in the resource's vhost does not grant.
func (c *Checker) CheckAccess(user string, a Access, r Resource) error {
	if p, ok := c.cfg.Permission(user, r.VHost); ok && c.compiled(p).grant(a, r.name()) {
		return nil
	}
	return &Error{Kind: ErrRefused, Text: fmt.Sprintf("%s access to %v refused for user '%s'", a, r, user)}
}

// CheckAnyAccess refuses when no kind of access is granted, which is what a passive declare needs.
func (c *Checker) CheckAnyAccess(user string, r Resource) error {
	var err error
	for _, a := range [...]Access{Configure, Write, Read} {
		if err = c.CheckAccess(user, a, r); err == nil {
			return nil
		}
	}
	return err
}

func (c *Checker) compiled(p Permission) *rules {
	c.mu.Lock()
	defer c.mu.Unlock()
	if r := c.rules[p]; r != nil {
		return r
	}
	if len(c.rules) >= maxRules {
		clear(c.rules)
	}
	r := &rules{compile(p.Configure), compile(p.Write), compile(p.Read)}
	c.rules[p] = r
	return r
}

// compile takes the empty expression for one that matches the empty name alone, and
// one that cannot be compiled for one that matches nothing, as RabbitMQ does.
func compile(expression string) *regexp.Regexp {
	if expression == "" {
		expression = "^$"
	}
	re, err := regexp.Compile(expression)
	if err != nil {
		return nil
	}
	return re
}

func (r *rules) grant(a Access, name string) bool {
	var re *regexp.Regexp
	switch a {
	case Configure:
		re = r.configure
	case Write:
		re = r.write
	case Read:
		re = r.read
	}
	return re != nil && re.MatchString(name)
}
