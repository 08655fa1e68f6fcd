package connection

import (
	"bytes"
	"context"
	"crypto/rand"
	"crypto/tls"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"os"
	"runtime/debug"
	"sync/atomic"
	"time"

	"github.com/warrenmq/warren/broker/wire"
)

// conn is one client's connection. All of its fields but the outbox and what is
// atomic belong to the reader: the goroutine of serve.
type conn struct {
	l      *Listener
	cfg    *Config
	nc     net.Conn
	id     string // unique in the cluster: owns exclusive queues
	name   string // "peer -> here", for listings
	logger *slog.Logger
	frames *wire.Reader
	names  wire.Interner
	out    outbox

	// Agreed in the handshake.
	tls           *tls.ConnectionState // nil: plain
	info          Info                 // constant once the connection is open
	user, vhost   string
	channelMax    uint16
	frameMax      uint32
	heartbeat     time.Duration
	cancelNotify  bool // basic.cancel may be sent
	blockedNotify bool // connection.blocked may be sent
	connectedAt   time.Time
	release       func() // Admission's; nil: not asked

	channels   map[uint16]*channel
	settling   []*holder    // have answers that are not passed on
	turned     []settlement // of them, before the client changed its kind of answer
	grants     []grant      // scratch
	spareBody  []byte       // scratch for messages of several frames
	consumers  int          // open or with deliveries outstanding
	assembling uint64       // bytes of bodies that are not whole, or in a transaction
	owner      bool         // declared an exclusive queue
	down       bool         // its channels are ended
	counted    bool         // is one of the listener's connections

	end          context.CancelFunc // of what the connection does
	written      chan struct{}      // closed when the writer has ended; nil in the handshake
	channelCount atomic.Int32
	blocked      atomic.Bool // by an alarm

	consuming map[*consumer]struct{} // for listings; guarded by the outbox

	// The timer of what is unacknowledged, guarded by the outbox.
	timer *time.Timer
	due   int64 // when it rings, by clock; 0: it is not set

	nudged       atomic.Bool
	bell         chan struct{} // rings with nudged, for a reader that does not read
	attended     bool          // the last read ended for a nudge: silence is counted from before
	silent       time.Time     // when the client was waited for
	looked       bool          // once more, since then
	readAt       time.Time     // when the socket was read last
	handshakeEnd time.Time     // read deadline until the connection is open
	closing      atomic.Int64  // read deadline once connection.close was sent, in Unix nanoseconds
}

func newConn(l *Listener, nc net.Conn) *conn {
	var id [16]byte
	rand.Read(id[:])
	name := fmt.Sprintf("%v -> %v", nc.RemoteAddr(), nc.LocalAddr())
	c := &conn{
		l:         l,
		cfg:       &l.cfg,
		nc:        nc,
		id:        hex.EncodeToString(id[:]),
		name:      name,
		logger:    l.cfg.Logger.With("connection", name),
		out:       newOutbox(),
		channels:  make(map[uint16]*channel),
		consuming: make(map[*consumer]struct{}),
		bell:      make(chan struct{}, 1),
	}
	c.frames = wire.NewReader(source{c}, l.cfg.InitialFrameMax-wire.FrameOverhead)
	return c
}

// source is the socket's receiving side: what the frame reader reads from when
// all that came before is used up.
type source struct{ c *conn }

func (s source) Read(p []byte) (int, error) {
	c := s.c
	c.settle() // nothing more to gather
	c.readAt = time.Now()
	if !c.attended {
		c.silent, c.looked = c.readAt, false
	}
	c.attended = false
	if err := c.nc.SetReadDeadline(c.readDeadline()); err != nil {
		return 0, err
	}
	if c.closing.Load() != 0 && !c.down {
		return 0, os.ErrDeadlineExceeded // what forceClose asked for may have been overwritten
	}
	if c.nudged.Load() {
		return 0, os.ErrDeadlineExceeded // likewise
	}
	n, err := c.nc.Read(p)
	if !c.missing(err) {
		return n, err
	}
	return c.nc.Read(p)
}

// lastLook is what a read gets that ended for silence: had this process been kept
// from running, what came meanwhile would be in the socket.
const lastLook = 50 * time.Millisecond

// missing tells whether a read ended with err because of silence and should be
// tried once more; the deadline is set for that.
func (c *conn) missing(err error) bool {
	if c.looked || !c.silence(err) {
		return false
	}
	c.looked = true
	if c.nc.SetReadDeadline(time.Now().Add(lastLook)) != nil {
		return false
	}
	return c.silence(err) // or what woke the reader may have been overwritten
}

