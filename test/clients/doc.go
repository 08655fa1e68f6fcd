// Package clients runs real AMQP clients against a cluster of Warren, or with
// WARREN_COMPAT=rabbitmq against one of RabbitMQ, on which every case was shown
// to pass first. Each client has a script of its own here, in its own language,
// and tells its cases in the lines of test/script.
//
// A script is called with a phase and the addresses of the nodes. In phase
// features each uses what its library exposes, through two nodes; in phase
// blocked the nodes run short of disk while all of them publish, and in phase
// recovery the node that all are connected to is killed.
package clients
