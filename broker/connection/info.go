package connection

import (
	"crypto/tls"
	"net"
	"slices"
	"strings"
	"time"

	"github.com/warrenmq/warren/broker/wire"
)

// Info is what operators see of a connection, and what Admission decides on.
type Info struct {
	ID               string // unique in the cluster: owns exclusive queues
	Name             string // "peer -> here": unique on its node
	User, VHost      string
	Peer, Local      net.Addr
	ClientProperties map[string]any // as the client sent them; not to be changed
	Mechanism        string         // of SASL
	TLS              *tls.ConnectionState
	ConnectedAt      time.Time
	ChannelMax       uint16
	FrameMax         uint32
	Heartbeat        time.Duration

	// At the time of the listing.
	State    string // "running", "blocked" or "closing"
	Channels int
}

// ClientName is what the client calls itself, or "" (B4).
func (i *Info) ClientName() string {
	name, _ := i.ClientProperties["connection_name"].(string)
	return name
}

// Connections lists the open connections, by name.
func (l *Listener) Connections() []Info {
	l.mu.Lock()
	infos := make([]Info, 0, len(l.conns))
	for _, c := range l.conns {
		infos = append(infos, c.look())
	}
	l.mu.Unlock()
	slices.SortFunc(infos, func(a, b Info) int { return strings.Compare(a.Name, b.Name) })
	return infos
}

// Close closes a connection for an operator, who says why (B20). It tells
// whether there is one of that name.
func (l *Listener) Close(name, reason string) bool {
	l.mu.Lock()
	c := l.conns[name]
	l.mu.Unlock()
	if c == nil {
		return false
	}
	c.force(&wire.Error{Code: wire.ConnectionForced, Text: reason}, l.cfg.CloseTimeout)
	return true
}

// enlist makes c one of the open connections, which leave undoes.
func (l *Listener) enlist(c *conn) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.conns[c.name] = c
}

func (l *Listener) leave(c *conn) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.conns[c.name] == c {
		delete(l.conns, c.name)
	}
}

// look is the connection as it stands. Any goroutine may call it once the connection is open.
func (c *conn) look() Info {
	i := c.info
	i.State, i.Channels = "running", int(c.channelCount.Load())
	switch {
	case c.closing.Load() != 0:
		i.State = "closing"
	case c.blocked.Load():
		i.State = "blocked"
	}
	return i
}
