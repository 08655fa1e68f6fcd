package meta

import (
	"context"

	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"

	pb "github.com/warrenmq/warren/proto"
)

// Register adds the services Bootstrap and Meta to the server of the node. The
// calls of Bootstrap come from nodes of no cluster, too.
func (m *Meta) Register(s grpc.ServiceRegistrar) {
	pb.RegisterBootstrapServer(s, bootstrapService{m: m})
	pb.RegisterMetaServer(s, metaService{m: m})
}

type bootstrapService struct {
	pb.UnimplementedBootstrapServer
	m *Meta
}

func (b bootstrapService) Status(context.Context, *pb.MetaStatusRequest) (*pb.MetaStatusResponse, error) {
	self := b.m.cfg.Self
	s := &pb.MetaStatusResponse{ServerId: self.ID, Name: self.Name, Leader: b.m.Leader(), Applied: b.m.fsm.progress.now()}
	b.m.ledger.status(s)
	return s, nil
}

func (b bootstrapService) Promise(_ context.Context, req *pb.MetaPromiseRequest) (*pb.MetaPromiseResponse, error) {
	resp, err := b.m.ledger.promise(req.GetCandidate(), req.GetAttempt())
	if err != nil {
		return nil, status.Error(codes.Internal, err.Error())
	}
	return resp, nil
}

func (b bootstrapService) Join(ctx context.Context, req *pb.MetaJoinRequest) (*pb.MetaJoinResponse, error) {
	n := req.GetNode()
	if n.GetId() == "" || n.GetName() == "" || n.GetEpoch() == 0 {
		return nil, status.Error(codes.InvalidArgument, "a node that joins needs a ServerID, a name and an epoch")
	}
	if own := b.m.ClusterID(); own == "" || own != req.GetClusterId() {
		b.m.log.Warn("refused a node of another cluster", "node", n.GetId(), "cluster", req.GetClusterId())
		return nil, status.Errorf(codes.FailedPrecondition, "this node is of cluster %q, not %q", own, req.GetClusterId())
	}
	leader := b.m.Leader()
	if leader != b.m.cfg.Self.ID && (req.GetHandedOn() || leader == "") {
		return nil, status.Error(codes.Unavailable, "this node does not lead the meta group")
	}
	req.HandedOn = true
	resp, err := b.m.join(ctx, req)
	if err != nil {
		return nil, status.Error(codes.Unavailable, err.Error())
	}
	return resp, nil
}

type metaService struct {
	pb.UnimplementedMetaServer
	m *Meta
}

func (s metaService) Forward(ctx context.Context, req *pb.MetaForwardRequest) (*pb.MetaForwardResponse, error) {
	if _, err := s.m.leads(); err != nil {
		return &pb.MetaForwardResponse{}, nil
	}
	err := s.m.appender.append(ctx, req.GetBatch())
	switch {
	case err == nil:
		return &pb.MetaForwardResponse{Committed: true}, nil
	case isNotLeader(err):
		return &pb.MetaForwardResponse{}, nil
	}
	return nil, status.Error(codes.Unavailable, err.Error())
}

func (s metaService) ReadIndex(ctx context.Context, _ *pb.MetaReadIndexRequest) (*pb.MetaReadIndexResponse, error) {
	index, err := s.m.committedIndex(ctx)
	if err != nil {
		return nil, status.Error(codes.Unavailable, err.Error())
	}
	return &pb.MetaReadIndexResponse{Index: index}, nil
}

func (s metaService) Term(context.Context, *pb.MetaTermRequest) (*pb.MetaTermResponse, error) {
	r := s.m.raft.Load()
	if r == nil {
		return nil, status.Error(codes.Unavailable, "the meta group is not open yet")
	}
	return &pb.MetaTermResponse{Term: r.CurrentTerm()}, nil
}

func (s metaService) AwaitApplied(ctx context.Context, req *pb.MetaAwaitAppliedRequest) (*pb.MetaAwaitAppliedResponse, error) {
	// A little before the caller's deadline, so that the answer still reaches it.
	if deadline, ok := ctx.Deadline(); ok {
		var cancel context.CancelFunc
		ctx, cancel = context.WithDeadline(ctx, deadline.Add(-awaitMargin))
		defer cancel()
	}
	return &pb.MetaAwaitAppliedResponse{Applied: s.m.fsm.progress.await(ctx, req.GetIndex())}, nil
}
