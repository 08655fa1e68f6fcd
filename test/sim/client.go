package sim

import (
	"context"
	"errors"
	"fmt"
	"net"
	"sync"
	"time"

	"github.com/warrenmq/warren/broker/wire"
)

const (
	heartbeat   = 2 * time.Second
	dialTimeout = 2 * time.Second
	callTimeout = 10 * time.Second
	frameMax    = 131072
	channelNo   = 1
)

// events are what a client hears without having asked; from its reader alone.
type events struct {
	deliver   func(cl *Client, m *wire.BasicDeliver, body string)
	confirmed func(tag uint64, multiple, ack bool)
	cancelled func() // the consumer is cancelled by the broker
}

// Client is an AMQP connection with one channel. Any exception ends it.
type Client struct {
	nc      net.Conn
	server  *process // that it is connected to
	events  events
	replies chan wire.Method
	ended   chan struct{}

	writing sync.Mutex
	once    sync.Once
	err     error // why it ended
	endedAt time.Time
}

// errEnded: the connection has ended.
var errEnded = errors.New("connection ended")

// Dial connects a client host to a node and opens the channel.
func (c *Cluster) Dial(host string, m *Machine, ev events) (*Client, error) {
	ctx, cancel := context.WithTimeout(context.Background(), dialTimeout)
	defer cancel()
	nc, err := c.network.Dialer(host)(ctx, m.host+amqpPort)
	if err != nil {
		return nil, err
	}
	server := m.running()
	if server == nil {
		nc.Close()
		return nil, errEnded
	}
	cl := &Client{nc: nc, server: server, events: ev, replies: make(chan wire.Method, 1), ended: make(chan struct{})}
	go cl.read()
	if err := cl.open(); err != nil {
		cl.fail(err)
		return nil, err
	}
	go cl.beat()
	return cl, nil
}

func (cl *Client) open() error {
	if err := cl.write([]byte(wire.ProtocolHeader)); err != nil {
		return err
	}
	if _, err := cl.reply(); err != nil { // connection.start
		return err
	}
	if _, err := cl.callOn(0, &wire.ConnectionStartOk{Mechanism: "PLAIN", Response: []byte("\x00guest\x00guest"), Locale: "en_US",
		ClientProperties: wire.Table{"capabilities": wire.Table{"consumer_cancel_notify": true, "authentication_failure_close": true}}}); err != nil {
		return err
	}
	tune := &wire.ConnectionTuneOk{ChannelMax: 10, FrameMax: frameMax, Heartbeat: uint16(heartbeat / time.Second)}
	if err := cl.write(wire.AppendMethodFrame(nil, 0, tune)); err != nil {
		return err
	}
	if _, err := cl.callOn(0, &wire.ConnectionOpen{VirtualHost: "/"}); err != nil {
		return err
	}
	_, err := cl.Call(&wire.ChannelOpen{})
	return err
}

// Call sends a method and waits for its answer.
func (cl *Client) Call(m wire.Method) (wire.Method, error) { return cl.callOn(channelNo, m) }

func (cl *Client) callOn(channel uint16, m wire.Method) (wire.Method, error) {
	if err := cl.write(wire.AppendMethodFrame(nil, channel, m)); err != nil {
		return nil, err
	}
	r, err := cl.reply()
	if err != nil {
		err = fmt.Errorf("%s: %w", m.Name(), err)
	}
	return r, err
}

func (cl *Client) reply() (wire.Method, error) {
	timer := time.NewTimer(callTimeout)
	defer timer.Stop()
	select {
	case m := <-cl.replies:
		return m, nil
	case <-cl.ended:
		return nil, cl.err
	case <-timer.C:
		err := fmt.Errorf("no answer within %v: %w", callTimeout, errEnded)
		cl.fail(err)
		return nil, err
	}
}

// Publish sends a persistent message.
func (cl *Client) Publish(exchange, key, body string) error {
	b := wire.AppendMethodFrame(nil, channelNo, &wire.BasicPublish{Exchange: exchange, RoutingKey: key})
	properties, err := wire.Properties{DeliveryMode: 2}.Append(nil)
	if err != nil {
		return err
	}
	return cl.write(wire.AppendContent(b, channelNo, frameMax, wire.ClassBasic, properties, []byte(body)))
}

