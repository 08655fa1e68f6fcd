package auth

import (
	"fmt"
	"regexp"
	"slices"
	"strings"
)

// impersonator is the tag of users that may publish under another's name.
const impersonator = "impersonator"

// CheckTopicAccess refuses a routing key of a topic exchange that the user's topic
// permission for that exchange does not grant (K12). Its caller has checked access
// to the exchange itself, and that it is a topic exchange.
func (c *Checker) CheckTopicAccess(user string, a Access, exchange Resource, routingKey string) error {
	if c.cfg.TopicPermission == nil {
		return nil
	}
	p, ok := c.cfg.TopicPermission(user, exchange.VHost, exchange.Name)
	if !ok {
		return nil
	}
	expression := p.Read
	if a == Write {
		expression = p.Write
	}
	if strings.Contains(expression, "{") {
		expression = expand(expression, user, exchange.VHost)
	}
	if c.grants(expression, routingKey) {
		return nil
	}
	return &Error{Kind: ErrRefused, Text: fmt.Sprintf("%s access to topic '%s' in exchange '%s' in vhost '%s' refused for user '%s'",
		a, routingKey, exchange.Name, exchange.VHost, user)}
}

// expand puts the client's values, which mean themselves, where their names stand.
func expand(expression, user, vhost string) string {
	return strings.NewReplacer("{username}", regexp.QuoteMeta(user), "{vhost}", regexp.QuoteMeta(vhost)).Replace(expression)
}

// Impersonates reports whether a user may publish under another's user-id: its tag says so (G8).
func (c *Checker) Impersonates(user string) bool {
	u, ok := c.cfg.User(user)
	return ok && slices.Contains(u.Tags, impersonator)
}
