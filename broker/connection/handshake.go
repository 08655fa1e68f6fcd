package connection

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"time"

	"github.com/warrenmq/warren/broker/auth"
	"github.com/warrenmq/warren/broker/wire"
)

// mechanisms are the SASL mechanisms offered.
const mechanisms = "PLAIN AMQPLAIN"

// handshake takes the connection from the protocol header to connection.open-ok.
// Until then everything is small, runs in the reader alone and ends with
// HandshakeTimeout. An error is why the client is not connected; it has been told.
func (c *conn) handshake(ctx context.Context) error {
	if err := c.secure(ctx); err != nil {
		return err
	}
	greeting, err := c.frames.ReadGreeting()
	if err != nil {
		return fmt.Errorf("read protocol header: %w", err)
	}
	if g := wire.ParseGreeting(greeting); g != wire.GreetingAMQP091 {
		err := c.say([]byte(g.Refusal()))
		c.linger()
		return errors.Join(fmt.Errorf("protocol header % x: %v", greeting, g), err)
	}
	if err := c.shakeHands(ctx); err != nil {
		if e, ok := errors.AsType[*wire.Error](err); ok {
			c.refuse(e)
		}
		return err
	}
	return nil
}

// secure is the TLS handshake, where there is one (A8).
func (c *conn) secure(ctx context.Context) error {
	secured, ok := c.nc.(*tls.Conn)
	if !ok {
		return nil
	}
	ctx, cancel := context.WithTimeout(ctx, c.cfg.TLSTimeout)
	defer cancel()
	if err := secured.HandshakeContext(ctx); err != nil {
		return fmt.Errorf("TLS handshake: %w", err)
	}
	state := secured.ConnectionState()
	c.tls = &state
	return nil
}

func (c *conn) shakeHands(ctx context.Context) error {
	if err := c.sayMethod(&wire.ConnectionStart{
		VersionMajor: 0, VersionMinor: 9,
		ServerProperties: c.serverProperties(),
		Mechanisms:       mechanisms,
		Locales:          "en_US",
	}); err != nil {
		return err
	}
	startOk, err := await[*wire.ConnectionStartOk](c, "starting")
	if err != nil {
		return err
	}
	if err := c.login(ctx, startOk); err != nil {
		return err
	}
	if err := c.tune(); err != nil {
		return err
	}
	open, err := await[*wire.ConnectionOpen](c, "opening")
	if err != nil {
		return err
	}
	if err := c.openVHost(ctx, open.VirtualHost); err != nil {
		class, method := open.ID()
		e := *exception(err)
		e.ClassID, e.MethodID = class, method
		return &e
	}
	return c.sayMethod(&wire.ConnectionOpenOk{})
}

// capabilities are the extensions that clients look for (B3).
var capabilities = [...]string{
	"publisher_confirms", "exchange_exchange_bindings", "basic.nack", "consumer_cancel_notify", "connection.blocked",
	"consumer_priorities", "authentication_failure_close", "per_consumer_qos", "direct_reply_to",
}

func (c *conn) serverProperties() wire.Table {
	able := make(wire.Table, len(capabilities))
	for _, name := range capabilities {
		able[name] = true
	}
	return wire.Table{
		"product":      c.cfg.Product,
		"version":      c.cfg.Version,
		"platform":     c.cfg.Platform,
		"copyright":    "Copyright (c) the Warren authors",
		"information":  c.cfg.Information,
		"cluster_name": c.cfg.ClusterName,
		"capabilities": able,
	}
}

// await reads the one method that may come in this state of the connection.
func await[M wire.Method](c *conn, state string) (M, error) {
	var none M
	for {
		f, err := c.frames.ReadFrame()
		switch {
		case err != nil:
			return none, fmt.Errorf("connection %s: %w", state, err)
		case f.Type == wire.FrameHeartbeat:
			continue
		case f.Channel != 0 || f.Type != wire.FrameMethod:
			return none, f.Unexpected()
		}
		m, err := wire.ParseMethod(f.Payload)
		if err != nil {
			return none, fmt.Errorf("connection %s: %w", state, err)
		}
		if m, ok := m.(M); ok {
			return m, nil
		}
		class, method := m.ID()
		return none, &wire.Error{Code: wire.ChannelError, Text: "unexpected method in connection state " + state, ClassID: class, MethodID: method}
	}
}

// login checks who the client is (B5).
func (c *conn) login(ctx context.Context, m *wire.ConnectionStartOk) error {
	class, method := m.ID()
	if m.Mechanism != "PLAIN" && m.Mechanism != "AMQPLAIN" {
		return &wire.Error{Code: wire.CommandInvalid, Text: "unknown authentication mechanism '" + m.Mechanism + "'", ClassID: class, MethodID: method}
	}
	client, _ := m.ClientProperties["capabilities"].(wire.Table)
	c.cancelNotify, _ = client["consumer_cancel_notify"].(bool)
	c.blockedNotify, _ = client["connection.blocked"].(bool)
	c.info = Info{
		ID: c.id, Name: c.name, Peer: c.nc.RemoteAddr(), Local: c.nc.LocalAddr(),
		ClientProperties: m.ClientProperties, Mechanism: m.Mechanism, ConnectedAt: c.connectedAt, TLS: c.tls,
	}
	if name := c.info.ClientName(); name != "" {
		c.logger = c.logger.With("client", name)
	}
	user, err := c.cfg.Authenticator.Authenticate(m.Mechanism, m.Response, c.nc.RemoteAddr())
	if err == nil {
		c.user = user
		return nil
	}
	if !errors.Is(err, auth.ErrRefused) {
		e := *exception(err)
		e.ClassID, e.MethodID = class, method
		return &e
	}
	failureClose, _ := client["authentication_failure_close"].(bool)
	return c.refuseLogin(ctx, m.Mechanism, failureClose, err)
}

