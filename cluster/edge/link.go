package edge

import (
	"context"
	"fmt"
	"time"

	"github.com/warrenmq/warren/broker/leader"
	"github.com/warrenmq/warren/broker/queue"
	pb "github.com/warrenmq/warren/proto"
)

// connect opens a way to whoever leads the target now.
func (s *session) connect(ctx context.Context) (*publishLink, error) {
	node, err := s.e.leaderOf(ctx, s.target)
	if err != nil {
		return nil, err
	}
	if node == s.e.cfg.Self.Node {
		return s.connectLocal()
	}
	return s.connectRemote(ctx, node)
}

// connectLocal publishes to an engine in this process.
func (s *session) connectLocal() (*publishLink, error) {
	engine, _, ok := s.e.cfg.Local.Engine(s.target.Group)
	if !ok {
		return nil, leader.ErrNotLeading
	}
	link := &publishLink{node: s.e.cfg.Self.Node, broken: make(chan struct{}), close: func() {}}
	link.send = func(f *flight) error {
		engine.Publish(f.batch, func(a queue.Answer, err error) { s.answered(link, a, f.seq, err) })
		return nil
	}
	return link, nil
}

// connectRemote publishes over a stream to another node.
func (s *session) connectRemote(ctx context.Context, node string) (*publishLink, error) {
	conn, err := s.e.cfg.Conns.Conn(node)
	if err != nil {
		return nil, fmt.Errorf("connect to %s: %w", node, err)
	}
	ctx, cancel := context.WithCancel(ctx)
	stream, err := pb.NewEdgeClient(conn).Publish(ctx)
	if err != nil {
		cancel()
		return nil, fmt.Errorf("publish stream to %s: %w", node, err)
	}
	link := &publishLink{node: node, broken: make(chan struct{}), close: cancel}
	group := s.target.Group
	link.send = func(f *flight) error {
		return stream.Send(&pb.PublishRequest{Group: group, Batch: f.batch, Seq: f.seq})
	}
	s.e.running.Go(func() {
		defer link.fail()
		for {
			r, err := stream.Recv()
			if err != nil {
				return
			}
			a := queue.Answer{Status: queue.Status(r.Status), Refused: r.Refused}
			for _, id := range r.Sealed {
				a.Sealed = append(a.Sealed, queue.ID(id))
			}
			s.answered(link, a, r.Seq, nil)
		}
	})
	return link, nil
}

// askTimeout bounds the question to one replica.
const askTimeout = 400 * time.Millisecond

// askReplicas asks a group's replicas who leads it, where this node has none.
func (e *Edge) askReplicas(ctx context.Context, group uint64) (string, error) {
	for _, id := range e.cfg.Replicas(group) {
		conn, err := e.cfg.Conns.Conn(id)
		if err != nil {
			continue
		}
		asking, cancel := context.WithTimeout(ctx, askTimeout) // a hung one must not keep the others from being asked
		r, err := pb.NewEdgeClient(conn).Leader(asking, &pb.LeaderRequest{Group: group})
		cancel()
		if err == nil && r.Leader != "" {
			return r.Leader, nil
		}
	}
	return "", fmt.Errorf("leader of group %d: %w", group, leader.ErrUnavailable)
}
