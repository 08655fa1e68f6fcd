package management

import (
	"cmp"
	"context"
	"crypto/tls"
	"encoding/json"
	"net"
	"net/http"
	"slices"
	"strconv"

	"github.com/warrenmq/warren/broker/connection"
)

// Connection is a connection in listings.
type Connection struct {
	Name             string         `json:"name"`
	UserProvidedName string         `json:"user_provided_name,omitempty"`
	Node             string         `json:"node"`
	VHost            string         `json:"vhost"`
	User             string         `json:"user"`
	WhoPerformed     string         `json:"user_who_performed_action"`
	Type             string         `json:"type"`
	Protocol         string         `json:"protocol"`
	AuthMechanism    string         `json:"auth_mechanism"`
	State            string         `json:"state"`
	Channels         int            `json:"channels"`
	ChannelMax       int            `json:"channel_max"`
	FrameMax         int64          `json:"frame_max"`
	Timeout          int            `json:"timeout"`
	Host             string         `json:"host"`
	Port             int            `json:"port"`
	PeerHost         string         `json:"peer_host"`
	PeerPort         int            `json:"peer_port"`
	SSL              bool           `json:"ssl"`
	SSLProtocol      *string        `json:"ssl_protocol"`
	SSLCipher        *string        `json:"ssl_cipher"`
	ClientProperties map[string]any `json:"client_properties"`
	ConnectedAt      int64          `json:"connected_at"` // milliseconds since 1970
}

// DescribeConnection makes a listing's Connection of what a node knows of one.
func DescribeConnection(node string, i *connection.Info) Connection {
	c := Connection{
		Name: i.Name, UserProvidedName: i.ClientName(), Node: node, VHost: i.VHost, User: i.User, WhoPerformed: i.User,
		Type: "network", Protocol: "AMQP 0-9-1", AuthMechanism: i.Mechanism, State: i.State,
		Channels: i.Channels, ChannelMax: int(i.ChannelMax), FrameMax: int64(i.FrameMax), Timeout: int(i.Heartbeat.Seconds()),
		ClientProperties: table(i.ClientProperties), ConnectedAt: i.ConnectedAt.UnixMilli(),
	}
	c.Host, c.Port = hostPort(i.Local)
	c.PeerHost, c.PeerPort = hostPort(i.Peer)
	if i.TLS != nil {
		version, cipher := tls.VersionName(i.TLS.Version), tls.CipherSuiteName(i.TLS.CipherSuite)
		c.SSL, c.SSLProtocol, c.SSLCipher = true, &version, &cipher
	}
	return c
}

func hostPort(a net.Addr) (string, int) {
	if a == nil {
		return "", 0
	}
	host, port, err := net.SplitHostPort(a.String())
	if err != nil {
		return a.String(), 0
	}
	n, _ := strconv.Atoi(port) // 0 for what is no number
	return host, n
}

// connections are those of the cluster that the path's vhost or user leaves, by name.
func (s *Server) connections(ctx context.Context, p params) []Connection {
	list := []Connection{}
	for _, raw := range s.cfg.Clients.Connections(ctx) {
		var c Connection
		if err := json.Unmarshal(raw, &c); err != nil {
			s.logger.Warn("a node describes a connection in a way that this one cannot read", "error", err)
			continue
		}
		if inScope(p, c.VHost, c.User) {
			list = append(list, c)
		}
	}
	slices.SortFunc(list, func(a, b Connection) int { return cmp.Compare(a.Name, b.Name) })
	return list
}

func (s *Server) listConnections(w http.ResponseWriter, r *http.Request, p params) {
	if v, named := p["vhost"]; named && !s.hasVHost(v) {
		missing(w)
		return
	}
	replyList(w, r, s.connections(r.Context(), p))
}

func (s *Server) getConnection(w http.ResponseWriter, r *http.Request, p params) {
	for _, c := range s.connections(r.Context(), nil) {
		if c.Name == p["name"] {
			reply(w, http.StatusOK, c)
			return
		}
	}
	missing(w)
}

// reason is what the client of a connection that is closed will be told.
func reason(r *http.Request) string {
	if text := r.Header.Get("X-Reason"); text != "" {
		return text
	}
	return "Closed via management plugin"
}

func (s *Server) deleteConnection(w http.ResponseWriter, r *http.Request, p params) {
	if !s.cfg.Clients.CloseConnection(r.Context(), p["name"], reason(r)) {
		missing(w)
		return
	}
	s.audit("connection.close", "connection", p["name"], "reason", reason(r))
	done(w, false)
}

func (s *Server) deleteConnectionsOf(w http.ResponseWriter, r *http.Request, p params) {
	n := s.closeWhere(r.Context(), func(c *Connection) bool { return c.User == p["user"] }, reason(r))
	s.audit("connections.close", "user", p["user"], "reason", reason(r), "connections", n)
	done(w, false)
}

// closeWhere closes connections all over the cluster and counts them.
func (s *Server) closeWhere(ctx context.Context, which func(*Connection) bool, reason string) (n int) {
	for _, c := range s.connections(ctx, nil) {
		if which(&c) && s.cfg.Clients.CloseConnection(ctx, c.Name, reason) {
			n++
		}
	}
	return n
}
