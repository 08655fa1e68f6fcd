package main

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"time"

	"github.com/warrenmq/warren/broker/wire"
)

// rawLimit bounds every step of a raw client.
const rawLimit = 8 * time.Second

// raw is a client that says whatever it is told to.
type raw struct {
	net.Conn
	frames *wire.Reader
}

func rawDial(ctx context.Context, addr string) (*raw, error) {
	d := net.Dialer{Timeout: rawLimit}
	c, err := d.DialContext(ctx, "tcp", addr)
	if err != nil {
		return nil, fmt.Errorf("raw client: %w", err)
	}
	return &raw{c, wire.NewReader(c, 131072-wire.FrameOverhead)}, c.SetDeadline(time.Now().Add(rawLimit))
}

// startOk is a login as guest by a client that understands a refusal.
func startOk() *wire.ConnectionStartOk {
	return &wire.ConnectionStartOk{
		ClientProperties: wire.Table{"capabilities": wire.Table{"authentication_failure_close": true, "consumer_cancel_notify": true}},
		Mechanism:        "PLAIN", Response: []byte("\x00guest\x00guest"), Locale: "en_US",
	}
}

// hello is everything a client sends until its connection is open and channel 1 too.
func hello() []byte {
	b := []byte(wire.ProtocolHeader)
	b = wire.AppendMethodFrame(b, 0, startOk())
	b = wire.AppendMethodFrame(b, 0, &wire.ConnectionTuneOk{ChannelMax: 2047, FrameMax: 131072, Heartbeat: 0})
	b = wire.AppendMethodFrame(b, 0, &wire.ConnectionOpen{VirtualHost: "/"})
	return wire.AppendMethodFrame(b, 1, &wire.ChannelOpen{})
}

// method reads the next method, leaving out everything else.
func (c *raw) method() (uint16, wire.Method, error) {
	for {
		f, err := c.frames.ReadFrame()
		if err != nil {
			return 0, nil, err
		}
		if f.Type != wire.FrameMethod {
			continue
		}
		m, err := wire.ParseMethod(f.Payload)
		return f.Channel, m, err
	}
}

// open logs in and opens channel 1.
func (c *raw) open() error {
	if _, err := c.Write(hello()); err != nil {
		return fmt.Errorf("hello: %w", err)
	}
	return c.await(&wire.ChannelOpenOk{})
}

// await reads until a method like m.
func (c *raw) await(m wire.Method) error {
	wantClass, wantMethod := m.ID()
	for {
		_, got, err := c.method()
		if err != nil {
			return fmt.Errorf("waiting for %s: %w", m.Name(), err)
		}
		switch got := got.(type) {
		case *wire.ConnectionClose:
			return fmt.Errorf("waiting for %s: connection closed: %d %s", m.Name(), got.ReplyCode, got.ReplyText)
		case *wire.ChannelClose:
			return fmt.Errorf("waiting for %s: channel closed: %d %s", m.Name(), got.ReplyCode, got.ReplyText)
		}
		if class, method := got.ID(); class == wantClass && method == wantMethod {
			return nil
		}
	}
}

// verdict is how the broker took what it was sent.
type verdict struct {
	scope string // "connection", "channel": closed with a code; "socket": hung up; "greeting": told its version and hung up; "silence"
	code  uint16
	text  string
}

func (v verdict) String() string {
	if v.code == 0 {
		return v.scope
	}
	return fmt.Sprintf("%s %d %s", v.scope, v.code, v.text)
}

// verdict reads until the broker closes something, answers, and, after a
// channel's close, checks that the connection lives on.
func (c *raw) verdict() (verdict, error) {
	for {
		channel, m, err := c.method()
		if err != nil {
			if e, ok := errors.AsType[net.Error](err); ok && e.Timeout() {
				return verdict{scope: "silence"}, nil
			}
			return verdict{scope: "socket"}, nil
		}
		switch m := m.(type) {
		case *wire.ConnectionClose:
			c.Write(wire.AppendMethodFrame(nil, 0, &wire.ConnectionCloseOk{}))
			if _, err := io.Copy(io.Discard, c.Conn); err != nil {
				return verdict{}, fmt.Errorf("the socket after close-ok: %w", err)
			}
			return verdict{"connection", m.ReplyCode, m.ReplyText}, nil
		case *wire.ChannelClose:
			b := wire.AppendMethodFrame(nil, channel, &wire.ChannelCloseOk{})
			b = wire.AppendMethodFrame(b, channel, &wire.ChannelOpen{})
			if _, err := c.Write(b); err != nil {
				return verdict{}, fmt.Errorf("after channel.close: %w", err)
			}
			if err := c.await(&wire.ChannelOpenOk{}); err != nil {
				return verdict{}, fmt.Errorf("the connection did not outlive its channel: %w", err)
			}
			return verdict{"channel", m.ReplyCode, m.ReplyText}, nil
		}
	}
}

// greeted reads what a broker answers to a protocol it does not speak.
func (c *raw) greeted() (verdict, error) {
	b, err := io.ReadAll(io.LimitReader(c.Conn, 64))
	switch {
	case err != nil && !bytes.HasPrefix(b, []byte("AMQP")):
		return verdict{scope: "socket"}, nil
	case bytes.HasPrefix(b, []byte("AMQP")) && len(b) == 8:
		return verdict{scope: "greeting"}, nil
	default:
		return verdict{}, fmt.Errorf("the answer to a strange protocol is %q", b)
	}
}
