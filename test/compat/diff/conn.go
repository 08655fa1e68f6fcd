package diff

import (
	"bufio"
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"net"
	"slices"
	"sync"
	"time"

	"github.com/warrenmq/warren/broker/wire"
)

// Conn is a client's connection that says what it is told to, and no more:
// only closes are answered by themselves, unless ManualClose.
type Conn struct {
	s    *S
	name string
	net  net.Conn
	opts login
	next uint16 // the last channel opened
	over bool   // its end is in the transcript
	read chan struct{}

	mu      sync.Mutex
	inbox   map[uint16][]Item // by channel; what concerns the connection in 0
	ended   bool              // connection.close or the end of the socket has come
	changed chan struct{}     // closed and renewed with every item
}

// dial opens a socket to the node.
func (s *S) dial(name string, node int, l login) *Conn {
	n, err := s.socket(node, l.tls)
	if err != nil {
		s.stop("%s: %v", name, err)
	}
	c := &Conn{
		s: s, name: name, net: n, opts: l, read: make(chan struct{}),
		inbox: make(map[uint16][]Item), changed: make(chan struct{}),
	}
	s.conns = append(s.conns, c)
	go c.follow()
	return c
}

func (s *S) socket(node int, secure *tls.Config) (net.Conn, error) {
	if secure != nil {
		return s.dialTLS(node, secure)
	}
	d := net.Dialer{Timeout: answerLimit}
	n, err := d.DialContext(s.ctx, "tcp", s.broker.Addrs[node%len(s.broker.Addrs)])
	if err != nil {
		return nil, fmt.Errorf("connect: %w", err)
	}
	return n, nil
}

// follow reads to the end of the socket.
func (c *Conn) follow() {
	defer close(c.read)
	in := bufio.NewReaderSize(c.net, 64<<10)
	if h, err := in.Peek(4); err == nil && string(h) == "AMQP" {
		var header [8]byte
		if _, err := io.ReadFull(in, header[:]); err == nil {
			c.add(0, Item{header: header[:]})
		}
	}
	var p parts
	frames := wire.NewReader(in, 1<<24)
	for {
		f, err := frames.ReadFrame()
		if err != nil {
			it := Item{end: true}
			if !errors.Is(err, io.EOF) && !errors.Is(err, net.ErrClosed) {
				if _, ok := errors.AsType[*net.OpError](err); !ok {
					it.fault = err // what it wrote is not AMQP
				}
			}
			c.add(0, it)
			return
		}
		if it, ok := p.add(f); ok {
			c.add(f.Channel, it)
		}
	}
}

