package traffic

import (
	"context"
	"fmt"
	"net"
	"time"

	amqp "github.com/rabbitmq/amqp091-go"
)

const (
	// heartbeat is the shortest that AMQP knows. A client gives a silent node
	// up after three of them.
	heartbeat = time.Second
	// handshakeLimit bounds a connect: a paused node's kernel still accepts.
	handshakeLimit = 3 * time.Second
	// retryEvery paces attempts to connect while no node answers.
	retryEvery = 20 * time.Millisecond
)

// Conn is a connection that can be dropped without a word.
type Conn struct {
	*amqp.Connection
	raw net.Conn
}

// Dial connects as guest and gives a silent node up soon.
func Dial(ctx context.Context, addr string) (*Conn, error) { return DialPatient(ctx, addr, heartbeat) }

// DialPatient connects as guest with a heartbeat of its own, for load under which
// a second is too short.
func DialPatient(ctx context.Context, addr string, heartbeat time.Duration) (*Conn, error) {
	c := &Conn{}
	conn, err := amqp.DialConfig("amqp://guest:guest@"+addr+"/", amqp.Config{
		Heartbeat: heartbeat,
		Dial: func(network, addr string) (net.Conn, error) {
			d := net.Dialer{Timeout: handshakeLimit}
			raw, err := d.DialContext(ctx, network, addr)
			if err != nil {
				return nil, err
			}
			c.raw = raw
			return raw, raw.SetDeadline(time.Now().Add(handshakeLimit)) // amqp lifts it when open
		},
	})
	if err != nil {
		if c.raw != nil {
			c.raw.Close()
		}
		return nil, fmt.Errorf("connect to %s: %w", addr, err)
	}
	c.Connection = conn
	return c, nil
}

// Drop closes the socket and says nothing.
func (c *Conn) Drop() { c.raw.Close() }

// ring is the nodes a client may use, the current first.
type ring struct {
	addrs []string
	at    int
}

func (r *ring) current() string { return r.addrs[r.at] }
func (r *ring) next()           { r.at = (r.at + 1) % len(r.addrs) }

func (r *ring) use(addr string) {
	for i, a := range r.addrs {
		if a == addr {
			r.at = i
		}
	}
}

// connect tries one node after the other until one answers.
func (r *ring) connect(ctx context.Context) (*Conn, error) {
	for {
		c, err := Dial(ctx, r.current())
		if err == nil {
			return c, nil
		}
		r.next()
		select {
		case <-ctx.Done():
			return nil, fmt.Errorf("%w; last: %w", ctx.Err(), err)
		case <-time.After(retryEvery):
		}
	}
}
