// Package roster knows the clients of the whole cluster: each node counts, lists
// and closes its own connections, and asks the other living nodes when somebody
// wants to know more.
//
// Nothing is replicated and nothing is asked while no limit is set. A limit holds
// for what can be reached: on either side of a partition it is counted by itself.
// How a connection is described is the caller's, who hands over JSON.
package roster

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"sync"
	"time"

	"google.golang.org/grpc"

	"github.com/warrenmq/warren/broker/auth"
	pb "github.com/warrenmq/warren/proto"
)

// askTimeout bounds what a node is asked: one that does not answer is left out.
const askTimeout = 2 * time.Second

// Conns are the connections to other nodes.
type Conns interface {
	Conn(serverID string) (*grpc.ClientConn, error)
}

// Local is what this node knows of its own clients, and of itself.
type Local interface {
	// Connections describes the open connections, a JSON object each.
	Connections() [][]byte
	// Consumers describes the consumers of a vhost, or of all ("").
	Consumers(vhost string) [][]byte
	// Close closes a connection by its name; false when there is none.
	Close(name, reason string) bool
	// Channels counts the open channels of a user.
	Channels(user string) int
	// Report is the node's word on itself, a JSON object.
	Report() []byte
}

// Limits are those of vhosts and users, as this node knows them.
type Limits interface {
	VHostConnections(vhost string) (limit int64, set bool)
	UserConnections(user string) (limit int64, set bool)
}

// Config is what a Roster is made of.
type Config struct {
	Conns  Conns
	Others func() []string // ServerIDs of the other living nodes
	Limits Limits
	Local  Local
	Logger *slog.Logger // slog.Default()
}

// Roster is this node's part, and its way to the others'.
type Roster struct {
	pb.UnimplementedRosterServer
	cfg Config

	mu     sync.Mutex
	vhosts map[string]int // connections that were let in, by vhost
	users  map[string]int
}

// New makes a Roster.
func New(cfg Config) (*Roster, error) {
	if cfg.Conns == nil || cfg.Others == nil || cfg.Limits == nil || cfg.Local == nil {
		return nil, errors.New("roster: connections, nodes, limits and what is local must be set")
	}
	if cfg.Logger == nil {
		cfg.Logger = slog.Default()
	}
	return &Roster{cfg: cfg, vhosts: make(map[string]int), users: make(map[string]int)}, nil
}

// Register adds the service to a gRPC server.
func (r *Roster) Register(s grpc.ServiceRegistrar) { pb.RegisterRosterServer(s, r) }

// Admit lets a connection in, or refuses it with RabbitMQ's text, of kind
// auth.ErrNotAllowed. It counts before it asks: of clients that come at once to
// several nodes, too many are refused rather than let in. release is called once,
// at the connection's end.
func (r *Roster) Admit(ctx context.Context, vhost, user string) (release func(), err error) {
	r.count(vhost, user, 1)
	release = func() { r.count(vhost, user, -1) }
	if limit, set := r.cfg.Limits.VHostConnections(vhost); set && r.exceeds(ctx, limit, vhost, "") {
		release()
		return nil, refused("access to vhost '%s' refused for user '%s': connection limit (%d) is reached", vhost, user, limit)
	}
	if limit, set := r.cfg.Limits.UserConnections(user); set && r.exceeds(ctx, limit, "", user) {
		release()
		return nil, refused("connection refused for user '%s': user connection limit (%d) is reached", user, limit)
	}
	return release, nil
}

func refused(format string, args ...any) error {
	return &auth.Error{Kind: auth.ErrNotAllowed, Text: fmt.Sprintf(format, args...)}
}

func (r *Roster) count(vhost, user string, n int) {
	r.mu.Lock()
	defer r.mu.Unlock()
	add(r.vhosts, vhost, n)
	add(r.users, user, n)
}

func add(counts map[string]int, name string, n int) {
	if counts[name] += n; counts[name] == 0 {
		delete(counts, name)
	}
}

// exceeds says whether there are more connections than that in a vhost, or of a user.
func (r *Roster) exceeds(ctx context.Context, limit int64, vhost, user string) bool {
	connections, _ := r.own(vhost, user)
	if int64(connections) > limit {
		return true
	}
	for _, c := range r.counts(ctx, vhost, user) {
		connections += int(c.GetConnections())
	}
	return int64(connections) > limit
}

// own counts what this node has, of a vhost or of a user.
func (r *Roster) own(vhost, user string) (connections, channels int) {
	r.mu.Lock()
	connections = r.users[user]
	if user == "" {
		connections = r.vhosts[vhost]
	}
	r.mu.Unlock()
	if user != "" {
		channels = r.cfg.Local.Channels(user)
	}
	return connections, channels
}

