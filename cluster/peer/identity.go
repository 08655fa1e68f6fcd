package peer

import (
	"context"
	"strconv"
	"strings"

	"google.golang.org/grpc/metadata"
)

// Identity is who this node is towards its peers.
type Identity struct {
	ServerID  string        // name@incarnation
	Epoch     uint64        // starts of this process on this data folder
	ClusterID func() string // "" until this node belongs to a cluster
}

// Caller is the checked identity of whoever made a call.
type Caller struct {
	ServerID string
	Epoch    uint64
}

type callerKey struct{}

// CallerOf returns who made the call that a handler serves.
func CallerOf(ctx context.Context) (Caller, bool) {
	c, ok := ctx.Value(callerKey{}).(Caller)
	return c, ok
}

// nodeName is the part of a ServerID before the incarnation.
func nodeName(serverID string) string {
	name, _, _ := strings.Cut(serverID, "@")
	return name
}

// The metadata of every call.
const (
	keyCluster = "warren-cluster"
	keyNode    = "warren-node"
	keyEpoch   = "warren-epoch"
	keyTo      = "warren-to"
)

// claim is an identity as a call brings it, unchecked.
type claim struct {
	cluster string
	node    string
	epoch   uint64
	to      string // whom the caller means to reach
}

func (id *Identity) attach(ctx context.Context, to string) context.Context {
	return metadata.AppendToOutgoingContext(ctx,
		keyCluster, id.ClusterID(),
		keyNode, id.ServerID,
		keyEpoch, strconv.FormatUint(id.Epoch, 10),
		keyTo, to)
}

func claimed(ctx context.Context) (claim, bool) {
	md, _ := metadata.FromIncomingContext(ctx)
	one := func(key string) string {
		if v := md.Get(key); len(v) == 1 {
			return v[0]
		}
		return ""
	}
	epoch, err := strconv.ParseUint(one(keyEpoch), 10, 64)
	c := claim{cluster: one(keyCluster), node: one(keyNode), epoch: epoch, to: one(keyTo)}
	return c, err == nil && c.node != ""
}
