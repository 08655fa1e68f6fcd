package edge

import (
	"context"
	"sync"

	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"

	"github.com/warrenmq/warren/broker/leader"
	"github.com/warrenmq/warren/broker/queue"
	pb "github.com/warrenmq/warren/proto"
)

// Server answers other nodes' edges for what is led here.
type Server struct {
	pb.UnimplementedEdgeServer
	edge *Edge
}

// Register adds the service to a gRPC server.
func (e *Edge) Register(r grpc.ServiceRegistrar) {
	pb.RegisterEdgeServer(r, &Server{edge: e})
}

func notLeading(group uint64) error {
	return status.Errorf(codes.FailedPrecondition, "group %d is not led here", group)
}

// Publish takes one session's batches. It ends with the first that gets no answer:
// the edge learns of it by the stream's end, and sends again what is unanswered.
func (s *Server) Publish(stream grpc.BidiStreamingServer[pb.PublishRequest, pb.PublishReply]) error {
	ctx, cancel := context.WithCancel(stream.Context())
	defer cancel()
	replies := newOutbox[*pb.PublishReply](ctx, cancel, stream.Send)
	defer replies.wait()
	defer cancel()
	batches := make(chan error, 1)
	go func() { batches <- s.batches(stream, replies, cancel) }()
	select {
	case err := <-batches:
		return err
	case <-ctx.Done():
		return status.Error(codes.Unavailable, "what became of a batch is not known")
	}
}

// batches passes a session's batches to the engine until the stream ends; fail
// hears of one whose outcome is not known.
func (s *Server) batches(stream grpc.BidiStreamingServer[pb.PublishRequest, pb.PublishReply], replies *outbox[*pb.PublishReply], fail func()) error {
	var engine *leader.Engine
	for {
		r, err := stream.Recv()
		if err != nil {
			return err
		}
		if engine == nil {
			var ok bool
			if engine, _, ok = s.edge.cfg.Local.Engine(r.Group); !ok {
				return notLeading(r.Group)
			}
		}
		seq := r.Seq
		if err := queue.Verify(r.Batch); err != nil {
			return status.Errorf(codes.InvalidArgument, "publish batch: %v", err)
		}
		engine.Publish(r.Batch, func(a queue.Answer, err error) {
			if err != nil {
				fail()
				return
			}
			reply := &pb.PublishReply{Seq: seq, Status: uint32(a.Status), Refused: a.Refused}
			for _, id := range a.Sealed {
				reply.Sealed = append(reply.Sealed, uint64(id))
			}
			replies.put(reply)
		})
	}
}

// Consume attaches one edge to a group's engine.
func (s *Server) Consume(stream grpc.BidiStreamingServer[pb.ConsumeRequest, pb.ConsumeEvent]) error {
	caller, ok := s.edge.cfg.Caller(stream.Context())
	if !ok {
		return status.Error(codes.Unauthenticated, "who asks is not known")
	}
	r, err := stream.Recv()
	if err != nil {
		return err
	}
	attach := r.GetAttach()
	if attach == nil {
		return status.Error(codes.InvalidArgument, "a consume stream begins with attach")
	}
	engine, term, ok := s.edge.cfg.Local.Engine(attach.Group)
	if !ok {
		return notLeading(attach.Group)
	}
	ctx, cancel := context.WithCancel(stream.Context())
	defer cancel()
	events := newOutbox[*pb.ConsumeEvent](ctx, cancel, stream.Send)
	defer events.wait()
	defer cancel()
	events.put(&pb.ConsumeEvent{Term: term, Event: &pb.ConsumeEvent_Attached{Attached: true}})
	at, err := engine.Attach(caller, outletFunc(func(ev leader.Event) { events.put(toEvent(term, ev)) }))
	if err != nil {
		return notLeading(attach.Group)
	}
	defer at.Detach()
	requests := make(chan error, 1)
	go func() { requests <- s.requests(stream, at) }()
	select {
	case err := <-requests:
		return err
	case <-engine.Ended():
		return notLeading(attach.Group)
	case <-ctx.Done():
		return ctx.Err()
	}
}

