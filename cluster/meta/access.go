package meta

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"

	"github.com/warrenmq/warren/broker/auth"
	pb "github.com/warrenmq/warren/proto"
)

// The limits that a user can have.
const (
	MaxConnections = "max-connections"
	MaxChannels    = "max-channels"
)

// access applies what says who may do what.
func (s *state) access(index uint64, c *pb.MetaCommand, eff *effects) error {
	switch body := c.GetBody().(type) {
	case *pb.MetaCommand_PutUser:
		s.users[body.PutUser.GetName()] = userFromProto(body.PutUser)
		return nil
	case *pb.MetaCommand_DeleteUser:
		eff.deleted = append(eff.deleted, body.DeleteUser)
		return s.deleteUser(body.DeleteUser)
	case *pb.MetaCommand_PutPermission:
		return s.setPermission(permissionFromProto(body.PutPermission))
	case *pb.MetaCommand_DeletePermission:
		p := body.DeletePermission
		delete(s.permissions, permissionKey{p.GetUser(), p.GetVhost()})
		return nil
	case *pb.MetaCommand_PutTopicPermission:
		return s.setTopicPermission(topicFromProto(body.PutTopicPermission))
	case *pb.MetaCommand_DeleteTopicPermission:
		p := body.DeleteTopicPermission
		maps.DeleteFunc(s.topics, func(k topicKey, _ auth.TopicPermission) bool {
			return k.user == p.GetUser() && k.vhost == p.GetVhost() && (p.GetExchange() == "" || k.exchange == p.GetExchange())
		})
		return nil
	case *pb.MetaCommand_SetUserLimits:
		return s.setUserLimits(body.SetUserLimits)
	default:
		panic(fmt.Sprintf("meta: entry %d has a command of unknown kind %T", index, body)) // a replica that skipped it would diverge
	}
}

func (s *state) deleteUser(name string) error {
	if err := s.hasUser(name); err != nil {
		return err
	}
	delete(s.users, name)
	delete(s.limits, name)
	maps.DeleteFunc(s.permissions, func(k permissionKey, _ auth.Permission) bool { return k.user == name })
	maps.DeleteFunc(s.topics, func(k topicKey, _ auth.TopicPermission) bool { return k.user == name })
	return nil
}

func (s *state) forgetVHost(name string) {
	maps.DeleteFunc(s.permissions, func(k permissionKey, _ auth.Permission) bool { return k.vhost == name })
	maps.DeleteFunc(s.topics, func(k topicKey, _ auth.TopicPermission) bool { return k.vhost == name })
}

func (s *state) hasUser(name string) error {
	if _, known := s.users[name]; !known {
		return fmt.Errorf("user %s: %w", name, ErrNotFound)
	}
	return nil
}

func (s *state) hasVHost(name string) error {
	if s.topology.VHost(name) == nil {
		return fmt.Errorf("vhost %s: %w", name, ErrNotFound)
	}
	return nil
}

func (s *state) setPermission(p auth.Permission) error {
	if err := cmp.Or(s.hasUser(p.User), s.hasVHost(p.VHost)); err != nil {
		return err
	}
	s.permissions[permissionKey{p.User, p.VHost}] = p
	return nil
}

func (s *state) setTopicPermission(p auth.TopicPermission) error {
	if err := cmp.Or(s.hasUser(p.User), s.hasVHost(p.VHost)); err != nil {
		return err
	}
	s.topics[topicKey{p.User, p.VHost, p.Exchange}] = p
	return nil
}

func (s *state) setUserLimits(l *pb.MetaUserLimits) error {
	if err := s.hasUser(l.GetUser()); err != nil {
		return err
	}
	if len(l.GetLimits()) == 0 {
		delete(s.limits, l.GetUser())
	} else {
		s.limits[l.GetUser()] = l.GetLimits()
	}
	return nil
}

// ErrInvalid says that a command asked for what cannot be.
var ErrInvalid = errors.New("invalid")

// PutUser creates a user or replaces one, but for its limits.
func (m *Meta) PutUser(ctx context.Context, u auth.User) error {
	if u.Name == "" {
		return fmt.Errorf("a user needs a name: %w", ErrInvalid)
	}
	return m.change(ctx, &pb.MetaCommand{Body: &pb.MetaCommand_PutUser{PutUser: userToProto(u)}})
}

// DeleteUser removes a user with all its permissions and limits.
func (m *Meta) DeleteUser(ctx context.Context, name string) error {
	return m.change(ctx, &pb.MetaCommand{Body: &pb.MetaCommand_DeleteUser{DeleteUser: name}})
}

// SetPermission says what a user may do in a vhost.
func (m *Meta) SetPermission(ctx context.Context, p auth.Permission) error {
	if err := checkExpressions(p.Configure, p.Write, p.Read); err != nil {
		return err
	}
	return m.change(ctx, &pb.MetaCommand{Body: &pb.MetaCommand_PutPermission{PutPermission: permissionToProto(p)}})
}

