package node

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/pprof"
	"os"
	"strings"
	"time"

	"github.com/warrenmq/warren/broker/level"
	"github.com/warrenmq/warren/broker/topology"
	"github.com/warrenmq/warren/cluster/alarm"
	"github.com/warrenmq/warren/cluster/group"
	"github.com/warrenmq/warren/cmd/control"
)

// Status reports what this node knows.
func (n *Node) Status() control.Status {
	m := n.meta.Status()
	s := control.Status{
		Name: n.cfg.Name, ID: n.self.Node, Epoch: n.self.Epoch, Version: n.cfg.Version, ClusterID: m.ClusterID,
		Level: m.Level, Known: level.Known,
		Ready: n.ready.Load(), AMQP: n.clients.Addr().String(),
		Meta: control.Meta{Leader: m.Leader, Term: m.Term, Applied: m.Applied, Voters: m.Voters, NonVoters: m.NonVoters},
	}
	alive := make(map[string]bool)
	for _, member := range n.members.Members() {
		alive[member.ID] = member.Alive
	}
	for _, node := range n.meta.Nodes() {
		s.Nodes = append(s.Nodes, control.Member{ID: node.ID, Name: node.Name, AMQP: node.AMQPAddr, Zone: node.Zone, Alive: alive[node.ID], Drained: node.Drained, Level: node.Level})
	}
	leaders := make(map[uint64]string)
	damaged := n.host.Damaged()
	for _, g := range n.meta.Groups() {
		status := control.Group{ID: g.ID, Replicas: g.Replicas, Target: g.Target, Preferred: g.Preferred, Size: g.Size}
		if r, ok := n.host.Group(g.ID); ok {
			here := r.Status()
			status.Leader, status.Term, status.Last, status.Applied = here.Leader, here.Term, here.Last, here.Applied
			status.Level = here.Level
		}
		if cause := damaged[g.ID]; cause != nil {
			status.Damaged = cause.Error()
		}
		leaders[g.ID] = status.Leader
		s.Groups = append(s.Groups, status)
	}
	n.meta.View(func(t *topology.Topology) {
		for _, vhost := range t.VHosts() {
			for _, q := range t.Queues(vhost) {
				status := control.Queue{VHost: q.VHost, Name: q.Name, ID: uint64(q.ID), Group: q.Group, Home: q.Home, Leader: q.Home}
				if q.Group != 0 {
					status.Leader = leaders[q.Group]
				}
				s.Queues = append(s.Queues, status)
			}
		}
	})
	return s
}

// openControl opens the control socket: HTTP for whoever may open the data folder.
func (n *Node) openControl() (func(context.Context) error, error) {
	path := n.path(control.Socket)
	if err := os.Remove(path); err != nil && !errors.Is(err, os.ErrNotExist) {
		return nil, fmt.Errorf("control socket: %w", err)
	}
	ln, err := net.Listen("unix", path)
	if err != nil {
		return nil, fmt.Errorf("control socket: %w", err)
	}
	if err := os.Chmod(path, 0o600); err != nil { // whoever may open it may do everything
		ln.Close()
		return nil, fmt.Errorf("control socket: %w", err)
	}
	mux := http.NewServeMux()
	mux.HandleFunc("GET /status", func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Type", "application/json")
		if err := json.NewEncoder(w).Encode(n.Status()); err != nil {
			n.logger.Debug("status was not read to its end", "error", err)
		}
	})
	// Digests of the groups' states, to compare replicas by: it takes time.
	mux.HandleFunc("GET /digests", func(w http.ResponseWriter, _ *http.Request) {
		digests := []group.Digest{}
		for _, g := range n.host.Groups() {
			digests = append(digests, g.Digest())
		}
		w.Header().Set("Content-Type", "application/json")
		if err := json.NewEncoder(w).Encode(digests); err != nil {
			n.logger.Debug("digests were not read to their end", "error", err)
		}
	})
	// Profiles, for whoever may open the data folder: go tool pprof over the socket.
	mux.HandleFunc("GET /debug/pprof/", pprof.Index)
	mux.HandleFunc("GET /debug/pprof/profile", pprof.Profile)
	mux.HandleFunc("GET /debug/pprof/trace", pprof.Trace)
	mux.HandleFunc("PUT /maintenance", n.setMaintenance)
	mux.HandleFunc("DELETE /maintenance", n.setMaintenance)
	mux.HandleFunc("DELETE /nodes/{name}", n.forgetNode)
	mux.HandleFunc("PUT /limits/memory", n.setLimit(alarm.ParseWatermark, n.alarms.SetWatermark))
	mux.HandleFunc("PUT /limits/disk", n.setLimit(alarm.ParseDiskFreeLimit, n.alarms.SetDiskFreeLimit))
	server := &http.Server{Handler: n.control(mux), ReadHeaderTimeout: 5 * time.Second}
	return func(ctx context.Context) error {
		stop := context.AfterFunc(ctx, func() { server.Close() })
		defer stop()
		if err := server.Serve(ln); !errors.Is(err, http.ErrServerClosed) {
			return err
		}
		return nil
	}, nil
}

// control answers what is under /api as RabbitMQ's management does, the rest by
// mux, which would not leave an escaped slash as it is.
func (n *Node) control(mux http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if strings.HasPrefix(r.URL.EscapedPath(), "/api/") {
			n.management.ServeHTTP(w, r)
			return
		}
		mux.ServeHTTP(w, r)
	})
}

// maxLimitBytes bounds the text of a limit.
const maxLimitBytes = 64

// setLimit sets a limit of this node until it restarts.
func (n *Node) setLimit(parse func(string) (alarm.Limit, error), set func(alarm.Limit)) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) {
		text, err := io.ReadAll(http.MaxBytesReader(w, r.Body, maxLimitBytes))
		if err != nil {
			http.Error(w, err.Error(), http.StatusBadRequest)
			return
		}
		limit, err := parse(string(text))
		if err != nil {
			http.Error(w, err.Error(), http.StatusBadRequest)
			return
		}
		set(limit)
		n.logger.Info("audit", "who", "local", "what", r.URL.Path, "limit", limit.String())
		w.WriteHeader(http.StatusNoContent)
	}
}
