package connection_test

import (
	"bytes"
	"io"
	"net"
	"testing"
	"testing/synctest"
	"time"

	"github.com/warrenmq/warren/broker/connection"
	"github.com/warrenmq/warren/broker/connection/conntest"
	"github.com/warrenmq/warren/broker/wire"
)

func TestA7ProtocolHeader(t *testing.T) {
	_, address := start(t)
	for name, test := range map[string]struct{ greeting, answer string }{
		"0-9 is near enough": {"AMQP\x01\x01\x00\x09", ""},
		"0-9-2":              {"AMQP\x00\x00\x09\x02", wire.ProtocolHeader},
		"AMQP 1.0":           {"AMQP\x00\x01\x00\x00", wire.ProtocolHeader},
		"HTTP":               {"GET / HT", "AMQP\x03\x01\x00\x00"},
	} {
		t.Run(name, func(t *testing.T) {
			c := conntest.Dial(t, address)
			c.Write([]byte(test.greeting))
			if test.answer == "" {
				conntest.Expect[*wire.ConnectionStart](c, 0)
				return
			}
			if got, err := io.ReadAll(c.Conn); string(got) != test.answer {
				t.Errorf("answer to %q is %q (%v), want %q", test.greeting, got, err, test.answer)
			}
		})
	}
}

// A8: whoever is not through with the handshake in time is cut off.
func TestA8HandshakeTimeout(t *testing.T) {
	_, address := start(t, func(c *connection.Config) { c.HandshakeTimeout = 50 * time.Millisecond })
	silent := conntest.Dial(t, address)
	started := conntest.Dial(t, address)
	started.Write([]byte(wire.ProtocolHeader))
	conntest.Expect[*wire.ConnectionStart](started, 0)
	silent.ExpectEOF()
	started.ExpectEOF()
}

// A8, A9: frames are small before tune, and follow frame_max after it.
func TestA9FrameMax(t *testing.T) {
	_, address := start(t)
	c := conntest.Dial(t, address)
	c.Write([]byte(wire.ProtocolHeader))
	conntest.Expect[*wire.ConnectionStart](c, 0)
	c.Write([]byte{1, 0, 0, 0, 1, 0, 0})
	c.ExpectClose(501, "FRAME_ERROR - type 1, all octets = <<>>: {frame_too_large,65536,8184}")

	c = conntest.Open(t, address)
	c.Write([]byte{1, 0, 0, 0, 3, 0, 0})
	c.ExpectClose(501, "FRAME_ERROR - type 1, all octets = <<>>: {frame_too_large,196608,131064}")
}

// A9: a frame that does not end where it should.
func TestA9FrameEnd(t *testing.T) {
	_, address := start(t)
	c := conntest.Open(t, address)
	c.Write(append(bytes.Repeat([]byte{8, 0}, 1), 0, 0, 0, 0, 0, 1))
	c.ExpectClose(501, "FRAME_ERROR - type 8, all octets = <<>>: {invalid_frame_end_marker,1}")
}

// A11: heartbeats come when nothing else is sent, and a silent client is dropped
// after two intervals and a half.
func TestA11Heartbeats(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := conntest.New(t)
		ln := newPipeListener()
		_, stop := conntest.Run(t, ln, b.Config())
		defer stop()
		nc := ln.dial()
		c := conntest.NewClient(t, nc)
		c.Login(conntest.DefaultStartOk())
		if c.Tune.Heartbeat != 60 {
			t.Errorf("proposed heartbeat %d, want 60", c.Tune.Heartbeat)
		}
		c.Send(0, &wire.ConnectionTuneOk{ChannelMax: 10, FrameMax: 4096, Heartbeat: 10})
		c.Send(0, &wire.ConnectionOpen{VirtualHost: "/"})
		conntest.Expect[*wire.ConnectionOpenOk](c, 0)
		begin := time.Now()
		nc.SetReadDeadline(time.Time{})
		octets, err := io.ReadAll(nc)
		if err != nil {
			t.Fatal(err)
		}
		if passed := time.Since(begin); passed < 25*time.Second || passed > 26*time.Second {
			t.Errorf("dropped after %v, want 25s", passed)
		}
		if beats := len(octets) / 8; beats < 4 || beats > 5 || !bytes.HasPrefix(octets, wire.AppendHeartbeat(nil)) {
			t.Errorf("got % x, want 4 or 5 heartbeats", octets)
		}
	})
}

// A11: a client that sends only heartbeats stays, also one that is late with them:
// py-amqp counts from the tick after the one that sent, and ticks when it has time.
func TestA11HeartbeatsKeepAlive(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := conntest.New(t)
		ln := newPipeListener()
		_, stop := conntest.Run(t, ln, b.Config())
		defer stop()
		c := conntest.NewClient(t, ln.dial())
		c.Login(conntest.DefaultStartOk())
		c.Send(0, &wire.ConnectionTuneOk{ChannelMax: 10, FrameMax: 4096, Heartbeat: 1})
		c.Send(0, &wire.ConnectionOpen{VirtualHost: "/"})
		conntest.Expect[*wire.ConnectionOpenOk](c, 0)
		c.Conn.SetDeadline(time.Time{})
		go io.Copy(io.Discard, c.Conn)
		for i := range 100 {
			time.Sleep(time.Second + time.Duration(i%4)*400*time.Millisecond)
			if _, err := c.Conn.Write(wire.AppendHeartbeat(nil)); err != nil {
				t.Fatal(err)
			}
		}
		c.Conn.Close()
	})
}

