// Package leader serves the queues of one group where they are led: it owns
// their consumers, hands out their messages within the credit given, ends those
// whose time is over or for which there is no room, passes dead letters on, and
// turns what becomes of messages into batches for the group's log.
//
// It knows neither AMQP frames nor Raft. Behind the Log interface stands a
// replicated group or the memory of one node; in front of it stand edges, each
// with one attachment, over which requests come and events go in order.
//
// One goroutine, Engine.Run, owns all state; everything else posts to its
// inbox. What it promises: a message is handed out only while the log says
// that nobody else leads, never to two subscriptions at once, in the order of
// priorities and sequence numbers among those that are ready, and without the
// redelivered flag only if nobody can have seen it.
//
// A queue is looked at (Engine.serve) when an entry has touched it, when somebody
// asks something of it, and when one of its times has come; all times are in one
// clock. Consumers that wait come first, then TTLs, then limits: so a message with
// a TTL of 0 reaches who waits for it and nobody else, and whoever hears of a confirm
// and then asks finds no more than the limit. A queue without consumers is served
// only if something can become of it by itself; all others cost nothing.
package leader
