package meta

import (
	"cmp"
	"fmt"
	"maps"
	"slices"

	"github.com/warrenmq/warren/broker/auth"
	"github.com/warrenmq/warren/broker/level"
	"github.com/warrenmq/warren/broker/topology"
	pb "github.com/warrenmq/warren/proto"
)

const (
	// MaxReplicas is how many replicas a group can have.
	MaxReplicas = 7
	// maxReported bounds what a group may have while its replicas move.
	maxReported = 2 * MaxReplicas
)

// state is the state machine: a pure function of the entries, without a lock.
type state struct {
	applied     uint64 // index of the last entry
	clusterID   string
	expect      int
	topology    *topology.Topology
	users       map[string]auth.User
	permissions map[permissionKey]auth.Permission
	topics      map[topicKey]auth.TopicPermission
	limits      map[string]map[string]int64 // of users; values are never changed in place
	nodes       map[string]Node
	groups      map[uint64]GroupInfo // values are never changed in place
	lastGroup   uint64
	forgotten   []string // ServerIDs that cannot come back, in the order of forgetting
	level       uint64   // what all nodes know and is turned on
	known       uint64   // the highest that this build knows
	beyond      error    // a higher one was turned on: nothing is applied any more
	origins     origins
}

type permissionKey struct{ user, vhost string }

type topicKey struct{ user, vhost, exchange string }

func newState() *state {
	return &state{
		topology:    topology.New(),
		users:       make(map[string]auth.User),
		permissions: make(map[permissionKey]auth.Permission),
		topics:      make(map[topicKey]auth.TopicPermission),
		limits:      make(map[string]map[string]int64),
		nodes:       make(map[string]Node),
		groups:      make(map[uint64]GroupInfo),
		origins:     make(origins),
		level:       level.First,
		known:       level.Known,
	}
}

// outcome is what a command came to.
type outcome struct {
	index  uint64
	result topology.Result
	err    error
}

// answer is the outcome of the command with the origin's number.
type answer struct {
	origin        string
	epoch, number uint64
	outcome
}

// effects is what an entry came to.
type effects struct {
	answers []answer // none for a command that was applied before
	changes []topology.Change
	groups  bool     // groups or nodes changed
	deleted []string // users
}

func (s *state) apply(index uint64, e *pb.MetaEntry) effects {
	var eff effects
	s.applied = index
	for _, b := range e.GetBatches() {
		if slices.Contains(s.forgotten, b.GetOrigin()) {
			continue // what it applied is not remembered any more
		}
		rec, ok := s.origins.enter(b)
		if !ok {
			continue
		}
		for _, c := range b.GetCommands() {
			if !rec.first(c.GetNumber()) {
				continue
			}
			out := outcome{index: index}
			out.result, out.err = s.command(index, c, &eff)
			if s.beyond != nil {
				return effects{}
			}
			eff.changes = append(eff.changes, out.result.Changes...)
			eff.answers = append(eff.answers, answer{b.GetOrigin(), b.GetEpoch(), c.GetNumber(), out})
		}
	}
	return eff
}

func (s *state) command(index uint64, c *pb.MetaCommand, eff *effects) (topology.Result, error) {
	switch body := c.GetBody().(type) {
	case *pb.MetaCommand_Topology:
		return s.define(body.Topology)
	case *pb.MetaCommand_Form:
		return topology.Result{}, s.form(body.Form)
	case *pb.MetaCommand_Register:
		eff.groups = true
		return s.register(index, nodeFromProto(body.Register.GetNode()), body.Register.GetAlive())
	case *pb.MetaCommand_Overlap:
		s.overlap(body.Overlap.GetProcesses())
		return topology.Result{}, nil
	case *pb.MetaCommand_End:
		return s.end(body.End)
	case *pb.MetaCommand_Forget:
		eff.groups = true
		return s.forget(body.Forget)
	case *pb.MetaCommand_Maintain:
		eff.groups = true
		return topology.Result{}, s.maintain(body.Maintain)
	case *pb.MetaCommand_Raise:
		eff.groups = true
		return topology.Result{}, s.raise(body.Raise)
	case *pb.MetaCommand_EnsureGroups:
		eff.groups = true
		return topology.Result{}, s.ensureGroups(body.EnsureGroups)
	case *pb.MetaCommand_SetTarget:
		eff.groups = true
		return topology.Result{}, s.setTarget(body.SetTarget)
	case *pb.MetaCommand_SetReplicas:
		eff.groups = true
		return topology.Result{}, s.setReplicas(body.SetReplicas)
	default:
		return topology.Result{}, s.access(index, c, eff)
	}
}

// define applies a definition. What cannot be decoded is refused alike on every
// replica, since all see the same bytes. A vhost takes what users may do in it along.
func (s *state) define(encoded []byte) (topology.Result, error) {
	c, err := topology.DecodeCommand(encoded)
	if err != nil {
		return topology.Result{}, fmt.Errorf("decode definition: %w", err)
	}
	r, err := s.topology.Apply(c)
	if gone, ok := c.(topology.DeleteVHost); ok && err == nil {
		s.forgetVHost(gone.Name)
	}
	return r, err
}

