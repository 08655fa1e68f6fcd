// Package management is RabbitMQ's HTTP API: its paths, its JSON, its status
// codes and the texts of its refusals, over interfaces that it declares itself.
//
// It knows nothing of sockets, of who may connect to them, or of replication.
// Whoever may reach a Server's handler may do everything: what is served on the
// control socket is protected by the file's permissions.
package management

import (
	"cmp"
	"context"
	"errors"
	"log/slog"
	"net/http"
	"time"

	"github.com/warrenmq/warren/broker/auth"
	"github.com/warrenmq/warren/broker/leader"
	"github.com/warrenmq/warren/broker/queue"
	"github.com/warrenmq/warren/broker/topology"
)

// Definitions are the cluster's vhosts, exchanges, queues and bindings. They are
// broker/connection's.
type Definitions interface {
	View(func(*topology.Topology))
	Apply(ctx context.Context, c topology.Command) (topology.Result, error)
}

// Access is the cluster's users and what they may do. A change is visible on
// every live node when it returns.
type Access interface {
	Users() []auth.User
	User(name string) (auth.User, bool)
	// PutUser makes a user or replaces one, but for its limits.
	PutUser(ctx context.Context, u auth.User) error
	DeleteUser(ctx context.Context, name string) error

	Permissions() []auth.Permission
	SetPermission(ctx context.Context, p auth.Permission) error
	ClearPermission(ctx context.Context, user, vhost string) error

	TopicPermissions() []auth.TopicPermission
	SetTopicPermission(ctx context.Context, p auth.TopicPermission) error
	// ClearTopicPermission is for all exchanges of the vhost when exchange is "".
	ClearTopicPermission(ctx context.Context, user, vhost, exchange string) error

	UserLimits(user string) map[string]int64
	SetUserLimits(ctx context.Context, user string, limits map[string]int64) error
}

// Queues are all queues of the cluster, wherever they are led.
type Queues interface {
	// Place is what this node knows; it asks nobody.
	Place(q *topology.Queue) Place
	Counts(ctx context.Context, id queue.ID) (leader.Counts, error)
	Purge(ctx context.Context, id queue.ID) (uint64, error)
	Delete(ctx context.Context, q topology.Queue, ifUnused, ifEmpty bool, connection string) (uint64, error)
}

// Clients are the connections of all nodes.
type Clients interface {
	// Connections are JSON objects as DescribeConnection makes them.
	Connections(ctx context.Context) [][]byte
	// Consumers are JSON objects as DescribeConsumer makes them, of a vhost or of all ("").
	Consumers(ctx context.Context, vhost string) [][]byte
	// CloseConnection tells whether there was one of that name.
	CloseConnection(ctx context.Context, name, reason string) bool
}

// Nodes are the nodes of the cluster.
type Nodes interface {
	Self() string
	Names() []string // all of them, also those that do not run
	// Reports are JSON objects, a Node each, of those that answer.
	Reports(ctx context.Context) [][]byte
}

// Config is what a Server works with. Fields without a default are required.
type Config struct {
	Definitions Definitions
	Access      Access
	Queues      Queues
	Clients     Clients
	Nodes       Nodes

	Version         string        // Warren's: "dev"
	RabbitMQVersion string        // that clients compare with: "4.2.0"
	ClusterName     string        // "warren"
	Timeout         time.Duration // of one request: 10 s
	Logger          *slog.Logger  // slog.Default()
}

// Server answers HTTP requests under /api.
type Server struct {
	cfg    Config
	logger *slog.Logger
	router router
}