// ChannelsElsewhere counts the open channels of a user on the other nodes.
func (r *Roster) ChannelsElsewhere(ctx context.Context, user string) (channels int) {
	for _, c := range r.counts(ctx, "", user) {
		channels += int(c.GetChannels())
	}
	return channels
}

func (r *Roster) counts(ctx context.Context, vhost, user string) []*pb.RosterCountReply {
	return ask(ctx, r, func(ctx context.Context, c pb.RosterClient) (*pb.RosterCountReply, error) {
		return c.Count(ctx, &pb.RosterCountRequest{Vhost: vhost, User: user})
	})
}

// Connections describes the connections of all nodes that answer, this one's first.
func (r *Roster) Connections(ctx context.Context) [][]byte {
	all := r.cfg.Local.Connections()
	for _, l := range ask(ctx, r, func(ctx context.Context, c pb.RosterClient) (*pb.RosterListReply, error) {
		return c.List(ctx, &pb.RosterListRequest{})
	}) {
		all = append(all, l.GetConnections()...)
	}
	return all
}

// Consumers describes the consumers at all nodes that answer, of a vhost or of all ("").
func (r *Roster) Consumers(ctx context.Context, vhost string) [][]byte {
	all := r.cfg.Local.Consumers(vhost)
	for _, l := range ask(ctx, r, func(ctx context.Context, c pb.RosterClient) (*pb.RosterConsumersReply, error) {
		return c.ListConsumers(ctx, &pb.RosterConsumersRequest{Vhost: vhost})
	}) {
		all = append(all, l.GetConsumers()...)
	}
	return all
}

// CloseConnection closes a connection, wherever it is; false when no node that
// answers has it.
func (r *Roster) CloseConnection(ctx context.Context, name, reason string) bool {
	if r.cfg.Local.Close(name, reason) {
		return true
	}
	found := false
	for _, a := range ask(ctx, r, func(ctx context.Context, c pb.RosterClient) (*pb.RosterCloseReply, error) {
		return c.Close(ctx, &pb.RosterCloseRequest{Name: name, Reason: reason})
	}) {
		found = found || a.GetFound()
	}
	return found
}

// Reports are the words of all nodes that answer on themselves, this one's first.
func (r *Roster) Reports(ctx context.Context) [][]byte {
	all := [][]byte{r.cfg.Local.Report()}
	for _, a := range ask(ctx, r, func(ctx context.Context, c pb.RosterClient) (*pb.RosterReportReply, error) {
		return c.Report(ctx, &pb.RosterReportRequest{})
	}) {
		all = append(all, a.GetReport())
	}
	return all
}

// ask asks all other nodes at once and returns the answers that came, in the order of the nodes.
func ask[T any](ctx context.Context, r *Roster, question func(context.Context, pb.RosterClient) (*T, error)) []*T {
	nodes := r.cfg.Others()
	ctx, cancel := context.WithTimeout(ctx, askTimeout)
	defer cancel()
	answers := make([]*T, len(nodes))
	var asking sync.WaitGroup
	for i, id := range nodes {
		asking.Go(func() {
			conn, err := r.cfg.Conns.Conn(id)
			if err == nil {
				answers[i], err = question(ctx, pb.NewRosterClient(conn))
			}
			if err != nil {
				answers[i] = nil
				r.cfg.Logger.Debug("a node was asked about its clients and did not answer", "node", id, "error", err)
			}
		})
	}
	asking.Wait()
	var got []*T
	for _, a := range answers {
		if a != nil {
			got = append(got, a)
		}
	}
	return got
}

// Count answers another node.
func (r *Roster) Count(_ context.Context, q *pb.RosterCountRequest) (*pb.RosterCountReply, error) {
	connections, channels := r.own(q.GetVhost(), q.GetUser())
	return &pb.RosterCountReply{Connections: uint64(connections), Channels: uint64(channels)}, nil
}

// List answers another node.
func (r *Roster) List(context.Context, *pb.RosterListRequest) (*pb.RosterListReply, error) {
	return &pb.RosterListReply{Connections: r.cfg.Local.Connections()}, nil
}

// ListConsumers answers another node.
func (r *Roster) ListConsumers(_ context.Context, q *pb.RosterConsumersRequest) (*pb.RosterConsumersReply, error) {
	return &pb.RosterConsumersReply{Consumers: r.cfg.Local.Consumers(q.GetVhost())}, nil
}

// Close answers another node.
func (r *Roster) Close(_ context.Context, q *pb.RosterCloseRequest) (*pb.RosterCloseReply, error) {
	return &pb.RosterCloseReply{Found: r.cfg.Local.Close(q.GetName(), q.GetReason())}, nil
}

// Report answers another node.
func (r *Roster) Report(context.Context, *pb.RosterReportRequest) (*pb.RosterReportReply, error) {
	return &pb.RosterReportReply{Report: r.cfg.Local.Report()}, nil
}
