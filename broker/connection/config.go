package connection

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"log/slog"
	"math"
	"net"
	"time"

	"github.com/warrenmq/warren/broker/routing"
	"github.com/warrenmq/warren/broker/wire"
)

// Config says whom a listener works with, and within which bounds. Zero values
// of all but the ports are replaced by the defaults named with them.
type Config struct {
	Publisher     Publisher
	Definitions   Definitions
	Queues        Queues
	Authenticator Authenticator
	Routes        *routing.Table // kept up with Definitions by whoever made it
	Alarms        Alarms         // nil: never short of room
	Admission     Admission      // nil: no limits of vhosts and users
	// ChannelsElsewhere counts a user's channels on other nodes, for a user that has
	// a limit of them. It bounds its own time. Nil: there are none.
	ChannelsElsewhere func(ctx context.Context, user string) int
	Logger            *slog.Logger // slog.Default()

	// TLS says how to speak on TLSListen, which the listener takes over. Both or none.
	TLS       *tls.Config
	TLSListen net.Listener

	// What connection.start says. Clients look at Product and Version.
	Product     string // "RabbitMQ"
	Version     string // "4.2.0"
	Platform    string // "Go"
	Information string // "Warren"
	ClusterName string // "warren"
	Node        string // how texts call this node: "warren"

	ChannelMax uint16        // 2047
	FrameMax   uint32        // 131072
	Heartbeat  time.Duration // proposed to clients: 60 s; < 0: none

	HandshakeTimeout time.Duration // until connection.open-ok: 10 s
	TLSTimeout       time.Duration // of the TLS handshake before it: 5 s
	InitialFrameMax  uint32        // before tune: 8192
	LoginPenalty     time.Duration // a refused client's socket stays open that long: 3 s
	CloseTimeout     time.Duration // for a client's connection.close-ok: 30 s
	ShutdownTimeout  time.Duration // the same when the listener stops: 5 s
	WriteTimeout     time.Duration // of a write to a client that does not read: 30 s
	CallTimeout      time.Duration // of what is asked of Definitions and Queues: 5 s

	MaxConnections  int    // open ones: 50,000
	MaxHandshakes   int    // sockets whose client is not logged in: 1,000
	MaxChannels     int    // open ones of all connections together; 0: no limit
	MaxConsumers    int    // of one channel; 0: no limit
	MaxMessageBytes uint64 // 16 MiB
	// Prefetch is that of a channel whose client has not set one; 0: none.
	Prefetch int
	// ConsumerTimeout is how long a delivery may stay unanswered where neither the
	// consumer nor its queue says: 30 min; < 0: for ever.
	ConsumerTimeout time.Duration
	// AssemblyBytes bounds the bodies that a connection has sent a part of, and
	// those in its open transactions: 4 * MaxMessageBytes.
	AssemblyBytes uint64
	// DeliveryWindow is the byte credit of a consumer: 1 MiB. DeliveryBudget is that
	// of all consumers of a connection together, beyond which each further one gets
	// a small window: 16 MiB.
	DeliveryWindow int64
	DeliveryBudget int64
}

// heartbeatMax is what connection.tune can say.
const heartbeatMax = 65535 * time.Second

// withDefaults fills in what is not set.
func (c Config) withDefaults() Config {
	if c.Logger == nil {
		c.Logger = slog.Default()
	}
	setDefault(&c.Product, "RabbitMQ")
	setDefault(&c.Version, "4.2.0")
	setDefault(&c.Platform, "Go")
	setDefault(&c.Information, "Warren")
	setDefault(&c.ClusterName, "warren")
	setDefault(&c.Node, "warren")
	setDefault(&c.ChannelMax, 2047)
	setDefault(&c.FrameMax, 131072)
	setDefault(&c.Heartbeat, 60*time.Second)
	setDefault(&c.HandshakeTimeout, 10*time.Second)
	setDefault(&c.InitialFrameMax, 8192)
	setDefault(&c.TLSTimeout, 5*time.Second)
	setDefault(&c.LoginPenalty, 3*time.Second)
	setDefault(&c.CloseTimeout, 30*time.Second)
	setDefault(&c.ShutdownTimeout, 5*time.Second)
	setDefault(&c.WriteTimeout, 30*time.Second)
	setDefault(&c.CallTimeout, 5*time.Second)
	setDefault(&c.MaxConnections, 50_000)
	setDefault(&c.MaxHandshakes, 1_000)
	setDefault(&c.MaxMessageBytes, 16<<20)
	setDefault(&c.ConsumerTimeout, 30*time.Minute)
	setDefault(&c.AssemblyBytes, 4*c.MaxMessageBytes)
	setDefault(&c.DeliveryWindow, 1<<20)
	setDefault(&c.DeliveryBudget, 16<<20)
	return c
}

func setDefault[T comparable](field *T, value T) {
	var zero T
	if *field == zero {
		*field = value
	}
}

// Validate says what is wrong with a Config, defaults filled in.
func (c Config) Validate() error {
	c = c.withDefaults()
	var errs []error
	check := func(ok bool, format string, args ...any) {
		if !ok {
			errs = append(errs, fmt.Errorf(format, args...))
		}
	}
	check(c.Publisher != nil && c.Definitions != nil && c.Queues != nil && c.Authenticator != nil && c.Routes != nil,
		"publisher, definitions, queues, authenticator and routes must be set")
	check(c.FrameMax >= wire.FrameMinSize && c.FrameMax <= 64<<20, "frame max %d is not in %d..%d", c.FrameMax, wire.FrameMinSize, 64<<20)
	check(c.InitialFrameMax >= wire.FrameMinSize && c.InitialFrameMax <= c.FrameMax, "initial frame max %d is not in %d..%d", c.InitialFrameMax, wire.FrameMinSize, c.FrameMax)
	check(c.Heartbeat <= heartbeatMax, "heartbeat %v is above %v", c.Heartbeat, heartbeatMax)
	check(c.MaxMessageBytes <= wire.BodySizeMax, "max message size %d is above %d", c.MaxMessageBytes, wire.BodySizeMax)
	check(c.AssemblyBytes >= c.MaxMessageBytes, "assembly bytes %d are below the max message size", c.AssemblyBytes)
	check((c.TLS == nil) == (c.TLSListen == nil), "TLS and its listener go together")
	check(c.MaxChannels >= 0 && c.MaxConsumers >= 0, "limits of channels and consumers must not be negative")
	check(c.Prefetch >= 0 && c.Prefetch <= math.MaxUint16, "prefetch %d is not in 0..%d", c.Prefetch, math.MaxUint16)
	check(c.MaxConnections > 0 && c.MaxHandshakes > 0, "connection limits must be positive")
	check(c.DeliveryWindow > 0 && c.DeliveryBudget > 0, "delivery window and budget must be positive")
	for name, d := range map[string]time.Duration{
		"handshake timeout": c.HandshakeTimeout, "TLS timeout": c.TLSTimeout, "login penalty": c.LoginPenalty, "close timeout": c.CloseTimeout,
		"shutdown timeout": c.ShutdownTimeout, "write timeout": c.WriteTimeout, "call timeout": c.CallTimeout,
	} {
		check(d > 0, "%s %v is not positive", name, d)
	}
	return errors.Join(errs...)
}