// silence tells whether a read ended with err for want of heartbeats, not because
// somebody woke it.
func (c *conn) silence(err error) bool {
	return errors.Is(err, os.ErrDeadlineExceeded) && c.heartbeat > 0 && c.handshakeEnd.IsZero() &&
		c.closing.Load() == 0 && !c.nudged.Load()
}

// readDeadline is when silence becomes an end. It is set anew for each read, so
// while back-pressure keeps the reader from reading nobody is missed. RabbitMQ looks
// once an interval, and at the second look that finds nothing it is over: between
// two and three intervals, which clients on busy machines have come to need.
func (c *conn) readDeadline() time.Time {
	if closing := c.closing.Load(); closing != 0 {
		return time.Unix(0, closing)
	}
	if !c.handshakeEnd.IsZero() {
		return c.handshakeEnd
	}
	if c.heartbeat > 0 {
		return c.silent.Add(2*c.heartbeat + c.heartbeat/2)
	}
	return time.Time{}
}

// serve runs the connection to its end.
func (c *conn) serve(ctx context.Context) {
	defer c.nc.Close()
	c.connectedAt = time.Now()
	c.handshakeEnd = c.connectedAt.Add(c.cfg.HandshakeTimeout)
	stop := context.AfterFunc(ctx, func() { c.nc.Close() })
	err := c.guarded(func() error { return c.handshake(ctx) })
	c.l.handshakes.Add(-1)
	defer func() {
		if c.release != nil {
			c.release()
		}
		if c.counted {
			c.l.open.Add(-1)
		}
	}()
	if !stop() || err != nil {
		if err != nil {
			level := slog.LevelInfo
			if errors.Is(err, io.EOF) { // a health check
				level = slog.LevelDebug
			}
			c.logger.Log(ctx, level, "client not connected", "error", err)
		}
		return
	}
	c.handshakeEnd = time.Time{}

	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	defer context.AfterFunc(ctx, c.forceClose)()
	c.end = cancel
	c.l.enlist(c)
	defer c.l.leave(c)
	c.written = make(chan struct{})
	go func() {
		defer close(c.written)
		c.write(cancel)
	}()
	c.logger.Debug("client connected", "user", c.user, "vhost", c.vhost)
	if err := c.guarded(func() error { return c.read(ctx) }); err != nil {
		c.logger.Info("connection lost", "user", c.user, "error", err)
	}
	c.endChannels()
	c.stopTimer()
	c.dropOwned()
	c.out.end(nil)
	<-c.written
}

// guarded runs f and turns a panic into an error: the last defence of the other
// connections against a fault in this package.
func (c *conn) guarded(f func() error) (err error) {
	defer func() {
		if r := recover(); r != nil {
			c.logger.Error("connection failed", "panic", r, "stack", string(debug.Stack()))
			err = fmt.Errorf("panic: %v", r)
			c.sendClose(&wire.Error{Code: wire.InternalError}, c.cfg.CloseTimeout)
		}
	}()
	return f()
}

// write runs the writer and ends the reader when the socket fails.
func (c *conn) write(cancel context.CancelFunc) {
	w := writer{nc: c.nc, out: &c.out, frameMax: c.frameMax, heartbeat: c.heartbeat / 2, timeout: c.cfg.WriteTimeout}
	if err := w.run(); err != nil {
		c.out.abandon()
		if !errors.Is(err, net.ErrClosed) {
			c.logger.Info("client does not take what it is sent", "error", err)
		}
		c.nc.Close()
		cancel()
	}
}

// forceClose tells the client that the broker stops, and wakes the reader. Any
// goroutine may call it.
func (c *conn) forceClose() {
	c.sendClose(&wire.Error{
		Code: wire.ConnectionForced,
		Text: "broker forced connection closure with reason 'shutdown'",
	}, c.cfg.ShutdownTimeout)
	c.nc.SetReadDeadline(time.Unix(1, 0))
}

// nudge makes the reader attend to what is not the client's doing. Any goroutine may call it.
func (c *conn) nudge() {
	c.nudged.Store(true)
	notify(c.bell)
	c.nc.SetReadDeadline(time.Unix(1, 0))
}

// heardNudge tells whether a read ended with err because of a nudge.
func (c *conn) heardNudge(err error) bool {
	c.attended = errors.Is(err, os.ErrDeadlineExceeded) && c.nudged.Swap(false)
	return c.attended
}

// attend does what a nudge was for.
func (c *conn) attend(ctx context.Context) {
	c.settle()
	c.expire(ctx)
}

// force closes the open connection from outside: e is what the client is told,
// unless it has been told something else before.
func (c *conn) force(e *wire.Error, timeout time.Duration) {
	c.logger.Warn("connection closed by the broker", "user", c.user, "error", e)
	c.sendClose(e, timeout)
	c.end() // whatever the reader waits for; it comes back to read the client's answer
}

