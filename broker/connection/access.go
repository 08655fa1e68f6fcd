package connection

import (
	"context"
	"maps"
	"slices"
	"time"

	"github.com/warrenmq/warren/broker/auth"
	"github.com/warrenmq/warren/broker/topology"
	"github.com/warrenmq/warren/broker/wire"
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

// allowTopics is asked beside it where keys go to or come from a topic exchange (K12).
func (ch *channel) allowTopics(a auth.Access, x *topology.Exchange, key string, also []string) error {
	if x == nil || x.Type != topology.Topic {
		return nil
	}
	r := auth.Resource{VHost: ch.c.vhost, Name: x.Name, Exchange: true}
	if err := ch.c.cfg.Authenticator.CheckTopicAccess(ch.c.user, a, r, key); err != nil {
		return err
	}
	for _, key := range also {
		if err := ch.c.cfg.Authenticator.CheckTopicAccess(ch.c.user, a, r, key); err != nil {
			return err
		}
	}
	return nil
}

// updateSecret lets a client renew its credentials (B19). Those of Warren's users
// do not expire, so as in RabbitMQ any secret will do; what the user may do is
// looked at anew: the vhost, and the queues that it consumes from.
func (c *conn) updateSecret(ctx context.Context) error {
	if err := c.cfg.Authenticator.VHostAccess(c.user, c.vhost); err != nil {
		return err
	}
	c.send(0, &wire.ConnectionUpdateSecretOk{})
	for _, ch := range c.channels {
		ch.recheck(ctx)
	}
	return nil
}

// recheck cancels the consumers of queues that the client may not read any more.
func (ch *channel) recheck(ctx context.Context) {
	ch.out.mu.Lock()
	consumers := slices.Collect(maps.Values(ch.consumers))
	ch.out.mu.Unlock()
	for _, k := range consumers {
		if err := ch.allow(auth.Read, false, k.queue); err != nil && k.queue != ch.replies {
			ch.c.logger.Warn("consumer cancelled: read access refused after credential update", "channel", ch.id, "consumer", k.tag, "error", err)
			ch.stop(ctx, k, true)
		}
	}
}

// publishable remembers the exchanges that the client may write to until the
// socket is read again: what comes in one piece costs one look at permissions, and
// one that is taken away ends at once (K14).
type publishable struct {
	at    time.Time
	last  string
	known map[string]struct{}
}

const publishableMax = 256

// mayPublish refuses an exchange that the client may not write to.
func (ch *channel) mayPublish(name string) error {
	p := &ch.publishable
	switch {
	case p.at != ch.c.readAt || len(p.known) >= publishableMax:
		p.at = ch.c.readAt
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
