package peer

import (
	"context"
	"errors"
	"fmt"

	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"

	pb "github.com/warrenmq/warren/proto"
)

// ErrNotExpelled says that a replica could not be taken out of its group now.
var ErrNotExpelled = errors.New("not expelled")

// OnExpel takes the function that takes a replica out of the group's voters, if this
// node leads the group, and returns when that is committed.
func (t *Transport) OnExpel(f func(serverID string) error) { t.expel.Store(&f) }

// Expel asks a node, which may lead a group, to take this one out of the group's
// voters. It returns nil when that is committed.
func (ts *Transports) Expel(ctx context.Context, peer string, group uint64) error {
	c, err := ts.cfg.Conns.conn(peer)
	if err != nil {
		return err
	}
	a, err := pb.NewRaftClient(c.grpc).Expel(ctx, &pb.RaftExpelRequest{Group: group})
	switch {
	case err != nil:
		return fmt.Errorf("%w from group %d by %s: %w", ErrNotExpelled, group, peer, err)
	case !a.Expelled:
		return fmt.Errorf("%w from group %d by %s: led by %q", ErrNotExpelled, group, peer, a.Leader)
	}
	return nil
}

// expelService serves Expel; Transports has a method of that name for the asking side.
type expelService struct{ *Transports }

func (s expelService) Expel(ctx context.Context, r *pb.RaftExpelRequest) (*pb.RaftExpelAnswer, error) {
	t, err := s.find(r.Group)
	if err != nil {
		return nil, err
	}
	f := t.expel.Load()
	attached := t.raft.Load()
	if f == nil || attached == nil {
		return nil, status.Errorf(codes.Unimplemented, "group %d expels nobody", r.Group)
	}
	if _, leader := attached.LeaderWithID(); string(leader) != s.cfg.Identity.ServerID {
		return &pb.RaftExpelAnswer{Leader: string(leader)}, nil
	}
	caller, _ := CallerOf(ctx)
	if err := (*f)(caller.ServerID); err != nil {
		return nil, status.Error(codes.Aborted, err.Error())
	}
	t.progress.forget(caller.ServerID)
	return &pb.RaftExpelAnswer{Expelled: true}, nil
}

// forget drops what a peer's log was like: it is a new one from now on.
func (p *progress) forget(peer string) {
	p.mu.Lock()
	defer p.mu.Unlock()
	delete(p.peers, peer)
}