func TestB1ServerProperties(t *testing.T) {
	_, address := start(t, func(c *connection.Config) { c.Product, c.Version = "Warren", "1.2.3" })
	c := conntest.Dial(t, address)
	c.Login(conntest.DefaultStartOk())
	s := c.Start
	if s.VersionMajor != 0 || s.VersionMinor != 9 || s.Mechanisms != "PLAIN AMQPLAIN" || s.Locales != "en_US" {
		t.Errorf("start is %+v", s)
	}
	if p := s.ServerProperties; p["product"] != "Warren" || p["version"] != "1.2.3" || p["cluster_name"] == nil || p["information"] == nil {
		t.Errorf("server properties %v", p)
	}
	able, _ := s.ServerProperties["capabilities"].(wire.Table)
	for _, name := range []string{"publisher_confirms", "exchange_exchange_bindings", "basic.nack", "consumer_cancel_notify",
		"connection.blocked", "consumer_priorities", "authentication_failure_close", "per_consumer_qos", "direct_reply_to"} { // B3
		if able[name] != true {
			t.Errorf("B3 capability %s is %v", name, able[name])
		}
	}
}

func TestB5RefusedLogin(t *testing.T) {
	const text = "ACCESS_REFUSED - Login was refused using authentication mechanism PLAIN. For details see the broker logfile."
	_, address := start(t, func(c *connection.Config) { c.LoginPenalty = 20 * time.Millisecond })
	login := func(change func(*wire.ConnectionStartOk)) *conntest.Client {
		c := conntest.Dial(t, address)
		c.Write([]byte(wire.ProtocolHeader))
		conntest.Expect[*wire.ConnectionStart](c, 0)
		m := conntest.DefaultStartOk()
		change(m)
		c.Send(0, m)
		return c
	}
	login(func(m *wire.ConnectionStartOk) { m.Response = []byte("\x00guest\x00wrong") }).ExpectClose(403, text)
	login(func(m *wire.ConnectionStartOk) { m.Response = []byte("\x00nobody\x00guest") }).ExpectClose(403, text)
	login(func(m *wire.ConnectionStartOk) {
		m.Response, m.ClientProperties = []byte("\x00guest\x00wrong"), nil
	}).ExpectEOF()
	login(func(m *wire.ConnectionStartOk) { m.Mechanism = "X" }).ExpectClose(503, "COMMAND_INVALID - unknown authentication mechanism 'X'")
	login(func(m *wire.ConnectionStartOk) { m.Response = []byte("guest") }).ExpectClose(502, "SYNTAX_ERROR - response invalid")
}

func TestB8AMQPlain(t *testing.T) {
	_, address := start(t)
	c := conntest.Dial(t, address)
	m := conntest.DefaultStartOk()
	table, err := wire.AppendTable(nil, wire.Table{"LOGIN": "guest", "PASSWORD": "guest"})
	if err != nil {
		t.Fatal(err)
	}
	m.Mechanism, m.Response = "AMQPLAIN", table[4:]
	c.Login(m)
	c.OpenVHost("/")
}

func TestB14Tune(t *testing.T) {
	_, address := start(t)
	for text, ok := range map[string]wire.ConnectionTuneOk{
		"channel_max = 0 (no limit) is higher than the maximum allowed value (2047)": {FrameMax: 131072},
		"channel_max = 2048 is higher than the maximum allowed value (2047)":         {ChannelMax: 2048, FrameMax: 131072},
		"frame_max = 131073 is higher than the maximum allowed value (131072)":       {ChannelMax: 1, FrameMax: 131073},
		"frame_max = 0 is higher than the maximum allowed value (131072)":            {ChannelMax: 1},
		"frame_max = 4095 is lower than the minimum allowed value (4096)":            {ChannelMax: 1, FrameMax: 4095},
	} {
		c := conntest.Dial(t, address)
		c.Login(conntest.DefaultStartOk())
		if c.Tune.ChannelMax != 2047 || c.Tune.FrameMax != 131072 {
			t.Errorf("proposed %+v", c.Tune)
		}
		c.Send(0, &ok)
		c.ExpectClose(530, "NOT_ALLOWED - negotiated "+text)
	}
}

func TestB15VHost(t *testing.T) {
	_, address := start(t)
	c := conntest.Dial(t, address)
	c.Login(conntest.DefaultStartOk())
	c.Send(0, &wire.ConnectionTuneOk{ChannelMax: 1, FrameMax: 4096}, &wire.ConnectionOpen{VirtualHost: "other"})
	c.ExpectClose(530, "NOT_ALLOWED - vhost other not found")
}

