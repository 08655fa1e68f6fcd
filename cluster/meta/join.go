package meta

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"slices"
	"time"

	"github.com/hashicorp/raft"

	"github.com/warrenmq/warren/broker/level"
	pb "github.com/warrenmq/warren/proto"
)

const (
	joinTimeout = 5 * time.Second
	awaitMargin = 50 * time.Millisecond
	waitReport  = 10 * time.Second // between two lines about what a node waits for
)

// register enters this process in the cluster and waits until the node has
// applied that itself, which it does only when it is up to date.
func (m *Meta) register(ctx context.Context) error {
	reported := time.Now()
	for !m.registered() {
		if ctx.Err() != nil {
			return nil
		}
		err := m.joinOnce(ctx)
		if err == nil {
			continue
		}
		if errors.Is(err, ErrForgotten) {
			return fmt.Errorf("this node cannot come back as %s: %w; with an empty data folder it joins as a new one", m.cfg.Self.ID, ErrForgotten)
		}
		if errors.Is(err, level.ErrUnknown) {
			return fmt.Errorf("this node cannot join: %w", err)
		}
		if time.Since(reported) >= waitReport {
			m.log.Warn("not joined yet", "error", err)
			reported = time.Now()
		}
		pause(ctx, lookInterval)
	}
	var id string
	m.fsm.view(func(s *state) { id = s.clusterID })
	if id != m.ClusterID() {
		return fmt.Errorf("this node belongs to cluster %s, but the log is of cluster %s", m.ClusterID(), id)
	}
	close(m.ready)
	return nil
}

func (m *Meta) registered() (ok bool) {
	m.fsm.view(func(s *state) {
		ok = s.clusterID != "" && s.nodes[m.cfg.Self.ID].Epoch == m.cfg.Self.Epoch
	})
	return ok
}

func (m *Meta) joinOnce(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, joinTimeout)
	defer cancel()
	req := &pb.MetaJoinRequest{Node: nodeToProto(m.cfg.Self), ClusterId: m.ClusterID()}
	resp, err := m.join(ctx, req)
	if err != nil {
		return err
	}
	if resp.GetForgotten() {
		return ErrForgotten
	}
	if resp.GetLevel() > 0 {
		return tooOld(resp.GetLevel(), m.cfg.Self.Level)
	}
	m.fsm.progress.await(ctx, resp.GetIndex())
	return ctx.Err()
}

// join finds the leader for a node that wants in.
func (m *Meta) join(ctx context.Context, req *pb.MetaJoinRequest) (*pb.MetaJoinResponse, error) {
	switch leader := m.Leader(); leader {
	case m.cfg.Self.ID:
		return m.admit(ctx, req)
	case "":
		return m.joinThrough(ctx, req, m.liveOthers())
	default:
		return m.joinThrough(ctx, req, []string{leader})
	}
}

func (m *Meta) joinThrough(ctx context.Context, req *pb.MetaJoinRequest, ids []string) (*pb.MetaJoinResponse, error) {
	err := errors.New("no other node is in sight")
	rand.Shuffle(len(ids), func(i, j int) { ids[i], ids[j] = ids[j], ids[i] })
	for _, id := range ids {
		conn, connErr := m.cfg.Conns.Conn(id)
		if connErr != nil {
			err = connErr
			continue
		}
		resp, joinErr := pb.NewBootstrapClient(conn).Join(ctx, req)
		if joinErr == nil {
			return resp, nil
		}
		err = fmt.Errorf("join through %s: %w", id, joinErr)
	}
	return nil, err
}

// admit is the leader's part: it registers the node, and adds it to the group as a
// non-voter. It becomes a voter when it has caught up, so that a node that dies
// while joining takes no majority away.
func (m *Meta) admit(ctx context.Context, req *pb.MetaJoinRequest) (*pb.MetaJoinResponse, error) {
	r, err := m.leads()
	if err != nil {
		return nil, err
	}
	out := m.propose(ctx, &pb.MetaCommand{Body: &pb.MetaCommand_Register{
		Register: &pb.MetaRegister{Node: req.GetNode(), Alive: m.alive()}}})
	if errors.Is(out.err, ErrForgotten) {
		m.log.Warn("refused a node that was forgotten", "node", req.GetNode().GetId())
		return &pb.MetaJoinResponse{Forgotten: true}, nil
	}
	if errors.Is(out.err, level.ErrUnknown) {
		m.log.Warn("refused a node whose build is too old", "node", req.GetNode().GetId(), "version", req.GetNode().GetVersion(), "reason", out.err)
		return &pb.MetaJoinResponse{Level: m.Level()}, nil
	}
	if out.err != nil {
		return nil, fmt.Errorf("register node %s: %w", req.GetNode().GetId(), out.err)
	}
	if err := addMember(r, req.GetNode().GetId()); err != nil {
		return nil, err
	}
	m.nudge()
	return &pb.MetaJoinResponse{Index: out.index}, nil
}

// alive lists the processes that this node sees, itself among them.
func (m *Meta) alive() []*pb.MetaProcess {
	list := []*pb.MetaProcess{{Id: m.cfg.Self.ID, Epoch: m.cfg.Self.Epoch}}
	for _, mem := range m.cfg.Members() {
		if mem.Alive && mem.ID != m.cfg.Self.ID {
			list = append(list, &pb.MetaProcess{Id: mem.ID, Epoch: mem.Epoch})
		}
	}
	return list
}

func addMember(r *raft.Raft, id string) error {
	conf := r.GetConfiguration()
	if err := conf.Error(); err != nil {
		return fmt.Errorf("read the configuration of the meta group: %w", err)
	}
	known := slices.ContainsFunc(conf.Configuration().Servers, func(s raft.Server) bool { return s.ID == raft.ServerID(id) })
	if known {
		return nil
	}
	if err := r.AddNonvoter(raft.ServerID(id), raft.ServerAddress(id), 0, enqueueTimeout).Error(); err != nil {
		return fmt.Errorf("add %s to the meta group: %w", id, err)
	}
	return nil
}

// Look has the housekeeping look around now: the members have news.
func (m *Meta) Look() { m.nudge() }

// nudge has the housekeeping look around now.
func (m *Meta) nudge() {
	select {
	case m.kick <- struct{}{}:
	default:
	}
}
