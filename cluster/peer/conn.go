package peer

import (
	"context"
	"errors"
	"fmt"
	"net"
	"sync"
	"sync/atomic"
	"syscall"
	"time"

	"google.golang.org/grpc"

	pb "github.com/warrenmq/warren/proto"
)

const (
	refusedPause   = 2 * time.Second        // before a peer that refused this node is asked again
	formationPause = 250 * time.Millisecond // between looks whether there is a cluster id
	retryPause     = 50 * time.Millisecond
)

// conn is the connection to one peer.
type conn struct {
	conns  *Conns
	id     string
	grpc   *grpc.ClientConn
	link   *link
	cancel context.CancelFunc // ends hold; nil before Run
	wasUp  atomic.Bool        // and nobody was told of its death since

	mu  sync.Mutex
	raw net.Conn // the latest one dialled
}

func (c *conn) close() {
	if c.cancel != nil {
		c.cancel()
	}
	c.grpc.Close()
	c.link.down(ErrClosed)
}

// dial is how gRPC reaches the peer. A refusal right after the link broke means
// that the process is gone, not the network.
func (c *conn) dial(ctx context.Context, _ string) (net.Conn, error) {
	addr, ok := c.conns.cfg.Resolver.Address(c.id)
	if !ok {
		return nil, fmt.Errorf("no address is known for node %s", c.id)
	}
	raw, err := c.conns.cfg.Dial(ctx, addr)
	if err != nil {
		if errors.Is(err, syscall.ECONNREFUSED) && c.wasUp.CompareAndSwap(true, false) {
			c.conns.tellDead(c.id)
		}
		return nil, fmt.Errorf("dial node %s at %s: %w", c.id, addr, err)
	}
	c.mu.Lock()
	c.raw = raw
	c.mu.Unlock()
	return raw, nil
}

// breakConn drops the current network connection, so that gRPC dials again.
func (c *conn) breakConn() {
	c.mu.Lock()
	raw := c.raw
	c.mu.Unlock()
	if raw != nil {
		raw.Close()
	}
}

func (c *conn) handshakeFailed(err error) {
	c.conns.notices.warn("node refused: handshake failed, is its cluster secret another?", c.id, err.Error())
}

func (c *conn) unary(ctx context.Context, method string, req, reply any, cc *grpc.ClientConn, invoke grpc.UnaryInvoker, opts ...grpc.CallOption) error {
	err := invoke(c.conns.cfg.Identity.attach(ctx, c.id), method, req, reply, cc, opts...)
	c.conns.noteRefusal(c.id, err)
	return err
}

// Refusals of streams are seen by those who hold them; the link is refused too
// and notes it.
func (c *conn) stream(ctx context.Context, desc *grpc.StreamDesc, cc *grpc.ClientConn, method string, open grpc.Streamer, opts ...grpc.CallOption) (grpc.ClientStream, error) {
	return open(c.conns.cfg.Identity.attach(ctx, c.id), desc, cc, method, opts...)
}

// hold keeps a link to the peer as long as ctx lives.
func (c *conn) hold(ctx context.Context) {
	for ctx.Err() == nil {
		if c.conns.cfg.Identity.ClusterID() == "" {
			pause(ctx, formationPause)
			continue
		}
		stood, err := c.linkOnce(ctx)
		if ctx.Err() != nil {
			return
		}
		switch {
		case Refused(err):
			c.conns.noteRefusal(c.id, err)
			pause(ctx, refusedPause)
		case stood < retryPause: // else the next dial tells at once whether the process is gone
			pause(ctx, retryPause)
		}
	}
}

// linkOnce holds the link until it breaks; it reports how long it stood.
func (c *conn) linkOnce(ctx context.Context) (stood time.Duration, err error) {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	stream, err := pb.NewRaftClient(c.grpc).Link(ctx, grpc.WaitForReady(true))
	if err != nil {
		return 0, err
	}
	silence := time.AfterFunc(linkTimeout, c.breakConn)
	header, err := stream.Header()
	silence.Stop()
	if err != nil {
		return 0, err
	}
	if len(header.Get(keyNode)) == 0 { // not let in: the status says why
		_, err = stream.Recv()
		return 0, err
	}
	began := time.Now()
	c.wasUp.Store(true)
	c.link.up()
	c.conns.cfg.Logger.Debug("link up", "peer", c.id)
	c.conns.tellUp(c.id, true)
	err = c.link.run(ctx, cancel, stream, c.breakConn)
	c.link.down(err)
	c.conns.cfg.Logger.Info("link down", "peer", c.id, "reason", err)
	c.conns.tellUp(c.id, false)
	return time.Since(began), err
}

func pause(ctx context.Context, d time.Duration) {
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-t.C:
	case <-ctx.Done():
	}
}
