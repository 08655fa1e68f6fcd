package memnet

import (
	"net"
	"net/netip"
	"time"
)

// giveUp is how long the far end of a stream hears nothing of a close that was
// lost, before its own side resets it.
const giveUp = 30 * time.Second

// streamConn is one end of a stream: a pipe to a relay that plays the network.
type streamConn struct {
	net.Conn
	local, remote netip.AddrPort
}

func (c *streamConn) LocalAddr() net.Addr  { return addr{c.local} }
func (c *streamConn) RemoteAddr() net.Addr { return addr{c.remote} }

// newStream connects two transports. Each direction has a goroutine, which ends
// when its writing end is closed.
func newStream(from, to *Transport) (near, far *streamConn) {
	nearEnd, nearWire := net.Pipe()
	farEnd, farWire := net.Pipe()
	go relay(from, to, nearWire, farWire)
	go relay(to, from, farWire, nearWire)
	return &streamConn{Conn: nearEnd, local: from.at, remote: to.at},
		&streamConn{Conn: farEnd, local: to.at, remote: from.at}
}

// relay carries one direction. What meets a partition or a dead transport is lost,
// and with it all that follows: a gap in a stream is never bridged.
func relay(from, to *Transport, source, target net.Conn) {
	buf := make([]byte, 16<<10)
	stalled := false
	for {
		n, err := source.Read(buf)
		if delay := from.net.transit(); delay > 0 {
			time.Sleep(delay)
		}
		stalled = stalled || gone(from) || gone(to) || !from.net.passes(from.at.Addr(), to.at.Addr())
		if err != nil {
			if stalled {
				time.AfterFunc(giveUp, func() { target.Close() })
				return
			}
			target.Close()
			return
		}
		if stalled {
			continue
		}
		if _, err := target.Write(buf[:n]); err != nil {
			source.Close()
			return
		}
	}
}

func gone(t *Transport) bool {
	select {
	case <-t.closed:
		return true
	default:
		return false
	}
}