// requests passes an edge's requests to its attachment until the stream ends.
func (s *Server) requests(stream grpc.BidiStreamingServer[pb.ConsumeRequest, pb.ConsumeEvent], at *leader.Attachment) error {
	for {
		m, err := stream.Recv()
		if err != nil {
			return err
		}
		r, ok := fromRequest(m)
		if !ok {
			return status.Error(codes.InvalidArgument, "unknown request")
		}
		if err := at.Request(r); err != nil {
			return status.Error(codes.FailedPrecondition, err.Error())
		}
	}
}

// Call does one thing with a queue that is led here.
func (s *Server) Call(ctx context.Context, r *pb.CallRequest) (*pb.CallReply, error) {
	engine, _, ok := s.edge.cfg.Local.Engine(r.Group)
	if !ok {
		return nil, notLeading(r.Group)
	}
	return callEngine(ctx, engine, r)
}

// Announce hears that the caller leads a group now.
func (s *Server) Announce(ctx context.Context, r *pb.AnnounceRequest) (*pb.AnnounceReply, error) {
	caller, ok := s.edge.cfg.Caller(ctx)
	if !ok {
		return nil, status.Error(codes.Unauthenticated, "who asks is not known")
	}
	return &pb.AnnounceReply{Attached: s.edge.Announced(r.Group, r.Term, caller.Node)}, nil
}

// Leader says whom this node's replica takes for the leader.
func (s *Server) Leader(_ context.Context, r *pb.LeaderRequest) (*pb.LeaderReply, error) {
	id, _ := s.edge.cfg.Local.Leader(r.Group)
	return &pb.LeaderReply{Leader: id}, nil
}

// Announced tells this node's edge that node leads a group in term; it answers
// whether subscriptions will be resumed there.
func (e *Edge) Announced(group, term uint64, node string) bool {
	e.mu.RLock()
	s := e.sessions[Target{Group: group}]
	a := e.attachments[Target{Group: group}]
	e.mu.RUnlock()
	if s != nil {
		s.moved(node)
	}
	return a != nil && a.announced(node, term)
}

// Announce tells another node's edge that this node leads a group.
func (e *Edge) Announce(ctx context.Context, group, term uint64, edge leader.EdgeID) (attached bool, err error) {
	if edge == e.cfg.Self {
		return e.Announced(group, term, edge.Node), nil
	}
	conn, err := e.cfg.Conns.Conn(edge.Node)
	if err != nil {
		return false, err
	}
	r, err := pb.NewEdgeClient(conn).Announce(ctx, &pb.AnnounceRequest{Group: group, Term: term})
	return r.GetAttached(), err
}

// outbox lets one goroutine send what others leave in it. It is bounded by
// what is put: an answer a batch, events within the credit given.
type outbox[T any] struct {
	mu    sync.Mutex
	items []T
	ready chan struct{}
	done  chan struct{}
}

func newOutbox[T any](ctx context.Context, fail func(), send func(T) error) *outbox[T] {
	o := &outbox[T]{ready: make(chan struct{}, 1), done: make(chan struct{})}
	go func() {
		defer close(o.done)
		for {
			select {
			case <-ctx.Done():
				return
			case <-o.ready:
			}
			o.mu.Lock()
			items := o.items
			o.items = nil
			o.mu.Unlock()
			for _, item := range items {
				if send(item) != nil {
					fail()
					return
				}
			}
		}
	}()
	return o
}

func (o *outbox[T]) put(item T) {
	o.mu.Lock()
	o.items = append(o.items, item)
	o.mu.Unlock()
	select {
	case o.ready <- struct{}{}:
	default:
	}
}

// wait returns when the sending goroutine has ended.
func (o *outbox[T]) wait() { <-o.done }
