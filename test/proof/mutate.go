package main

import (
	"context"
	"errors"
	"io"
	"math/rand/v2"
	"slices"
	"strings"
	"time"

	"github.com/warrenmq/warren/broker/wire"
)

const (
	attackLimit  = time.Second // of one attacking connection
	attackLinger = 20 * time.Millisecond
)

// attacker sends garbage, one connection after the other.
type attacker struct {
	addr string
	rng  *rand.Rand
	sent int64 // bytes
	done int   // connections
}

// run attacks until ctx ends.
func (a *attacker) run(ctx context.Context) error {
	for ctx.Err() == nil {
		a.once(ctx, a.stream())
	}
	return nil
}

// once sends a stream, takes what comes back for a moment, and hangs up.
func (a *attacker) once(ctx context.Context, stream []byte) {
	c, err := rawDial(ctx, a.addr)
	if err != nil {
		return
	}
	defer c.Close()
	c.SetDeadline(time.Now().Add(attackLimit))
	read := make(chan struct{})
	go func() {
		defer close(read)
		io.Copy(io.Discard, c.Conn)
	}()
	for len(stream) > 0 { // in pieces of any size
		n := min(len(stream), 1+a.rng.IntN(8192))
		w, err := c.Write(stream[:n])
		a.sent += int64(w)
		if err != nil {
			break
		}
		stream = stream[n:]
	}
	a.done++
	select {
	case <-read:
	case <-time.After(attackLinger): // the connection that is only half told is cut
	case <-ctx.Done():
	}
	c.Close()
	<-read
}

// stream is what one connection sends.
func (a *attacker) stream() []byte {
	switch a.rng.IntN(8) {
	case 0:
		return a.noise(1 + a.rng.IntN(4096))
	case 1:
		return append([]byte(wire.ProtocolHeader), a.noise(a.rng.IntN(64<<10))...)
	case 2:
		return append(hello(), a.noise(a.rng.IntN(64<<10))...)
	case 3:
		return a.flip(hello(), 1+a.rng.IntN(4))
	default:
		return a.session()
	}
}

func (a *attacker) noise(n int) []byte {
	b := make([]byte, n)
	for i := range b {
		b[i] = byte(a.rng.Uint32())
	}
	if n >= 7 && a.rng.IntN(2) == 0 { // that looks like a frame
		copy(b, []byte{byte(1 + a.rng.IntN(3)), 0, byte(a.rng.IntN(2)), 0, 0, byte(a.rng.IntN(64)), byte(a.rng.Uint32())})
	}
	return b
}

// flip changes n bytes.
func (a *attacker) flip(b []byte, n int) []byte {
	for range n {
		b[a.rng.IntN(len(b))] = byte(a.rng.Uint32())
	}
	return b
}

// session is a login and frames that were once a sensible session: cut,
// doubled, swapped, sent on other channels, or changed in some bytes.
func (a *attacker) session() []byte {
	frames := a.sensible()
	for range 1 + a.rng.IntN(6) {
		i, j := a.rng.IntN(len(frames)), a.rng.IntN(len(frames))
		switch a.rng.IntN(6) {
		case 0:
			frames[i], frames[j] = frames[j], frames[i]
		case 1:
			frames = slices.Insert(frames, j, slices.Clone(frames[i]))
		case 2:
			if len(frames) > 1 {
				frames = slices.Delete(frames, i, i+1)
			}
		case 3:
			frames[i] = frames[i][:a.rng.IntN(len(frames[i]))]
			if len(frames[i]) == 0 {
				frames[i] = []byte{0}
			}
		case 4:
			if len(frames[i]) > 2 {
				frames[i][2] = byte(a.rng.IntN(4)) // the channel
			}
		case 5:
			if !declares(frames[i]) { // else every byte that changes makes a queue to keep
				frames[i] = a.flip(frames[i], 1+a.rng.IntN(3))
			}
		}
	}
	return append(hello(), slices.Concat(frames...)...)
}

// declares recognises a frame that makes something.
func declares(frame []byte) bool {
	if len(frame) < 11 {
		return false
	}
	key := wire.PeekMethod(frame[7:])
	return key == wire.KeyQueueDeclare || key == wire.KeyExchangeDeclare
}

// sensible is a session on one exclusive queue.
func (a *attacker) sensible() [][]byte {
	var frames [][]byte
	add := func(b ...[]byte) { frames = append(frames, b...) }
	m := func(m wire.Method) []byte { return methods(1, m) }
	key := strings.Repeat("k.", a.rng.IntN(4)) + "z"
	add(m(&wire.QueueDeclare{Exclusive: true, Arguments: wire.Table{"x-max-length": int32(10)}}),
		m(&wire.QueueBind{Exchange: "amq.topic", RoutingKey: key, Arguments: wire.Table{"x": "y", "n": int64(7)}}),
		m(&wire.ConfirmSelect{}), m(&wire.BasicQos{PrefetchCount: 3}),
		m(&wire.BasicConsume{ConsumerTag: "c", NoAck: a.rng.IntN(2) == 0}))
	for range 1 + a.rng.IntN(5) {
		add(m(&wire.BasicPublish{Exchange: "amq.topic", RoutingKey: key, Mandatory: true}))
		body := a.noise(a.rng.IntN(300))
		add(header(1, 60, uint64(len(body))))
		if len(body) > 0 {
			add(frame(wire.FrameBody, 1, body...))
		}
	}
	add(m(&wire.BasicGet{}), m(&wire.BasicAck{DeliveryTag: 1}), m(&wire.BasicNack{DeliveryTag: 3, Multiple: true, Requeue: true}),
		m(&wire.BasicRecover{Requeue: true}), m(&wire.QueuePurge{}), m(&wire.BasicCancel{ConsumerTag: "c"}),
		m(&wire.QueueUnbind{Exchange: "amq.topic", RoutingKey: key}), m(&wire.ChannelFlow{Active: true}),
		m(&wire.ExchangeBind{Destination: "amq.topic", Source: "amq.fanout"}), m(&wire.TxSelect{}),
		m(&wire.QueueDelete{}), m(&wire.ChannelClose{}), methods(0, &wire.ConnectionClose{}))
	return frames
}

// silentSockets opens connections that say nothing, and waits until the
// broker has closed each of them.
func silentSockets(ctx context.Context, addr string, n int, limit time.Duration) error {
	var socks []*raw
	defer func() {
		for _, c := range socks {
			c.Close()
		}
	}()
	for range n {
		c, err := rawDial(ctx, addr)
		if err != nil {
			return err
		}
		c.SetDeadline(time.Now().Add(limit))
		socks = append(socks, c)
	}
	for _, c := range socks {
		if _, err := io.Copy(io.Discard, c.Conn); err != nil && !strings.Contains(err.Error(), "reset") {
			return errors.New("a connection that says nothing is kept open: " + err.Error())
		}
	}
	return nil
}