// New makes a Server.
func New(cfg Config) (*Server, error) {
	if cfg.Definitions == nil || cfg.Access == nil || cfg.Queues == nil || cfg.Clients == nil || cfg.Nodes == nil {
		return nil, errors.New("management: definitions, access, queues, clients and nodes must be set")
	}
	cfg.Version = cmp.Or(cfg.Version, "dev")
	cfg.RabbitMQVersion = cmp.Or(cfg.RabbitMQVersion, "4.2.0")
	cfg.ClusterName = cmp.Or(cfg.ClusterName, "warren")
	cfg.Timeout = cmp.Or(cfg.Timeout, 10*time.Second)
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
	h(get, "/api/vhosts/{vhost}/permissions", scoped(s, s.permissions))
	h(get, "/api/vhosts/{vhost}/topic-permissions", scoped(s, s.topicPermissions))
	h(get, "/api/vhosts/{vhost}/connections", s.listConnections)

	h(get, "/api/users", s.listUsers)
	h(get, "/api/users/{user}", s.getUser)
	h(put, "/api/users/{user}", s.putUser)
	h(del, "/api/users/{user}", s.deleteUser)
	h(get, "/api/users/{user}/permissions", scoped(s, s.permissions))
	h(get, "/api/users/{user}/topic-permissions", scoped(s, s.topicPermissions))

	h(get, "/api/permissions", scoped(s, s.permissions))
	h(get, "/api/permissions/{vhost}/{user}", s.getPermission)
	h(put, "/api/permissions/{vhost}/{user}", s.putPermission)
	h(del, "/api/permissions/{vhost}/{user}", s.deletePermission)

	h(get, "/api/topic-permissions", scoped(s, s.topicPermissions))
	h(get, "/api/topic-permissions/{vhost}/{user}", s.getTopicPermissions)
	h(put, "/api/topic-permissions/{vhost}/{user}", s.putTopicPermission)
	h(del, "/api/topic-permissions/{vhost}/{user}", s.deleteTopicPermission)
	h(get, "/api/topic-permissions/{vhost}/{user}/{exchange}", s.getTopicPermissions)
	h(del, "/api/topic-permissions/{vhost}/{user}/{exchange}", s.deleteTopicPermission)

	for path, x := range map[string]policies{"/api/policies": {s, false}, "/api/operator-policies": {s, true}} {
		h(get, path, scoped(s, x.all))
		h(get, path+"/{vhost}", scoped(s, x.all))
		h(get, path+"/{vhost}/{name}", x.get)
		h(put, path+"/{vhost}/{name}", x.put)
		h(del, path+"/{vhost}/{name}", x.del)
	}

	h(get, "/api/vhost-limits", scoped(s, s.vhostLimits))
	h(get, "/api/vhost-limits/{vhost}", scoped(s, s.vhostLimits))
	h(put, "/api/vhost-limits/{vhost}/{name}", s.putVHostLimit)
	h(del, "/api/vhost-limits/{vhost}/{name}", s.deleteVHostLimit)
	h(get, "/api/user-limits", scoped(s, s.userLimits))
	h(get, "/api/user-limits/{user}", scoped(s, s.userLimits))
	h(put, "/api/user-limits/{user}/{name}", s.putUserLimit)
	h(del, "/api/user-limits/{user}/{name}", s.deleteUserLimit)

	h(get, "/api/queues", s.listQueues)
	h(get, "/api/queues/detailed", s.listQueues)
	h(get, "/api/queues/{vhost}", s.listQueues)
	h(get, "/api/queues/{vhost}/{queue}", s.getQueue)
	h(del, "/api/queues/{vhost}/{queue}", s.deleteQueue)
	h(get, "/api/queues/{vhost}/{queue}/bindings", s.queueBindings)
	h(del, "/api/queues/{vhost}/{queue}/contents", s.purgeQueue)

	h(get, "/api/exchanges", scoped(s, s.exchanges))
	h(get, "/api/exchanges/{vhost}", scoped(s, s.exchanges))
	h(get, "/api/exchanges/{vhost}/{exchange}", s.getExchange)
	h(get, "/api/bindings", scoped(s, s.bindings))
	h(get, "/api/bindings/{vhost}", scoped(s, s.bindings))

	h(get, "/api/connections", s.listConnections)
	h(get, "/api/connections/{name}", s.getConnection)
	h(del, "/api/connections/{name}", s.deleteConnection)
	h(get, "/api/connections/username/{user}", s.listConnections)
	h(del, "/api/connections/username/{user}", s.deleteConnectionsOf)

	h(get, "/api/consumers", s.listConsumers)
	h(get, "/api/consumers/{vhost}", s.listConsumers)

	h(get, "/api/overview", s.overview)
	h(get, "/api/nodes", s.listNodes)
	h(get, "/api/nodes/{node}", s.getNode)
	h(get, "/api/health/checks/alarms", s.alarmsCheck(false))
	h(get, "/api/health/checks/local-alarms", s.alarmsCheck(true))
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
