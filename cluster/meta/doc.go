// Package meta is the meta group: the Raft group that holds everything but
// messages. Its state machine keeps the cluster id, the nodes, the users, the
// definitions (broker/topology) and the queue groups with their replicas.
//
// It keeps out what gossip believes: membership is asked only for who can be
// reached, and nothing it says is stored. It promises
//
//   - one cluster id, ever: a node forms a cluster only while each of the nodes
//     that were expected has promised it so on disk (bootstrap.go);
//   - that a command is applied at most once however often it is retried, since
//     it carries the (origin, epoch, number) that the state machine remembers
//     (origins.go, propose.go);
//   - that Apply returns when its command is visible on every live node, within
//     a second, and fails within five when there is no majority.
//
// # Entries
//
// A log entry is a version byte and a proto MetaEntry: the leader that appended
// it, and the batches of commands of several origins. The snapshot is a version
// byte and a proto MetaSnapshot. Stores opened by OpenStores put a CRC-32C behind
// every entry and value.
//
// # The commit notice
//
// hashicorp/raft tells followers a new commit index only with the next append or
// after CommitTimeout. So the leader, having applied an entry of its own, sends
// each follower an empty AppendEntries whose previous entry and commit index both
// are that entry (notice.go, with the reasons why that is safe).
//
// # Goroutines and locks
//
// Run owns all goroutines. Raft's FSM goroutine is the only one that changes the
// state; it holds fsm.mu for the change alone, then calls the watchers, then ends
// the waits. No lock is held over a call to Raft, a peer or a watcher, but for
// fsm.order, which keeps watchers in the order of the log.
package meta
