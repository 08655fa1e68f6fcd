package deadletter

import (
	"strconv"
	"strings"
	"time"

	"github.com/warrenmq/warren/broker/queue"
	"github.com/warrenmq/warren/broker/routing"
	"github.com/warrenmq/warren/broker/topology"
	"github.com/warrenmq/warren/broker/wire"
)

// route makes the message as it goes on, and finds the queues that it goes to now,
// and those in which it waits for delay first.
func (r *Router) route(j *job) (m *queue.Message, now, later []queue.ID, delay time.Duration, err error) {
	if j.settings.Delays != "" {
		return r.routeDelayed(j)
	}
	s := &j.settings
	l, err := Write(s, j.dead.Reason, j.dead.Died, &j.dead.Message)
	if err != nil {
		return nil, nil, nil, 0, err
	}
	m = &l.Message
	way := r.cfg.Routes.Route(s.VHost, m.Exchange, m.RoutingKey, l.Keys, &content{properties: m.Properties})
	if way.Exchange == nil {
		r.once("a dead-letter exchange does not exist, its messages are dropped", "vhost", s.VHost, "queue", s.Name, "exchange", m.Exchange)
		return m, nil, nil, 0, nil
	}
	return m, r.withoutCycles(l, way.Queues), way.Delayed, way.Delay, nil
}

// withoutCycles leaves out the queues that the message would come back to by itself.
func (r *Router) withoutCycles(l *Letter, to []queue.ID) []queue.ID {
	var kept []queue.ID
	for _, id := range to {
		if name, ok := r.cfg.Name(id); ok && l.Cycles(name) {
			r.once("messages are dropped that come back to a queue in which they died, and no client rejected them on the way", "queue", name)
			continue
		}
		kept = append(kept, id)
	}
	return kept
}

// routeDelayed takes a message on from the hidden queue of an x-delayed-message
// exchange: it has not died, and its header says that it has waited (D18).
func (r *Router) routeDelayed(j *job) (m *queue.Message, now, later []queue.ID, delay time.Duration, err error) {
	p, err := wire.SplitProperties(j.dead.Message.Properties)
	if err != nil {
		return nil, nil, nil, 0, err
	}
	also := append(keysOf(p.Headers, "CC"), j.dead.Message.Blind...)
	if ms, ok := routing.Delay((&content{properties: j.dead.Message.Properties}).Headers()); ok {
		p.Headers = waited(p.Headers, ms)
	}
	message := j.dead.Message
	message.TTL = ttlOf(p.Expiration)
	if message.Properties, err = p.Join(make([]byte, 0, len(message.Properties))); err != nil {
		return nil, nil, nil, 0, err
	}
	way := r.cfg.Routes.RouteDelayed(j.settings.VHost, j.settings.Delays, message.RoutingKey, also, &content{properties: message.Properties})
	return &message, way.Queues, way.Delayed, way.Delay, nil
}

// ttlOf reads the property expiration, with its length, which was checked at publish.
func ttlOf(expiration []byte) time.Duration {
	if len(expiration) == 0 {
		return queue.NoTTL
	}
	ms, err := strconv.ParseInt(strings.TrimPrefix(string(expiration[1:]), "+"), 10, 64)
	if err != nil || ms < 0 || ms > int64(time.Duration(1<<63-1)/time.Millisecond) {
		return queue.NoTTL
	}
	return time.Duration(ms) * time.Millisecond
}

// content is a message as exchanges look at it.
type content struct{ properties []byte }

// Headers decodes the message's headers.
func (c *content) Headers() topology.Arguments {
	p, err := wire.ParseProperties(c.properties)
	if err != nil {
		return nil // cannot be: Write made them
	}
	return p.Headers
}

// Property decodes one of the properties that a hash exchange may be told to look at.
func (c *content) Property(name string) (string, bool) {
	p, err := wire.ParseProperties(c.properties)
	if err != nil {
		return "", false
	}
	return p.Text(name)
}

// maxTold bounds what is remembered of what was logged.
const maxTold = 1024

// once logs what would come with every message.
func (r *Router) once(text string, args ...any) {
	var key strings.Builder
	key.WriteString(text)
	for _, a := range args {
		key.WriteByte(0)
		if s, ok := a.(string); ok {
			key.WriteString(s)
		}
	}
	r.mu.Lock()
	_, told := r.told[key.String()]
	if !told {
		if len(r.told) >= maxTold {
			clear(r.told)
		}
		r.told[key.String()] = struct{}{}
	}
	r.mu.Unlock()
	if !told {
		r.logger.Warn(text, args...)
	}
}

var _ routing.Message = (*content)(nil)