// ClearPermission takes a user's access to a vhost away.
func (m *Meta) ClearPermission(ctx context.Context, user, vhost string) error {
	return m.change(ctx, &pb.MetaCommand{Body: &pb.MetaCommand_DeletePermission{
		DeletePermission: &pb.MetaPermission{User: user, Vhost: vhost}}})
}

// SetTopicPermission confines a user to some routing keys of an exchange.
func (m *Meta) SetTopicPermission(ctx context.Context, p auth.TopicPermission) error {
	if err := checkExpressions(p.Write, p.Read); err != nil {
		return err
	}
	return m.change(ctx, &pb.MetaCommand{Body: &pb.MetaCommand_PutTopicPermission{PutTopicPermission: topicToProto(p)}})
}

// ClearTopicPermission ends that, for one exchange or, with exchange "", for all of the vhost.
func (m *Meta) ClearTopicPermission(ctx context.Context, user, vhost, exchange string) error {
	return m.change(ctx, &pb.MetaCommand{Body: &pb.MetaCommand_DeleteTopicPermission{
		DeleteTopicPermission: &pb.MetaTopicPermission{User: user, Vhost: vhost, Exchange: exchange}}})
}

// SetUserLimits replaces a user's limits. What is missing or negative is not limited.
func (m *Meta) SetUserLimits(ctx context.Context, user string, limits map[string]int64) error {
	for name := range limits {
		if name != MaxConnections && name != MaxChannels {
			return fmt.Errorf("a user has no limit %q: %w", name, ErrInvalid)
		}
	}
	return m.change(ctx, &pb.MetaCommand{Body: &pb.MetaCommand_SetUserLimits{
		SetUserLimits: &pb.MetaUserLimits{User: user, Limits: limits}}})
}

// checkExpressions is the proposer's part: what is stored is compiled where it is
// used, and what cannot be compiled there grants nothing.
func checkExpressions(expressions ...string) error {
	for _, e := range expressions {
		if err := auth.CheckExpression(e); err != nil {
			return fmt.Errorf("%w: %w", ErrInvalid, err)
		}
	}
	return nil
}

// change carries out a command and returns when every live node has applied it, so
// that a right that was taken away is gone everywhere.
func (m *Meta) change(ctx context.Context, c *pb.MetaCommand) error {
	out := m.propose(ctx, c)
	if out.err == nil {
		m.AwaitVisible(ctx, out.index)
	}
	return out.err
}

// User finds a user.
func (m *Meta) User(name string) (u auth.User, ok bool) {
	m.fsm.view(func(s *state) { u, ok = s.users[name] })
	return u, ok
}

// Users lists the users by name.
func (m *Meta) Users() (list []auth.User) {
	m.fsm.view(func(s *state) { list = s.sortedUsers() })
	return list
}

// Permission finds what a user may do in a vhost.
func (m *Meta) Permission(user, vhost string) (p auth.Permission, ok bool) {
	m.fsm.view(func(s *state) { p, ok = s.permissions[permissionKey{user, vhost}] })
	return p, ok
}

// Permissions lists the permissions by user and vhost.
func (m *Meta) Permissions() (list []auth.Permission) {
	m.fsm.view(func(s *state) { list = s.sortedPermissions() })
	return list
}

// TopicPermission finds a user's topic permission for an exchange.
func (m *Meta) TopicPermission(user, vhost, exchange string) (p auth.TopicPermission, ok bool) {
	m.fsm.view(func(s *state) { p, ok = s.topics[topicKey{user, vhost, exchange}] })
	return p, ok
}

// TopicPermissions lists the topic permissions by user, vhost and exchange.
func (m *Meta) TopicPermissions() (list []auth.TopicPermission) {
	m.fsm.view(func(s *state) { list = s.sortedTopics() })
	return list
}

// UserLimits are a user's limits. They must not be changed.
func (m *Meta) UserLimits(user string) (limits map[string]int64) {
	m.fsm.view(func(s *state) { limits = s.limits[user] })
	return limits
}

// WatchDeleted calls w with the name of each user that is deleted. w must not block
// and must not call WatchDeleted.
func (m *Meta) WatchDeleted(w func(user string)) { m.fsm.watchDeleted(w) }

func (s *state) sortedUsers() []auth.User {
	return slices.SortedFunc(maps.Values(s.users), func(a, b auth.User) int { return strings.Compare(a.Name, b.Name) })
}

func (s *state) sortedPermissions() []auth.Permission {
	return slices.SortedFunc(maps.Values(s.permissions), func(a, b auth.Permission) int {
		return cmp.Or(strings.Compare(a.User, b.User), strings.Compare(a.VHost, b.VHost))
	})
}

func (s *state) sortedTopics() []auth.TopicPermission {
	return slices.SortedFunc(maps.Values(s.topics), func(a, b auth.TopicPermission) int {
		return cmp.Or(strings.Compare(a.User, b.User), strings.Compare(a.VHost, b.VHost), strings.Compare(a.Exchange, b.Exchange))
	})
}
