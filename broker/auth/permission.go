package auth

import (
	"fmt"

	"github.com/warrenmq/warren/broker/pattern"
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

// maxExpressions bounds the compiled expressions that are kept.
const maxExpressions = 4096

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
	if p, ok := c.cfg.Permission(user, r.VHost); ok && c.grants(p.expression(a), r.name()) {
		return nil
	}
	return &Error{Kind: ErrRefused, Text: fmt.Sprintf("%s access to %v refused for user '%s'", a, r, user)}
}

// CheckAnyAccess refuses when no kind of access is granted, which is what a passive declare needs.
func (c *Checker) CheckAnyAccess(user string, r Resource) error {
	var err error
	for _, a := range [...]Access{Read, Write, Configure} { // the last refusal is told
		if err = c.CheckAccess(user, a, r); err == nil {
			return nil
		}
	}
	return err
}

func (p *Permission) expression(a Access) string {
	switch a {
	case Configure:
		return p.Configure
	case Write:
		return p.Write
	default:
		return p.Read
	}
}

// grants matches a name with an expression. The empty one matches the empty name
// alone, and one that cannot be compiled matches nothing, as in RabbitMQ.
func (c *Checker) grants(expression, name string) bool {
	if expression == "" {
		return name == ""
	}
	p := c.compiled(expression)
	return p != nil && p.Match(name)
}

// compiled keeps patterns by their expressions, so that a changed permission counts at once.
func (c *Checker) compiled(expression string) *pattern.Pattern {
	c.mu.Lock()
	defer c.mu.Unlock()
	if p, ok := c.patterns[expression]; ok {
		return p
	}
	if len(c.patterns) >= maxExpressions {
		clear(c.patterns)
	}
	p, err := pattern.Compile(expression)
	if err != nil {
		p = nil
	}
	c.patterns[expression] = p
	return p
}

// CheckExpression refuses what is no regular expression, as a permission's must be.
func CheckExpression(expression string) error {
	if _, err := pattern.Compile(expression); err != nil {
		return fmt.Errorf("%q is no regular expression: %w", expression, err)
	}
	return nil
}
