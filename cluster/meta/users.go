package meta

import (
	"crypto/rand"
	"fmt"

	"github.com/warrenmq/warren/broker/auth"
	"github.com/warrenmq/warren/broker/topology"
	pb "github.com/warrenmq/warren/proto"
)

// firstUsers are RabbitMQ's: guest with the password guest, an administrator with
// all rights in the vhost "/".
func firstUsers() ([]auth.User, []auth.Permission, error) {
	var salt [4]byte
	if _, err := rand.Read(salt[:]); err != nil {
		return nil, nil, fmt.Errorf("make the salt of a password: %w", err)
	}
	const guest, all = "guest", ".*"
	return []auth.User{{Name: guest, PasswordHash: auth.HashPassword(guest, salt), Tags: []string{"administrator"}}},
		[]auth.Permission{{User: guest, VHost: topology.DefaultVHost, Configure: all, Write: all, Read: all}}, nil
}

func userToProto(u auth.User) *pb.MetaUser {
	return &pb.MetaUser{Name: u.Name, PasswordHash: u.PasswordHash, HashingAlgorithm: u.HashingAlgorithm, Tags: u.Tags}
}

func userFromProto(p *pb.MetaUser) auth.User {
	return auth.User{Name: p.GetName(), PasswordHash: p.GetPasswordHash(), HashingAlgorithm: p.GetHashingAlgorithm(), Tags: p.GetTags()}
}

func permissionToProto(p auth.Permission) *pb.MetaPermission {
	return &pb.MetaPermission{User: p.User, Vhost: p.VHost, Configure: p.Configure, Write: p.Write, Read: p.Read}
}

func permissionFromProto(p *pb.MetaPermission) auth.Permission {
	return auth.Permission{User: p.GetUser(), VHost: p.GetVhost(), Configure: p.GetConfigure(), Write: p.GetWrite(), Read: p.GetRead()}
}

func topicToProto(p auth.TopicPermission) *pb.MetaTopicPermission {
	return &pb.MetaTopicPermission{User: p.User, Vhost: p.VHost, Exchange: p.Exchange, Write: p.Write, Read: p.Read}
}

func topicFromProto(p *pb.MetaTopicPermission) auth.TopicPermission {
	return auth.TopicPermission{User: p.GetUser(), VHost: p.GetVhost(), Exchange: p.GetExchange(), Write: p.GetWrite(), Read: p.GetRead()}
}