// Send sends a method that has no answer.
func (cl *Client) Send(m wire.Method) error {
	return cl.write(wire.AppendMethodFrame(nil, channelNo, m))
}

func (cl *Client) write(b []byte) error {
	cl.writing.Lock()
	defer cl.writing.Unlock()
	if _, err := cl.nc.Write(b); err != nil {
		cl.fail(err)
		return errors.Join(errEnded, err)
	}
	return nil
}

// fail ends the connection without a word.
func (cl *Client) fail(err error) {
	cl.once.Do(func() {
		cl.err = errors.Join(errEnded, err)
		cl.endedAt = time.Now()
		cl.nc.Close()
		close(cl.ended)
	})
}

// Abort breaks the connection, as a client that dies does.
func (cl *Client) Abort() { cl.fail(errors.New("aborted")) }

// beat sends heartbeats.
func (cl *Client) beat() {
	ticker := time.NewTicker(heartbeat / 2)
	defer ticker.Stop()
	for {
		select {
		case <-ticker.C:
			if cl.write(wire.AppendHeartbeat(nil)) != nil {
				return
			}
		case <-cl.ended:
			return
		}
	}
}

// read passes on what comes until the connection ends; silence is an end too.
func (cl *Client) read() {
	frames := wire.NewReader(impatient{cl.nc}, frameMax)
	var content assembly
	for {
		f, err := frames.ReadFrame()
		if err == nil {
			err = cl.frame(f, &content)
		}
		if err != nil {
			cl.fail(err)
			return
		}
	}
}

// impatient is a connection on which silence is an error.
type impatient struct{ nc net.Conn }

func (i impatient) Read(b []byte) (int, error) {
	if err := i.nc.SetReadDeadline(time.Now().Add(2*heartbeat + time.Second)); err != nil {
		return 0, err
	}
	return i.nc.Read(b)
}

// assembly is a delivery whose content is on its way.
type assembly struct {
	method *wire.BasicDeliver
	got    *wire.BasicGetOk // what method was made of, if it is the answer to basic.get
	size   uint64
	body   []byte
}

func (cl *Client) frame(f wire.Frame, content *assembly) error {
	switch f.Type {
	case wire.FrameHeartbeat:
		return nil
	case wire.FrameHeader:
		h, err := wire.ParseHeader(f.Payload)
		if err != nil {
			return err
		}
		content.size, content.body = h.BodySize, content.body[:0]
	case wire.FrameBody:
		content.body = append(content.body, f.Payload...)
	default:
		m, err := wire.ParseMethod(f.Payload)
		if err != nil {
			return err
		}
		return cl.method(m, content)
	}
	if content.method != nil && uint64(len(content.body)) >= content.size {
		cl.events.deliver(cl, content.method, string(content.body))
		content.method = nil
		if content.got != nil {
			return cl.answer(content.got)
		}
	}
	return nil
}

func (cl *Client) method(m wire.Method, content *assembly) error {
	switch m := m.(type) {
	case *wire.BasicDeliver:
		content.method, content.got = m, nil
	case *wire.BasicGetOk:
		content.method, content.got = &wire.BasicDeliver{DeliveryTag: m.DeliveryTag, Redelivered: m.Redelivered}, m
	case *wire.BasicAck:
		cl.events.confirmed(m.DeliveryTag, m.Multiple, true)
	case *wire.BasicNack:
		cl.events.confirmed(m.DeliveryTag, m.Multiple, false)
	case *wire.BasicCancel:
		cl.events.cancelled()
	case *wire.ChannelClose:
		return &exception{m.ReplyCode, m.ReplyText}
	case *wire.ConnectionClose:
		return &exception{m.ReplyCode, m.ReplyText}
	default:
		return cl.answer(m)
	}
	return nil
}

// answer gives m to whoever has asked.
func (cl *Client) answer(m wire.Method) error {
	select {
	case cl.replies <- m:
		return nil
	default:
		return fmt.Errorf("%s was not asked for", m.Name())
	}
}

// exception is the broker's reason to end a channel or connection.
type exception struct {
	code uint16
	text string
}

func (e *exception) Error() string { return fmt.Sprintf("%d %s", e.code, e.text) }

// codeOf is the reply code of an exception, 0 for any other error.
func codeOf(err error) uint16 {
	if e, ok := errors.AsType[*exception](err); ok {
		return e.code
	}
	return 0
}
