package cluster

import (
	"context"
	"encoding/json"
	"fmt"
	"net"
	"net/http"
	"path/filepath"
)

// Status is a node's answer about itself and the cluster as it sees it.
type Status struct {
	Name      string        `json:"name"`
	ID        string        `json:"id"`
	Epoch     uint64        `json:"epoch"`
	ClusterID string        `json:"cluster_id"`
	Level     uint64        `json:"level"`
	Known     uint64        `json:"known"`
	Ready     bool          `json:"ready"`
	AMQP      string        `json:"amqp"`
	Meta      MetaStatus    `json:"meta"`
	Nodes     []NodeStatus  `json:"nodes"`
	Groups    []GroupStatus `json:"groups"`
	Queues    []QueueStatus `json:"queues"`
}

// MetaStatus is who leads the meta group and who votes in it, by ServerID.
type MetaStatus struct {
	Leader    string   `json:"leader"`
	Voters    []string `json:"voters"`
	NonVoters []string `json:"non_voters"`
}

// NodeStatus is a node as another one sees it.
type NodeStatus struct {
	ID    string `json:"id"`
	Name  string `json:"name"`
	AMQP  string `json:"amqp"`
	Alive bool   `json:"alive"`
	Level uint64 `json:"level"`
}

// GroupStatus is a queue group.
type GroupStatus struct {
	ID        uint64   `json:"id"`
	Leader    string   `json:"leader"`
	Replicas  []string `json:"replicas"`
	Target    []string `json:"target"`
	Preferred string   `json:"preferred"`
	Size      int      `json:"size"`
	Applied   uint64   `json:"applied"`
	Level     uint64   `json:"level"`
}

// QueueStatus is a queue: in a group, or at its home.
type QueueStatus struct {
	VHost  string `json:"vhost"`
	Name   string `json:"name"`
	ID     uint64 `json:"id"`
	Group  uint64 `json:"group"`
	Home   string `json:"home"`
	Leader string `json:"leader"`
}

// Status asks the node over its socket.
func (n *Node) Status(ctx context.Context) (Status, error) {
	var s Status
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, "http://warren/status", nil)
	if err != nil {
		return s, fmt.Errorf("status of %s: %w", n.Name, err)
	}
	resp, err := n.control().Do(req)
	if err != nil {
		return s, fmt.Errorf("status of %s: %w", n.Name, err)
	}
	defer resp.Body.Close()
	if resp.StatusCode != http.StatusOK {
		return s, fmt.Errorf("status of %s: %s", n.Name, resp.Status)
	}
	if err := json.NewDecoder(resp.Body).Decode(&s); err != nil {
		return s, fmt.Errorf("status of %s: %w", n.Name, err)
	}
	return s, nil
}

// control speaks over the node's socket.
func (n *Node) control() *http.Client {
	var d net.Dialer
	return &http.Client{Transport: &http.Transport{
		DisableKeepAlives: true,
		DialContext: func(ctx context.Context, _, _ string) (net.Conn, error) {
			return d.DialContext(ctx, "unix", filepath.Join(n.Dir, "warren.sock"))
		},
	}}
}
