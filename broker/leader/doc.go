// Package leader serves the queues of one group where they are led: it owns
// their consumers, hands out their messages within the credit given, and turns
// what becomes of them into batches for the group's log.
//
// It knows neither AMQP frames nor Raft. Behind the Log interface stands a
// replicated group or the memory of one node; in front of it stand edges, each
// with one attachment, over which requests come and events go in order.
//
// One goroutine, Engine.Run, owns all state; everything else posts to its
// inbox. What it promises: a message is handed out only while the log says
// that nobody else leads, never to two subscriptions at once, in the order of
// sequence numbers among those that are ready, and without the redelivered
// flag only if nobody can have seen it.
package leader
