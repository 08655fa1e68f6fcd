package edge

import (
	"context"
	"fmt"

	"github.com/warrenmq/warren/broker/leader"
	pb "github.com/warrenmq/warren/proto"
)

// connect opens a way to whoever serves the target now.
func (a *attachment) connect(ctx context.Context) (*consumeLink, error) {
	node, err := a.e.leaderOf(ctx, a.target)
	if err != nil {
		return nil, err
	}
	if node == a.e.cfg.Self.Node {
		return a.connectLocal(node)
	}
	return a.connectRemote(ctx, node)
}

// outletFunc makes a function an outlet.
type outletFunc func(leader.Event)

func (f outletFunc) Send(ev leader.Event) { f(ev) }

// connectLocal attaches to an engine in this process.
func (a *attachment) connectLocal(node string) (*consumeLink, error) {
	engine, term, ok := a.e.cfg.Local.Engine(a.target.Group)
	if !ok {
		return nil, leader.ErrNotLeading
	}
	link := &consumeLink{node: node, term: term, broken: make(chan struct{})}
	at, err := engine.Attach(a.e.cfg.Self, outletFunc(func(ev leader.Event) { a.event(link, ev) }))
	if err != nil {
		return nil, err
	}
	link.send = at.Request
	closed := make(chan struct{})
	link.close = func() {
		close(closed)
		at.Detach()
	}
	a.e.running.Go(func() {
		select {
		case <-engine.Ended():
			link.fail()
		case <-closed:
		}
	})
	return link, nil
}

// connectRemote attaches over a stream to another node.
func (a *attachment) connectRemote(ctx context.Context, node string) (*consumeLink, error) {
	conn, err := a.e.cfg.Conns.Conn(node)
	if err != nil {
		return nil, fmt.Errorf("connect to %s: %w", node, err)
	}
	ctx, cancel := context.WithCancel(ctx)
	stream, err := pb.NewEdgeClient(conn).Consume(ctx)
	if err == nil {
		err = stream.Send(&pb.ConsumeRequest{Request: &pb.ConsumeRequest_Attach{Attach: &pb.Attach{Group: a.target.Group}}})
	}
	var first *pb.ConsumeEvent
	if err == nil {
		first, err = stream.Recv() // the engine's term, or why not
	}
	if err != nil {
		cancel()
		return nil, fmt.Errorf("consume stream to %s: %w", node, err)
	}
	link := &consumeLink{node: node, term: first.Term, broken: make(chan struct{}), close: cancel}
	link.send = func(r leader.Request) error { return stream.Send(toRequest(r)) }
	a.e.running.Go(func() {
		defer link.fail()
		for {
			m, err := stream.Recv()
			if err != nil {
				return
			}
			ev, err := fromEvent(m)
			if err != nil {
				a.e.logger.Error("a leader sends what cannot be read", "node", node, "group", a.target.Group, "error", err)
				return
			}
			a.event(link, ev)
		}
	})
	return link, nil
}
