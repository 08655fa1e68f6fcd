package peer

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/keepalive"
	"google.golang.org/grpc/status"
)

// Limits and timings of all connections between nodes.
const (
	maxMessageBytes  = 256 << 20 // a batch with the largest message, and its head
	maxStreams       = 8192      // of one connection: a few a group
	maxHeaderBytes   = 16 << 10
	handshakeTimeout = 5 * time.Second
	streamWindow     = 4 << 20 // unread bytes of one stream
	connWindow       = 16 << 20
	ioBufferBytes    = 64 << 10
	keepaliveTime    = 10 * time.Second
	keepaliveTimeout = 3 * time.Second
)

// ServerConfig is what a Server needs. Fields without a default are required.
type ServerConfig struct {
	Identity Identity
	TLS      *tls.Config // nil: plain text, for loopback alone
	// CheckPeer says whether a certificate entitles its holder to a ServerID; required with TLS.
	CheckPeer func(state tls.ConnectionState, serverID string) error
	// Open names the calls that are served while either side has no cluster id
	// yet, by full method name ("/warren.v1.Bootstrap/Promise"); default none.
	Open   func(method string) bool
	Logger *slog.Logger // default slog.Default()
}

// Validate reports what is missing.
func (c *ServerConfig) Validate() error {
	switch {
	case c.Identity.ServerID == "" || c.Identity.ClusterID == nil:
		return errors.New("peer: a server needs an identity")
	case c.TLS != nil && c.CheckPeer == nil:
		return errors.New("peer: certificates without a check")
	}
	return nil
}

// Server serves the calls of other nodes.
type Server struct {
	grpc      *grpc.Server
	admission *admission
	notices   *notices
}

// NewServer makes a server without services; it listens when it runs.
func NewServer(cfg ServerConfig) (*Server, error) {
	if err := cfg.Validate(); err != nil {
		return nil, err
	}
	if cfg.Open == nil {
		cfg.Open = func(string) bool { return false }
	}
	if cfg.Logger == nil {
		cfg.Logger = slog.Default()
	}
	s := &Server{
		notices: newNotices(cfg.Logger),
		admission: &admission{
			self: cfg.Identity, checkPeer: cfg.CheckPeer, openCall: cfg.Open,
			byName: make(map[string]*holder),
		},
	}
	s.grpc = grpc.NewServer(
		grpc.Creds(newServerCredentials(cfg.TLS, s.admission, s.handshakeFailed)),
		grpc.ForceServerCodecV2(Codec()),
		grpc.ChainUnaryInterceptor(s.unary),
		grpc.ChainStreamInterceptor(s.stream),
		grpc.MaxRecvMsgSize(maxMessageBytes),
		grpc.MaxSendMsgSize(maxMessageBytes),
		grpc.MaxConcurrentStreams(maxStreams),
		grpc.MaxHeaderListSize(maxHeaderBytes),
		grpc.ConnectionTimeout(handshakeTimeout),
		grpc.StaticStreamWindowSize(streamWindow),
		grpc.StaticConnWindowSize(connWindow),
		grpc.ReadBufferSize(ioBufferBytes),
		grpc.WriteBufferSize(ioBufferBytes),
		grpc.WaitForHandlers(true),
		grpc.KeepaliveParams(keepalive.ServerParameters{Time: keepaliveTime, Timeout: keepaliveTimeout}),
		grpc.KeepaliveEnforcementPolicy(keepalive.EnforcementPolicy{MinTime: keepaliveTime / 2, PermitWithoutStream: true}),
	)
	return s, nil
}

// RegisterService adds a service; all of them before Run.
func (s *Server) RegisterService(desc *grpc.ServiceDesc, impl any) {
	s.grpc.RegisterService(desc, impl)
}

// Run serves l until ctx ends; then every handler has returned.
func (s *Server) Run(ctx context.Context, l net.Listener) error {
	stop := context.AfterFunc(ctx, s.grpc.Stop)
	defer s.grpc.Stop()
	defer stop()
	if err := s.grpc.Serve(l); err != nil && ctx.Err() == nil {
		return fmt.Errorf("serve peers on %s: %w", l.Addr(), err)
	}
	return nil
}

func (s *Server) handshakeFailed(remote net.Addr, err error) {
	s.notices.warn("node refused: handshake failed, is its cluster secret another?", hostOf(remote), err.Error())
}

func (s *Server) unary(ctx context.Context, req any, info *grpc.UnaryServerInfo, handler grpc.UnaryHandler) (any, error) {
	caller, err := s.admit(ctx, info.FullMethod)
	if err != nil {
		return nil, err
	}
	return handler(context.WithValue(ctx, callerKey{}, caller), req)
}

func (s *Server) stream(srv any, ss grpc.ServerStream, info *grpc.StreamServerInfo, handler grpc.StreamHandler) error {
	caller, err := s.admit(ss.Context(), info.FullMethod)
	if err != nil {
		return err
	}
	return handler(srv, &admittedStream{ss, context.WithValue(ss.Context(), callerKey{}, caller)})
}

func (s *Server) admit(ctx context.Context, method string) (Caller, error) {
	caller, err := s.admission.admit(ctx, method)
	if Refused(err) {
		s.notices.warn("node refused", describe(ctx, caller), status.Convert(err).Message())
	}
	return caller, err
}

// admittedStream carries the caller in its context.
type admittedStream struct {
	grpc.ServerStream
	ctx context.Context
}

func (s *admittedStream) Context() context.Context { return s.ctx }
