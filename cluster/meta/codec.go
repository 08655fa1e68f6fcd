package meta

import (
	"errors"
	"fmt"
	"maps"
	"slices"

	"google.golang.org/protobuf/proto"

	"github.com/warrenmq/warren/broker/level"
	"github.com/warrenmq/warren/broker/topology"
	pb "github.com/warrenmq/warren/proto"
)

// formatVersion is the first byte of entries and snapshots.
const formatVersion = 1

var errFormat = errors.New("not an entry or snapshot of the meta group that this version knows")

func encode(m proto.Message) ([]byte, error) {
	b, err := proto.MarshalOptions{Deterministic: true}.MarshalAppend([]byte{formatVersion}, m)
	if err != nil {
		return nil, fmt.Errorf("encode for the meta group: %w", err)
	}
	return b, nil
}

func decode(b []byte, m proto.Message) error {
	if len(b) == 0 || b[0] != formatVersion {
		return errFormat
	}
	if err := proto.Unmarshal(b[1:], m); err != nil {
		return fmt.Errorf("%w: %w", errFormat, err)
	}
	return nil
}

// snapshot encodes the state: equal states give equal bytes.
func (s *state) snapshot() ([]byte, error) {
	p := &pb.MetaSnapshot{
		Applied: s.applied, ClusterId: s.clusterID, Expect: uint32(s.expect),
		Topology: s.topology.AppendSnapshot(nil), LastGroup: s.lastGroup, Origins: s.origins.toProto(),
		Forgotten: s.forgotten, Level: s.level,
	}
	for _, u := range s.sortedUsers() {
		p.Users = append(p.Users, userToProto(u))
	}
	for _, perm := range s.sortedPermissions() {
		p.Permissions = append(p.Permissions, permissionToProto(perm))
	}
	for _, topic := range s.sortedTopics() {
		p.TopicPermissions = append(p.TopicPermissions, topicToProto(topic))
	}
	for _, user := range slices.Sorted(maps.Keys(s.limits)) {
		p.UserLimits = append(p.UserLimits, &pb.MetaUserLimits{User: user, Limits: s.limits[user]})
	}
	for _, n := range s.sortedNodes() {
		p.Nodes = append(p.Nodes, nodeToProto(n))
	}
	for _, g := range s.sortedGroups() {
		p.Groups = append(p.Groups, groupToProto(g))
	}
	return encode(p)
}

// restoreState reads a snapshot, unless it is of a level that is not known: what else is in it
// may mean anything then.
func restoreState(b []byte, known uint64) (*state, error) {
	var p pb.MetaSnapshot
	if err := decode(b, &p); err != nil {
		return nil, err
	}
	if p.GetLevel() < level.First {
		return nil, errFormat
	}
	if err := level.Check("a snapshot of the meta group", p.GetLevel(), known); err != nil {
		return nil, err
	}
	t, err := topology.RestoreTopology(p.GetTopology())
	if err != nil {
		return nil, fmt.Errorf("restore definitions: %w", err)
	}
	s := newState()
	s.applied, s.clusterID, s.expect = p.GetApplied(), p.GetClusterId(), int(p.GetExpect())
	s.topology, s.lastGroup, s.origins = t, p.GetLastGroup(), originsFromProto(p.GetOrigins())
	s.forgotten, s.level, s.known = p.GetForgotten(), p.GetLevel(), known
	for _, u := range p.GetUsers() {
		s.users[u.GetName()] = userFromProto(u)
	}
	for _, perm := range p.GetPermissions() {
		s.permissions[permissionKey{perm.GetUser(), perm.GetVhost()}] = permissionFromProto(perm)
	}
	for _, topic := range p.GetTopicPermissions() {
		t := topicFromProto(topic)
		s.topics[topicKey{t.User, t.VHost, t.Exchange}] = t
	}
	for _, l := range p.GetUserLimits() {
		s.limits[l.GetUser()] = l.GetLimits()
	}
	for _, n := range p.GetNodes() {
		s.nodes[n.GetId()] = nodeFromProto(n)
	}
	for _, g := range p.GetGroups() {
		s.groups[g.GetId()] = groupFromProto(g)
	}
	return s, nil
}
