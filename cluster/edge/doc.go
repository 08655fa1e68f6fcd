// Package edge is a node's way to the queues of the whole cluster: it carries
// publishes to the leader of each queue's group and brings deliveries back,
// over gRPC or, where the leader is this node, by a call.
//
// Publishing side: one session for each group, whose batches are numbered and
// kept until they are answered. When the way to the leader breaks, or the
// leader changes, all that is unanswered is sent again in order; the group's
// state machine knows the number of the last batch it applied, so nothing is
// appended twice (design §5).
//
// Consuming side: one attachment for each group, which remembers what this
// node's channels hold and takes its subscriptions up again wherever the group
// is led next.
//
// The other half of the package is the server: the same requests arriving from
// other nodes for the groups that are led here.
package edge
