// Package peer is what nodes say to each other and how: one gRPC server a node,
// one connection to each peer, who may speak, and the transport of all Raft
// groups over it.
//
// Every call names its caller (cluster id, ServerID, epoch) and whom it means to
// reach; both are checked before a handler runs, against the certificate where
// there is one. A refusal is a gRPC status of its own and one log line on both
// sides. Handlers find the caller with CallerOf and may believe it.
//
// A link, one stream to each peer, carries the heartbeats of all groups and
// tells within seconds that a silent peer is gone, and at once that its process
// is: then the survivors agree who stands for election (succession.go).
//
// The package holds no queue, no definition and nothing of AMQP; other services
// register themselves on Server and dial through Conns.
package peer
