package connection

import (
	"time"

	"github.com/warrenmq/warren/broker/auth"
)

// allow is the one place where a client's right to a queue or an exchange of its
// vhost is asked for (K10, K11).
func (ch *channel) allow(a auth.Access, exchange bool, name string) error {
	return ch.c.cfg.Authenticator.CheckAccess(ch.c.user, a, auth.Resource{VHost: ch.c.vhost, Name: name, Exchange: exchange})
}

// allowAny is what a passive declare needs.
func (ch *channel) allowAny(exchange bool, name string) error {
	return ch.c.cfg.Authenticator.CheckAnyAccess(ch.c.user, auth.Resource{VHost: ch.c.vhost, Name: name, Exchange: exchange})
}

// publishable remembers the exchanges that the client may write to, for a second:
// a publish then costs no look at permissions, and one that is taken away ends soon.
type publishable struct {
	until time.Time
	last  string
	known map[string]struct{}
}

const (
	publishableMax = 256
	publishableAge = time.Second
)

// mayPublish refuses an exchange that the client may not write to.
func (ch *channel) mayPublish(name string) error {
	p := &ch.publishable
	switch {
	case ch.c.readAt.After(p.until) || len(p.known) >= publishableMax:
		p.until = ch.c.readAt.Add(publishableAge)
		clear(p.known)
	case len(p.known) > 0 && p.last == name:
		return nil
	}
	if _, ok := p.known[name]; !ok {
		if err := ch.allow(auth.Write, true, name); err != nil {
			return err
		}
		if p.known == nil {
			p.known = make(map[string]struct{})
		}
		p.known[name] = struct{}{}
	}
	p.last = name
	return nil
}
