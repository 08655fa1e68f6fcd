// Package traffic is a publisher and a consumer that outlive the nodes they
// are connected to, and the ledger that both report to: it knows every message
// from before it was sent, and names each broken promise as it happens.
//
// A message carries its session (one publishing channel) and its number in it,
// which is also the tag of its confirm. A publisher that lost its connection
// sends what was not confirmed again under new numbers, so that the broker has
// no excuse to keep one number twice.
package traffic
