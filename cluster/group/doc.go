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
// every replica; Raft's log is never shortened from the front, because a
// message's body is its log entry (reclaiming space is the log's business).
package group