func TestB16ConnectionLimit(t *testing.T) {
	_, address := start(t, func(c *connection.Config) { c.MaxConnections = 1 })
	first := conntest.Open(t, address)
	c := conntest.Dial(t, address)
	c.Login(conntest.DefaultStartOk())
	c.Send(0, &wire.ConnectionTuneOk{ChannelMax: 1, FrameMax: 4096}, &wire.ConnectionOpen{VirtualHost: "/"})
	c.ExpectClose(530, "NOT_ALLOWED - connection refused: node connection limit (1) is reached")
	first.Send(0, &wire.ConnectionClose{ReplyCode: 200})
	conntest.Expect[*wire.ConnectionCloseOk](first, 0)
	first.ExpectEOF()
}

func TestB17ChannelLimit(t *testing.T) {
	_, address := start(t, func(c *connection.Config) { c.ChannelMax = 2 })
	c := conntest.Open(t, address)
	c.Channel(1)
	c.Channel(2)
	c.Send(3, &wire.ChannelOpen{})
	c.ExpectClose(530, "NOT_ALLOWED - number of channels opened (2) has reached the negotiated channel_max (2)")
	c = conntest.Open(t, address)
	c.Channel(3) // the limit is on how many, not on their numbers
}

func TestB19UpdateSecret(t *testing.T) {
	_, c := open(t)
	c.Send(0, &wire.ConnectionUpdateSecret{NewSecret: "guest", Reason: "renewed"})
	conntest.Expect[*wire.ConnectionUpdateSecretOk](c, 0)
	c.Send(0, &wire.ConnectionUpdateSecret{NewSecret: "any: guest's does not expire", Reason: "renewed"})
	conntest.Expect[*wire.ConnectionUpdateSecretOk](c, 0)
}

// B20: clients are told that the broker stops; those that do not answer are dropped.
func TestB20Shutdown(t *testing.T) {
	b := conntest.New(t)
	cfg := b.Config()
	cfg.ShutdownTimeout = 100 * time.Millisecond
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	l, stop := conntest.Run(t, ln, cfg)
	polite, rude := conntest.Open(t, ln.Addr().String()), conntest.Open(t, ln.Addr().String())
	polite.Channel(1)
	rude.Channel(1)
	conntest.Dial(t, ln.Addr().String()) // still shaking hands
	stopped := make(chan struct{})
	go func() {
		stop()
		close(stopped)
	}()
	const text = "CONNECTION_FORCED - broker forced connection closure with reason 'shutdown'"
	polite.ExpectClose(320, text)
	if m := conntest.Expect[*wire.ConnectionClose](rude, 0); m.ReplyText != text {
		t.Errorf("got %+v", m)
	}
	rude.ExpectEOF()
	<-stopped
	if n := l.Open(); n != 0 {
		t.Errorf("%d connections are left", n)
	}
}

func TestB21WrongState(t *testing.T) {
	_, address := start(t)
	c := conntest.Dial(t, address)
	c.Write([]byte(wire.ProtocolHeader))
	conntest.Expect[*wire.ConnectionStart](c, 0)
	c.Send(0, &wire.ConnectionOpen{VirtualHost: "/"})
	c.ExpectClose(504, "CHANNEL_ERROR - unexpected method in connection state starting")
	c = conntest.Dial(t, address)
	c.Write([]byte(wire.ProtocolHeader))
	conntest.Expect[*wire.ConnectionStart](c, 0)
	c.Send(1, &wire.ChannelOpen{})
	c.ExpectClose(505, "UNEXPECTED_FRAME - type 1, all octets = <<0,20,0,10,0>>")
	for _, early := range []struct {
		channel uint16
		m       wire.Method
		code    uint16
		text    string
	}{
		{0, &wire.ConnectionClose{ReplyCode: 200}, 504, "CHANNEL_ERROR - unexpected method in connection state opening"},
		{1, &wire.ChannelOpen{}, 505, "UNEXPECTED_FRAME - type 1, all octets = <<0,20,0,10,0>>"},
	} {
		c := conntest.Dial(t, address)
		c.Login(conntest.DefaultStartOk())
		c.Send(0, &wire.ConnectionTuneOk{ChannelMax: 1, FrameMax: 4096})
		c.Send(early.channel, early.m)
		c.ExpectClose(early.code, early.text)
	}
}

// pipeListener hands out one end of net.Pipes: a network that synctest understands.
type pipeListener struct {
	conns  chan net.Conn
	closed chan struct{}
}

func newPipeListener() *pipeListener {
	return &pipeListener{conns: make(chan net.Conn), closed: make(chan struct{})}
}

func (l *pipeListener) dial() net.Conn {
	here, there := net.Pipe()
	l.conns <- there
	return here
}

func (l *pipeListener) Accept() (net.Conn, error) {
	select {
	case c := <-l.conns:
		return c, nil
	case <-l.closed:
		return nil, net.ErrClosed
	}
}

func (l *pipeListener) Close() error {
	close(l.closed)
	return nil
}

func (l *pipeListener) Addr() net.Addr { return &net.TCPAddr{IP: net.IPv4(127, 0, 0, 1)} }
