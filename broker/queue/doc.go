// Package queue is the state machine of a queue group: which messages are in
// which queue, where their bodies lie in the group's log, and what became of them;
// and the encoding of the batches that the log's entries carry.
//
// It holds no message bodies, no clock, no goroutine, no file and no socket, and knows
// neither Raft nor AMQP frames. Apply is a pure function of the state and the entry:
// equal logs give equal states. Every decoder checks a length before it allocates for it.
package queue