func (s *state) form(f *pb.MetaForm) error {
	if s.clusterID != "" {
		return nil // proposed again by a new leader
	}
	s.clusterID, s.expect = f.GetClusterId(), int(f.GetExpect())
	for _, u := range f.GetUsers() {
		s.users[u.GetName()] = userFromProto(u)
	}
	for _, p := range f.GetPermissions() {
		if err := s.setPermission(permissionFromProto(p)); err != nil {
			return err
		}
	}
	return nil
}

// register enters a node or its new process, which overlaps with those that are alive.
// The transient queues of its earlier processes are gone with them. A new server under
// a known name takes over the leader's place in the groups that preferred the old one.
func (s *state) register(index uint64, n Node, alive []*pb.MetaProcess) (topology.Result, error) {
	if slices.Contains(s.forgotten, n.ID) {
		return topology.Result{}, fmt.Errorf("node %s: %w", n.ID, ErrForgotten)
	}
	if err := s.admits(n); err != nil {
		return topology.Result{}, err
	}
	old, known := s.nodes[n.ID]
	if known && n.Epoch < old.Epoch {
		return topology.Result{}, fmt.Errorf("epoch %d of %s is over", n.Epoch, n.ID)
	}
	n.Joined = old.Joined
	if !known {
		n.Joined = index
		for _, id := range slices.Sorted(maps.Keys(s.groups)) {
			g := s.groups[id]
			if s.nodes[g.Preferred].Name == n.Name {
				g.Preferred = n.ID
				s.groups[id] = g
			}
		}
	}
	n.Since, n.Ended, n.Drained = s.topology.Serial(), false, false
	if known && n.Epoch == old.Epoch {
		n.Since, n.Drained = old.Since, old.Drained
	}
	s.nodes[n.ID] = n
	s.overlap(append(slices.Clone(alive), &pb.MetaProcess{Id: n.ID, Epoch: n.Epoch}))
	r, err := s.topology.Apply(topology.DropTransient{Home: n.ID, BeforeEpoch: n.Epoch})
	if err != nil {
		return r, err
	}
	gone, err := s.dropVolatile()
	r.Changes = append(r.Changes, gone.Changes...)
	return r, err
}

func (s *state) ensureGroups(c *pb.MetaEnsureGroups) error {
	if _, known := s.nodes[c.GetNode()]; !known {
		return fmt.Errorf("node %s: %w", c.GetNode(), ErrNotFound)
	}
	have := 0
	size := int(c.GetSize())
	if size < 1 || size > MaxReplicas {
		return fmt.Errorf("a group cannot have %d replicas", size)
	}
	for _, g := range s.groups {
		if g.Preferred == c.GetNode() && g.Size == size {
			have++
		}
	}
	for i := have; i < len(c.GetSets()); i++ {
		set := c.GetSets()[i].GetIds()
		if err := s.checkReplicas(set); err != nil {
			return err
		}
		s.lastGroup++
		s.groups[s.lastGroup] = GroupInfo{ID: s.lastGroup, Initial: set, Replicas: set, Target: set, Preferred: c.GetNode(), Size: size}
	}
	return nil
}

func (s *state) setTarget(c *pb.MetaSetTarget) error {
	g, known := s.groups[c.GetGroup()]
	if !known {
		return fmt.Errorf("group %d: %w", c.GetGroup(), ErrNotFound)
	}
	if !slices.Equal(g.Target, c.GetFrom()) {
		return nil // decided on an older state
	}
	if err := s.checkReplicas(c.GetTarget()); err != nil {
		return err
	}
	g.Target = c.GetTarget()
	if slices.Contains(g.Target, c.GetPreferred()) {
		g.Preferred = c.GetPreferred()
	}
	s.groups[g.ID] = g
	return nil
}

func (s *state) setReplicas(c *pb.MetaSetReplicas) error {
	g, known := s.groups[c.GetGroup()]
	if !known {
		return fmt.Errorf("group %d: %w", c.GetGroup(), ErrNotFound)
	}
	if n := len(c.GetReplicas()); n == 0 || n > maxReported {
		return fmt.Errorf("a group cannot have %d replicas", n)
	}
	if cmp.Or(cmp.Compare(c.GetTerm(), g.Term), cmp.Compare(c.GetIndex(), g.Index)) < 0 {
		return nil // of an earlier leader, or late
	}
	g.Replicas, g.Term, g.Index, g.Initial = c.GetReplicas(), c.GetTerm(), c.GetIndex(), nil
	s.groups[g.ID] = g
	return nil
}

func (s *state) checkReplicas(ids []string) error {
	if len(ids) == 0 || len(ids) > MaxReplicas {
		return fmt.Errorf("a group cannot have %d replicas", len(ids))
	}
	for _, id := range ids {
		if _, known := s.nodes[id]; !known {
			return fmt.Errorf("node %s: %w", id, ErrNotFound)
		}
	}
	return nil
}

func (s *state) sortedNodes() []Node {
	return slices.SortedFunc(maps.Values(s.nodes), byID)
}

func (s *state) sortedGroups() []GroupInfo {
	list := make([]GroupInfo, 0, len(s.groups))
	for _, g := range s.groups {
		list = append(list, g.clone())
	}
	slices.SortFunc(list, func(a, b GroupInfo) int { return cmp.Compare(a.ID, b.ID) })
	return list
}
