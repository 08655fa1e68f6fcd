package diff

import (
	"crypto/tls"
	"fmt"
	"strings"

	"github.com/warrenmq/warren/broker/wire"
)

// login is how a client presents itself.
type login struct {
	user, password string
	vhost          string
	sasl           bool // mechanism and response are the scenario's
	mechanism      string
	response       []byte
	properties     wire.Table
	without        []string // capabilities
	tune           *wire.ConnectionTuneOk
	node           int // 1 and up: this one; 0: the next
	manualClose    bool
	frames         bool
	tls            *tls.Config // nil: plain
	told           []string    // of what is special, for the transcript
}

// Option changes how Connect logs in.
type Option func(*login)

// As logs in as another user than guest.
func As(user, password string) Option {
	return func(l *login) { l.user, l.password = user, password; l.tell("user=" + user) }
}

// VHost opens another virtual host than "/".
func VHost(name string) Option {
	return func(l *login) { l.vhost = name; l.tell("vhost=" + text(name)) }
}

// SASL uses a mechanism with its response.
func SASL(mechanism string, response []byte) Option {
	return func(l *login) {
		l.sasl, l.mechanism, l.response = true, mechanism, response
		l.tell("mechanism=" + text(mechanism))
	}
}

// Without leaves out capabilities; a client has all of them else.
func Without(capabilities ...string) Option {
	return func(l *login) { l.without = capabilities; l.tell("without " + strings.Join(capabilities, " ")) }
}

// Property adds a client property.
func Property(key string, value any) Option {
	return func(l *login) { l.properties[key] = value; l.tell(key + "=" + valueText(value)) }
}

// Tune is the client's tune-ok: 2047, 131072, 0 else.
func Tune(channelMax uint16, frameMax uint32, heartbeat uint16) Option {
	return func(l *login) {
		l.tune = &wire.ConnectionTuneOk{ChannelMax: channelMax, FrameMax: frameMax, Heartbeat: heartbeat}
		l.tell(fmt.Sprintf("tune=%d,%d,%d", channelMax, frameMax, heartbeat))
	}
}

// Node is the node to connect to, from 1 on; RabbitMQ has but one.
func Node(n int) Option { return func(l *login) { l.node = n } }

// ManualClose leaves it to the scenario to answer connection.close and
// channel.close.
func ManualClose() Option { return func(l *login) { l.manualClose = true } }

// ShowFrames records in how many frames a body came.
func ShowFrames() Option { return func(l *login) { l.frames = true } }

func (l *login) tell(what string) { l.told = append(l.told, what) }

// capabilities is what a client can say of itself.
var capabilities = []string{
	"publisher_confirms", "exchange_exchange_bindings", "basic.nack", "consumer_cancel_notify",
	"connection.blocked", "authentication_failure_close",
}

func newLogin(options []Option) login {
	l := login{properties: wire.Table{"product": "scenario"}}
	for _, o := range options {
		o(&l)
	}
	return l.complete()
}

// complete fills in what a plain client says.
func (l login) complete() login {
	if l.user == "" {
		l.user, l.password = "guest", "guest"
	}
	if l.vhost == "" {
		l.vhost = "/"
	}
	if !l.sasl {
		l.mechanism = "PLAIN"
		l.response = []byte("\x00" + l.user + "\x00" + l.password)
	}
	if l.tune == nil {
		l.tune = &wire.ConnectionTuneOk{ChannelMax: 2047, FrameMax: 131072}
	}
	if l.properties == nil {
		l.properties = wire.Table{}
	}
	can := wire.Table{}
	for _, c := range capabilities {
		can[c] = true
	}
	for _, c := range l.without {
		delete(can, c)
	}
	l.properties["capabilities"] = can
	return l
}

// Connect logs in on a new connection, on Warren through the next node. Of the
// handshake only a refusal is recorded: see Dial for the rest.
func (s *S) Connect(options ...Option) *Conn {
	l := newLogin(options)
	c := s.open(l)
	s.Record("%s", strings.TrimSpace(c.name+" connects "+strings.Join(l.told, " ")))
	c.handshake()
	return c
}

// Dial opens a socket and says nothing.
func (s *S) Dial(options ...Option) *Conn {
	c := s.open(newLogin(options))
	s.Record("%s dials", c.name)
	return c
}

func (s *S) open(l login) *Conn {
	node := s.first + s.named
	if l.node > 0 {
		node = l.node - 1
	}
	s.named++
	return s.dial(fmt.Sprintf("c%d", s.named), node, l)
}

// handshake goes as far as the broker lets it, and records only what went wrong.
func (c *Conn) handshake() {
	l := c.opts
	mark := len(c.s.lines)
	steps := []func() Item{
		func() Item { c.Bytes("header", []byte(wire.ProtocolHeader)); return c.Expect() },
		func() Item { return c.Do(l.startOk()) },
		func() Item { c.Send(l.tune); return c.Do(&wire.ConnectionOpen{VirtualHost: l.vhost}) },
	}
	for _, step := range steps {
		before := len(c.s.lines)
		step()
		if c.over { // the transcript tells what the last step met
			c.s.lines = append(c.s.lines[:mark:mark], c.s.lines[before:]...)
			return
		}
	}
	c.s.lines = c.s.lines[:mark]
}

func (l login) startOk() *wire.ConnectionStartOk {
	return &wire.ConnectionStartOk{ClientProperties: l.properties, Mechanism: l.mechanism, Response: l.response, Locale: "en_US"}
}

// StartOk is the start-ok that Connect would send with these options.
func StartOk(options ...Option) *wire.ConnectionStartOk { return newLogin(options).startOk() }
