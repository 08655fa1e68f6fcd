package connection_test

import (
	"context"
	"io"
	"log/slog"
	"sync/atomic"
	"testing"
	"time"

	"github.com/warrenmq/warren/broker/connection/conntest"
	"github.com/warrenmq/warren/broker/wire"
)

// alarm is a log that notes what a client must not be able to bring about.
type alarm struct {
	slog.Handler
	rung *atomic.Bool
}

func (a alarm) Handle(_ context.Context, r slog.Record) error {
	if r.Level >= slog.LevelError {
		a.rung.Store(true)
	}
	return nil
}
func (a alarm) Enabled(context.Context, slog.Level) bool { return true }
func (a alarm) WithAttrs([]slog.Attr) slog.Handler       { return a }

// FuzzConnection sends frames to an open connection: the input is cut into
// frames of type, channel and payload, or goes as it is. Whatever comes, the
// connection ends when the client hangs up, nothing panics and all that was
// delivered goes back.
func FuzzConnection(f *testing.F) {
	frames := func(channel uint16, methods ...wire.Method) (b []byte) {
		for _, m := range methods {
			b = wire.AppendMethodFrame(b, channel, m)
		}
		return b
	}
	content := wire.AppendContent(nil, 1, 4096, wire.ClassBasic, []byte{0, 0}, []byte("body"))
	f.Add(false, append(frames(1, &wire.ChannelOpen{}, &wire.QueueDeclare{Queue: "q"}, &wire.ConfirmSelect{}, &wire.BasicPublish{RoutingKey: "q", Mandatory: true}), content...))
	f.Add(false, frames(1, &wire.ChannelOpen{}, &wire.BasicQos{PrefetchCount: 1, Global: true}, &wire.BasicConsume{Queue: "full", ConsumerTag: "t"},
		&wire.BasicAck{DeliveryTag: 1, Multiple: true}, &wire.BasicCancel{ConsumerTag: "t"}, &wire.BasicNack{Multiple: true, Requeue: true}, &wire.ChannelClose{}))
	f.Add(false, frames(1, &wire.ChannelOpen{}, &wire.TxSelect{}, &wire.BasicGet{Queue: "full"}, &wire.BasicAck{DeliveryTag: 1}, &wire.TxRollback{}, &wire.TxCommit{}))
	f.Add(false, frames(1, &wire.ChannelOpen{}, &wire.ChannelFlow{}, &wire.BasicConsume{Queue: "full"}, &wire.QueueDelete{Queue: "full"}, &wire.BasicRecover{}, &wire.ChannelFlow{Active: true}))
	f.Add(true, []byte{1, 1, 4, 0, 20, 0, 10, 2, 1, 14, 0, 60, 0, 0})
	f.Fuzz(func(t *testing.T, cut bool, in []byte) {
		b := conntest.New(t)
		var rung atomic.Bool
		cfg := b.Config()
		cfg.Logger = slog.New(alarm{rung: &rung})
		cfg.CloseTimeout, cfg.ShutdownTimeout = time.Second, time.Second
		ln := newPipeListener()
		l, stop := conntest.Run(t, ln, cfg)
		c := conntest.NewClient(t, ln.dial())
		c.Login(conntest.DefaultStartOk())
		c.OpenVHost("/")
		c.Channel(9)
		c.Declare(9, &wire.QueueDeclare{Queue: "full"})
		for range 3 {
			c.Publish(9, &wire.BasicPublish{RoutingKey: "full"}, wire.Properties{}, "m")
		}
		c.Conn.SetDeadline(time.Time{})
		hungUp := make(chan struct{})
		go func() {
			io.Copy(io.Discard, c.Conn)
			close(hungUp)
		}()
		if cut {
			in = asFrames(in)
		}
		c.Conn.SetWriteDeadline(time.Now().Add(5 * time.Second))
		c.Conn.Write(in)
		c.Conn.Close()
		<-hungUp
		stop()
		if rung.Load() {
			t.Error("the log has an error")
		}
		if n := l.Open(); n != 0 {
			t.Errorf("%d connections are left", n)
		}
		if held := b.Held("/", "full"); held != 0 {
			t.Errorf("%d deliveries are left with nobody", held)
		}
	})
}

// asFrames reads type, channel, size and payload of frames out of any octets.
func asFrames(in []byte) (out []byte) {
	for len(in) >= 3 {
		kind, channel, size := in[0]%4, uint16(in[1]%4), min(int(in[2]), len(in)-3)
		if kind == 0 {
			kind = wire.FrameHeartbeat
		}
		out = wire.AppendFrame(out, kind, channel, in[3:3+size])
		in = in[3+size:]
	}
	return out
}
