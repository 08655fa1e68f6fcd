package meta

import (
	"context"
	"errors"
	"fmt"
	"math"
	"slices"

	"github.com/warrenmq/warren/broker/topology"
	pb "github.com/warrenmq/warren/proto"
)

// ErrForgotten says that the cluster has forgotten a server for ever: its node can
// join again only with an empty data folder, as another server.
var ErrForgotten = errors.New("the cluster has forgotten it")

// ErrAlive says that a node runs.
var ErrAlive = errors.New("the node is running")

// ErrNeeded says that groups have no majority of their replicas without a node: only when
// it comes back can what they hold be had again.
var ErrNeeded = errors.New("queue groups have no majority of their replicas without it")

// needed lists the groups that a server has a replica of and that have no majority of
// living ones without it.
func needed(groups []GroupInfo, id string, alive map[string]bool) (ids []uint64) {
	for _, g := range groups {
		if !slices.Contains(g.Replicas, id) {
			continue
		}
		living := 0
		for _, other := range g.Replicas {
			if alive[other] && other != id {
				living++
			}
		}
		if living <= len(g.Replicas)/2 {
			ids = append(ids, g.ID)
		}
	}
	return ids
}

// maxForgotten bounds how many forgotten servers are known as such. One that was
// forgotten before as many others would be taken for a new node if it came back.
const maxForgotten = 4096

// forget removes a server for good, with what lived in its memory. The groups still
// name it until they have other replicas.
func (s *state) forget(id string) (topology.Result, error) {
	if _, known := s.nodes[id]; !known {
		if slices.Contains(s.forgotten, id) {
			return topology.Result{}, nil
		}
		return topology.Result{}, fmt.Errorf("node %s: %w", id, ErrNotFound)
	}
	delete(s.nodes, id)
	delete(s.origins, id)
	s.forgotten = append(slices.Clone(s.forgotten), id)
	if over := len(s.forgotten) - maxForgotten; over > 0 {
		s.forgotten = s.forgotten[over:]
	}
	r, err := s.topology.Apply(topology.DropTransient{Home: id, BeforeEpoch: math.MaxUint64})
	if err != nil {
		return r, err
	}
	gone, err := s.dropVolatile()
	r.Changes = append(r.Changes, gone.Changes...)
	return r, err
}

// maintain drains a process or revives it.
func (s *state) maintain(c *pb.MetaMaintain) error {
	n, known := s.nodes[c.GetProcess().GetId()]
	if !known || n.Epoch != c.GetProcess().GetEpoch() {
		return fmt.Errorf("node %s, start %d: %w", c.GetProcess().GetId(), c.GetProcess().GetEpoch(), ErrNotFound)
	}
	n.Drained = c.GetDrained()
	s.nodes[n.ID] = n
	return nil
}

// Forget removes a node from the cluster: it leaves the meta group and all groups, which
// get other replicas, and its server can never come back. ErrAlive while it is seen
// running and ErrNeeded while messages may be lost with it, unless force; ErrNotFound when
// no node has the name.
func (m *Meta) Forget(ctx context.Context, name string, force bool) error {
	alive := make(map[string]bool)
	for _, mem := range m.cfg.Members() {
		alive[mem.ID] = alive[mem.ID] || mem.Alive
	}
	alive[m.cfg.Self.ID] = true
	found := false
	for _, n := range m.Nodes() {
		if n.Name != name {
			continue
		}
		found = true
		if n.ID == m.cfg.Self.ID || alive[n.ID] && !force {
			return fmt.Errorf("%s: %w", name, ErrAlive)
		}
		if groups := needed(m.Groups(), n.ID, alive); len(groups) > 0 && !force {
			return fmt.Errorf("%s: %w: groups %v", name, ErrNeeded, groups)
		}
		if err := m.forget(ctx, n.ID); err != nil {
			return fmt.Errorf("forget %s: %w", name, err)
		}
	}
	if !found {
		return fmt.Errorf("node %s: %w", name, ErrNotFound)
	}
	return nil
}

func (m *Meta) forget(ctx context.Context, id string) error {
	return m.change(ctx, &pb.MetaCommand{Body: &pb.MetaCommand_Forget{Forget: id}})
}

// Maintain says of this process that it is drained, until it ends or is revived: nothing
// is placed on its node, and nobody wants it to lead.
func (m *Meta) Maintain(ctx context.Context, drained bool) error {
	return m.change(ctx, &pb.MetaCommand{Body: &pb.MetaCommand_Maintain{Maintain: &pb.MetaMaintain{
		Process: &pb.MetaProcess{Id: m.cfg.Self.ID, Epoch: m.cfg.Self.Epoch}, Drained: drained}}})
}

// Node finds a registered node by its ServerID.
func (m *Meta) Node(id string) (n Node, ok bool) {
	m.fsm.view(func(s *state) { n, ok = s.nodes[id] })
	return n, ok
}

// HandOver gives the leadership of the group to another member, if this node has it.
func (m *Meta) HandOver() error {
	r, err := m.leads()
	if err != nil {
		return nil // somebody else has it
	}
	if len(m.Status().Voters) < 2 {
		return nil
	}
	// hashicorp/raft must not be asked twice in a term: the second question to a
	// follower that did not answer the first would wait for ever, and all proposals
	// with it.
	if term := r.CurrentTerm(); m.handed.Swap(term) == term {
		return nil
	}
	if err := r.LeadershipTransfer().Error(); err != nil {
		return fmt.Errorf("hand the leadership of the meta group over: %w", err)
	}
	return nil
}
