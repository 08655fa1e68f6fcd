package management

import (
	"cmp"
	"context"
	"encoding/json"
	"net/http"
	"slices"

	"github.com/warrenmq/warren/broker/topology"
)

// Node is what a node says of itself.
type Node struct {
	Name           string     `json:"name"`
	Type           string     `json:"type"`
	Running        bool       `json:"running"`
	Partitions     []string   `json:"partitions"`
	OSPid          string     `json:"os_pid"`
	Uptime         int64      `json:"uptime"` // milliseconds
	Processors     int        `json:"processors"`
	RunQueue       int        `json:"run_queue"`
	ProcTotal      int        `json:"proc_total"`
	ProcUsed       int        `json:"proc_used"`
	FDTotal        uint64     `json:"fd_total"`
	FDUsed         uint64     `json:"fd_used"`
	MemUsed        uint64     `json:"mem_used"`
	MemLimit       uint64     `json:"mem_limit"`
	MemAlarm       bool       `json:"mem_alarm"`
	MemWatermark   string     `json:"mem_watermark"` // as it was set
	MemTotal       uint64     `json:"mem_total"`
	DiskFree       uint64     `json:"disk_free"`
	DiskFreeLimit  uint64     `json:"disk_free_limit"`
	DiskFreeAlarm  bool       `json:"disk_free_alarm"`
	RatesMode      string     `json:"rates_mode"`
	EnabledPlugins []string   `json:"enabled_plugins"`
	BeingDrained   bool       `json:"being_drained"`
	Version        string     `json:"version"`
	DataDir        string     `json:"data_dir"`
	Connections    int        `json:"connections"`
	Listeners      []Listener `json:"listeners"`
}

// Listener is where a node can be reached.
type Listener struct {
	Node      string `json:"node"`
	Protocol  string `json:"protocol"` // amqp, amqp/ssl, clustering
	IPAddress string `json:"ip_address"`
	Port      int    `json:"port"`
}

// nodes are all nodes of the cluster by name; one that does not answer is not running.
func (s *Server) nodes(ctx context.Context) []Node {
	list := []Node{}
	for _, raw := range s.cfg.Nodes.Reports(ctx) {
		var n Node
		if err := json.Unmarshal(raw, &n); err != nil {
			s.logger.Warn("a node describes itself in a way that this one cannot read", "error", err)
			continue
		}
		list = append(list, n)
	}
	for _, name := range s.cfg.Nodes.Names() {
		if !slices.ContainsFunc(list, func(n Node) bool { return n.Name == name }) {
			list = append(list, Node{Name: name, Type: "disc", Partitions: []string{}, EnabledPlugins: []string{}, Listeners: []Listener{}})
		}
	}
	slices.SortFunc(list, func(a, b Node) int { return cmp.Compare(a.Name, b.Name) })
	return list
}

func (s *Server) listNodes(w http.ResponseWriter, r *http.Request, _ params) {
	replyList(w, r, s.nodes(r.Context()))
}

func (s *Server) getNode(w http.ResponseWriter, r *http.Request, p params) {
	for _, n := range s.nodes(r.Context()) {
		if n.Name == p["node"] {
			reply(w, http.StatusOK, n)
			return
		}
	}
	missing(w)
}

// overviewJSON is the cluster at a glance. RabbitMQ's clients insist on most of it.
type overviewJSON struct {
	ManagementVersion string         `json:"management_version"`
	RatesMode         string         `json:"rates_mode"`
	ProductVersion    string         `json:"product_version"`
	ProductName       string         `json:"product_name"`
	RabbitMQVersion   string         `json:"rabbitmq_version"`
	ClusterName       string         `json:"cluster_name"`
	ErlangVersion     string         `json:"erlang_version"`
	ErlangFullVersion string         `json:"erlang_full_version"`
	DisableStats      bool           `json:"disable_stats"`
	EnableQueueTotals bool           `json:"enable_queue_totals"`
	MessageStats      map[string]any `json:"message_stats"`
	ChurnRates        map[string]any `json:"churn_rates"`
	QueueTotals       queueTotals    `json:"queue_totals"`
	ObjectTotals      objectTotals   `json:"object_totals"`
	EventQueue        int            `json:"statistics_db_event_queue"`
	Node              string         `json:"node"`
	Listeners         []Listener     `json:"listeners"`
	Contexts          []any          `json:"contexts"`
}

type queueTotals struct {
	Messages uint64 `json:"messages"`
	Ready    uint64 `json:"messages_ready"`
	Unacked  uint64 `json:"messages_unacknowledged"`
}

type objectTotals struct {
	Channels    int `json:"channels"`
	Connections int `json:"connections"`
	Consumers   int `json:"consumers"`
	Exchanges   int `json:"exchanges"`
	Queues      int `json:"queues"`
}

func (s *Server) overview(w http.ResponseWriter, r *http.Request, _ params) {
	ctx := r.Context()
	o := overviewJSON{
		ManagementVersion: s.cfg.RabbitMQVersion, RatesMode: "basic", ProductVersion: s.cfg.Version, ProductName: "Warren",
		RabbitMQVersion: s.cfg.RabbitMQVersion, ClusterName: s.cfg.ClusterName, ErlangVersion: "n/a", ErlangFullVersion: "n/a",
		MessageStats: map[string]any{}, ChurnRates: map[string]any{}, Node: s.cfg.Nodes.Self(), Listeners: []Listener{}, Contexts: []any{},
	}
	for _, q := range s.queues(ctx, nil) {
		o.ObjectTotals.Queues++
		if c := q.queueCounts; c != nil {
			o.QueueTotals.Messages += c.Messages
			o.QueueTotals.Ready += c.Ready
			o.QueueTotals.Unacked += c.Unacked
			o.ObjectTotals.Consumers += c.Consumers
		}
	}
	for _, c := range s.connections(ctx, nil) {
		o.ObjectTotals.Connections++
		o.ObjectTotals.Channels += c.Channels
	}
	s.cfg.Definitions.View(func(t *topology.Topology) {
		for _, vhost := range t.VHosts() {
			o.ObjectTotals.Exchanges += len(t.Exchanges(vhost))
		}
	})
	for _, n := range s.nodes(ctx) {
		o.Listeners = append(o.Listeners, n.Listeners...)
	}
	reply(w, http.StatusOK, o)
}

// alarmsCheck is /api/health/checks/alarms: 503 while any node is short.
func (s *Server) alarmsCheck(local bool) handler {
	where := "in the cluster"
	if local {
		where = "on the node"
	}
	type alarm struct {
		Node     string `json:"node"`
		Resource string `json:"resource"`
	}
	return func(w http.ResponseWriter, r *http.Request, _ params) {
		alarms := []alarm{}
		for _, n := range s.nodes(r.Context()) {
			if local && n.Name != s.cfg.Nodes.Self() {
				continue
			}
			if n.MemAlarm {
				alarms = append(alarms, alarm{n.Name, "memory"})
			}
			if n.DiskFreeAlarm {
				alarms = append(alarms, alarm{n.Name, "disk"})
			}
		}
		if len(alarms) == 0 {
			reply(w, http.StatusOK, map[string]string{"status": "ok"})
			return
		}
		reply(w, http.StatusServiceUnavailable, map[string]any{
			"status": "failed", "reason": "There are alarms in effect " + where, "alarms": alarms,
		})
	}
}
