package main

import (
	"context"
	"encoding/json"
	"fmt"
	"net"
	"slices"
	"strings"
	"testing"
	"time"

	amqp "github.com/rabbitmq/amqp091-go"

	"github.com/warrenmq/warren/broker/level"
	"github.com/warrenmq/warren/cmd/control"
)

// shows waits until what a node says of itself is as wanted.
func (n realNode) shows(t *testing.T, what string, holds func(*control.Status) bool) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), 60*time.Second)
	defer cancel()
	for {
		s, err := control.Get(ctx, n.dir)
		if err == nil && holds(s) {
			return
		}
		if ctx.Err() != nil {
			t.Fatalf("never shown: %s; %v %+v", what, err, s)
		}
	}
}

// A drained node lets its clients go in RabbitMQ's words, takes no others and leads
// nothing; a revived one serves and gets back what it leads.
func TestDrainAndRevive(t *testing.T) {
	nodes := startNodes(t, "a", "b", "c")
	a, b := nodes[0], nodes[1]
	home := func(s *control.Status) bool {
		for _, g := range s.Groups {
			if g.Leader == "" || g.Leader != g.Preferred {
				return false
			}
		}
		return len(s.Groups) == 12
	}
	for _, n := range nodes {
		n.shows(t, "groups at home", home)
	}
	conn, err := a.dial("guest", "guest", "/")
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	closed := conn.NotifyClose(make(chan *amqp.Error, 1))
	a.do(t, "drain")
	select {
	case err := <-closed:
		refused(t, err, amqp.ConnectionForced, "CONNECTION_FORCED - Node was put into maintenance mode")
	case <-time.After(10 * time.Second):
		t.Error("the connection is still open")
	}
	if nc, err := net.DialTimeout("tcp", a.address, time.Second); err == nil {
		nc.Close()
		t.Error("a drained node takes connections")
	}
	idle := func(s *control.Status) bool {
		for _, g := range s.Groups {
			if strings.HasPrefix(g.Leader, "a@") || g.Leader == "" {
				return false
			}
		}
		return !strings.HasPrefix(s.Meta.Leader, "a@") && s.Meta.Leader != ""
	}
	b.shows(t, "a leads nothing", idle)
	if out := b.do(t, "cluster_status"); !strings.Contains(out, "Node: a, status: marked for maintenance\n") || !strings.Contains(out, "Node: b, status: not under maintenance\n") {
		t.Errorf("cluster_status says %s", out)
	} else if !strings.Contains(out, fmt.Sprintf(", level %d, meta leader", level.Known)) {
		t.Errorf("cluster_status says no level: %s", out)
	}
	if out := a.do(t, "status"); !strings.Contains(out, fmt.Sprintf("Level of the cluster: %d, known to the node: %d\n", level.Known, level.Known)) {
		t.Errorf("status says no level: %s", out)
	}
	var status struct {
		Under bool `json:"is_under_maintenance"`
	}
	if err := json.Unmarshal([]byte(a.do(t, "status", "--formatter", "json")), &status); err != nil || !status.Under {
		t.Errorf("status of the drained node: %+v, %v", status, err)
	}
	a.do(t, "revive")
	again, err := a.dial("guest", "guest", "/")
	if err != nil {
		t.Fatalf("a revived node takes no client: %v", err)
	}
	again.Close()
	for _, n := range nodes {
		n.shows(t, "groups at home again", home)
	}
}

func TestForgetRefuses(t *testing.T) {
	nodes := startNodes(t, "a", "b")
	for _, tt := range []struct {
		node, want string
		code       int
	}{
		{"b", "RabbitMQ on node b must be stopped with 'rabbitmqctl -n b stop_app' before it can be removed", exitSoftware},
		{"a", "RabbitMQ on node a must be stopped with 'rabbitmqctl -n a stop_app' before it can be removed", exitSoftware},
		{"x", "The node selected is not in the cluster.", exitData},
	} {
		_, err := run(t, nodes[0].dir, "forget_cluster_node", tt.node)
		if err == nil || err.Error() != tt.want || exitCode(err) != tt.code {
			t.Errorf("forget_cluster_node %s: %v (%d), want %s (%d)", tt.node, err, exitCode(err), tt.want, tt.code)
		}
	}
}

func TestCriticalGroups(t *testing.T) {
	node := func(id string, alive bool) control.Member { return control.Member{ID: id, Alive: alive} }
	s := &control.Status{
		ID: "a", Nodes: []control.Member{node("a", true), node("b", true), node("c", false), node("d", true)},
		Groups: []control.Group{
			{ID: 1, Replicas: []string{"a", "b", "d"}},
			{ID: 2, Replicas: []string{"a", "b", "c"}}, // b alone is no majority
			{ID: 3, Replicas: []string{"b", "c", "d"}}, // not here
			{ID: 4, Replicas: []string{"a"}},           // nobody expects it to go on
			{ID: 5, Replicas: []string{"a", "b"}},
		},
	}
	if got := critical(s); !slices.Equal(got, []uint64{2, 5}) {
		t.Errorf("critical: %v", got)
	}
	n := startNodes(t, "a")[0]
	n.do(t, "await_online_quorum_plus_one")
	n.do(t, "check_if_node_is_quorum_critical")
}
