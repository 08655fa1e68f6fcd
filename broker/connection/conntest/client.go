package conntest

import (
	"errors"
	"fmt"
	"io"
	"net"
	"reflect"
	"testing"
	"time"

	"github.com/warrenmq/warren/broker/wire"
)

// patience is how long a client waits for what must come.
const patience = 10 * time.Second

// Client speaks frames to a listener and fails the test when others come than
// those expected.
type Client struct {
	tb     testing.TB
	Conn   net.Conn
	frames *wire.Reader
	Start  *wire.ConnectionStart
	Tune   *wire.ConnectionTune
}

// Dial connects without a word.
func Dial(tb testing.TB, address string) *Client {
	tb.Helper()
	nc, err := net.Dial("tcp", address)
	if err != nil {
		tb.Fatal(err)
	}
	return NewClient(tb, nc)
}

// NewClient speaks over nc, which it takes over.
func NewClient(tb testing.TB, nc net.Conn) *Client {
	tb.Cleanup(func() { nc.Close() })
	return &Client{tb: tb, Conn: nc, frames: wire.NewReader(nc, 1<<20)}
}

// Open connects, logs in as guest and opens vhost /.
func Open(tb testing.TB, address string) *Client {
	tb.Helper()
	c := Dial(tb, address)
	c.Login(DefaultStartOk())
	c.OpenVHost("/")
	return c
}

// DefaultStartOk logs in as guest, with all capabilities.
func DefaultStartOk() *wire.ConnectionStartOk {
	return &wire.ConnectionStartOk{
		ClientProperties: wire.Table{"capabilities": wire.Table{"consumer_cancel_notify": true, "authentication_failure_close": true, "connection.blocked": true}},
		Mechanism:        "PLAIN", Response: []byte("\x00guest\x00guest"), Locale: "en_US",
	}
}

// Login goes on to connection.tune.
func (c *Client) Login(startOk *wire.ConnectionStartOk) {
	c.tb.Helper()
	c.Write([]byte(wire.ProtocolHeader))
	c.Start = Expect[*wire.ConnectionStart](c, 0)
	c.Send(0, startOk)
	c.Tune = Expect[*wire.ConnectionTune](c, 0)
}

// OpenVHost accepts what the server proposes and opens a vhost.
func (c *Client) OpenVHost(vhost string) {
	c.tb.Helper()
	c.Send(0, &wire.ConnectionTuneOk{ChannelMax: c.Tune.ChannelMax, FrameMax: c.Tune.FrameMax})
	c.Send(0, &wire.ConnectionOpen{VirtualHost: vhost})
	Expect[*wire.ConnectionOpenOk](c, 0)
}

// Channel opens a channel.
func (c *Client) Channel(id uint16) {
	c.tb.Helper()
	c.Send(id, &wire.ChannelOpen{})
	Expect[*wire.ChannelOpenOk](c, id)
}

// Write writes octets. That the other side hangs up meanwhile is no failure here.
func (c *Client) Write(b []byte) {
	c.Conn.SetWriteDeadline(time.Now().Add(patience))
	c.Conn.Write(b)
}

// Send writes methods.
func (c *Client) Send(channel uint16, methods ...wire.Method) {
	var b []byte
	for _, m := range methods {
		b = wire.AppendMethodFrame(b, channel, m)
	}
	c.Write(b)
}

// Publish writes basic.publish with its content.
func (c *Client) Publish(channel uint16, m *wire.BasicPublish, p wire.Properties, body string) {
	c.tb.Helper()
	properties, err := p.Append(nil)
	if err != nil {
		c.tb.Fatal(err)
	}
	b := wire.AppendMethodFrame(nil, channel, m)
	c.Write(wire.AppendContent(b, channel, 131072, wire.ClassBasic, properties, []byte(body)))
}

// Frame reads the next frame that is no heartbeat.
func (c *Client) Frame() (wire.Frame, error) {
	for {
		c.Conn.SetReadDeadline(time.Now().Add(patience))
		f, err := c.frames.ReadFrame()
		if err != nil || f.Type != wire.FrameHeartbeat {
			return f, err
		}
	}
}

// Method reads a method.
func (c *Client) Method() (channel uint16, m wire.Method) {
	c.tb.Helper()
	f, err := c.Frame()
	if err != nil {
		c.tb.Fatalf("read frame: %v", err)
	}
	if f.Type != wire.FrameMethod {
		c.tb.Fatalf("frame of type %d, want a method", f.Type)
	}
	if m, err = wire.ParseMethod(f.Payload); err != nil {
		c.tb.Fatalf("parse method: %v", err)
	}
	return f.Channel, m
}