// add takes an item in and answers closes.
func (c *Conn) add(channel uint16, it Item) {
	if !c.opts.manualClose {
		switch it.Method.(type) {
		case *wire.ConnectionClose:
			c.net.Write(wire.AppendMethodFrame(nil, 0, &wire.ConnectionCloseOk{}))
		case *wire.ChannelClose:
			c.net.Write(wire.AppendMethodFrame(nil, channel, &wire.ChannelCloseOk{}))
		}
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	if _, closed := it.Method.(*wire.ConnectionClose); closed || it.end {
		c.ended = true
	}
	c.inbox[channel] = append(c.inbox[channel], it)
	close(c.changed)
	c.changed = make(chan struct{})
}

// take waits for the first item of a channel that is wanted. Without one, it
// says whether the connection has ended.
func (c *Conn) take(channel uint16, limit time.Duration, wanted func(Item) bool) (it Item, ok, ended bool) {
	late := time.NewTimer(limit)
	defer late.Stop()
	for {
		c.mu.Lock()
		for i, it := range c.inbox[channel] {
			if wanted(it) {
				c.inbox[channel] = without(c.inbox[channel], i)
				c.mu.Unlock()
				return it, true, false
			}
		}
		ended, changed := c.ended, c.changed
		c.mu.Unlock()
		if ended {
			return Item{}, false, true
		}
		select {
		case <-changed:
		case <-late.C:
			return Item{}, false, false
		case <-c.s.ctx.Done():
			c.s.stop("%s: out of time", c.name)
		}
	}
}

// without takes an item out, which is most often the first of many.
func without(items []Item, i int) []Item {
	if i == 0 {
		return items[1:]
	}
	return slices.Delete(items, i, i+1)
}

// finish records the end of the connection: what it was told, and the socket.
func (c *Conn) finish() Item {
	var told Item
	for {
		it, ok, _ := c.take(0, answerLimit, func(Item) bool { return true })
		if !ok { // ended, and the socket is still open
			it, ok = c.more()
			if !ok {
				c.s.stop("%s: the socket stays open", c.name)
			}
		}
		if told.Method == nil && it.Method != nil {
			told = it
		}
		if !it.heartbeat {
			c.record(it)
		}
		if it.end {
			c.over = true
			return told
		}
		if _, closed := it.Method.(*wire.ConnectionClose); closed && c.opts.manualClose {
			return told // the scenario goes on with Next
		}
	}
}

// more waits for what else comes on a connection that was closed: the end of
// its socket at last.
func (c *Conn) more() (Item, bool) {
	late := time.NewTimer(answerLimit)
	defer late.Stop()
	for {
		c.mu.Lock()
		changed := c.changed
		if rest := c.inbox[0]; len(rest) > 0 {
			c.inbox[0] = rest[1:]
			c.mu.Unlock()
			return rest[0], true
		}
		c.mu.Unlock()
		select {
		case <-changed:
		case <-late.C:
			return Item{}, false
		case <-c.s.ctx.Done():
			return Item{}, false
		}
	}
}

func (c *Conn) record(it Item) { c.s.Record("%s < %s", c.name, it.line(c.opts.frames, c.s.counters)) }

// write sends octets. A socket that the broker has closed is recorded with
// what it said before, and ends the run.
func (c *Conn) write(b []byte) {
	if c.over {
		c.s.stop("%s is closed", c.name)
	}
	c.net.SetWriteDeadline(time.Now().Add(answerLimit))
	if _, err := c.net.Write(b); err != nil {
		if e, ok := errors.AsType[net.Error](err); ok && e.Timeout() {
			c.s.stop("%s: it does not read", c.name)
		}
		c.finish()
		c.s.stop("%s is closed", c.name)
	}
}

// Bytes sends octets as they are; what says to the reader what they are.
func (c *Conn) Bytes(what string, b []byte) {
	c.s.Record("%s > %s", c.name, what)
	c.write(b)
}

// Frame sends any frame.
func (c *Conn) Frame(frameType uint8, channel uint16, payload []byte) {
	c.s.Record("%s > frame type=%d channel=%d %s", c.name, frameType, channel, bodyText(payload))
	c.write(wire.AppendFrame(nil, frameType, channel, payload))
}

// Send sends a method on channel 0.
func (c *Conn) Send(m wire.Method) {
	c.s.Record("%s > %s", c.name, methodText(m))
	c.write(wire.AppendMethodFrame(nil, 0, m))
}

// Do sends a method on channel 0 and records its answer.
func (c *Conn) Do(m wire.Method) Item {
	c.Send(m)
	return c.answer(m.Name(), func(it Item) bool { return it.answer() })
}

// Expect records the next thing that concerns the connection: a method of
// channel 0, a protocol header, or its end.
func (c *Conn) Expect() Item {
	return c.answer("anything", func(it Item) bool { return it.Method != nil || it.header != nil })
}

// Next records the next thing on channel 0, a close too, and answers nothing:
// for connections with ManualClose.
func (c *Conn) Next() Item {
	it, ok, _ := c.take(0, answerLimit, func(it Item) bool { return !it.heartbeat })
	if !ok {
		if it, ok = c.more(); !ok {
			c.s.stop("%s: nothing came", c.name)
		}
	}
	c.over = it.end
	c.record(it)
	return it
}

// Heartbeat records that a heartbeat comes within the limit.
func (c *Conn) Heartbeat(limit time.Duration) {
	if c.over {
		c.s.stop("%s is closed", c.name)
	}
	it, ok, ended := c.take(0, limit, func(it Item) bool { return it.heartbeat })
	switch {
	case ok:
		c.record(it)
	case ended:
		c.finish()
	default:
		c.s.Record("%s < no heartbeat", c.name)
	}
}

func (c *Conn) answer(to string, wanted func(Item) bool) Item {
	return c.within(answerLimit, to, wanted)
}

// Within is Expect with a time of its own: for what comes late.
func (c *Conn) Within(limit time.Duration) Item {
	return c.within(limit, "anything", func(it Item) bool { return it.Method != nil || it.header != nil })
}

func (c *Conn) within(limit time.Duration, to string, wanted func(Item) bool) Item {
	if c.over {
		c.s.stop("%s is closed", c.name)
	}
	it, ok, ended := c.take(0, limit, func(it Item) bool {
		_, closed := it.Method.(*wire.ConnectionClose)
		return wanted(it) && !closed
	})
	switch {
	case ok:
		c.record(it)
		return it
	case ended:
		return c.finish()
	default:
		c.s.stop("%s: no answer to %s", c.name, to)
		return Item{}
	}
}

// Close closes the connection in order and records how that went. As clients
// do, it closes the socket at close-ok: RabbitMQ waits for that.
func (c *Conn) Close() {
	c.Do(&wire.ConnectionClose{ReplyCode: wire.ReplySuccess, ReplyText: "bye"})
	c.over = true
	c.net.Close()
}

// Cut closes the socket without a word.
func (c *Conn) Cut() {
	c.s.Record("%s > cut", c.name)
	c.over = true
	c.net.Close()
}

// Over says whether the connection's end is in the transcript.
func (c *Conn) Over() bool { return c.over }

// Channel opens the next channel. Its open-ok is not recorded.
func (c *Conn) Channel() *Channel {
	c.next++
	ch := c.Number(c.next)
	ch.Open()
	return ch
}

// Number is a channel by its number, not opened.
func (c *Conn) Number(n uint16) *Channel {
	c.next = max(c.next, n)
	return &Channel{conn: c, number: n}
}

// forget closes a channel without a record.
func (c *Conn) forget(ch *Channel) {
	if !ch.closed && !c.over {
		c.s.Silently(func() { ch.Do(&wire.ChannelClose{ReplyCode: wire.ReplySuccess}) })
	}
}
