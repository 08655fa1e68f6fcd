// Package control asks a running node about itself over the socket in its data folder.
package control

import (
	"context"
	"slices"
	"time"
)

// Socket is the file in a data folder that a running node answers on.
const Socket = "warren.sock"

// timeout bounds one question.
const timeout = 5 * time.Second

// Status is what a node says of itself and its cluster.
type Status struct {
	Name      string   `json:"name"`
	ID        string   `json:"id"` // ServerID
	Epoch     uint64   `json:"epoch"`
	Version   string   `json:"version"`
	ClusterID string   `json:"cluster_id"`
	Level     uint64   `json:"level"` // of the cluster
	Known     uint64   `json:"known"` // the highest level that the node's build knows
	Ready     bool     `json:"ready"` // serves clients
	AMQP      string   `json:"amqp"`
	Meta      Meta     `json:"meta"`
	Nodes     []Member `json:"nodes"`
	Groups    []Group  `json:"groups"`
	Queues    []Queue  `json:"queues"`
}

// Meta is the meta group.
type Meta struct {
	Leader    string   `json:"leader"`
	Term      uint64   `json:"term"`
	Applied   uint64   `json:"applied"`
	Voters    []string `json:"voters"`
	NonVoters []string `json:"non_voters"`
}

// Member is a node of the cluster.
type Member struct {
	ID      string `json:"id"`
	Name    string `json:"name"`
	AMQP    string `json:"amqp"`
	Zone    string `json:"zone"`
	Alive   bool   `json:"alive"`
	Drained bool   `json:"drained"`
	Level   uint64 `json:"level"` // the highest that its build knows
}

// Group is a queue group, as the node's replica knows it.
type Group struct {
	ID        uint64   `json:"id"`
	Leader    string   `json:"leader"`
	Replicas  []string `json:"replicas"`
	Target    []string `json:"target"` // what the replicas shall be
	Preferred string   `json:"preferred"`
	Size      int      `json:"size"` // how many there shall be once there are as many nodes
	Term      uint64   `json:"term"`
	Last      uint64   `json:"last"`    // index of the log's end
	Applied   uint64   `json:"applied"` // index that is applied
	Level     uint64   `json:"level"`   // that is turned on in its log
	Damaged   string   `json:"damaged"` // why the replica here is closed, to be rebuilt by the others; "": it is not
}

// Queue is a queue and where it is led.
type Queue struct {
	VHost  string `json:"vhost"`
	Name   string `json:"name"`
	ID     uint64 `json:"id"`
	Group  uint64 `json:"group"` // 0: in the memory of Home
	Home   string `json:"home"`
	Leader string `json:"leader"`
}

// Role is the node's part in the meta group.
func (s *Status) Role() string {
	switch {
	case s.Meta.Leader == s.ID:
		return "meta leader"
	case slices.Contains(s.Meta.Voters, s.ID):
		return "meta voter"
	}
	return "meta follower"
}

// Led tells whether there are queue groups and each has a leader.
func (s *Status) Led() bool {
	return len(s.Groups) > 0 && !slices.ContainsFunc(s.Groups, func(g Group) bool { return g.Leader == "" })
}

// Leads counts the groups that the node leads.
func (s *Status) Leads() (n int) {
	for _, g := range s.Groups {
		if g.Leader == s.ID {
			n++
		}
	}
	return n
}

// Get asks the node that runs on the data folder dir.
func Get(ctx context.Context, dir string) (*Status, error) {
	ctx, cancel := context.WithTimeout(ctx, timeout)
	defer cancel()
	var s Status
	if err := NewClient(dir).Get(ctx, "/status", &s); err != nil {
		return nil, err
	}
	return &s, nil
}
