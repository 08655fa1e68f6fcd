// Package group runs queue groups: broker/queue's state machine under
// hashicorp/raft, with its entries in the node's shared log.
//
// The FSM adapter decodes a batch, applies it and hands the answers back; what
// a batch means is broker/queue's business. A Group is the log that
// broker/leader's engine proposes to and reads messages from; the Host calls
// Config.Lead for as long as this node leads a group.
//
// What it promises: the callback of Propose comes once, in the order of the
// calls, after the batch was applied here; equal logs give equal states on
// every replica; the body of a message that is not settled can be read, however
// far Raft's log was shortened. A snapshot is taken by bytes and entries of log,
// while entries are applied, and holds the state alone; one that goes to another
// node is preceded by the bodies of what is live, which that node's log adopts. A
// replica whose data is damaged gives no vote and serves nothing: it is expelled by
// the group's leader, wiped, and filled anew.
package group
