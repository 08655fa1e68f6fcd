package peer

import (
	"context"
	"crypto/tls"
	"net"
	"sync"

	"google.golang.org/grpc/credentials"
	"google.golang.org/grpc/credentials/insecure"
)

// authInfo is what a handshake leaves for the calls on its connection.
type authInfo struct {
	credentials.AuthInfo
	credentials.CommonAuthInfo
	in *inbound
}

func (a *authInfo) GetCommonAuthInfo() credentials.CommonAuthInfo { return a.CommonAuthInfo }

// inbound is a connection that another node opened to this one.
type inbound struct {
	state *tls.ConnectionState // nil without TLS

	// Guarded by the admission's mutex.
	caller Caller
	holder *holder
	closed bool
}

// serverCredentials keeps track of the connections and reports failed handshakes.
type serverCredentials struct {
	credentials.TransportCredentials
	admission *admission
	failed    func(remote net.Addr, err error)
}

func newServerCredentials(cfg *tls.Config, a *admission, failed func(net.Addr, error)) *serverCredentials {
	inner := insecure.NewCredentials()
	if cfg != nil {
		inner = credentials.NewTLS(cfg)
	}
	return &serverCredentials{TransportCredentials: inner, admission: a, failed: failed}
}

func (c *serverCredentials) ServerHandshake(raw net.Conn) (net.Conn, credentials.AuthInfo, error) {
	conn, info, err := c.TransportCredentials.ServerHandshake(raw)
	if err != nil {
		c.failed(raw.RemoteAddr(), err)
		return nil, nil, err
	}
	in := &inbound{}
	common := credentials.CommonAuthInfo{SecurityLevel: credentials.NoSecurity}
	if t, ok := info.(credentials.TLSInfo); ok {
		in.state = &t.State
		common = t.CommonAuthInfo
	}
	tracked := &trackedConn{Conn: conn, closed: func() { c.admission.closed(in) }}
	return tracked, &authInfo{AuthInfo: info, CommonAuthInfo: common, in: in}, nil
}

func (c *serverCredentials) Clone() credentials.TransportCredentials {
	clone := *c
	clone.TransportCredentials = c.TransportCredentials.Clone()
	return &clone
}

// closed frees the name that a connection's caller held through it.
func (a *admission) closed(in *inbound) {
	a.mu.Lock()
	defer a.mu.Unlock()
	in.closed = true
	if in.holder != nil {
		in.holder.conns--
		in.holder = nil
	}
}

// trackedConn tells once that it was closed.
type trackedConn struct {
	net.Conn
	once   sync.Once
	closed func()
}

func (c *trackedConn) Close() error {
	c.once.Do(c.closed)
	return c.Conn.Close()
}

// clientCredentials reports failed handshakes.
type clientCredentials struct {
	credentials.TransportCredentials
	failed func(err error)
}

func newClientCredentials(cfg *tls.Config, failed func(error)) *clientCredentials {
	inner := insecure.NewCredentials()
	if cfg != nil {
		inner = credentials.NewTLS(cfg)
	}
	return &clientCredentials{TransportCredentials: inner, failed: failed}
}

func (c *clientCredentials) ClientHandshake(ctx context.Context, authority string, raw net.Conn) (net.Conn, credentials.AuthInfo, error) {
	conn, info, err := c.TransportCredentials.ClientHandshake(ctx, authority, raw)
	if err != nil && ctx.Err() == nil {
		c.failed(err)
	}
	return conn, info, err
}

func (c *clientCredentials) Clone() credentials.TransportCredentials {
	clone := *c
	clone.TransportCredentials = c.TransportCredentials.Clone()
	return &clone
}