// sendClose sends connection.close as the last frame and gives the client a
// while to answer.
func (c *conn) sendClose(e *wire.Error, timeout time.Duration) {
	if !c.closing.CompareAndSwap(0, time.Now().Add(timeout).UnixNano()) {
		return
	}
	_, m := e.Close(0)
	c.out.end(wire.AppendMethodFrame(nil, 0, m))
}

// read runs the client's frames until the connection is closed from either
// side; an error is an end without a close.
func (c *conn) read(ctx context.Context) error {
	for {
		f, err := c.frames.ReadFrame()
		closing := c.closing.Load() != 0
		if closing && !c.down {
			c.endChannels() // what they hold does not wait for the client's answer
		}
		if c.heardNudge(err) {
			if !closing {
				c.attend(ctx)
			}
			continue
		}
		if closing && errors.Is(err, os.ErrDeadlineExceeded) && time.Now().Before(c.readDeadline()) {
			continue // forceClose woke the reader for that
		}
		if err != nil {
			e, told := errors.AsType[*wire.Error](err)
			switch {
			case told:
				if !closing {
					c.fail(ctx, 0, e)
					c.endChannels()
				}
				c.drain()
				return nil
			case closing:
				return nil // it did not answer
			}
			return c.missed(err)
		}
		if closing {
			if closed, err := c.whileClosing(f); closed || err != nil {
				return err
			}
			continue
		}
		done, err := c.frame(ctx, f)
		switch {
		case done:
			return nil
		case err != nil && ctx.Err() != nil: // it failed because the broker stops
			c.forceClose()
		case err != nil:
			c.fail(ctx, f.Channel, err)
		}
		c.out.awaitRoom(ctx)
	}
}

// drain takes what a client sends whose frames cannot be told apart any more,
// until it answers connection.close or hangs up.
func (c *conn) drain() {
	closeOk := wire.AppendMethodFrame(nil, 0, &wire.ConnectionCloseOk{})
	var buf [4 << 10]byte
	for {
		n, err := source{c}.Read(buf[:])
		if c.heardNudge(err) {
			continue
		}
		if err != nil || bytes.HasSuffix(buf[:n], closeOk) {
			return
		}
	}
}

// whileClosing discards what was under way when connection.close was sent (A6), to
// the client's answer. Its own close that crossed it is answered, too.
func (c *conn) whileClosing(f wire.Frame) (closed bool, err error) {
	if f.Type != wire.FrameMethod || f.Channel != 0 {
		return false, nil
	}
	switch wire.PeekMethod(f.Payload) {
	case wire.KeyConnectionCloseOk:
		return true, nil
	case wire.KeyConnectionClose:
		if c.written != nil {
			<-c.written // connection.close was the writer's last
		}
		if err := c.nc.SetWriteDeadline(c.readDeadline()); err != nil {
			return false, err
		}
		_, err = c.nc.Write(wire.AppendMethodFrame(nil, 0, &wire.ConnectionCloseOk{}))
	}
	return false, err
}

// missed says what an expired read deadline means.
func (c *conn) missed(err error) error {
	switch {
	case errors.Is(err, os.ErrDeadlineExceeded):
		return fmt.Errorf("missed heartbeats from client, timeout %v", c.heartbeat)
	case err == io.EOF:
		return errors.New("client unexpectedly closed TCP connection")
	}
	return err
}

// fail tells the client of err, on its channel or for the connection.
func (c *conn) fail(ctx context.Context, channel uint16, err error) {
	e := exception(err)
	if ch := c.channels[channel]; ch != nil && !wire.Hard(e.Code) {
		c.logger.Info("channel error", "channel", channel, "user", c.user, "error", e)
		ch.fail(ctx, e)
		return
	}
	c.logger.Warn("connection error", "channel", channel, "user", c.user, "error", e)
	c.sendClose(e, c.cfg.CloseTimeout)
}

// endChannels ends what the connection's channels had: what they held is
// requeued, their consumers go.
func (c *conn) endChannels() {
	c.down = true
	for _, ch := range c.channels {
		ch.shutDown(nil)
	}
	c.l.removeChannels(c.user, len(c.channels))
	clear(c.channels)
	c.channelCount.Store(0)
}

// dropOwned deletes the connection's exclusive queues, or leaves that to the listener.
func (c *conn) dropOwned() {
	if !c.owner {
		return
	}
	c.owner = false
	if err := c.l.dropOwned(c.id); err != nil {
		select {
		case c.l.orphans <- c.id:
		default:
			c.logger.Error("exclusive queues are left behind", "owner", c.id, "error", err)
		}
	}
}
