package memconn

import (
	"io"
	"net"
	"os"
	"sync"
	"syscall"
	"time"
)

// bufferBytes is what one direction holds before its writer waits, as a socket
// buffer does.
const bufferBytes = 256 << 10

// Conn is one end of a connection.
type Conn struct {
	network       *Network
	local, remote Addr
	in, out       *flow
	deadlines     [2]*deadline // reading, writing
	closed        bool
}

// flow is one direction. Its fields are guarded by the network's mutex, which
// cond uses too.
type flow struct {
	cond     *sync.Cond
	from, to string
	segments []segment
	bytes    int
	gone     bool // the reader has closed: what is written goes nowhere
}

// alarm wakes the waiters later; under the lock, so that none that is about to
// wait misses it.
func (f *flow) alarm(d time.Duration) *time.Timer {
	return time.AfterFunc(d, func() {
		f.cond.L.Lock()
		defer f.cond.L.Unlock()
		f.cond.Broadcast()
	})
}

// segment is what one Write sent; a nil data with an error ends the flow.
type segment struct {
	data []byte
	due  time.Time
	end  error
}

// pair makes both ends; n.mu is held.
func (n *Network) pair(near, far Addr) (*Conn, *Conn) {
	there := &flow{cond: sync.NewCond(&n.mu), from: hostOf(string(near)), to: hostOf(string(far))}
	back := &flow{cond: sync.NewCond(&n.mu), from: there.to, to: there.from}
	a := &Conn{network: n, local: near, remote: far, in: back, out: there}
	b := &Conn{network: n, local: far, remote: near, in: there, out: back}
	for _, c := range []*Conn{a, b} {
		c.deadlines = [2]*deadline{{flow: c.in}, {flow: c.out}}
		n.conns[c] = struct{}{}
	}
	return a, b
}

// Read waits for bytes that have arrived.
func (c *Conn) Read(b []byte) (int, error) {
	n := c.network
	n.mu.Lock()
	defer n.mu.Unlock()
	for {
		switch {
		case c.closed:
			return 0, c.fail("read", net.ErrClosed)
		case c.deadlines[0].passed():
			return 0, c.fail("read", os.ErrDeadlineExceeded)
		}
		if len(c.in.segments) > 0 && n.open(c.in.from, c.in.to) {
			first := &c.in.segments[0]
			wait := time.Until(first.due)
			switch {
			case wait > 0:
				alarm := c.in.alarm(wait)
				c.in.cond.Wait()
				alarm.Stop()
				continue
			case first.end == io.EOF:
				return 0, io.EOF
			case first.end != nil:
				return 0, c.fail("read", first.end)
			}
			return c.take(first, b), nil
		}
		c.in.cond.Wait()
	}
}

func (c *Conn) take(s *segment, b []byte) int {
	k := copy(b, s.data)
	s.data = s.data[k:]
	c.in.bytes -= k
	if len(s.data) == 0 {
		c.in.segments[0] = segment{}
		c.in.segments = c.in.segments[1:]
	}
	c.in.cond.Broadcast() // the writer may have waited for room
	return k
}

// Write waits for room in the buffer, not for arrival.
func (c *Conn) Write(b []byte) (int, error) {
	n := c.network
	n.mu.Lock()
	defer n.mu.Unlock()
	written := 0
	for len(b) > 0 {
		switch {
		case c.closed:
			return written, c.fail("write", net.ErrClosed)
		case c.out.gone && c.told():
			return written, c.fail("write", syscall.EPIPE)
		case c.deadlines[1].passed():
			return written, c.fail("write", os.ErrDeadlineExceeded)
		}
		if c.out.gone {
			return written + len(b), nil
		}
		room := bufferBytes - c.out.bytes
		if room <= 0 {
			c.out.cond.Wait()
			continue
		}
		part := b[:min(room, len(b))]
		c.push(segment{data: append([]byte(nil), part...)})
		c.out.bytes += len(part)
		written += len(part)
		b = b[len(part):]
	}
	return written, nil
}

// told says whether the end of the other side has arrived here: writes fail from
// the instant on at which reads do, not before.
func (c *Conn) told() bool {
	k := len(c.in.segments)
	return k > 0 && c.in.segments[k-1].end != nil && !time.Now().Before(c.in.segments[k-1].due) && c.network.open(c.in.from, c.in.to)
}

func (c *Conn) push(s segment) {
	s.due = time.Now().Add(c.network.path(c.out.from, c.out.to).latency)
	c.out.segments = append(c.out.segments, s)
	c.out.cond.Broadcast()
}

// Close ends both directions; the other side reads what was sent, then EOF, and
// its writes fail once it could have heard of the end.
func (c *Conn) Close() error {
	n := c.network
	n.mu.Lock()
	defer n.mu.Unlock()
	if c.closed {
		return c.fail("close", net.ErrClosed)
	}
	c.end(io.EOF)
	return nil
}

// abort ends the connection as a reset; n.mu is held.
func (c *Conn) abort(err error) {
	if c.closed {
		return
	}
	c.out.segments, c.out.bytes = nil, 0
	c.end(err)
}

func (c *Conn) end(err error) {
	c.closed = true
	delete(c.network.conns, c)
	c.push(segment{end: err})
	c.in.gone, c.in.segments, c.in.bytes = true, nil, 0
	for _, d := range c.deadlines {
		d.set(time.Time{})
	}
	c.in.cond.Broadcast()
	c.out.cond.Broadcast()
}

// LocalAddr is this end's address.
func (c *Conn) LocalAddr() net.Addr { return c.local }

// RemoteAddr is the other end's address.
func (c *Conn) RemoteAddr() net.Addr { return c.remote }

// SetDeadline bounds waiting in Read and Write.
func (c *Conn) SetDeadline(t time.Time) error {
	return c.setDeadlines(t, 0, 1)
}

// SetReadDeadline bounds waiting in Read.
func (c *Conn) SetReadDeadline(t time.Time) error { return c.setDeadlines(t, 0) }

// SetWriteDeadline bounds waiting in Write.
func (c *Conn) SetWriteDeadline(t time.Time) error { return c.setDeadlines(t, 1) }

func (c *Conn) setDeadlines(t time.Time, which ...int) error {
	c.network.mu.Lock()
	defer c.network.mu.Unlock()
	if c.closed {
		return c.fail("set deadline", net.ErrClosed)
	}
	for _, i := range which {
		c.deadlines[i].set(t)
	}
	return nil
}

func (c *Conn) fail(op string, err error) error {
	return &net.OpError{Op: op, Net: "mem", Source: c.local, Addr: c.remote, Err: err}
}

// deadline wakes the waiters of a flow when its time has come.
type deadline struct {
	flow  *flow
	at    time.Time
	timer *time.Timer
}

func (d *deadline) set(t time.Time) {
	if d.timer != nil {
		d.timer.Stop()
		d.timer = nil
	}
	d.at = t
	if !t.IsZero() {
		d.timer = d.flow.alarm(time.Until(t))
	}
	d.flow.cond.Broadcast()
}

func (d *deadline) passed() bool { return !d.at.IsZero() && !time.Now().Before(d.at) }
