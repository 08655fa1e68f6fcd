package peer

import (
	"context"
	"crypto/tls"
	"net"
	"sync"

	"google.golang.org/grpc/codes"
	grpcpeer "google.golang.org/grpc/peer"
	"google.golang.org/grpc/status"
)

// Refused says whether err is another node's refusal to speak with this one at
// all: wrong cluster, wrong certificate, a name that is taken.
func Refused(err error) bool { return status.Code(err) == codes.PermissionDenied }

func refusal(format string, args ...any) error {
	return status.Errorf(codes.PermissionDenied, format, args...)
}

// admission decides who may call this node.
type admission struct {
	self      Identity
	checkPeer func(state tls.ConnectionState, serverID string) error // nil: no certificates
	openCall  func(method string) bool                               // served before there is a cluster id

	mu     sync.Mutex
	byName map[string]*holder // as many as there are nodes: callers hold the cluster's secret
}

// holder is who has a node's name: a second living node cannot take it.
type holder struct {
	serverID string
	epoch    uint64
	conns    int // open connections on which it has called
}

// admit checks one call. A connection's first good call binds it to its caller.
func (a *admission) admit(ctx context.Context, method string) (Caller, error) {
	c, ok := claimed(ctx)
	if !ok {
		return Caller{}, refusal("the call names no node: is this another program?")
	}
	caller := Caller{ServerID: c.node, Epoch: c.epoch}
	if c.to != a.self.ServerID {
		return caller, refusal("this is node %s, not %s", a.self.ServerID, c.to)
	}
	own := a.self.ClusterID()
	switch {
	case own != "" && c.cluster != "" && own != c.cluster:
		return caller, refusal("node %s belongs to cluster %s, %s to cluster %s", c.node, c.cluster, a.self.ServerID, own)
	case (own == "" || c.cluster == "") && !a.openCall(method):
		return caller, status.Errorf(codes.FailedPrecondition, "not yet in one cluster: %s and %s", c.node, a.self.ServerID)
	}
	in := inboundOf(ctx)
	if in == nil {
		return caller, refusal("a connection of unknown kind")
	}
	if in.state != nil && a.checkPeer != nil {
		if err := a.checkPeer(*in.state, c.node); err != nil {
			return caller, refusal("%v", err)
		}
	}
	return caller, a.bind(in, caller)
}

// bind gives the connection to its caller, unless the name is someone else's.
func (a *admission) bind(in *inbound, caller Caller) error {
	a.mu.Lock()
	defer a.mu.Unlock()
	if in.caller == caller {
		return nil
	}
	if in.caller != (Caller{}) {
		return refusal("one connection, two nodes: %s and %s", in.caller.ServerID, caller.ServerID)
	}
	name := nodeName(caller.ServerID)
	if err := a.clash(name, caller); err != nil {
		return err
	}
	h := a.byName[name]
	if h == nil || h.serverID != caller.ServerID {
		h = &holder{serverID: caller.ServerID}
		a.byName[name] = h
	}
	h.epoch = caller.Epoch
	in.caller = caller
	if !in.closed {
		in.holder = h
		h.conns++
	}
	return nil
}

// clash says why caller cannot have its name.
func (a *admission) clash(name string, caller Caller) error {
	self := a.self
	if name == nodeName(self.ServerID) && (caller.ServerID != self.ServerID || caller.Epoch != self.Epoch) {
		return refusal("a second node with the name %q: %s is running and %s wants to", name, self.ServerID, caller.ServerID)
	}
	h := a.byName[name]
	switch {
	case h == nil:
		return nil
	case h.serverID != caller.ServerID && h.conns > 0:
		return refusal("a second node with the name %q: %s is connected and %s wants to", name, h.serverID, caller.ServerID)
	case h.serverID == caller.ServerID && caller.Epoch < h.epoch:
		return refusal("node %s has been started again since: epoch %d is over", caller.ServerID, caller.Epoch)
	}
	return nil
}

// inboundOf finds the connection a call came over.
func inboundOf(ctx context.Context) *inbound {
	p, ok := grpcpeer.FromContext(ctx)
	if !ok {
		return nil
	}
	info, _ := p.AuthInfo.(*authInfo)
	if info == nil {
		return nil
	}
	return info.in
}

// describe names a caller for the log: without its port, which is new each time.
func describe(ctx context.Context, c Caller) string {
	from := "an unknown address"
	if p, ok := grpcpeer.FromContext(ctx); ok && p.Addr != nil {
		from = hostOf(p.Addr)
	}
	if c.ServerID == "" {
		return from
	}
	return c.ServerID + " at " + from
}

func hostOf(addr net.Addr) string {
	host, _, err := net.SplitHostPort(addr.String())
	if err != nil {
		return addr.String()
	}
	return host
}
