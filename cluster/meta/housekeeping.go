package meta

import (
	"context"
	"errors"
	"slices"
	"time"

	"github.com/hashicorp/raft"

	"github.com/warrenmq/warren/broker/topology"
	pb "github.com/warrenmq/warren/proto"
)

const (
	keepInterval = time.Second
	// firstWait is how long the first groups wait for the nodes that are expected,
	// so that they have all their replicas from the start.
	firstWait = 15 * time.Second
)

// tenure is what a leader has seen since it leads.
type tenure struct {
	m     *Meta
	raft  *raft.Raft
	term  uint64
	since time.Time
	dead  map[string]time.Time // registered nodes, since when membership does not see them
}

// lead keeps house while this node leads the group.
func (m *Meta) lead(ctx context.Context, r *raft.Raft) {
	tick := time.NewTicker(keepInterval)
	defer tick.Stop()
	var t *tenure
	for {
		select {
		case <-tick.C:
		case <-m.kick:
		case <-r.LeaderCh():
		case <-ctx.Done():
			return
		}
		if r.State() != raft.Leader {
			t = nil
			continue
		}
		if term := r.CurrentTerm(); t == nil || t.term != term {
			if r.Barrier(enqueueTimeout).Error() != nil {
				continue
			}
			m.log.Info("leads the meta group", "term", term)
			t = &tenure{m: m, raft: r, term: term, since: time.Now(), dead: make(map[string]time.Time)}
		}
		if err := t.keepHouse(ctx); err != nil && ctx.Err() == nil && !isNotLeader(err) && !errors.Is(err, raft.ErrLeadershipLost) {
			m.log.Warn("housekeeping of the cluster", "error", err)
		}
	}
}

// keepHouse takes the next steps; whatever fails is tried at the next look.
func (t *tenure) keepHouse(ctx context.Context) error {
	v := t.look()
	if v.clusterID == "" {
		if err := t.form(ctx); err != nil {
			return err
		}
		t.m.nudge()
		return nil
	}
	return errors.Join(
		t.forget(ctx, v),
		t.members(ctx, v),
		t.raise(ctx, v),
		t.groups(ctx, v),
		t.transients(ctx, v),
		t.lifetimes(ctx, v),
	)
}

// view is the state that housekeeping decides on, and who is alive.
type view struct {
	clusterID string
	expect    int
	nodes     []Node
	forgotten []string
	level     uint64
	groups    []GroupInfo
	alive     map[string]bool
	ended     map[string]uint64 // the highest epoch of a node's that was seen to end
}

func (t *tenure) look() view {
	v := view{alive: map[string]bool{t.m.cfg.Self.ID: true}, ended: make(map[string]uint64)}
	for _, mem := range t.m.cfg.Members() {
		if mem.Ended {
			v.ended[mem.ID] = max(v.ended[mem.ID], mem.Epoch)
		}
		v.alive[mem.ID] = v.alive[mem.ID] || mem.Alive
	}
	t.m.fsm.view(func(s *state) {
		v.clusterID, v.expect, v.nodes, v.groups = s.clusterID, s.expect, s.sortedNodes(), s.sortedGroups()
		v.forgotten, v.level = s.forgotten, s.level
	})
	for _, n := range v.nodes {
		if v.alive[n.ID] {
			delete(t.dead, n.ID)
		} else if _, known := t.dead[n.ID]; !known {
			t.dead[n.ID] = time.Now()
		}
	}
	return v
}

// deadFor reports whether the leader has missed the node for that long.
func (t *tenure) deadFor(id string, d time.Duration) bool {
	since, dead := t.dead[id]
	return dead && time.Since(since) >= d
}

// forget removes the servers that cannot come back, since another has joined under their
// name, and those that are dead for longer than an operator allows.
func (t *tenure) forget(ctx context.Context, v view) error {
	var errs error
	for _, n := range v.nodes {
		after, lost := t.m.cfg.ForgetAfter, superseded(v.nodes, n.ID)
		late := after > 0 && t.deadFor(n.ID, after) && len(needed(v.groups, n.ID, v.alive)) == 0
		if v.alive[n.ID] || !lost && !late {
			continue
		}
		t.m.log.Warn("forgets a node", "node", n.ID, "another has its name", lost)
		errs = errors.Join(errs, t.m.forget(ctx, n.ID))
	}
	return errs
}

func (t *tenure) form(ctx context.Context) error {
	f := &pb.MetaForm{ClusterId: t.m.ClusterID(), Expect: uint32(t.m.cfg.Expect)}
	users, permissions := t.m.cfg.Users, t.m.cfg.Permissions
	if len(users) == 0 {
		var err error
		if users, permissions, err = firstUsers(); err != nil {
			return err
		}
	}
	for _, u := range users {
		f.Users = append(f.Users, userToProto(u))
	}
	for _, p := range permissions {
		f.Permissions = append(f.Permissions, permissionToProto(p))
	}
	return t.m.propose(ctx, &pb.MetaCommand{Body: &pb.MetaCommand_Form{Form: f}}).err
}

// transients drops the queues that lived in the memory of nodes that are gone: at
// once where the process was seen to end, since its clients come back and declare
// them anew, and what others publish to them waits.
func (t *tenure) transients(ctx context.Context, v view) error {
	var errs error
	for _, n := range v.nodes {
		if v.ended[n.ID] < n.Epoch && !t.deadFor(n.ID, t.m.cfg.DropAfter) {
			continue
		}
		var left int
		t.m.View(func(defs *topology.Topology) { left = len(defs.QueuesAt(n.ID)) })
		if left == 0 {
			continue
		}
		t.m.log.Info("drops the transient queues of a dead node", "node", n.ID, "queues", left)
		_, _, err := t.m.Propose(ctx, topology.DropTransient{Home: n.ID, BeforeEpoch: n.Epoch + 1})
		errs = errors.Join(errs, err)
	}
	return errs
}

// lifetimes tells the group which processes are alive at the same time and which have
// ended: exchanges that are not durable live by that (lifetime.go).
func (t *tenure) lifetimes(ctx context.Context, v view) error {
	var errs error
	for _, n := range v.nodes {
		if n.Ended || !t.deadFor(n.ID, t.m.cfg.DropAfter) {
			continue
		}
		errs = errors.Join(errs, t.m.propose(ctx, &pb.MetaCommand{Body: &pb.MetaCommand_End{
			End: &pb.MetaProcess{Id: n.ID, Epoch: n.Epoch}}}).err)
	}
	met, first, differ := &pb.MetaOverlap{}, uint64(0), false
	for _, p := range t.m.alive() {
		i := slices.IndexFunc(v.nodes, func(n Node) bool { return n.ID == p.GetId() && n.Epoch == p.GetEpoch() })
		if i < 0 {
			continue // it has not registered yet
		}
		if len(met.Processes) == 0 {
			first = v.nodes[i].Since
		}
		differ = differ || v.nodes[i].Since != first
		met.Processes = append(met.Processes, p)
	}
	if differ {
		errs = errors.Join(errs, t.m.propose(ctx, &pb.MetaCommand{Body: &pb.MetaCommand_Overlap{Overlap: met}}).err)
	}
	return errs
}