// refuseLogin tells a client that can hear it, and keeps the socket for a while
// so that guessing is slow.
func (c *conn) refuseLogin(ctx context.Context, mechanism string, failureClose bool, cause error) error {
	if failureClose {
		_, closing := (&wire.Error{
			Code: wire.AccessRefused,
			Text: "Login was refused using authentication mechanism " + mechanism + ". For details see the broker logfile.",
		}).Close(0)
		if err := c.sayMethod(closing); err != nil {
			return errors.Join(cause, err)
		}
	}
	penalty := time.Now().Add(c.cfg.LoginPenalty)
	if penalty.Before(c.handshakeEnd) {
		c.handshakeEnd = penalty
	}
	if failureClose {
		c.awaitCloseOk()
	} else {
		wait(ctx, time.Until(c.handshakeEnd))
	}
	return fmt.Errorf("login refused: %w", cause)
}

// refuse tells the client why it is not connected.
func (c *conn) refuse(e *wire.Error) {
	_, m := e.Close(0)
	if c.sayMethod(m) == nil {
		c.awaitCloseOk()
	}
}

// awaitCloseOk reads until the client has seen connection.close, for what is
// left of the handshake's time.
func (c *conn) awaitCloseOk() {
	for {
		f, err := c.frames.ReadFrame()
		if _, told := errors.AsType[*wire.Error](err); told {
			c.drain()
		}
		if err != nil {
			return
		}
		if closed, err := c.whileClosing(f); closed || err != nil {
			return
		}
	}
}

// lingerTime is how long a client that does not speak AMQP 0-9-1 may take to hang up.
const lingerTime = time.Second

// linger lets the client read what was said: a socket that is closed with unread
// data in it takes that back.
func (c *conn) linger() {
	if half, ok := c.nc.(interface{ CloseWrite() error }); ok && half.CloseWrite() != nil {
		return
	}
	if end := time.Now().Add(lingerTime); end.Before(c.handshakeEnd) {
		c.handshakeEnd = end
	}
	c.drain()
}

// tune agrees on limits (B14): the client may lower what is proposed, and its
// word on heartbeats counts.
func (c *conn) tune() error {
	heartbeat := max(c.cfg.Heartbeat, 0)
	if err := c.sayMethod(&wire.ConnectionTune{
		ChannelMax: c.cfg.ChannelMax,
		FrameMax:   c.cfg.FrameMax,
		Heartbeat:  uint16(heartbeat / time.Second),
	}); err != nil {
		return err
	}
	m, err := await[*wire.ConnectionTuneOk](c, "tuning")
	if err != nil {
		return err
	}
	class, method := m.ID()
	refused := func(format string, args ...any) error {
		return &wire.Error{Code: wire.NotAllowed, Text: fmt.Sprintf(format, args...), ClassID: class, MethodID: method}
	}
	const lower = "negotiated frame_max = %d is lower than the minimum allowed value (%d)"
	const higher = "negotiated %s = %d%s is higher than the maximum allowed value (%d)"
	switch {
	case m.FrameMax != 0 && m.FrameMax < wire.FrameMinSize:
		return refused(lower, m.FrameMax, wire.FrameMinSize)
	case m.FrameMax == 0 || m.FrameMax > c.cfg.FrameMax:
		return refused(higher, "frame_max", m.FrameMax, "", c.cfg.FrameMax)
	case m.ChannelMax == 0:
		return refused(higher, "channel_max", 0, " (no limit)", c.cfg.ChannelMax)
	case m.ChannelMax > c.cfg.ChannelMax:
		return refused(higher, "channel_max", m.ChannelMax, "", c.cfg.ChannelMax)
	}
	c.channelMax, c.frameMax = m.ChannelMax, m.FrameMax
	c.heartbeat = time.Duration(m.Heartbeat) * time.Second
	c.frames.SetPayloadMax(m.FrameMax - wire.FrameOverhead)
	return nil
}

// openVHost enters the vhost, if there is room for one more connection.
func (c *conn) openVHost(ctx context.Context, vhost string) error {
	c.counted = true
	if c.l.open.Add(1) > int64(c.cfg.MaxConnections) {
		return fault(wire.NotAllowed, "connection refused: node connection limit (%d) is reached", c.cfg.MaxConnections)
	}
	c.vhost = vhost
	c.info.User, c.info.VHost = c.user, vhost
	c.info.ChannelMax, c.info.FrameMax, c.info.Heartbeat = c.channelMax, c.frameMax, c.heartbeat
	if c.cfg.Admission != nil {
		asked, cancel := context.WithTimeout(ctx, c.cfg.CallTimeout)
		defer cancel()
		release, err := c.cfg.Admission.Admit(asked, c.info)
		if err != nil {
			return err
		}
		c.release = release
	}
	return c.cfg.Authenticator.VHostAccess(c.user, vhost)
}

func (c *conn) sayMethod(m wire.Method) error {
	return c.say(wire.AppendMethodFrame(nil, 0, m))
}

// say writes in the handshake, where there is no writer yet.
func (c *conn) say(b []byte) error {
	if err := c.nc.SetWriteDeadline(c.handshakeEnd); err != nil {
		return err
	}
	if _, err := c.nc.Write(b); err != nil {
		return fmt.Errorf("write in handshake: %w", err)
	}
	return nil
}