// Expect reads a method that must be an M on this channel.
func Expect[M wire.Method](c *Client, channel uint16) M {
	c.tb.Helper()
	on, m := c.Method()
	want, ok := m.(M)
	if !ok || on != channel {
		c.tb.Fatalf("got %s on channel %d, want %v on channel %d", describe(m), on, reflect.TypeFor[M](), channel)
	}
	return want
}

func describe(m wire.Method) string { return fmt.Sprintf("%s %+v", m.Name(), m) }

// Message reads the content that follows a method.
func (c *Client) Message() (wire.Properties, string) {
	c.tb.Helper()
	f, err := c.Frame()
	if err != nil {
		c.tb.Fatalf("read header: %v", err)
	}
	h, err := wire.ParseHeader(f.Payload)
	if f.Type != wire.FrameHeader || err != nil {
		c.tb.Fatalf("frame of type %d, want a header (%v)", f.Type, err)
	}
	p, err := wire.ParseProperties(h.Properties)
	if err != nil {
		c.tb.Fatal(err)
	}
	var body []byte
	for uint64(len(body)) < h.BodySize {
		f, err := c.Frame()
		if err != nil || f.Type != wire.FrameBody {
			c.tb.Fatalf("frame of type %d, want a body (%v)", f.Type, err)
		}
		body = append(body, f.Payload...)
	}
	return p, string(body)
}

// Delivery reads a basic.deliver with its content.
func (c *Client) Delivery(channel uint16) (*wire.BasicDeliver, string) {
	c.tb.Helper()
	d := Expect[*wire.BasicDeliver](c, channel)
	_, body := c.Message()
	return d, body
}

// ExpectChannelClose reads channel.close and answers it.
func (c *Client) ExpectChannelClose(channel, code uint16, text string) *wire.ChannelClose {
	c.tb.Helper()
	m := Expect[*wire.ChannelClose](c, channel)
	if m.ReplyCode != code || m.ReplyText != text {
		c.tb.Fatalf("channel.close %d %q, want %d %q", m.ReplyCode, m.ReplyText, code, text)
	}
	c.Send(channel, &wire.ChannelCloseOk{})
	return m
}

// ExpectClose reads connection.close and answers it; the socket is closed then.
func (c *Client) ExpectClose(code uint16, text string) *wire.ConnectionClose {
	c.tb.Helper()
	m := Expect[*wire.ConnectionClose](c, 0)
	if m.ReplyCode != code || m.ReplyText != text {
		c.tb.Fatalf("connection.close %d %q, want %d %q", m.ReplyCode, m.ReplyText, code, text)
	}
	c.Send(0, &wire.ConnectionCloseOk{})
	c.ExpectEOF()
	return m
}

// ExpectEOF waits until the other side has closed the socket.
func (c *Client) ExpectEOF() {
	c.tb.Helper()
	f, err := c.Frame()
	if err == nil {
		c.tb.Fatalf("frame of type %d, want the end", f.Type)
	}
	if _, network := errors.AsType[*net.OpError](err); !network && !errors.Is(err, io.EOF) && !errors.Is(err, io.ErrUnexpectedEOF) && !errors.Is(err, io.ErrClosedPipe) {
		c.tb.Fatalf("read: %v, want the end", err)
	}
	if ne, ok := errors.AsType[net.Error](err); ok && ne.Timeout() {
		c.tb.Fatal("the socket stays open")
	}
}

// Declare declares a queue and answers its name.
func (c *Client) Declare(channel uint16, m *wire.QueueDeclare) *wire.QueueDeclareOk {
	c.tb.Helper()
	c.Send(channel, m)
	return Expect[*wire.QueueDeclareOk](c, channel)
}

// Consume starts a consumer.
func (c *Client) Consume(channel uint16, m *wire.BasicConsume) string {
	c.tb.Helper()
	c.Send(channel, m)
	return Expect[*wire.BasicConsumeOk](c, channel).ConsumerTag
}

// Counts declares a queue passively, which tells its ready messages and consumers.
// It also waits until all that was sent before on the channel is done.
func (c *Client) Counts(channel uint16, name string) (ready, consumers uint32) {
	c.tb.Helper()
	ok := c.Declare(channel, &wire.QueueDeclare{Queue: name, Passive: true})
	return ok.MessageCount, ok.ConsumerCount
}
