// Package management is RabbitMQ's HTTP API: its paths, its JSON, its status
// codes and the texts of its refusals, over interfaces that it declares itself.
//
// It knows nothing of sockets, of who may connect to them, or of replication.
// Whoever may reach a Server's handler may do everything: what is served on the
// control socket is protected by the file's permissions.
package management

import (
	"context"
	"errors"
	"log/slog"
	"net/http"
	"time"

	"github.com/warrenmq/warren/broker/topology"
)

// Definitions are the cluster's vhosts, exchanges, queues and bindings. They are
// broker/connection's.
type Definitions interface {
	View(func(*topology.Topology))
	Apply(ctx context.Context, c topology.Command) (topology.Result, error)
}

// Config is what a Server works with. Fields without a default are required.
type Config struct {
	Definitions Definitions
	Timeout     time.Duration // of one change: 10 s
	Logger      *slog.Logger  // slog.Default()
}

// Server answers HTTP requests under /api.
type Server struct {
	cfg    Config
	logger *slog.Logger
	router router
}

// New makes a Server.
func New(cfg Config) (*Server, error) {
	if cfg.Definitions == nil {
		return nil, errors.New("management: definitions must be set")
	}
	if cfg.Timeout == 0 {
		cfg.Timeout = 10 * time.Second
	}
	if cfg.Logger == nil {
		cfg.Logger = slog.Default()
	}
	s := &Server{cfg: cfg, logger: cfg.Logger}
	s.routes()
	return s, nil
}

func (s *Server) routes() {
	const get, put, del = http.MethodGet, http.MethodPut, http.MethodDelete
	h := s.router.handle
	h(get, "/api/vhosts", s.listVHosts)
	h(get, "/api/vhosts/{vhost}", s.getVHost)
	h(put, "/api/vhosts/{vhost}", s.putVHost)
	h(del, "/api/vhosts/{vhost}", s.deleteVHost)
}

// ServeHTTP answers a request within the bound of its time.
func (s *Server) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	ctx, cancel := context.WithTimeout(r.Context(), s.cfg.Timeout)
	defer cancel()
	s.router.ServeHTTP(w, r.WithContext(ctx))
}

// apply carries out a change of the definitions and answers the request if that fails.
func (s *Server) apply(w http.ResponseWriter, r *http.Request, c topology.Command) (topology.Result, bool) {
	result, err := s.cfg.Definitions.Apply(r.Context(), c)
	if err != nil {
		failed(w, err)
		return topology.Result{}, false
	}
	return result, true
}

// actor is who changes something: whoever may open the control socket.
const actor = "local"

// audit writes the line that says who changed what. No secret is ever in it.
func (s *Server) audit(what string, attrs ...any) {
	s.logger.Info("audit", append([]any{"who", actor, "what", what}, attrs...)...)
}

// hasVHost says whether a vhost exists.
func (s *Server) hasVHost(name string) (ok bool) {
	s.cfg.Definitions.View(func(t *topology.Topology) { ok = t.VHost(name) != nil })
	return ok
}
