package connection

import (
	"encoding/binary"
	"fmt"
	"net"
	"time"

	"github.com/warrenmq/warren/broker/wire"
)

const (
	writeBytes     = 64 << 10  // gathered before a write
	writeBytesKept = 256 << 10 // a buffer that grew beyond is not kept
	wholeBodyMax   = 32 << 10  // larger bodies are encoded frame by frame

	trimAfter = 30 * time.Second // of silence, where no heartbeats count it
)

// writer owns the socket's sending side.
type writer struct {
	nc        net.Conn
	out       *outbox
	frameMax  uint32
	heartbeat time.Duration // send one when nothing was sent for so long; 0: never
	timeout   time.Duration // of one write

	load    load
	buf     []byte
	answers int         // bytes of frames in buf or written since the last take
	paid    []*consumer // whose deliveries are in buf
	sent    bool        // since the last tick
}

// run writes until the outbox has ended and is empty, or the socket fails.
func (w *writer) run() error {
	tick := trimAfter
	if w.heartbeat > 0 {
		tick = w.heartbeat
	}
	ticker := time.NewTicker(tick)
	defer ticker.Stop()
	for {
		some := w.out.take(&w.load, w.answers)
		w.answers = 0
		if some {
			if err := w.encode(); err != nil {
				return err
			}
			continue
		}
		if err := w.flush(); err != nil || w.load.ended {
			return err
		}
		select {
		case <-w.out.wake:
		case <-ticker.C:
			if err := w.quiet(); err != nil {
				return err
			}
		}
	}
}

// quiet runs at each tick: when nothing was sent since the last, it shows the
// client that the connection stands, and gives back memory.
func (w *writer) quiet() error {
	if w.sent {
		w.sent = false
		return nil
	}
	w.out.trim(&w.load)
	w.buf = nil
	if w.heartbeat == 0 {
		return nil
	}
	w.buf = wire.AppendHeartbeat(w.buf)
	err := w.flush()
	w.sent = false
	return err
}

// encode turns what was taken into frames, and writes when the buffer is full.
func (w *writer) encode() error {
	for i := range w.load.parcels {
		p := &w.load.parcels[i]
		encode := w.encodeDelivery
		if p.to == nil {
			encode = w.encodeAnswer
		}
		if err := encode(p); err != nil {
			return err
		}
		if err := w.flushFull(); err != nil {
			return err
		}
	}
	for i := range w.load.confirms {
		c := &w.load.confirms[i]
		w.buf = c.ch.window.append(w.buf, c.ch.id, &c.outcomes)
		if err := w.flushFull(); err != nil {
			return err
		}
	}
	return nil
}

func (w *writer) encodeAnswer(p *parcel) error {
	w.answers += len(p.frames)
	if len(p.frames) < writeBytes {
		w.buf = append(w.buf, p.frames...)
		return nil
	}
	if err := w.flush(); err != nil {
		return err
	}
	return w.write(p.frames)
}

func (w *writer) encodeDelivery(p *parcel) error {
	k, m := p.to, &p.delivery.Message
	k.written += p.delivery.Cost()
	if k.written == p.delivery.Cost() {
		w.paid = append(w.paid, k)
	}
	if k.counts && p.delivery.Returned > 0 {
		m.Properties = withCounts(m.Properties, &p.delivery)
	}
	if k.stream {
		m.Properties = withOffset(m.Properties, p.delivery.Seq)
	}
	w.buf = wire.AppendDeliver(w.buf, k.ch.id, k.tag, p.tag, p.delivery.Redelivered, m.Exchange, m.RoutingKey)
	if len(m.Body) > wholeBodyMax {
		return w.encodeLarge(k.ch.id, m.Properties, m.Body)
	}
	w.buf = wire.AppendContent(w.buf, k.ch.id, w.frameMax, wire.ClassBasic, m.Properties, m.Body)
	return nil
}

// encodeLarge writes as it goes: copies of large bodies must not pile up for
// clients that read slowly.
func (w *writer) encodeLarge(channel uint16, properties, body []byte) error {
	header := make([]byte, 0, 12+len(properties))
	header = binary.BigEndian.AppendUint32(header, uint32(wire.ClassBasic)<<16)
	header = binary.BigEndian.AppendUint64(header, uint64(len(body)))
	w.buf = wire.AppendFrame(w.buf, wire.FrameHeader, channel, append(header, properties...))
	part := len(body)
	if w.frameMax > 0 {
		part = int(w.frameMax) - wire.FrameOverhead
	}
	for len(body) > 0 {
		n := min(part, len(body))
		w.buf = wire.AppendFrame(w.buf, wire.FrameBody, channel, body[:n])
		body = body[n:]
		if err := w.flushFull(); err != nil {
			return err
		}
	}
	return nil
}

func (w *writer) flushFull() error {
	if len(w.buf) < writeBytes {
		return nil
	}
	return w.flush()
}

// flush writes the buffer and gives back the byte credit of what was written.
func (w *writer) flush() error {
	if len(w.buf) == 0 {
		return nil
	}
	if err := w.write(w.buf); err != nil {
		return err
	}
	w.buf = w.buf[:0]
	if cap(w.buf) > writeBytesKept {
		w.buf = nil
	}
	open := w.paid[:0]
	for _, k := range w.paid {
		if k.written < k.window/4 { // few large grants
			open = append(open, k)
			continue
		}
		k.sub.Credit(0, k.written)
		k.written = 0
	}
	clear(w.paid[len(open):])
	w.paid = open
	return nil
}

func (w *writer) write(b []byte) error {
	if err := w.nc.SetWriteDeadline(time.Now().Add(w.timeout)); err != nil {
		return fmt.Errorf("set write deadline: %w", err)
	}
	if _, err := w.nc.Write(b); err != nil {
		return fmt.Errorf("write %d bytes: %w", len(b), err)
	}
	w.sent = true
	return nil
}
